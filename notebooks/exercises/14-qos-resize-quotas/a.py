"""Exercise a of lab 14: the Pod's class, by the API, and its number, by the node."""

from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
Ticket: "Last night the node ran out of memory, and the kernel killed payments before many other
Pods. We don't understand that. It's our most important service, so requests and limits are equal
in all its containers: it's Guaranteed."

Find out with kubectl what it really is, and why. Then make it Guaranteed. All three containers
stay, and so do their names and commands. Together, app and proxy may reserve at most 100Mi.
"""

HINTS = [
    "kubectl get pod payments -o jsonpath={.status.qosClass} says what it is. For which containers "
    "does Kubernetes ask the question?",
    "kubectl get pod payments -o jsonpath-as-json={..resources}: one of these has nothing in it, and "
    "in one of them two numbers only look equal.",
    "Init containers count, too. And 64M is 64,000,000 bytes, 64Mi is 67,108,864.",
]

DEBRIEF = [
    "The init container had no limits, and 64M isn't 64Mi: 3 million bytes are missing. Either "
    "one makes the Pod Burstable.",
    "Guaranteed means CPU and memory limits in every container, init containers too, and "
    "requests equal to them. One exception is enough to lose it.",
    "A sidecar without limits is injected, and overnight no Pod is Guaranteed any more. The "
    "kernel picks them earlier when memory runs out.",
]

NAMES = {"migrate", "app", "proxy"}
MOST_BYTES = 100 << 20


def check(lab, path):
    pod = expected_pod(lab, "payments")
    spec = pod.raw["spec"]
    names = {each["name"] for each in [*spec.get("initContainers", []), *spec["containers"]]}
    if missing := NAMES - names:
        raise NotYet(f"the Pod has no container {', '.join(sorted(missing))}", "Keep all three.")
    pod.wait_until("Ready", timeout_seconds=60)
    found = pod.raw["status"]["qosClass"]
    if found != "Guaranteed":
        raise NotYet(f"the QoS class of payments is {found}")
    limit = pod.cgroup.memory_limit_bytes
    if limit is None or limit > MOST_BYTES:
        raise NotYet(
            "the Pod may use "
            + ("any amount of memory" if limit is None else f"{limit >> 20} MiB of memory")
            + ", which is too much"
        )
    number = pod.container("app").oom_score_adj
    return f"payments is Guaranteed, and its oom_score_adj is {number}"
