"""labhelpers.exercises without a cluster: the files, and how a verdict is worded."""

from types import SimpleNamespace

import pytest

from labhelpers import exercises, paths
from labhelpers.errors import Impossible, LabError, NotOurCluster, Refused, Unreachable
from labhelpers.exercises import Exercise
from tests.unit.fake_connection import FakeConnection

STARTER = "{apiVersion: v1, kind: ConfigMap, metadata: {name: starter}}\n"
SOLUTION = "{apiVersion: v1, kind: ConfigMap, metadata: {name: solved}}\n"
CHECK = '''
from labhelpers.exercises import NotYet

QUESTION = """
Make a map of the name solved.
"""
HINTS = ["Look at its name.", "Rename it."]
DEBRIEF = ["The name was wrong.", "A name is a name.", "Nobody finds the map."]


def check(lab, path):
    names = [each["metadata"]["name"] for each in lab.connection.list("ConfigMap")["items"]]
    if "solved" not in names:
        raise NotYet("a map of the name " + ", ".join(names), *lab.extra)
    return "there is a map of the name solved"
'''


def names(lab):
    return [each["metadata"]["name"] for each in lab.connection.list("ConfigMap")["items"]]


@pytest.fixture
def exercise(tmp_path, monkeypatch):
    notebooks = tmp_path / "notebooks"
    for folder, name, text in (
        ("exercises", "a.yaml", STARTER),
        ("exercises", "a.py", CHECK),
        ("exercises", "b.yaml", STARTER),
        ("solutions", "a.yaml", SOLUTION),
    ):
        path = notebooks / folder / "02-pause" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(paths, "notebooks", lambda: tmp_path / "notebooks")
    monkeypatch.delenv("PODLAB_MINE", raising=False)
    monkeypatch.setattr(exercises, "wait_until", lambda *_, **__: None)
    lab = SimpleNamespace(connection=FakeConnection(), node=SimpleNamespace(images=set), extra=[])
    return Exercise("02-pause", "a", lab)


def test_start_copies_the_starter_and_asks(exercise, tmp_path):
    assert (
        repr(exercise.start()) == "Make a map of the name solved.\nYour file: mine/02-pause/a.yaml"
    )
    assert (tmp_path / "notebooks/mine/02-pause/a.yaml").read_text() == STARTER


def test_start_never_overwrites(exercise):
    exercise.start()
    exercise.path.write_text("mine")
    exercise.start()
    assert exercise.path.read_text() == "mine"


def test_a_test_run_has_a_folder_of_its_own(exercise, tmp_path, monkeypatch):
    monkeypatch.setenv("PODLAB_MINE", str(tmp_path / "elsewhere"))
    other = Exercise("02-pause", "a")
    assert repr(other.start()) == repr(exercise.start())
    assert other.path == tmp_path / "elsewhere/02-pause/a.yaml"


def test_the_untouched_starter_is_not_yet_solved(exercise):
    verdict = exercise.check()
    assert (verdict.passed, repr(verdict)) == (
        False,
        'not yet: a map of the name starter · hint: lab.hint("a")',
    )


def test_the_solution_passes(exercise):
    verdict = exercise.check(exercise.solution_path)
    assert (verdict.passed, verdict.line) == (True, "passed: there is a map of the name solved")


def test_a_debriefing_follows_the_verdict_of_an_exercise_that_is_passed(exercise):
    assert exercise.check()._repr_html_() is None
    exercise.path.write_text(SOLUTION.replace("solved}", "solved, labels: {a: <b>}}"))
    verdict = exercise.check()
    assert repr(verdict).splitlines() == [
        "passed: there is a map of the name solved",
        "",
        "Your way isn't the solution's, and both work. Yours is -, the solution's is +:",
        " metadata:",
        "   name: solved",
        "-  labels:",
        "-    a: <b>",
        "",
        "What happened: The name was wrong.",
        "The right model: A name is a name.",
        "In production: Nobody finds the map.",
    ]
    shown = verdict._repr_html_()
    assert shown.index("passed: there is") < shown.index("a: &lt;b&gt;") < shown.index("The name")


def test_the_readers_file_is_what_is_checked(exercise):
    exercise.start()
    exercise.path.write_text(SOLUTION)
    assert exercise.check().passed


def test_each_check_begins_without_what_the_last_one_left(exercise):
    exercise.check(exercise.solution_path)
    exercise.check()
    assert names(exercise.lab) == ["starter"]
    deleted = [call for call in exercise.lab.connection.calls if call.startswith("delete")]
    assert deleted == [
        "delete ConfigMap solved grace 1",
        "delete ConfigMap solved grace 1",
        "delete ConfigMap starter grace 1",
    ]


