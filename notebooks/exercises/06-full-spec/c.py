"""Exercise c of lab 06: a Pod for a node without a registry, with just one of root's rights."""

from labhelpers.errors import Refused
from labhelpers.exercises import NotYet, expected_pod
from labhelpers.polling import poll

QUESTION = """
The Pod gate is going to a shop whose line to the registry is down for hours each day. The image is
on the node there. Design the Pod so that all of these hold:

1. It starts while the registry, localhost:1, doesn't answer.
2. Its process is root, and NET_BIND_SERVICE is the only capability that it can have.
3. Through the Service gate, http://gate/ shows its page. The app listens on port 7000, and neither
   the Service nor the app's command may change.
4. The name till means 192.0.2.7, without a DNS server.
5. No variable in its environment is about the Service gate.
"""

HINTS = [
    "Who reads each of these? The kubelet pulls images, writes /etc/hosts and sets variables. The "
    "kernel knows capabilities. The Service looks for a label, and for a port by its name.",
    "kubectl explain pod.spec.hostAliases, and the same for enableServiceLinks.",
    "In the X-ray's list, unfolded, each field has the command that shows its effect. Try them on "
    "your Pod.",
]

DEBRIEF = [
    "Always asked the registry at each start, although the image was on the node. Each other "
    "rule was one field that somebody reads.",
    "Ask who reads a field. The kubelet pulls and writes /etc/hosts, the kernel checks "
    "capabilities, a Service looks at labels and port names.",
    "The registry is down, a node reboots, and its Pods stay in ImagePullBackOff beside their "
    "image. The tag latest means Always, too.",
]

BIND = 0x400
READY_SECONDS = 60.0
PULL_FAILS = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull")


def check(lab, path):
    pod = expected_pod(lab, "gate")
    started = poll(lambda: _state(pod), timeout_seconds=READY_SECONDS)
    if started != "Ready":
        raise NotYet(f"the Pod gate doesn't start: {started or 'it is not Ready'}")
    status = pod.exec("app", ["cat", "/proc/1/status"]).stdout
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    uid, most = fields["Uid"].split()[0], int(fields["CapBnd"], 16)
    if uid != "0":
        raise NotYet(f"the process is uid {uid}, and should be root")
    if most != BIND:
        raise NotYet(f"the process may have {most.bit_count()} capabilities: CapBnd {most:016x}")
    _through_the_service(lab, pod)
    hosts = pod.exec("app", ["cat", "/etc/hosts"]).stdout
    if not any({"192.0.2.7", "till"} <= set(line.split()) for line in hosts.splitlines()):
        raise NotYet("the container's /etc/hosts doesn't know till")
    if "GATE_" in pod.exec("app", ["env"]).stdout:
        raise NotYet("variables such as GATE_SERVICE_HOST are in the environment")
    return (
        "gate starts without the registry, has one right of root's, and answers behind its Service"
    )


def _state(pod):
    """ "Ready", or why the image isn't there for good; "" while neither is known."""
    now = pod.now()
    if now.conditions.get("Ready") == "True":
        return "Ready"
    [container, *_] = now.raw["spec"]["containers"]
    for each in now.raw.get("status", {}).get("containerStatuses", ()):
        reason = each["state"].get("waiting", {}).get("reason")
        # With IfNotPresent it's tried again, without a pull.
        if reason in PULL_FAILS and container["imagePullPolicy"] == "Always":
            return "its image can't be pulled"
    return ""


def _through_the_service(lab, pod):
    try:
        spec = lab.connection.get("Service", "gate")["spec"]
    except Refused as error:
        raise NotYet("there is no Service named gate", "Keep the Service.") from error
    if spec["selector"] != {"app": "gate"} or spec["ports"][0]["targetPort"] != "http":
        raise NotYet("the Service gate isn't as it was")
    slices = "kubernetes.io/service-name=gate"

    def ports():
        found = lab.connection.list("EndpointSlice", label_selector=slices)["items"]
        return [
            port["port"]
            for each in found
            if each.get("endpoints")
            for port in each.get("ports") or ()
        ]

    if poll(ports, timeout_seconds=10) != [7000]:
        raise NotYet("the Service doesn't find the app's port")
    if pod.exec("app", "wget -q -O - http://localhost:7000/").returncode:
        raise NotYet("the app doesn't answer on port 7000", "Keep its command.")
