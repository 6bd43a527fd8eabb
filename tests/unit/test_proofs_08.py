"""The proofs of lab 08: each says one sentence where its claim is true, another where it isn't."""

from types import SimpleNamespace

import pandas
import pytest

from labhelpers.charts import timeline
from labhelpers.errors import LabError
from labhelpers.measure.changes import Version
from labhelpers.proofs import Proofs

PROOFS = Proofs("08-termination")
TOOLS = PROOFS.module


def prove(claim, *measured, lab=None):
    return PROOFS.of(claim)(lab, *measured).sentence


def life(*rows, versions=(), events=(), slices=(), end=20.0):
    """A recording that began at 0. Rows: (lane, state, start, end[, exit code])."""
    frame = pandas.DataFrame(
        [
            {
                "lane": row[0],
                "kind": "container" if row[0].endswith("app") else "condition",
                "state": row[1],
                "start": row[2],
                "end": row[3],
                "start_resolution": 0.1,
                "exit_code": row[4] if len(row) > 4 else None,
            }
            for row in rows or [("x", "True", 0, end)]
        ]
    )
    return SimpleNamespace(
        intervals=frame,
        when=lambda states: timeline.when(frame, states),
        chart=lambda *_, **__: "a chart",
        seconds_of=lambda at: at,
        versions=list(versions),
        versions_of=lambda kind: [NODE] if kind == "Node" else list(slices),
        events=pandas.DataFrame(events or [("", "")], columns=["object", "reason"]),
    )


def version(name, seconds, event="MODIFIED", marked=True, phase="Running", spec=None):
    metadata = {"name": name, "uid": name, "resourceVersion": f"{seconds}"}
    if marked:
        metadata["deletionTimestamp"] = "1970-01-01T00:00:00Z"
    return Version(seconds, event, {"metadata": metadata, "status": {"phase": phase}, "spec": spec})


NODE = Version(0.0, "FOUND", {"metadata": {"name": "node", "uid": "n"}})


class Said:
    """What the Pods wrote: (second, text) by Pod, with a name that Python allows."""

    def __init__(self, **lines):
        self.lines = {name.replace("_", "-"): found for name, found in lines.items()}

    def at(self, pod, words):
        return next((at for at, text in self.lines.get(pod, []) if words in text), None)


def ended(**ends):
    """A life in which Pods were deleted at second 1 and ended: (after, exit code)."""
    names = {name.replace("_", "-"): end for name, end in ends.items()}
    rows = [(f"{name}: app", "terminated", 1 + at, 20, code) for name, (at, code) in names.items()]
    return life(*rows, versions=[version(name, 1.0) for name in names])


def plans(**wanted):
    """(handler, hook, needs) by Pod, each with a grace period of 6 s."""
    return {
        name: TOOLS.Plan(name, 6, hook, handler, needs, "app" if handler else "sh")
        for name, (handler, hook, needs) in wanted.items()
    }


# --- the arithmetic


@pytest.mark.parametrize(
    ("handler", "hook", "needs", "ends", "how"),
    [
        (True, 0, 1, 1, "ended by itself"),
        (False, 0, 1, 6, "killed"),
        (True, 3, 1, 4, "ended by itself"),
        (True, 4, 4, 6, "killed"),
        (True, 60, 1, 7, "ended by itself"),
        (True, 60, 9, 8, "killed"),
        (True, 5, 2, 7, "ended by itself"),  # at least two seconds after SIGTERM
    ],
)
def test_when_a_pod_ends(handler, hook, needs, ends, how):
    [plan] = plans(pod=(handler, hook, needs)).values()
    assert (plan.ends, plan.how) == (ends, how)


def pod(name, status, **app):
    process = SimpleNamespace(pid=7, command="app")
    spec = {"terminationGracePeriodSeconds": 6, "containers": [{"name": "app", **app}]}
    return SimpleNamespace(
        name=name, raw={"spec": spec}, container=lambda _: SimpleNamespace(process=process)
    )


def lab_with(*pods, status="SigCgt:\t0000000000014002\n"):
    found = {each.name: each for each in pods}
    node = SimpleNamespace(read=lambda path: status)
    return SimpleNamespace(pod=found.get, node=node)


