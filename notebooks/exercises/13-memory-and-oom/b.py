"""Exercise b of lab 13: the check itself writes the data through the app's container, and asks the
kernel whether anything was killed."""

from labhelpers.errors import LabError
from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
The app of the Pod sorter has to put 96 MiB of intermediate data into /scratch, with a limit of 64Mi.
As it stands, something is killed on the way. Change the Pod so that all of the data come to lie
in /scratch and nothing is killed. The limit stays, the Pod keeps its name, its container the name app.
"""

HINTS = [
    (
        "How much of the 64Mi do the 96 MiB take? That depends on what /scratch is made of. Look at"
        " the volume."
    ),
    (
        "What lies in a memory volume counts against the limit, and cannot be given back. What lies"
        " in a file on a disk can."
    ),
    "An emptyDir is on the node's disk where its medium is not Memory.",
]

SIZE_BYTES, LIMIT_BYTES = 96 << 20, 64 << 20


def check(lab, path):
    pod = expected_pod(lab, "sorter")
    app = pod.container("app")
    pod.wait_until("Ready", timeout_seconds=30)
    id_, limit = app.id, app.cgroup.memory_limit_bytes
    if limit != LIMIT_BYTES:
        raise NotYet(
            f"the limit of app is {'missing' if limit is None else f'{limit >> 20} MiB'}, and has"
            " to stay 64 MiB"
        )
    said = ""
    try:
        done = pod.exec(
            "app",
            f"dd if=/dev/zero of=/scratch/data bs=1048576 count={SIZE_BYTES >> 20}",
            timeout_seconds=60,
        )
        said = done.stderr.strip()
    except LabError as error:  # where the whole container is killed, the exec ends with it
        said = error.seen
    if lab.node.kernel_log(id_):
        raise NotYet(
            "the kernel killed a process of app for want of memory: what lies in /scratch counts,"
            " and cannot be given back"
        )
    size = pod.exec("app", "stat -c %s /scratch/data").stdout.strip()
    if size != str(SIZE_BYTES):
        raise NotYet(
            f"only {int(size or 0) >> 20} MiB of the data came to lie in /scratch:"
            f" {said.splitlines()[0] if said else 'no word'}"
        )
    return "96 MiB lie in /scratch, nothing was killed, and the limit is still 64 MiB"
