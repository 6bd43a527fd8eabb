"""Exercise a of lab 16: a changed ConfigMap has to reach a running Pod."""

from labhelpers.exercises import NotYet, expected_pod
from labhelpers.polling import poll

QUESTION = """
Ticket: "We raised the price from 10 to 20 an hour ago. kubectl get configmap shows 20, the shop
still sells at 10. After a restart it's right, until the next change."

Find the cause with kubectl, and fix it: a changed price has to arrive without a restart. The shop
reads /shop/price and /shop/tax, and both ConfigMaps keep their names and keys.
"""

HINTS = [
    "How is the file /shop/price mounted? kubectl describe pod shop, under Mounts.",
    "A file that's mounted with subPath stays as it was at the container's start. Why did somebody "
    "use it here? Both files are in one directory.",
    "One volume can join several ConfigMaps in one directory.",
]

DEBRIEF = [
    "A file that's mounted with subPath stays as it was at the container's start. The kubelet "
    "changed the volume, and this mount didn't follow.",
    "Mount a whole volume, and its files follow the ConfigMap. subPath and variables keep what "
    "they had at the start.",
    "A certificate that's mounted with subPath is renewed in time. Weeks later the old one "
    "expires, and every replica fails at the same minute.",
]

ARRIVES_SECONDS = 30


def check(lab, path):
    pod = expected_pod(lab, "shop").wait_until("Ready", timeout_seconds=60)
    for name, value in (("price", "10"), ("tax", "7")):
        if (seen := _read(pod, name)) != value:
            raise NotYet(f"/shop/{name} has {seen or 'nothing'} in it, and should have {value}")
    for kind, name, key in (("ConfigMap", "prices", "price"), ("ConfigMap", "taxes", "tax")):
        lab.connection.patch(kind, name, {"data": {key: "20"}})
    # Any change to a Pod makes the kubelet update its volumes at once.
    lab.connection.patch("Pod", "shop", {"metadata": {"annotations": {"look": "now"}}})
    for name in ("price", "tax"):
        if not poll(
            lambda name=name: _read(pod, name) == "20",
            timeout_seconds=ARRIVES_SECONDS,
            every_seconds=0.5,
        ):
            raise NotYet(f"the ConfigMap says 20, and /shop/{name} still has {_read(pod, name)}")
    if restarts := pod.container("app").restarts:
        raise NotYet(f"the container was restarted, {restarts} times")
    return "both files follow their ConfigMaps, without a restart"


def _read(pod, name):
    return pod.exec("app", ["cat", f"/shop/{name}"]).stdout.strip()
