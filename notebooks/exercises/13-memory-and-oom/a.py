"""Exercise a of lab 13: the app gets what it needs, or is killed; then its limit is read on the
node, its class from the API."""

from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
The app of the Pod report needs some 40 MiB, and is killed before it has them. Give it other resources:
it becomes Ready without ever being killed, its limit is no more than 80Mi, and when the node itself
runs out of memory it is among the last to go: its QoS class is Guaranteed.
The Pod keeps its name, and its container the name app.
"""

HINTS = [
    (
        "Guaranteed asks two things of each container, and of two resources. Memory is one of them."
        " Look which class the Pod has now."
    ),
    (
        "Each container needs a limit of memory and a limit of CPU, and requests that are equal to"
        " them. What you leave out of the requests is taken from the limits."
    ),
    (
        "resources: {limits: {cpu: 200m, memory: …}}, with more memory than 40 MiB: the program"
        " itself, and what it starts, needs some too."
    ),
]

MOST_BYTES = 80 << 20


def check(lab, path):
    pod = expected_pod(lab, "report")
    pod.now().container("app")
    pod.wait_until(
        lambda now: (
            now.conditions.get("Ready") == "True" or now.container("app").exit_code is not None
        ),
        timeout_seconds=60,
    )
    now = pod.now()
    if now.container("app").exit_code is not None:
        raise NotYet(
            "the app was ended before it had what it needs: exit code"
            f" {now.container('app').exit_code}"
        )
    limit = pod.container("app").cgroup.memory_limit_bytes
    if limit is None or limit > MOST_BYTES:
        raise NotYet(
            "the app has no limit of memory"
            if limit is None
            else f"the limit of the app is {limit >> 20} MiB"
        )
    if now.raw["status"]["qosClass"] != "Guaranteed":
        raise NotYet(
            f"its QoS class is {now.raw['status']['qosClass']}, so it goes before others do when"
            " the node runs out"
        )
    return f"the app has what it needs, below a limit of {limit >> 20} MiB, and is Guaranteed"