def test_a_plan_comes_from_the_spec_and_the_node():
    hook = {"exec": {"command": ["/app/drain", "3"]}}
    env = [{"name": "TAKES", "value": "4"}]
    lab = lab_with(
        pod("plain", ""),
        pod("hook", "", env=env, lifecycle={"preStop": hook}),
        pod("sleeps", "", lifecycle={"preStop": {"sleep": {"seconds": 2}}}),
    )
    found = TOOLS.plan(lab, "plain", "hook", "sleeps")
    assert [(p.hook, p.needs, p.handler) for p in found.values()] == [
        (0, 1, True),
        (3, 4, True),
        (2, 1, True),
    ]
    silent = lab_with(pod("plain", ""), status="SigCgt:\t0000000000000002\n")
    assert not TOOLS.plan(silent, "plain")["plain"].handler


# --- SIGTERM

SIGNALS = plans(handles=(True, 0, 1), ignores=(False, 0, 1))


@pytest.mark.parametrize(
    ("handles", "ignores", "heard", "wanted"),
    [
        ((1.1, 0), (6.2, 137), True, "handles saw SIGTERM and ended by itself after 1 s, as pred"),
        ((1.1, 0), (6.2, 137), True, "ignores never saw SIGTERM and was killed after 6 s, as pred"),
        ((6.1, 137), (6.2, 137), True, "handles saw SIGTERM and was killed, unlike predicted"),
        ((1.1, 0), (0.2, 143), True, "ignores never saw SIGTERM and ended by itself, unlike"),
        ((1.1, 0), (9.0, 137), True, "ignores never saw SIGTERM and was killed, unlike predicted"),
        ((1.1, 0), (6.2, 137), False, "handles never saw SIGTERM"),
    ],
)
def test_c11(handles, ignores, heard, wanted):
    said = Said(handles=[(1.1, "SIGTERM")] if heard else [])
    assert wanted in prove("C11", ended(handles=handles, ignores=ignores), said, SIGNALS)


def test_an_end_that_nobody_saw():
    with pytest.raises(LabError, match="it was deleted, and ended unseen"):
        prove("C11", life(versions=[version("handles", 1.0)]), Said(), plans(handles=(True, 0, 1)))
    with pytest.raises(LabError, match="it wasn't deleted"):
        prove("C11", life(), Said(), plans(handles=(True, 0, 1)))


SHELLS = plans(wrapped=(False, 0, 1), execs=(True, 0, 1))


@pytest.mark.parametrize(
    ("wrapped", "heard", "wanted", "choice"),
    [
        ((6.1, 137), False, "PID 1 is sh in wrapped, which has no handler; PID 1 is app in execs; "
         "wrapped never saw SIGTERM and was killed after 6 s", "only sh, which ignores it"),
        ((1.1, 0), True, "wrapped saw SIGTERM and ended by itself, unlike", "both: the app cleans"),
        ((0.1, 143), False, "wrapped never saw SIGTERM and ended by itself", "only sh, which ends"),
    ],
)  # fmt: skip
def test_o2(wrapped, heard, wanted, choice):
    said = Said(wrapped=[(1.1, "SIGTERM")] if heard else [], execs=[(1.1, "SIGTERM")])
    measured = ended(wrapped=wrapped, execs=(1.1, 0))
    assert wanted in prove("O2", measured, said, SHELLS)
    assert TOOLS.what_the_wrapper_does(None, measured, said).startswith(choice)


def test_a_table_says_who_ended_unlike_predicted():
    lab = None
    found = TOOLS.stops(lab, ended(wrapped=(6.1, 137), execs=(3.0, 0)), Said(), "wrapped", "execs")
    shown = TOOLS.table(lab, found, SHELLS)
    assert shown.sentence == "not as predicted: execs"
    assert shown.what["exit code"].tolist() == [137, 0]


# --- preStop

HOOKS = plans(hook=(True, 3, 1), both=(True, 4, 4), overlong=(True, 60, 1))
HOOK = [(1.1, "preStop begins"), (4.1, "preStop ends"), (4.2, "SIGTERM")]
BOTH = [(1.1, "preStop begins"), (5.1, "preStop ends"), (5.2, "SIGTERM")]
OVERLONG = [(1.1, "preStop begins"), (7.1, "SIGTERM")]


