"""Exercise c of lab 10: a Job whose uploader is there before the dump, and gets its last row."""

import time

from labhelpers.exercises import NotYet
from labhelpers.kube import fields
from labhelpers.node.logs import seconds, stamped_lines
from labhelpers.patience import patient
from labhelpers.polling import poll

QUESTION = """
Every night the Job nightly dumps a database, row by row, into a file. Its container upload logs in,
which takes two seconds. Then it uploads the file every eight seconds, which means that it prints it.
Nothing works as it should: the Job never completes, and rows are written before upload is ready.

Design the Job so that all of these hold:
1. It's Complete within 30 seconds.
2. dump starts only after upload has written "ready".
3. upload prints every row, also the last one.
4. upload can't write to the volume.
Both containers keep their names, and dump its command.
"""

HINTS = [
    "1 and 2 need a sidecar and a probe. What can the probe find in upload's own files?",
    "3: upload gets SIGTERM soon after dump has ended. What does its shell, PID 1, do with that? "
    "And when would the eight seconds be over?",
    "3: trap the signal and print the file there. A shell handles a signal at once while it waits: "
    "sleep 8 & wait $!",
]

DEBRIEF = [
    "As an ordinary container upload never ended, so the Job didn't either. As a sidecar, it's "
    "ready first, and gets SIGTERM last.",
    "A Job is complete once its ordinary containers are. What a sidecar still holds then has to "
    "be sent in its SIGTERM handler.",
    "A Job with a mesh proxy as an ordinary container stays at 1/2 for days, and the next runs "
    "pile up behind it.",
]

STILL_SECONDS = 10  # an upload that ends by itself has its turn within eight


def check(lab, path):
    started = _complete(lab)
    containers = started["spec"]["containers"] + (started["spec"].get("initContainers") or [])
    said = {
        each["name"]: stamped_lines(
            lab.node,
            lab.namespace,
            started["metadata"]["name"],
            started["metadata"]["uid"],
            each["name"],
        )
        for each in containers
    }
    missing = {"dump", "upload"} - set(said)
    if missing:
        raise NotYet(f"the Pod has no container {missing.pop()}", "Keep the names.")
    ready = [at for at, text in said["upload"] if text == "ready"]
    if not ready or ready[0] > said["dump"][0][0]:
        raise NotYet("dump started before upload was ready")
    rows = [text for _, text in said["dump"] if text.startswith("row")]
    lost = [row for row in rows if row not in {text for _, text in said["upload"]}]
    if lost or len(rows) != 5:
        raise NotYet(f"upload never printed {', '.join(lost) or 'five rows'}")
    [upload] = [each for each in containers if each["name"] == "upload"]
    mounts = [each for each in upload["volumeMounts"] if each["mountPath"] == "/dump"]
    if not mounts or not mounts[0].get("readOnly"):
        raise NotYet("upload can write to the volume")
    return "the Job is Complete, and upload was ready before the first row and printed the last one"


def _complete(lab) -> dict:
    """The Pod of the Job once that is Complete."""
    done, seen = poll(lambda: _verdict(lab), timeout_seconds=patient(30), every_seconds=0.5) or (
        None,
        "after 30 s the Job isn't Complete",
    )
    if done is None:
        raise NotYet(seen)
    return done


def _verdict(lab) -> tuple[dict | None, str] | None:
    """The Job's Pod once the Job is Complete; or why it won't be; None while that is open."""
    job = lab.connection.get("Job", "nightly")
    found = lab.connection.list("Pod", label_selector="job-name=nightly")["items"]
    # An earlier Job's Pods may still be on their way out.
    pods = [each for each in found if _owner(each) == job["metadata"]["uid"]]
    if fields.conditions(job).get("Complete", {}).get("status") == "True":
        return next(each for each in pods if each["status"]["phase"] == "Succeeded"), ""
    said = f"{STILL_SECONDS} s after dump has ended upload still runs, and so does the Job"
    return (None, said) if any(map(_still_runs, pods)) else None


def _owner(pod: dict) -> str:
    return pod["metadata"]["ownerReferences"][0]["uid"]


def _still_runs(pod: dict) -> bool:
    """Whether upload is an ordinary container that goes on after dump."""
    state = {each["name"]: each["state"] for each in fields.statuses(pod)}
    ended = state.get("dump", {}).get("terminated")
    ordinary = "upload" in [each["name"] for each in pod["spec"]["containers"]]
    if not (ended and ordinary and "running" in state.get("upload", {})):
        return False
    return time.time() - seconds(ended["finishedAt"]) > STILL_SECONDS
