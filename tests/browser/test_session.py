"""A session from beginning to end: a board, four participants, and a cluster for each."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from labhelpers.patience import patient
from tests import PEOPLE, SESSION
from tests.browser.board_host import Host
from tests.instances import enough_for
from tests.participant import DIES_AFTER
from tests.ports import free_port

pytestmark = [pytest.mark.rota(group="session"), pytest.mark.timeout(1500)]

UP_SECONDS, LAB_SECONDS, DOWN_SECONDS = 600, 900, 200
NAMES = ("Ada", "Grace", "Ada", "Linus <b>")
# Two have one name, and one has markup in it.
ON_THE_BOARD = {"Ada", "Ada 2", "Grace", "Linus <b>"}
UNLUCKY = "Grace"  # whose cluster dies in the middle
DEAD = f"{UNLUCKY}: the cluster doesn't answer."


@dataclass
class Participant:
    """Somebody with a machine of their own: cluster, state, and files."""

    name: str
    number: int
    folder: Path

    def run(self, *words: str, seconds: float) -> subprocess.CompletedProcess[str]:
        own = {"PODLAB_CLUSTER": SESSION[self.number], "PODLAB_STATE": str(self.folder / "state")}
        return subprocess.run(
            [sys.executable, "-m", *words],
            env={**os.environ, **own, "PODLAB_MINE": str(self.folder / "mine")},
            capture_output=True,
            text=True,
            timeout=patient(seconds),
        )

    def up(self) -> subprocess.CompletedProcess[str]:
        return self.run("labhelpers.cli", "up", seconds=UP_SECONDS)

    def take_part(self, address: str, way: str = "") -> subprocess.CompletedProcess[str]:
        way = way or ("dies" if self.name == UNLUCKY else "")
        words = ("tests.participant", address, self.name, str(self.number), way)
        return self.run(*words, seconds=LAB_SECONDS)

    def down(self) -> subprocess.CompletedProcess[str]:
        return self.run("labhelpers.cli", "down", seconds=DOWN_SECONDS)


def all_at_once(act, *, of: list[Participant]) -> list[subprocess.CompletedProcess[str]]:
    with ThreadPoolExecutor(len(of)) as pool:
        return list(pool.map(act, of))


def good(done: list[subprocess.CompletedProcess[str]]) -> None:
    for each in done:
        assert each.returncode == 0, f"{each.stdout[-1500:]}\n{each.stderr[-3000:]}"


@pytest.fixture
def people(tmp_path: Path) -> Iterator[list[Participant]]:
    people = [Participant(name, at, tmp_path / str(at)) for at, name in enumerate(NAMES)]
    with enough_for(PEOPLE):
        try:
            yield people
        finally:
            gone = all_at_once(Participant.down, of=people)
    good(gone)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path / "board")
    host.start(str(free_port()))
    yield host
    host.kill()


def test_four_with_a_cluster_each_and_a_board_and_one_cluster_dies(
    host, people, chromium: Browser, tmp_path
):
    assert len(people) == PEOPLE
    good(all_at_once(Participant.up, of=people))
    teacher = chromium.new_page(viewport={"width": 1280, "height": 800})
    try:
        teacher.goto(host.teacher)
        good(all_at_once(lambda each: each.take_part(host.room), of=people))
        expect(teacher.locator("article .lab").first).to_contain_text(f"{PEOPLE} voted")
        named = teacher.locator(".people th[scope=row]").all_inner_texts()
        assert {name.split("\n")[0] for name in named} == ON_THE_BOARD
        dead = teacher.locator(".notices li").filter(has_text=DEAD)
        expect(dead).to_have_count(1)
        asked = teacher.locator("article[id^=q-]")  # the exercises have articles, too
        voted = []
        for article in asked.all():
            votes = article.locator(".histogram tbody tr .number b").all_inner_texts()
            voted.append(sum(int(vote) for vote in votes if vote))
            assert article.locator("tr.answer").count() == 1, "all measured the same"
        others = [PEOPLE - 1] * (len(voted) - DIES_AFTER)
        assert others and sorted(voted) == [*others, *[PEOPLE] * DIES_AFTER], voted
        passed = teacher.locator(".passed").inner_text().removeprefix("✓ ")
        assert set(passed.split(", ")) == ON_THE_BOARD - {UNLUCKY}, passed
        folder = Path(os.environ.get("PODLAB_SCREENSHOTS") or tmp_path)
        folder.mkdir(parents=True, exist_ok=True)
        teacher.screenshot(path=folder / "session-teacher.png", full_page=True)
        # A new cluster, and the same seat.
        [unlucky] = [each for each in people if each.name == UNLUCKY]
        good([unlucky.up(), unlucky.take_part(host.room, "back")])
        expect(dead).to_have_count(0)
    finally:
        teacher.close()
