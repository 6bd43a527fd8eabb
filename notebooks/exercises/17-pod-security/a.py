"""Exercise a of lab 17: a Deployment whose Pods the level baseline has to admit."""

from labhelpers.errors import Refused, TimedOut
from labhelpers.exercises import NotYet
from labhelpers.kube.waiting import wait_until
from labhelpers.polling import poll

QUESTION = """
Ticket: "We moved shop to the new namespace. kubectl apply says created, but no Pod ever starts. The
Deployment has no events that we understand. It ran fine in the old namespace."

The first check creates the Deployment as it is. Find the cause with kubectl. Then change the
Deployment until both of its Pods are ready, and each still serves its page on port 8080 to clients
inside the cluster. The namespace's labels belong to the platform team: they stay.
"""

HINTS = [
    "The Deployment doesn't create Pods itself. Which object does, and what do its events say? "
    "kubectl describe replicasets",
    "The message names every broken rule and the field that breaks it. It's about more than one.",
    "A port of the node isn't needed inside the cluster: every Pod has its own address. And does "
    "httpd need every right that root has?",
]

DEBRIEF = [
    "baseline forbids hostPort and privileged, so every Pod was rejected. The Deployment "
    "wasn't: enforce looks at Pods only.",
    "A Deployment gets a warning, and its ReplicaSet gets the rejections, as events. That's "
    "where the broken rules are named.",
    "Label a namespace, and nothing happens today. At the next rollout or drain no Pod comes "
    "back. Try warn and audit first.",
]

GONE_SECONDS = 45
LABEL = "pod-security.kubernetes.io/enforce"


def check(lab, path):
    body = {"metadata": {"labels": {LABEL: "baseline"}}}
    try:
        lab.connection.get("Deployment", "shop")
    except Refused as error:
        raise NotYet("there is no Deployment named shop", "Keep its name.") from error
    lab.connection.patch("Namespace", lab.namespace, body)
    _again(lab, path)
    pods = _ready_pods(lab)
    for pod in pods:
        # Over the Pod's own address, as clients do.
        page = pod.exec("app", ["wget", "-q", "-O", "-", f"http://{pod.address}:8080/"])
        if page.returncode:
            raise NotYet(f"a Pod doesn't answer on port 8080: {page.stderr.strip()}")
    return f"{len(pods)} Pods run under baseline, and each answers on port 8080"


def _again(lab, path):
    """Recreates the Deployment, now that the label is certainly there: its Pods have to pass."""
    lab.connection.delete("Deployment", "shop", grace_seconds=1)
    # An old ReplicaSet replaces Pods until the garbage collector has deleted it.
    if not poll(lambda: not _named(lab, "ReplicaSet"), timeout_seconds=GONE_SECONDS):
        raise NotYet("ReplicaSets of the previous shop are still there", "Check once more.")
    for name in _named(lab, "Pod"):
        lab.connection.delete("Pod", name, grace_seconds=1)
    if not poll(lambda: not _named(lab, "Pod"), timeout_seconds=GONE_SECONDS):
        raise NotYet("Pods of the previous shop are still there", "Check once more.")
    lab.apply(path)


def _named(lab, kind):
    """The names of shop's ReplicaSets or Pods."""
    return [
        each["metadata"]["name"]
        for each in lab.connection.list(kind, lab.namespace)["items"]
        if any(
            owner["name"].startswith("shop")
            for owner in each["metadata"].get("ownerReferences", ())
        )
    ]


def _ready_pods(lab):
    def decided(found):
        status = (found or {}).get("status", {})
        failed = any(each["type"] == "ReplicaFailure" for each in status.get("conditions", ()))
        return failed or status.get("readyReplicas") == 2

    try:
        wait_until(
            lab.connection,
            "Deployment",
            "shop",
            decided,
            what="ready, or failing",
            timeout_seconds=60,
        )
    except TimedOut as error:
        raise NotYet("after a minute shop has fewer than two ready Pods") from error
    names = _named(lab, "Pod")
    if len(names) < 2:
        raise NotYet(f"shop has {len(names)} of 2 Pods")
    return [lab.pod(name) for name in names]
