"""Exercise c of lab 16: what has to stay, what has to be deleted, and who may read."""

from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
The Pod archive keeps letters in /letters and scratch files in /scratch. The Secret password is at
/password/word, and the process is uid 1000.

Design it so that all of these hold, without hostPath:
1. A letter is still there when the Pod has been deleted and created again. A scratch file isn't.
2. Writing 5 MiB to /scratch fails at once with "No space left on device".
3. The process can read the password, and the file's mode gives nothing to others.
"""

HINTS = [
    "1: only a claim outlives its Pod here. Add a PersistentVolumeClaim to the file.",
    "2: which kind of emptyDir has a real size?",
    "3: the file belongs to root. A group of the Pod's can be given to it: fsGroup.",
]

DEBRIEF = [
    "An emptyDir ends with its Pod, so the letters needed a claim. Only in memory does its "
    "sizeLimit stop a write at once.",
    "Ask two questions about each directory: how long do its files have to live, and what stops "
    "them from growing?",
    "An emptyDir on disk outgrows its sizeLimit. No write fails, but some time later the "
    "kubelet evicts the whole Pod.",
]

SCRATCH_MEBIBYTES = 5
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "password"},
    "stringData": {"word": "open sesame"},
}


def check(lab, path):
    lab.connection.apply(SECRET)  # as in the lab, where it's there already
    pod = expected_pod(lab, "archive").wait_until("Ready", timeout_seconds=90)
    if any("hostPath" in each for each in pod.raw["spec"].get("volumes", ())):
        raise NotYet("the Pod has a hostPath volume")
    user = pod.exec("app", ["id", "-u"]).stdout.strip()
    if user != "1000":
        raise NotYet(f"the process is uid {user}, and should be 1000")
    _expect_password(pod)
    for place in ("/letters", "/scratch"):
        done = pod.exec("app", f"echo hello > {place}/mark")
        if done.returncode:
            raise NotYet(f"uid 1000 can't write to {place}: {done.stderr.strip()}")
    large = ["dd", "if=/dev/zero", "of=/scratch/large", "bs=1M", f"count={SCRATCH_MEBIBYTES}"]
    if "No space left" not in pod.exec("app", large).stderr:
        raise NotYet(f"{SCRATCH_MEBIBYTES} MiB fit into /scratch")
    lab.connection.delete("Pod", "archive", grace_seconds=1)
    pod.wait_until("gone", timeout_seconds=60)
    lab.apply(path)
    pod.wait_until("Ready", timeout_seconds=60)
    there = [
        place
        for place in ("/letters", "/scratch")
        if pod.exec("app", ["cat", f"{place}/mark"]).returncode == 0
    ]
    if "/letters" not in there:
        raise NotYet("the letter is gone after the Pod was deleted and created again")
    if "/scratch" in there:
        raise NotYet("the scratch file is still there after the Pod was deleted")
    return (
        "the letter stayed, the scratch file is gone, and only the Pod's group reads the password"
    )


def _expect_password(pod):
    file = "/password/word"
    if pod.exec("app", ["cat", file]).returncode:
        raise NotYet(f"uid 1000 can't read {file}")
    mode = pod.exec("app", ["stat", "-L", "-c", "%a", file]).stdout.strip()
    if mode[-1] != "0":
        raise NotYet(f"the mode of {file} is {mode}: others may read it")