@pytest.mark.parametrize(
    ("hook", "both", "overlong", "lines", "wanted"),
    [
        ((4.2, 0), (6.2, 137), (7.1, 0), HOOK, "in hook preStop ran before SIGTERM; hook saw"),
        ((4.2, 0), (6.2, 137), (7.1, 0), HOOK, "both saw SIGTERM and was killed after 6 s, as pre"),
        ((4.2, 0), (6.2, 137), (7.1, 0), HOOK, "overlong saw SIGTERM and ended by itself after 7"),
        ((4.2, 0), (8.2, 0), (7.1, 0), HOOK, "both saw SIGTERM and ended by itself, unlike"),
        ((4.2, 0), (6.2, 137), (6.1, 137), HOOK, "overlong saw SIGTERM and was killed, unlike"),
        ((4.2, 0), (6.2, 137), (7.1, 0), HOOK[::-1][:1], "SIGTERM didn't wait for preStop"),
    ],
)
def test_c17(hook, both, overlong, lines, wanted):
    said = Said(hook=lines, both=BOTH, overlong=OVERLONG)
    assert wanted in prove("C17", ended(hook=hook, both=both, overlong=overlong), said, HOOKS)


@pytest.mark.parametrize(
    ("end", "lines", "wanted"),
    [
        ((6.2, 137), BOTH, "it's killed after 6 s"),
        ((8.2, 0), BOTH, "it ends by itself after 8 s"),
        ((6.2, 0), [BOTH[0], (3.1, "SIGTERM")], "the hook is cut off after 2 s"),
    ],
)
def test_how_both_ended(end, lines, wanted):
    said = Said(both=lines)
    assert TOOLS.how_both_ended(None, ended(both=end), said).startswith(wanted)


@pytest.mark.parametrize(
    ("end", "wanted"),
    [
        ((7.1, 0), "it gets SIGTERM when the 6 s are over, and cleans up"),
        ((61.1, 0), "it gets SIGTERM after the minute, and cleans up"),
        ((6.1, 137), "it's killed when the 6 s are over, and never gets SIGTERM"),
    ],
)
def test_how_overlong_ended(end, wanted):
    said = Said(overlong=OVERLONG)
    assert TOOLS.how_overlong_ended(None, ended(overlong=end), said) == wanted


FAILED = [("Pod/no-shell-exec", "FailedPreStopHook")]


@pytest.mark.parametrize(
    ("sleep", "exec_", "events", "wanted"),
    [
        (3.1, 0.2, FAILED, "the sleep form waited 3 s and wasn't reported; the exec form didn't "
         "wait and was reported as FailedPreStopHook"),
        (0.2, 0.2, FAILED, "the sleep form didn't wait"),
        (3.1, 3.1, [], "the exec form waited 3 s and wasn't reported"),
    ],
)  # fmt: skip
def test_o26(sleep, exec_, events, wanted):
    measured = ended(no_shell_sleep=(sleep, 0), no_shell_exec=(exec_, 0))
    measured.events = pandas.DataFrame(events or [("", "")], columns=["object", "reason"])
    said = Said(no_shell_sleep=[(1 + sleep, '"signal":"terminated"')])
    assert wanted in prove("O26", measured, said)


# --- traffic


class Lab:
    """A node whose clock is ours, with a log: (second, text)."""

    namespace = "n"

    def __init__(self, *lines):
        stamps = [(f"1970-01-01T00:00:{at:05.2f}Z", text) for at, text in lines]
        text = "".join(f"{stamp} stdout F {words}\n" for stamp, words in stamps)
        self.node = SimpleNamespace(read=lambda _: text)


CLIENT = SimpleNamespace(name="client", uid="u")
SCALED = [
    version(name, seconds, event)
    for name in ("abrupt-1", "polite-1")
    for seconds, event in ((2.0, "MODIFIED"), (9.0, "DELETED"))
]
SLICES = [
    Version(2.1, "MODIFIED", {
        "metadata": {"name": f"{shop}-s", "labels": {"kubernetes.io/service-name": shop}},
        "endpoints": [{"targetRef": {"kind": "Pod", "name": f"{shop}-1"},
                       "conditions": {"ready": False, "terminating": True}}],
    })
    for shop in ("abrupt", "polite")
]  # fmt: skip
BEFORE = [(1.0, "abrupt-1"), (1.1, "polite-1"), (1.2, "wget: something")]


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ([(2.5, "abrupt failed"), (2.6, "polite-1")], "abrupt: some requests failed; polite: no "
         "request failed, and Pods answered that had been deleted already"),
        ([(2.5, "abrupt failed"), (2.6, "polite failed")], "polite: some requests failed"),
        ([(2.6, "polite-1")], "abrupt: no request failed"),
        ([(2.5, "abrupt failed"), (2.1, "polite-1")], "polite: no request failed"),
        ([(2.6, "polite-1"), (12.0, "abrupt failed")], "abrupt: no request failed"),
        ([(2.5, "abrupt failed"), (2.5, "abrupt-1"), (2.6, "polite-1")],
         "abrupt: some requests failed; polite: no request failed, and Pods answered"),
    ],
)  # fmt: skip
def test_o1(lines, wanted):
    measured = life(versions=SCALED, slices=SLICES)
    said = prove("O1", measured, CLIENT, lab=Lab(*BEFORE, *sorted(lines)))
    assert wanted in said
    assert ("answered that had been deleted" in said) == ((2.6, "polite-1") in lines)


