"""Exercise b of lab 11: the numbers of two probes, from what they have to guarantee."""

from labhelpers.exercises import NotYet, expected_pod
from labhelpers.probe_times import ProbeTimes

QUESTION = """
The app of the Pod engine needs up to 30 seconds to start. Later it may hang: it accepts a request
and never answers.

The two probes of your file only test for a file, so that engine runs anywhere. What counts here are
their numbers, and you get them by arithmetic. Compute them so that
1. no start of up to 30 seconds is cut off,
2. a hanging app is given up at most 10 seconds after it began to hang,
3. one failed liveness probe alone doesn't restart it,
4. neither probe runs more often than every 2 seconds.
"""

HINTS = [
    "Which probe is the last one that a slow start can still pass? Draw the ticks for periodSeconds"
    " 5, the first one right after the start.",
    "The worst case of a hang begins right after a probe that passed: one period until the next"
    " probe, one more for each further failure, and the last one waits for its timeout.",
]

DEBRIEF = [
    "Six probes every 5 seconds end at 25, and a start takes 30. A hang costs two periods and a "
    "timeout: 9 seconds, not 11.",
    "n probes have n − 1 gaps, so a start is sure of one period less than threshold × period. A "
    "hang adds a timeout.",
    "The budget was threshold × period, which is one period too much. It works until the first "
    "slow start, then it's CrashLoopBackOff.",
]
START, HANG = 30, 10


def check(lab, path):
    pod = expected_pod(lab, "engine").wait_until("Ready", timeout_seconds=60)
    app = pod.raw["spec"]["containers"][0]
    for name in ("startupProbe", "livenessProbe"):
        if name not in app:
            raise NotYet(f"engine has no {name}", "Both probes are needed.")
    startup, liveness = ProbeTimes.of(app["startupProbe"]), ProbeTimes.of(app["livenessProbe"])
    if startup.start_budget.earliest < START:
        raise NotYet(f"a start that takes {START} s may be cut off")
    if liveness.gives_up_on_silence.latest > HANG:
        raise NotYet(f"a hang may last longer than {HANG} s until the kubelet gives up")
    if liveness.failure_threshold < 2:
        raise NotYet("a single failed liveness probe restarts the app")
    if min(startup.period_seconds, liveness.period_seconds) < 2:
        raise NotYet("a probe runs more often than every 2 seconds")
    return (
        f"a start gets at least {startup.start_budget.earliest:g} s, and a hang lasts at most"
        f" {liveness.gives_up_on_silence.latest:g} s"
    )
