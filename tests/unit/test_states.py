"""labhelpers.charts.states: a Pod's states, and the ways through them."""

import pandas
import pytest

from labhelpers.charts.states import COLUMNS, STATES, WAYS, states
from labhelpers.errors import LabError

WEB = [("web", "creates containers", 0.4), ("web", "Ready", 1.2), ("web", "being deleted", 9.0),
       ("web", "Failed", 10.4), ("web", "gone", 11.2)]  # fmt: skip
CRASH = [("crash", "creates containers", 0.5), ("crash", "Ready", 1.3),
         ("crash", "no container runs", 2.0), ("crash", "Ready", 3.0),
         ("crash", "no container runs", 4.0)]  # fmt: skip


def chart(*steps):
    return states(pandas.DataFrame(steps, columns=list(COLUMNS)), "Which way?")


@pytest.mark.parametrize(
    ("steps", "finding"),
    [
        (WEB, "web: Pending → Running → Failed → gone"),
        (CRASH, "crash: Pending → Running, restarted once"),
        ([*WEB[:2], *CRASH[:3]], "web: Pending → Running · crash: Pending → Running"),
        ([*CRASH, ("crash", "Ready", 5.0)], "crash: Pending → Running, restarted twice"),
        ([("no", "Failed", 1.0)], "no: Failed"),
        ([], "no Pod has been seen yet"),
    ],
)
def test_the_finding_has_the_phases_in_their_order(steps, finding):
    assert str(chart(*steps)) == finding


def words(found) -> list[str]:
    return [text.get_text() for text in found.figure().axes[0].texts]


def test_each_state_says_who_was_there_when_and_how_often():
    said = words(chart(*WEB, *CRASH))
    assert {"a: web", "b: crash", "a 0.4", "b 0.5", "b 1.3 ×2", "a 11"} <= set(said)
    assert {"phase Pending", "phase Running", "phase Succeeded", "phase Failed"} <= set(said)
    assert {state.status for state in STATES.values() if state.status} <= set(said)


def test_a_way_that_nobody_foresaw_is_drawn_all_the_same():
    before, after = "gone", "waits for a node"
    assert (before, after) not in WAYS
    assert chart(("a", before, 1.0), ("a", after, 2.0)).png.startswith(b"\x89PNG")


def test_nobody_yet_and_the_machine_is_there():
    assert {"waits for a node", "gone"} <= set(words(chart()))


def test_the_last_state_of_each_pod_is_marked():
    def thick(*steps):
        return sum(patch.get_linewidth() == 2.2 for patch in chart(*steps).figure().axes[0].patches)

    assert (thick(), thick(*WEB), thick(*WEB, *CRASH)) == (0, 1, 2)


@pytest.mark.parametrize(
    ("steps", "seen"),
    [
        ([("a", "CrashLoopBackOff", 1.0)], "no state"),
        ([(name, "Ready", 1.0) for name in "abcde"], "5 Pods"),
    ],
)
def test_what_cannot_be_drawn_is_told(steps, seen):
    with pytest.raises(LabError, match=seen):
        chart(*steps)
