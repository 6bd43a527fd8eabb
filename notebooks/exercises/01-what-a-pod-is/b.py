"""Exercise b of lab 01: the smallest shared memory in which two containers have room."""

import time

from labhelpers.exercises import NotYet, expected_pod, first_log

QUESTION = """
The Pod frames has two containers. camera writes two frames of 24 MiB each into /dev/shm. Then viewer
copies the second one beside it and writes "copied" to its log. Or so it should: viewer crashes, and
says that no space is left on the device. The node has gigabytes.

Work out, on paper, how much shared memory this Pod needs. Then give it exactly that, in whole MiB:
one MiB less would be too little. It has to be memory, not disk. The Pod, its containers and their
commands stay as they are.
"""

HINTS = [
    "How large is /dev/shm? kubectl exec frames -c camera -- df -m /dev/shm",
    "A volume of the kind emptyDir can be in memory: kubectl explain pod.spec.volumes.emptyDir. "
    "Whatever is mounted on /dev/shm takes its place.",
    "Both containers have to mount the same volume on /dev/shm. In it there are three files at "
    "once: two of camera, one of viewer.",
]

DEBRIEF = [
    "The copy was a third frame of 24 MiB, and a Pod's /dev/shm has 64 MiB, however much memory "
    "the node has.",
    "/dev/shm is a tmpfs with a size of its own. A memory-backed emptyDir mounted there "
    "replaces it, and its sizeLimit is the new size.",
    'Browsers in tests, PostgreSQL and PyTorch data loaders fail with "No space left on device" '
    "or a bus error, while all disks have room.",
]
SECONDS = 30
MIB = 1 << 10  # in the KiB that df counts


def check(lab, path):
    pod = expected_pod(lab, "frames")
    for name in ("camera", "viewer"):
        pod.container(name)
    pod.wait_until(
        lambda now: now.conditions.get("Ready") == "True" or _ended(now), timeout_seconds=60
    )
    deadline = time.monotonic() + SECONDS
    while "copied" not in pod.logs("viewer") and time.monotonic() < deadline:
        if name := _ended(pod.now()):
            raise NotYet(f"{name} has ended, and its last words are: {_last_words(pod, name)}")
        time.sleep(0.5)
    if "copied" not in pod.logs("viewer"):
        raise NotYet("viewer waits: in its own /dev/shm there's nothing of camera")
    kind, size, free = _shared_memory(pod)
    if kind != "tmpfs":
        raise NotYet(f"there's room, but on a file system of the kind {kind}: that's no memory")
    if free >= MIB:
        raise NotYet(
            f"there's room, with {free // MIB} MiB of {size // MIB} MiB to spare: it should be the "
            "smallest that works"
        )
    return (
        f"the frames and the copy fit into {size // MIB} MiB of shared memory, with none to spare"
    )


def _ended(now) -> str:
    """The name of a container that has ended, restarted or not; "" where both go on."""
    ends = (name for name in ("camera", "viewer") if now.container(name).exit_code is not None)
    return next(ends, "")


def _last_words(pod, name: str) -> str:
    return (first_log(pod, name).splitlines() or ["nothing"])[-1]


def _shared_memory(pod) -> tuple[str, int, int]:
    """What viewer has on /dev/shm: the kind of file system, its size and what's free, in KiB."""
    words = pod.exec("viewer", "df -P -k /dev/shm").stdout.splitlines()[-1].split()
    mounts = [line.split() for line in pod.exec("viewer", "cat /proc/mounts").stdout.splitlines()]
    kind = [each[2] for each in mounts if each[1] == "/dev/shm"][-1]
    return kind, int(words[1]), int(words[3])
