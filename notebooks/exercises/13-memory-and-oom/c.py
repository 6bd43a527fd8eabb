"""Exercise c of lab 13: the reader's Pod with two limits; each time the node says how much the app
holds."""

import copy

from labhelpers.exercises import NotYet, expected_pod
from labhelpers.kube.manifests import Manifest

QUESTION = """
The app of the Pod cache fills half of the memory it has. On a laptop that worked. In the cluster it's
OOM-killed at each start, because it plans with the node's memory.

Design it so that it fills half of its own limit, whatever the limit is. The check runs your Pod with
a limit of 64Mi, and then with 160Mi: it changes only that one number. Each time the app has to
become Ready, and to hold between 40 and 60 % of its limit. It has to work on cgroup v1 and v2.
"""

HINTS = [
    "The number that the app needs is in two places: in the Pod's spec, and in a file of the "
    "container's cgroup. Which of them can a program in the container read?",
    "Kubernetes can put a limit into an environment variable: valueFrom, resourceFieldRef. Without "
    "a divisor the value is in bytes.",
    "env: [{name: LIMIT_MIB, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: "
    "1Mi}}}], and total=$LIMIT_MIB in the script.",
]

DEBRIEF = [
    "/proc/meminfo shows the node's memory, even in a container. Half of that is far more than "
    "a limit of 64Mi.",
    "A container's own limit is in its cgroup and in its spec. The Downward API hands it to the "
    "program as a variable.",
    "A cache or a heap that's sized by the machine works on a laptop, and is OOM-killed at "
    "every start on a large node.",
]

MIB = 1 << 20
FIRST, SECOND = "64Mi", "160Mi"


def check(lab, path):
    pod = expected_pod(lab, "cache")
    app = next(each for each in pod.raw["spec"]["containers"] if each["name"] == "app")
    if app.get("resources", {}).get("limits", {}).get("memory") != FIRST:
        raise NotYet("the container app has another limit than 64Mi", "Set it back.")
    shares = [_share(pod, FIRST)]
    _apply_with(lab, path, SECOND)
    shares.append(_share(pod, SECOND))
    return (
        f"the app held {shares[0]:.0%} of a limit of 64 MiB, and {shares[1]:.0%} of one of 160 MiB"
    )


def _share(pod, limit: str) -> float:
    """How much of its limit the app holds."""
    pod.wait_until(
        lambda now: (
            now.conditions.get("Ready") == "True" or now.container("app").exit_code is not None
        ),
        timeout_seconds=60,
    )
    said = f"with a limit of {limit.replace('Mi', ' MiB')} the app"
    code = pod.now().container("app").exit_code
    if code is not None:
        raise NotYet(
            f"{said} was OOM-killed before it was Ready"
            if code == 137
            else f"{said} ended with exit code {code}"
        )
    found = pod.settled_cgroup().memory_anonymous_bytes / MIB / int(limit.removesuffix("Mi"))
    if not 0.4 <= found <= 0.6:
        raise NotYet(f"{said} holds {found:.0%} of it")
    return found


def _apply_with(lab, path, limit: str) -> None:
    """The reader's Pod once more, with another limit."""
    documents = Manifest.read(path).documents
    body = copy.deepcopy(next(each for each in documents if each["kind"] == "Pod"))
    app = next(each for each in body["spec"]["containers"] if each["name"] == "app")
    app["resources"]["limits"]["memory"] = limit
    lab.pod("cache").delete(timeout_seconds=30, grace_seconds=1)
    lab.connection.create(body)