def test_requests_in_numbers():
    lab = Lab(*BEFORE, (2.5, "abrupt failed"), (2.6, "polite-1"))
    shown = TOOLS.counted(lab, life(versions=SCALED, slices=SLICES), CLIENT)
    assert shown.sentence == "abrupt lost at least half of its requests; polite lost no request"
    assert shown.what["failed"].tolist() == [1, 0]
    assert shown.what["answered by deleted Pods"].tolist() == [0, 1]
    assert shown.what.iloc[:, -1].tolist() == ["0.1", "0.1"]
    answers = [(3 + number / 10, "polite-1") for number in range(20)]
    few = Lab(*BEFORE, (2.5, "polite failed"), *answers)
    shown = TOOLS.counted(few, life(versions=SCALED, slices=SLICES), CLIENT)
    assert shown.sentence == "abrupt lost no request; polite lost some of its requests"


# --- a lost node

WATCHER = SimpleNamespace(name="watcher", uid="w")
TOLERATES = {"tolerations": [{"key": "node.kubernetes.io/unreachable", "tolerationSeconds": 5}]}


def lost(unready=48.0, marked=53.0, gone=57.0, phase="Running", forced_ends=56.0):
    rows = [
        ("node: Ready", "True", 0, 48),
        ("node: Ready", "Unknown", 48, 55),
        ("node: Ready", "True", 55, 60),
        ("lost: Ready", "True", 0, unready),
        ("lost: Ready", "False", unready, gone),
        ("forced: app", "running", 0, forced_ends),
        ("forced: app", "terminated", forced_ends, 60, 0),
    ]
    versions = [
        version("lost", 0.0, "FOUND", marked=False, spec=TOLERATES),
        version("forced", 0.0, "FOUND", marked=False),
        version("forced", 2.0, "DELETED"),
        version("lost", marked, phase=phase),
        version("lost", gone, "DELETED", phase="Succeeded"),
    ]
    return life(*rows, versions=versions, end=60.0)


ANSWERS = [(second, "forced") for second in range(1, 59)]


@pytest.mark.parametrize(
    ("measured", "answers", "wanted"),
    [
        (lost(), ANSWERS, "Unknown within a minute, and the Pod's Ready False; the phase was Runn"),
        (lost(), ANSWERS, "marked for deletion after its toleration, and it hung until the kubele"),
        (lost(), ANSWERS, "but its process ran on and answered"),
        (lost(unready=56.0), ANSWERS, "the Pod stayed Ready"),
        (lost(phase="Unknown"), ANSWERS, "the phase was Running and Unknown all the time"),
        (lost(marked=48.0), ANSWERS, "marked for deletion at another time"),
        (lost(gone=54.0), ANSWERS, "it was gone before"),
        (lost(), ANSWERS[:20], "but its process ended and answered"),
        (lost(), ANSWERS[:2], "but its process ended and gave no answer"),
    ],
)
def test_d5(measured, answers, wanted):
    assert wanted in prove("D5", measured, WATCHER, lab=Lab(*answers))


def test_what_was_asked_about_the_lost_node():
    assert TOOLS.phase_of_a_lost_pod(None, lost()) == "Running"
    assert TOOLS.phase_of_a_lost_pod(None, lost(phase="Unknown")) == "Unknown"
    lab = Lab(*ANSWERS)
    assert TOOLS.what_force_does(lab, lost(), WATCHER) == "runs on until the kubelet is back"
    lab = Lab(*ANSWERS[:20])
    assert TOOLS.what_force_does(lab, lost(), WATCHER) == "is killed by the container runtime"
