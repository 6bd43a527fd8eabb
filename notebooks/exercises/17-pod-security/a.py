"""Exercise a of lab 17: a Deployment whose Pods the level baseline has to admit."""

from labhelpers.errors import TimedOut
from labhelpers.exercises import NotYet

QUESTION = """
Ticket: "We moved shop to the new namespace. kubectl apply says created, but no Pod ever starts. The
Deployment has no events that we understand. It ran fine in the old namespace."

Find the cause with kubectl. Then change the Deployment until both of its Pods are ready, and each
still serves its page on port 8080 to clients inside the cluster. The namespace's labels belong to
the platform team: they stay.
"""

HINTS = [
    "The Deployment doesn't create Pods itself. Which object does, and what do its events say? "
    "kubectl describe replicasets",
    "The message names every broken rule and the field that breaks it. It's about more than one.",
    "A port of the node isn't needed inside the cluster: every Pod has its own address. And does "
    "httpd need to change the network?",
]

LABEL = "pod-security.kubernetes.io/enforce"


def check(lab, path):
    body = {"metadata": {"labels": {LABEL: "baseline"}}}
    lab.connection.patch("Namespace", lab.namespace, body)
    _again(lab, path)
    try:
        lab.connection.get("Deployment", "shop")
    except Exception as error:
        raise NotYet("no Deployment of the name shop", "Keep its name.") from error
    pods = _ready_pods(lab)
    for pod in pods:
        # Over the Pod's own address, as clients do.
        page = pod.exec("app", ["wget", "-q", "-O", "-", f"http://{pod.address}:8080/"])
        if page.returncode:
            raise NotYet(f"a Pod doesn't answer on port 8080: {page.stderr.strip()}")
    return f"{len(pods)} Pods run under baseline, and each answers on port 8080"


def _again(lab, path):
    """Creates it once more, now that the label is there for sure: its Pods have to pass."""
    lab.connection.delete("Deployment", "shop", grace_seconds=1)
    for each in lab.connection.list("Pod", lab.namespace)["items"]:
        if each["metadata"].get("labels", {}).get("app") == "shop":
            name = each["metadata"]["name"]
            lab.connection.delete("Pod", name, grace_seconds=1)
            lab.pod(name).wait_until("gone", timeout_seconds=30)
    lab.apply(path)


def _ready_pods(lab):
    from labhelpers.kube.waiting import wait_until

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
    found = [
        each
        for each in lab.connection.list("Pod", lab.namespace)["items"]
        if each["metadata"].get("labels", {}).get("app") == "shop"
    ]
    if len(found) < 2:
        raise NotYet(f"shop has {len(found)} of 2 Pods")
    return [lab.pod(each["metadata"]["name"]) for each in found]
