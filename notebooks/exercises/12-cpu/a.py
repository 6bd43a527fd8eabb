"""Exercise a of lab 12: of three containers one is throttled, and it isn't the one with the smallest
limit."""

import time

from labhelpers import paths
from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
Ticket: "Since we put a proxy in front of shop, each page takes 100 ms longer. It can't be the CPU:
all three containers together use less than half a CPU, and their limits add up to 1.3."

Find the container that is throttled, with kubectl. Then change its limit, so that it's no longer
throttled. No limit may be above 1 CPU. The other two limits, the three requests and the work stay
as they are: each container runs work.sh of this lab, mounted from the ConfigMap work.
"""

HINTS = [
    "Compare kubectl logs of the three with what each should take. The kernel counts throttled "
    "periods for each container, too: read the file twice, a few seconds apart.",
    "What one container does in one go is in its command: so many ms of CPU time. How much does its "
    "limit give in one period of 100 ms?",
    "proxy works 45 ms in one go, and 200m give it 20 ms. Which limit gives it 45, and some to spare?",
]

DEBRIEF = [
    "proxy needs 45 ms in one go, and 200m give it 20 ms in each 100. So it waits once or twice.",
    "A limit counts per container and per period of 100 ms. An average over a minute, or a sum "
    "over the Pod, hides the waits.",
    "CPU usage is at 20 %, and pages have taken 100 ms longer since the proxy came. "
    "container_cpu_cfs_throttled_periods_total shows why.",
]

LIMITS = {"app": 1.0, "metrics": 0.1}
REQUESTED, MOST = 0.05, 1.0
SECONDS, ENOUGH_PERIODS, THROTTLED = 6.0, 8, 0.1


def check(lab, path):
    lab.connection.apply(_work())  # as in the lab, where it's there already
    pod = expected_pod(lab, "shop").wait_until("Ready", timeout_seconds=60)
    begin = _cgroups(pod)
    _keeps_its_numbers(lab, pod, begin)
    time.sleep(SECONDS)
    for name, end in _cgroups(pod).items():
        periods = end.periods - begin[name].periods
        if periods < ENOUGH_PERIODS:
            raise NotYet(f"{name} hardly works any more", "Leave its command as it is.")
        share = (end.throttled_periods - begin[name].throttled_periods) / periods
        if share > THROTTLED:
            raise NotYet("one of the three was throttled again and again")
    return "all three work in bursts, each under its limit, and none is throttled"


def _work():
    script = paths.notebooks() / "manifests" / "12-cpu" / "work.sh"
    data = {"work.sh": script.read_text("utf-8")}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "work"}, "data": data}


def _cgroups(pod):
    return {name: pod.container(name).cgroup for name in ("app", "proxy", "metrics")}


def _keeps_its_numbers(lab, pod, cgroups):
    for each in pod.raw["spec"]["containers"]:
        asked = each.get("resources", {}).get("requests", {}).get("cpu", 0)
        if float(lab.formulas.quantity(asked)) != REQUESTED:
            raise NotYet(f"{each['name']} requests {asked}", "Leave the requests as they are.")
    for name, cgroup in cgroups.items():
        if cgroup.cpu_quota_us is None:
            raise NotYet(f"{name} has no limit", "Give it one, of at most 1 CPU.")
        limit = cgroup.cpu_limit_cores
        if limit != LIMITS.get(name, limit) or limit > MOST:
            raise NotYet(f"{name} has a limit of {limit:g} CPUs", "Only one limit is wrong.")
