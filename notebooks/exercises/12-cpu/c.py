"""Exercise c of lab 12: who waits for whom is decided by requests, and who may use idle CPUs by the
lack of a limit. The verdict is computed from the kernel's files; the division is measured, too."""

import time

from labhelpers import paths
from labhelpers.exercises import NotYet, expected_pod
from labhelpers.polling import poll

QUESTION = """
web answers requests, and batch computes for hours. Either would take every CPU of the node if it
could. They're in one Pod, pair, because batch warms web's cache.

Design the requests and limits so that
1. while both want every CPU, web gets at least two thirds of the CPU time,
2. neither is ever throttled: batch may use the whole node while web is idle,
3. both requests together are at most 500m.
"""

HINTS = [
    "Which of the two numbers makes somebody wait although CPUs are idle? Who has it?",
    "CPU time is divided by weight, and the weights follow from the requests. Twice the request is "
    "twice the weight with cgroup v1, and less with v2: leave a margin.",
    "A small request costs batch nothing while web is idle. How small may it be?",
]

DEBRIEF = [
    "The limit made batch wait beside idle CPUs, and equal requests divided the time in half. "
    "Now web has the larger weight.",
    "A request is a weight: it counts only while CPUs are short. A limit takes time away even "
    "if nobody else wants it.",
    "The nightly batch takes until noon on an idle node, because a limit was to protect web. A "
    "larger request protects web as well.",
]

MOST_REQUESTED, SHARE, NEAR = 0.5, 2 / 3, 0.1
SECONDS, WINDOW_SECONDS = 9, 3.0
SCRIPT = paths.notebooks() / "manifests" / "12-cpu" / "loops.sh"
NAMES = ("web", "batch")


def check(lab, path):
    pod = expected_pod(lab, "pair").wait_until("Ready", timeout_seconds=60)
    requested = float(lab.formulas.effective_requests(pod.raw).get("cpu", 0))
    if requested > MOST_REQUESTED:
        raise NotYet(f"together they request {requested * 1000:.0f}m")
    cgroups = {name: pod.container(name).cgroup for name in NAMES}
    cpus = float(lab.count("cpu").offered)
    for name, cgroup in cgroups.items():
        if cgroup.cpu_quota_us is not None and cgroup.cpu_limit_cores < cpus:
            raise NotYet(
                f"{name} has a limit of {cgroup.cpu_limit_cores:g} CPUs: it's throttled when it wants"
                " more, even on an idle node"
            )
    weights = {name: each.cpu_shares or each.cpu_weight for name, each in cgroups.items()}
    computed = weights["web"] / sum(weights.values())
    if computed < SHARE:
        raise NotYet("while both compute, web gets less than two thirds of the CPU time")
    measured = _share_of_web(pod)
    if abs(measured - computed) > NEAR:
        raise NotYet(
            f"the weights give web {computed:.2f} of the CPU time, and it got {measured:.2f}",
            "Try again when the node is quiet.",
        )
    return "web gets more than two thirds while both compute, and neither is ever throttled"


def _share_of_web(pod):
    """The part of their CPU time that web gets while both compute on every CPU."""
    # batch is told first, with a pause: once loops run, the node may be slow to answer.
    for name, pause in (("batch", 2), ("web", 0)):
        pod.exec(name, ["sh", "-c", SCRIPT.read_text("utf-8"), "loops", str(SECONDS), str(pause)])
    before = _used(pod)
    poll(
        lambda: all(now > then + 0.02 for now, then in zip(_used(pod), before, strict=True)),
        timeout_seconds=5,
        every_seconds=0.2,
    )
    time.sleep(0.5)  # while the kernel spreads the loops
    begin = _used(pod)
    time.sleep(WINDOW_SECONDS)
    web, batch = (now - then for now, then in zip(_used(pod), begin, strict=True))
    return web / (web + batch)


def _used(pod):
    return [pod.container(name).cgroup.cpu_seconds for name in NAMES]
