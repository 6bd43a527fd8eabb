"""What the kernel's log says of OOM kills, on lines that were recorded on cgroup version 2."""

from pathlib import Path

import pytest

from labhelpers.node import oom

LOG = (Path(__file__).parent / "recorded" / "oom-v2.txt").read_text()
CONTAINERS = [
    "65610543be2fcbd9aebb6b32ac39818efe44b7e398fb15873a033614f76313c1",
    "4a3060889151868842937e2c9ee5976ee7d3e86657e826f4297d963a2929630b",
    "240bb0830b3b0e1f86133f1c428356ffba215ad86bd91f8689db1a17ce499565",
]
POD_UID = "725ff0ac-101c-46c4-b8d1-9bbf427b22bb"


def test_each_kill_is_found_with_its_cgroup():
    found = oom.kills(f"{LOG}[ 2692.5] marker", "marker", within_seconds=60)
    assert [why for why, _ in found] == ["CONSTRAINT_MEMCG"] * 3
    assert all(id_ in path for id_, (_, path) in zip(CONTAINERS, found, strict=True))
    assert oom.beyond(found, [POD_UID]) == []
    assert len(oom.beyond(found, ["another"])) == 3
    assert len(oom.kills(f"{LOG}[ 2692.5] marker", "marker", within_seconds=1)) == 1


@pytest.mark.parametrize(
    ("container", "killed"),
    [(0, ["21306 (dd)", "21306 (dd)"]), (1, ["21435 (runc:[2:INIT])"])],
)
def test_the_lines_of_one_container(container, killed):
    """The kernel names its victim twice where it then kills the whole group."""
    told, *ended = oom.about_container(LOG, CONTAINERS[container])
    assert "oom-kill:constraint=CONSTRAINT_MEMCG" in told
    assert [line.partition("Killed process ")[2].partition(" total")[0] for line in ended] == killed
