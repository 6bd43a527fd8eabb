"""Lab 11: what each probe does when it fails, and when."""

import time

from labhelpers.measure.verdicts import Verdicts
from labhelpers.node.container_logs import dated_lines
from labhelpers.outcomes import Shown, listed
from labhelpers.polling import poll
from labhelpers.probe_times import ProbeTimes

PROBES = ("startup", "liveness", "readiness")
# The kubelet's counter is read every 0.1 s, and `kubectl exec` takes a moment to start.
TOLERANCE_SECONDS = 0.5
# kube-proxy learns of an endpoint's change a moment after the API.
PROXY_SECONDS = 1.5
SWITCHES = {"200": (), "503": ("sick",), "200, after 3 s": ("slow",)}


# --- Tools ----------------------------------------------------------------------------------------


def verdicts(lab) -> Verdicts:
    """Records what the kubelet makes of each probe: passed or failed."""
    return Verdicts(lab.connection)


def is_unready(lab, now) -> bool:
    """Whether the Pod's condition Ready is False."""
    return now.conditions.get("Ready") == "False"


def look_on(lab, seconds: float) -> None:
    """Lets so many seconds go by."""
    time.sleep(seconds)


def numbers(lab, pod, probe: str) -> ProbeTimes:
    """The numbers of a Pod's probe, as the API has them."""
    return ProbeTimes.of(pod.raw["spec"]["containers"][0][f"{probe}Probe"])


def wait_for_restarts(lab, pod, count: int) -> None:
    """Waits until a Pod's container has been restarted so often, for at most 90 s."""
    pod.wait_until(lambda now: now.container("app").restarts >= count, timeout_seconds=90)


def _log(lab, pod, container: str = "app", run: int = 0) -> list[tuple[float, str]]:
    """A container's log, dated by our clock."""
    sent = time.time()
    ahead = float(lab.node.run("date +%s.%N")) - (sent + time.time()) / 2
    lines = dated_lines(lab.node, lab.namespace, pod.name, pod.uid, container, run)
    return [(at - ahead, text) for at, text in lines]


# --- The three probes -----------------------------------------------------------------------------


def g1(lab, life, verdicts, hasty) -> Shown:
    """Until the startup probe has passed no other probe runs; one that never passes gives up within
    the window that its numbers give."""
    passed = verdicts.of("web", "startup", "passed")
    end = passed[0].seconds if passed else float("inf")
    others = [each for name in PROBES[1:] for each in verdicts.of("web", name)]
    early = sorted({each.probe for each in others if each.seconds < end})
    late = [name for name in PROBES[1:] if name in {each.probe for each in others} - set(early)]
    words = [
        f"web's {listed(early)} probe ran before its startup probe had passed"
        if early
        else "no other probe ran until web's startup probe had passed",
        f"then the {listed(late) or 'no other'} probes ran",
        _hasty(lab, verdicts, hasty),
    ]
    return Shown(
        life.chart("Who may probe while the app starts?", ["app", "Ready"], ["app"]),
        "; ".join(words),
    )


def _hasty(lab, verdicts, hasty) -> str:
    times = numbers(lab, hasty, "startup")
    began = _log(lab, hasty)[0][0]
    failed = verdicts.of("hasty", "startup", "failed")
    if len(failed) < times.failure_threshold:
        return "hasty was not given up"
    took = failed[times.failure_threshold - 1].seconds - began
    inside = times.start_budget.holds(took, TOLERANCE_SECONDS)
    words = "as predicted" if inside else "unlike predicted"
    return (
        f"hasty was given up {words} {times.start_budget} after its start, and "
        f"{'restarted' if hasty.container('app').restarts else 'not restarted'}"
    )
