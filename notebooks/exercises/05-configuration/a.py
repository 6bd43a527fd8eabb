"""Exercise a of lab 05: a variable whose value isn't in the ConfigMap that everybody looks at."""

from labhelpers.errors import Refused
from labhelpers.exercises import NotYet, expected_pod, first_log
from labhelpers.kube.manifests import Manifest

QUESTION = """
Ticket: "orders crashes in the new namespace: it reads DB_PORT and says bad number. It ran in the old
one. We've looked three times: the ConfigMap orders-settings is there, and it has DB_PORT 5432."

Find the cause with kubectl. Then fix the Pod. It has to get its settings from that ConfigMap: when
somebody changes DB_PORT there, the next Pod gets the new number. The Service db keeps its name, and
the container keeps its command and args.
"""

HINTS = [
    "kubectl logs orders shows the value that the app got. Which source makes such a value?",
    "That source is a weak one: a variable from the ConfigMap would have won. So it never came. "
    "What does the Pod say about a ConfigMap that isn't there?",
    "Compare the names, letter by letter: kubectl describe pod orders, and kubectl get configmaps.",
]

DEBRIEF = [
    "The Pod asked for order-settings, which isn't there, and optional kept quiet about it. So "
    "DB_PORT came from the Service db: a tcp:// address.",
    "optional: true turns a typo into silence. The variables that Services add are the weakest "
    "source, so they fill every gap.",
    "Somebody creates a Service called redis, and at its next restart the app finds tcp://… in "
    "REDIS_PORT. enableServiceLinks: false prevents that.",
]

CHANGED = "6432"


def check(lab, path):
    pod = expected_pod(lab, "orders")
    try:
        lab.connection.get("Service", "db")
    except Refused as error:
        raise NotYet("there is no Service named db", "Keep it: clients use that name.") from error
    _expect(pod, "5432", "")
    data = {"data": {"DB_PORT": CHANGED}}
    lab.connection.patch("ConfigMap", "orders-settings", data)
    pod.delete(timeout_seconds=30, grace_seconds=1)
    for document in Manifest.read(path).documents:
        if document["kind"] == "Pod":
            document["metadata"]["namespace"] = lab.namespace
            lab.connection.apply(document)
    _expect(pod, CHANGED, f"DB_PORT in the ConfigMap was changed to {CHANGED}, and then ")
    return f"the app has DB_PORT 5432, and {CHANGED} in the Pod after the ConfigMap was changed"


def _expect(pod, number, when):
    def began(now):
        app = now.container("app")
        return app.restarts or app.state != "waiting" or app.reason == "CreateContainerConfigError"

    pod.wait_until(began, timeout_seconds=60)
    app = pod.container("app").now()
    if app.state == "waiting" and not app.restarts:
        raise NotYet(f"{when}the app isn't started: {app.reason}")
    said = first_log(pod, "app").splitlines()
    wanted = f"connecting to db, port {number}"
    if wanted not in said:
        line = next((line for line in said if line.startswith("connecting")), "")
        raise NotYet(
            f"{when}the app says {line!r}, and should say {wanted!r}"
            if line
            else f"{when}the app gave up: what it has in DB_PORT is no number"
        )