def test_an_object_in_no_namespace_is_refused_before_anything_is_deleted(exercise):
    """It would act on the whole cluster: a StorageClass of the name standard replaces its own."""
    outside = "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata:\n  name: high\n"
    exercise.start()
    exercise.path.write_text(f"{SOLUTION}\n---\n{outside}")
    verdict = exercise.check()
    assert not verdict.passed
    assert "contains a cluster-scoped object. PriorityClass high" in repr(verdict)
    assert exercise.lab.connection.calls == []


def test_another_namespace_is_refused_before_anything_is_deleted(exercise):
    exercise.start()
    exercise.path.write_text(SOLUTION.replace("{name: solved", "{namespace: b, name: solved"))
    assert "a.yaml names a namespace. line 1: namespace: b" in repr(exercise.check())
    assert exercise.lab.connection.calls == []


def test_a_check_may_give_its_own_hint(exercise):
    exercise.lab.extra = ["Read line 3."]
    assert repr(exercise.check()) == "not yet: a map of the name starter · hint: Read line 3."


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("a: [", None, "a.yaml is not YAML. line 1"),
        (
            STARTER,
            Refused("The API server rejected a.yaml.", "409 Conflict: no", "Look."),
            "The API server rejected a.yaml (ConfigMap starter). 409 Conflict",
        ),
        (
            STARTER,
            Impossible("It can't become Ready.", "ErrImagePull", "Look."),
            "It can't become Ready. ErrImagePull",
        ),
    ],
)
def test_a_manifest_that_does_not_work_is_a_verdict_too(exercise, text, error, says):
    exercise.start()
    exercise.path.write_text(text)
    exercise.lab.connection.refusal = error
    verdict = exercise.check()
    assert not verdict.passed
    assert verdict.text.startswith(says)
    assert verdict.text.endswith('· hint: lab.hint("a")')


@pytest.mark.parametrize("error", [Unreachable, NotOurCluster])
def test_a_cluster_that_does_not_answer_is_no_wrong_answer(exercise, error):
    exercise.lab.connection.refusal = error("The cluster does not answer.", "nothing", "podlab up")
    with pytest.raises(error):
        exercise.check()


def test_a_fault_of_the_check_itself_is_not_taken_for_the_readers(exercise):
    exercise.starter.with_suffix(".py").write_text("def check(lab, path): return 1 / 0")
    with pytest.raises(ZeroDivisionError):
        exercise.check()


def test_hints_come_in_steps_and_the_last_one_stays(exercise):
    assert [str(exercise.hint()) for _ in range(3)] == [
        "hint 1 of 2: Look at its name.",
        *["hint 2 of 2: Rename it."] * 2,
    ]


def test_solution_shows_and_applies(exercise):
    assert repr(exercise.solution()) == SOLUTION.strip()
    assert names(exercise.lab) == ["solved"]


def test_reset_keeps_what_was_written(exercise):
    exercise.start()
    exercise.path.write_text("mine")
    assert (
        str(exercise.reset())
        == "mine/02-pause/a.yaml is the starter again; yours is kept as mine/02-pause/a.yaml.bak"
    )
    assert exercise.path.read_text() == STARTER
    assert exercise.path.with_name("a.yaml.bak").read_text() == "mine"
    assert str(exercise.reset()) == "mine/02-pause/a.yaml is the starter"
    exercise.path.write_text("mine again")
    assert str(exercise.reset()).endswith("yours is kept as mine/02-pause/a.yaml.bak1")
    assert [exercise.path.with_name(f"a.yaml.{name}").read_text() for name in ("bak", "bak1")] == [
        "mine",
        "mine again",
    ]
    assert exercise.path.with_name("a.yaml.bak").read_text() == "mine"


def test_an_unknown_exercise_is_told_with_those_that_exist(exercise):
    with pytest.raises(LabError, match="no exercise 'z'") as caught:
        Exercise("02-pause", "z")
    assert caught.value.seen == "its exercises: a, b"


def test_a_pod_of_another_name_is_no_answer_yet():
    def now():
        raise Refused("No.", "", "", reason="NotFound")

    lab = SimpleNamespace(pod=lambda name: SimpleNamespace(name=name, now=now))
    with pytest.raises(exercises.NotYet, match="there is no Pod named counter"):
        exercises.expected_pod(lab, "counter")
    there = SimpleNamespace(now=lambda: None)
    assert exercises.expected_pod(SimpleNamespace(pod=lambda name: there), "counter") is there


def test_a_log_is_asked_for_until_something_is_in_it(monkeypatch):
    monkeypatch.setattr(exercises, "FIRST_LOG_PAUSE_SECONDS", 0)
    logs = ["", "\n", "one\ntwo\n", "three"]
    assert (
        exercises.first_log(SimpleNamespace(logs=lambda container: logs.pop(0)), "app")
        == "one\ntwo"
    )
    monkeypatch.setattr(exercises, "FIRST_LOG_SECONDS", 0.1)
    assert exercises.first_log(SimpleNamespace(logs=lambda container: ""), "app") == ""
