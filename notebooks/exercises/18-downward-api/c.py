"""Exercise c of lab 18: what may change is a file, what can't is a variable."""

from labhelpers.exercises import NotYet, expected_pod
from labhelpers.patience import patient
from labhelpers.polling import poll

QUESTION = """
In the Pod report, the container exporter reports about its neighbour app. Design it so that all of
these hold. The label, the image, the commands and the limit of app stay as they are.

1. In exporter, the variable TARGET is http://ADDRESS:8080, with the Pod's own address.
2. In exporter, the file /about/limit has the memory limit of app in bytes, and the file /about/team
   has the value of the label team.
3. Both files follow a change without a restart: another label, and a resized limit of app.
"""

HINTS = [
    "1: two variables, and the second is made of the first: $(NAME).",
    "2: a downwardAPI volume. In a volume, a size needs the name of a container.",
    "3: mount the whole volume. What does a single file by subPath show after a change?",
]

DEBRIEF = [
    "status.podIP gave the address, and $(POD_IP) put it into TARGET. A downwardAPI volume "
    "wrote both files.",
    "A variable is fixed when its container starts. Files in a downwardAPI volume follow "
    "labels, annotations and resized limits.",
    "After a resize in place, a program that reads its limit from a variable goes on with the "
    "old one until its next restart.",
]

ARRIVES_SECONDS = 30
RESIZED = "100663296"  # 96Mi


def check(lab, path):
    pod = expected_pod(lab, "report").wait_until("Ready", timeout_seconds=60)
    target, wanted = pod.exec("exporter", "echo $TARGET").stdout.strip(), pod.raw["status"]["podIP"]
    if target != f"http://{wanted}:8080":
        raise NotYet(f"TARGET is {target or 'empty'}: that isn't http://, the Pod's address, :8080")
    for name, value in (("limit", "67108864"), ("team", "blue")):
        if (seen := _read(pod, name)) != value:
            raise NotYet(f"/about/{name} has {seen or 'nothing'} in it, and should have {value}")
    restarts = _restarts(pod)
    lab.connection.patch("Pod", "report", {"metadata": {"labels": {"team": "green"}}})
    pod.resize("app", limits={"memory": "96Mi"}, timeout_seconds=60)
    for name, value, what in (("team", "green", "label"), ("limit", RESIZED, "limit")):
        if not poll(
            lambda name=name, value=value: _read(pod, name) == value,
            timeout_seconds=patient(ARRIVES_SECONDS),
            every_seconds=0.3,
        ):
            raise NotYet(f"the {what} is {value} now, and /about/{name} has {_read(pod, name)}")
    if _restarts(pod) != restarts:
        raise NotYet("a container was restarted")
    return "TARGET has the Pod's address, and both files followed without a restart"


def _read(pod, name):
    return pod.exec("exporter", ["cat", f"/about/{name}"]).stdout.strip()


def _restarts(pod):
    return [pod.container(name).restarts for name in ("app", "exporter")]
