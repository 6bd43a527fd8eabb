"""Exercise a of lab 12: the reader's Pod works for some periods, and the kernel is asked in how
many its quota did not last."""

import time

from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
The Pod answers works in bursts: 40 ms of CPU time, then a pause. On average that is less than its limit,
and all the same each burst is throttled. Change the Pod so that no burst is throttled. The work stays as it is, the Pod keeps
a limit, of at most 2 CPUs, and still asks for no more than 100m. The Pod keeps its name, and its container the name app.
"""

HINTS = [
    (
        "Nothing is throttled as long as the quota lasts. How much quota does a limit of 200m give"
        " in one period of 100 ms?"
    ),
    (
        "A burst of 40 ms on one CPU should fit into one period's quota. The request has no part in"
        " this."
    ),
    (
        "The whole period is 100 ms. A limit of one CPU is a quota of 100 ms: what has one thread"
        " can never use it up."
    ),
]

PERIODS = 12
LIMIT_SECONDS = 15


def check(lab, path):
    pod = expected_pod(lab, "answers")
    app = pod.container("app")
    pod.wait_until("Ready", timeout_seconds=30)
    requested = float(lab.formulas.effective_requests(pod.raw).get("cpu", 0))
    if requested > 0.1:
        quota = app.cgroup.cpu_quota_us
        seen = f"the Pod asks for {requested * 1000:.0f}m"
        raise NotYet(
            seen
            + (
                f", and the quota is {quota // 1000} ms as before: a request is no limit"
                if quota == 20_000
                else ""
            )
        )
    begin = app.cgroup
    if begin.cpu_quota_us is None:
        raise NotYet(
            "the container has no quota at all: the Pod should keep a limit",
            "Raise the limit, and leave it there.",
        )
    if begin.cpu_limit_cores > 2:
        raise NotYet(f"a limit of {begin.cpu_limit_cores:g} CPUs", "2 is the most here.")
    end, deadline = app.cgroup, time.monotonic() + LIMIT_SECONDS
    while end.periods - begin.periods < PERIODS and time.monotonic() < deadline:
        lab.node.run("sleep 0.5")
        end = app.cgroup
    periods, throttled = (
        end.periods - begin.periods,
        end.throttled_periods - begin.throttled_periods,
    )
    if periods < PERIODS or end.cpu_seconds - begin.cpu_seconds < PERIODS * 0.01:
        raise NotYet("the container hardly works any more: its work should stay as it is")
    # One in ten: the shell and what it starts share the quota's last milliseconds.
    if throttled > periods / 10:
        quota = begin.cpu_quota_us / 1000
        raise NotYet(
            f"the quota is {quota:g} ms in each period, a burst needs 40 ms, and so it was"
            " throttled again and again"
        )
    return "it worked in bursts, under a limit, and was not throttled"
