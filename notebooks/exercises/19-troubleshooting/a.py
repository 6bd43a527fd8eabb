"""Exercise a of lab 19: three faults, each hidden behind the one before it."""

from labhelpers.errors import Refused
from labhelpers.exercises import NotYet, expected_pod
from labhelpers.kube import fields
from labhelpers.patience import patient
from labhelpers.polling import poll

QUESTION = """
Ticket: "invoices is down. The Pod doesn't start. We had the same yesterday, fixed one thing, and
then it was down again for another reason."

Find every cause with the routine, one after the other, until the Service invoices has a ready
endpoint whose port answers. The ConfigMap belongs to another team: it stays as it is. So do the
readiness probe's path and the Service's name.
"""

HINTS = [
    "First: the container's state has a message that names a key. Which keys does the ConfigMap "
    "have?",
    "Then the Pod runs and isn't Ready. On which port does httpd listen, and which one is probed?",
    "At last the Pod is Ready. Compare the Service with the Pod's labels, and with its port.",
]

DEBRIEF = [
    "A key in the wrong case, a probe on the wrong port, then a Service whose selector and "
    "targetPort were both wrong.",
    "A Pod shows one fault at a time: no start, no probe; not Ready, no endpoint. After each fix "
    "the routine begins again.",
    "In review, read the whole chain once: reference, port, probe, labels, targetPort. One fault "
    "an outage is expensive.",
]

CANT_START = "CreateContainerConfigError"
READY_SECONDS, ENDPOINT_SECONDS = 30, 15


def check(lab, path):
    pod = expected_pod(lab, "invoices")
    try:
        keys = lab.connection.get("ConfigMap", "invoices")["data"]
    except Refused as error:
        raise NotYet("there is no ConfigMap named invoices", "It stays as it is.") from error
    if keys != {"COLOR": "blue"}:
        raise NotYet("the ConfigMap invoices was changed", "It belongs to another team.")
    probe = pod.raw["spec"]["containers"][0].get("readinessProbe", {})
    if probe.get("httpGet", {}).get("path") != "/hostname":
        raise NotYet("the readiness probe no longer asks for /hostname")
    # What has no configuration never starts by itself, so that isn't waited for.
    poll(
        lambda: _is_ready(pod) or _state(pod) == CANT_START, timeout_seconds=patient(READY_SECONDS)
    )
    if not _is_ready(pod):
        raise NotYet(f"the Pod isn't Ready: {_state(pod)}")
    if not poll(lambda: _ready_endpoints(lab), timeout_seconds=patient(ENDPOINT_SECONDS)):
        raise NotYet("the Pod is Ready, and the Service invoices has no ready endpoint")
    address, port = _ready_endpoints(lab)[0]
    if pod.exec("app", ["wget", "-q", "-O", "-", f"http://{address}:{port}/hostname"]).returncode:
        raise NotYet(f"the Service sends to port {port}, and nothing answers there")
    return f"the Service invoices has a ready endpoint, and port {port} answers"


def _is_ready(pod):
    return fields.is_true(pod.raw, "Ready")


def _state(pod):
    status = pod.raw["status"].get("containerStatuses") or [{}]
    waiting = status[0].get("state", {}).get("waiting", {})
    return waiting.get("reason") or "its readiness probe hasn't passed"


def _ready_endpoints(lab):
    return [
        (endpoint["addresses"][0], each["ports"][0]["port"])
        for each in lab.connection.list("EndpointSlice", lab.namespace)["items"]
        if each["metadata"]["labels"].get("kubernetes.io/service-name") == "invoices"
        for endpoint in each.get("endpoints") or []
        if endpoint["conditions"].get("ready")
    ]
