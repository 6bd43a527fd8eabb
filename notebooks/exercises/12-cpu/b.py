"""Exercise b of lab 12: the reader's Pod has to run; then a loop is started in it, and its use is
held against what it would take alone."""

import time

from labhelpers.errors import Impossible, TimedOut
from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
The Pod modest never starts. Whoever wrote it meant a tenth of a CPU. Make it run, so that it asks for exactly that. It should be
able to use a whole CPU: its limit may be 1 CPU or more, or absent. The Pod keeps its name, and its container the name app.
"""

HINTS = [
    (
        "Why does it not start? kubectl describe pod modest says it in its last lines. How many"
        " CPUs does it ask for?"
    ),
    "Without a letter the number is whole CPUs. A thousandth of one is written 1m.",
    (
        "A request does not hold it back, and a limit would. So it needs a request of 100m, and no"
        " limit below 1."
    ),
]

LOOP = "timeout 2 sh -c 'while :; do :; done' >/dev/null 2>&1"
ENOUGH_CPUS = 0.5


def check(lab, path):
    pod = expected_pod(lab, "modest")
    app = pod.container("app")
    asked = lab.formulas.effective_requests(pod.raw).get("cpu", 0)
    too_much = (
        f"the Pod does not run: it asks for {float(asked):g} CPUs, and the node does not have that"
        " much free"
    )
    if asked > max(
        lab.formulas.quantity(node["status"]["allocatable"]["cpu"])
        for node in lab.connection.list("Node")["items"]
    ):
        # What no node has at all, waiting does not bring.
        pod.wait_until(
            lambda now: now.conditions.get("PodScheduled") == "False", timeout_seconds=30
        )
        raise NotYet(too_much)
    try:
        pod.wait_until("Ready", timeout_seconds=30)
    except (Impossible, TimedOut) as error:
        raise NotYet(too_much) from error
    requested = lab.formulas.effective_requests(pod.raw).get("cpu", 0)
    if requested != lab.formulas.quantity("100m"):
        raise NotYet(
            f"it runs, and asks for {float(requested) * 1000:g}m and not for a tenth of a CPU"
        )
    quota = app.cgroup.cpu_quota_us
    before, begin = app.cgroup.cpu_seconds, time.monotonic()
    pod.exec("app", LOOP, timeout_seconds=20)
    used = (app.cgroup.cpu_seconds - before) / (time.monotonic() - begin)
    if quota is not None and quota < app.cgroup.cpu_period_us:
        raise NotYet(
            f"it runs, and a loop in it gets {used:.1f} of a CPU: its quota is {quota / 1000:g} ms"
            " in each period of 100"
        )
    if used < ENOUGH_CPUS:
        raise NotYet(
            f"a loop in it got {used:.1f} of a CPU, though nothing limits it: the node is busy",
            "Try again when it is quiet.",
        )
    return "it asks for a tenth of a CPU, and took a whole one while nobody else wanted it"
