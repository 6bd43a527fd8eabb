"""labhelpers.record: the file of what a reader has done, and the clock."""

import json
import multiprocessing
from pathlib import Path

import pytest

from labhelpers import paths, record
from labhelpers.errors import LabError
from labhelpers.files import lock
from labhelpers.record import Clock, Record

LAB = "02-pause"


@pytest.fixture
def mine(tmp_path):
    return Record(tmp_path / "mine" / "progress.json")


def again(mine):
    return Record(mine.path).labs()[LAB]


@pytest.mark.parametrize(
    ("choices", "counts"),
    [
        (["stays"], (1, 0, 0)),
        (["changes", "stays"], (0, 1, 0)),
        ([None, "stays"], (0, 0, 1)),
        ([None, None, None], (0, 0, 1)),
    ],
)
def test_the_first_attempt_is_the_score(mine, choices, counts):
    mine.predicted(LAB, "address", choices, "stays")
    assert again(mine).first_attempts() == counts


def test_running_all_again_and_again_adds_nothing(mine):
    for _ in range(3):
        mine.predicted(LAB, "a", [None], "stays")
    mine.predicted(LAB, "a", ["stays", None], "stays")
    mine.predicted(LAB, "a", [], "stays")
    assert [each["choice"] for each in again(mine).predictions["a"]] == [None, "stays"]


def test_an_exercise_counts_until_it_is_passed(mine):
    mine.hinted(LAB, "a")
    for passed in (False, True, False, True):
        mine.checked(LAB, "a", passed)
        mine.hinted(LAB, "b")
    mine.hinted(LAB, "a")
    done = again(mine)
    assert done.passed() == ["a"]
    assert (done.exercises["a"]["checks"], done.exercises["a"]["hints"]) == (2, 1)
    assert done.exercises["a"]["passed"] <= done.used
    assert done.exercises["b"] == {"checks": 0, "hints": 4, "passed": ""}


def test_claims_and_time_add_up(mine):
    for id_ in ("B2", "B1", "B2"):
        mine.claim(LAB, id_)
    mine.spent(LAB, 30)
    mine.spent(LAB, 12.34)
    assert (again(mine).claims, again(mine).seconds) == (["B1", "B2"], 42.3)
    assert json.loads(mine.path.read_text())["version"] == record.VERSION
    there = sorted(path.name for path in mine.path.parent.iterdir())
    assert there == [".progress.lock", "progress.json"]


def _add(path, start):
    for number in range(start, start + 20):
        Record(path).claim(LAB, f"B{number}")


def test_two_kernels_at_once_lose_nothing(mine):
    context = multiprocessing.get_context("spawn")
    kernels = [context.Process(target=_add, args=(mine.path, start)) for start in (100, 200)]
    for each in kernels:
        each.start()
    for each in kernels:
        each.join(60)
    assert len(again(mine).claims) == 40


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 1}',
        '{"version": 1, "labs": {"02-pause": {"unknown": 1}}}',
        '{"version": 1, "labs": {"02-pause": {"seconds": "long"}}}',
        '{"version": 1, "labs": {"02-pause": {"predictions": {"a": [{"choice": "x"}]}}}}',
        '{"version": 1, "labs": {"02-pause": {"exercises": {"a": {"checks": 1}}}}}',
    ],
)
def test_a_broken_file_is_set_aside_and_not_lost(mine, text):
    mine.path.parent.mkdir()
    for number in (1, 2):
        mine.path.write_text(text)
        mine.claim(LAB, "B1")
        aside = mine.path.with_name(f"progress.broken-{number}")
        assert aside.read_text() == text
        assert f"It was set aside as {aside.name}, and counting starts again." in mine.notice
        assert again(mine).claims == ["B1"]
    mine.path.write_text(text)
    assert mine.labs() == {}
    assert mine.path.with_name("progress.broken-3").read_text() == text


def test_a_newer_file_is_left_alone(mine):
    mine.path.parent.mkdir()
    text = '{"version": 2, "labs": {"02-pause": {"stars": 3}}}'
    mine.path.write_text(text)
    mine.claim(LAB, "B1")
    assert mine.path.read_text() == text
    assert "this podlab knows 1" in mine.notice
    with pytest.raises(LabError, match="A newer podlab has written the record"):
        mine.labs()


def test_a_record_that_cannot_be_kept_stops_no_lab(mine):
    mine.path.parent.write_text("a file where the folder should be")
    mine.claim(LAB, "B1")
    assert mine.notice.startswith("Your progress couldn't be saved: ")
    assert mine.labs() == {}


def test_nobody_waits_long_for_another_kernel(mine, monkeypatch):
    monkeypatch.setattr(record, "LOCK_SECONDS", 0)
    with lock(mine.path.with_name(".progress.lock"), "busy"):
        mine.claim(LAB, "B1")
    assert mine.notice.startswith("Your progress couldn't be saved: another kernel is writing it.")


def test_what_an_older_podlab_has_kept_is_taken_over_once(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "repository", lambda: tmp_path)
    monkeypatch.setattr(paths, "state", lambda *_: tmp_path / "state")
    (tmp_path / "state").mkdir()
    scores = tmp_path / "state" / "scores.json"
    scores.write_text('{"02-pause/address": [{"choice": "stays", "measured": "stays"}]}')
    monkeypatch.setenv("PODLAB_MINE", str(tmp_path / "of-a-test"))
    assert Record().labs() == {}, "not into a folder that somebody has chosen"
    monkeypatch.delenv("PODLAB_MINE")
    Record().claim("02-pause", "B1")
    scores.unlink()
    done = Record().labs()["02-pause"]
    assert (done.claims, done.first_attempts()) == (["B1"], (1, 0, 0))
    assert Record().path == Path(tmp_path / "notebooks/mine/progress.json")


def test_a_pause_is_no_time_at_work():
    moments = iter([0, 60, 60 + record.LONGEST_PAUSE_SECONDS, 5000, 5001])
    clock = Clock(lambda: next(moments))
    for _ in range(4):
        clock.tick()
    assert clock.take() == 60 + record.LONGEST_PAUSE_SECONDS + 1
    assert clock.take() == 0
