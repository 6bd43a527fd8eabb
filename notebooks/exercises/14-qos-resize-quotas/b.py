"""Exercise b of lab 14: batch takes all it can get, and the others have to live."""

from contextlib import suppress

from labhelpers.errors import LabError
from labhelpers.exercises import NotYet, expected_pod
from labhelpers.kube import fields
from labhelpers.patience import patient
from labhelpers.polling import poll

QUESTION = """
The three containers of the Pod trio share 96Mi. web holds 40 MiB, cache holds 24 MiB, and batch is
known to leak: one day it will take all it can get. Then batch has to be killed, never web or cache.

Compute the largest limit of batch that guarantees that, as a multiple of 8Mi. Then set it. Nothing
else changes. The check lets batch leak.
"""

HINTS = [
    "Two limits can be hit: the Pod's and that of batch. At the Pod's limit, who is killed?",
    "At the Pod's limit the kernel kills the largest process, and that's web. So batch has to come "
    "to its own limit before the Pod comes to 96Mi.",
    "web and cache need a little more than 40 and 24 MiB: for awk itself, and for the kernel. "
    "kubectl exec trio -c web -- cat /sys/fs/cgroup/memory.current, on cgroup v1 "
    "/sys/fs/cgroup/memory/memory.usage_in_bytes.",
]

DEBRIEF = [
    "web and cache held 64 of 96 MiB. batch could reach the Pod's limit before its own, and "
    "there the kernel took web.",
    "At a cgroup's limit the kernel kills the process with the highest score in it, usually the "
    "largest. It doesn't ask who grew.",
    "The leaky helper lives on, and the large, innocent service is OOM-killed again and again. "
    "Give the leak a smaller limit of its own.",
]

MIB = 1 << 20
LARGEST_MIB, POD_MIB, LEAK_MIB = 24, 96, 200


def check(lab, path):
    pod = expected_pod(lab, "trio")
    pod.wait_until("Ready", timeout_seconds=60)
    limit = pod.container("batch").cgroup.memory_limit_bytes
    if pod.cgroup.memory_limit_bytes != POD_MIB * MIB:
        raise NotYet("the Pod's own limit isn't 96Mi any more", "Change only the limit of batch.")
    with suppress(LabError):  # on cgroup v2 all of batch dies, and this exec with it
        pod.exec(
            "batch", f"head -c {LEAK_MIB * MIB} /dev/zero | tail >/dev/null", timeout_seconds=60
        )
    log = {name: pod.container(name).id for name in ("web", "cache", "batch")}
    killed = poll(
        lambda: [name for name, id_ in log.items() if lab.node.kernel_log(id_)],
        timeout_seconds=patient(10),
        every_seconds=0.5,
    )
    wrong = [name for name in killed or [] if name != "batch"] or _ended(pod)
    if wrong:
        raise NotYet(f"batch leaked, and the kernel killed {', '.join(wrong)}")
    if not killed:
        raise NotYet("batch took 200 MiB, and nobody was killed")
    if limit is None or limit < LARGEST_MIB * MIB:
        raise NotYet(f"batch was killed, but it may have more than {(limit or 0) // MIB} MiB")
    return f"batch leaked, came to its limit of {limit // MIB} MiB, and was killed alone"


def _ended(pod) -> list[str]:
    return [
        each["name"]
        for each in fields.statuses(pod.raw)
        if "terminated" in (each.get("state") or {}) and each["name"] != "batch"
    ]
