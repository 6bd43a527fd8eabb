"""Exercise b of lab 13: the app does all of its work below the reader's limit, and the limit has to
be the smallest that leaves it room."""

from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
The Pod importer reads data, builds an index, and becomes Ready once it holds all it needs. Its
limit is 256Mi, because the usage graph goes up to 200 MiB.

Run it with kubectl, read its memory.stat, and compute the smallest limit with which it still becomes
Ready, as a multiple of 8Mi: kubectl exec importer -- cat /sys/fs/cgroup/memory.stat
On cgroup v1 the file is /sys/fs/cgroup/memory/memory.stat. Change only the resources. The check
wants the Pod Ready, and no kill on the way.
"""

HINTS = [
    "Which lines of memory.stat are part of usage, and which of those can the kernel take back?",
    "Page cache can go. Heap and files in a tmpfs can't: anon plus shmem on cgroup v2, rss plus "
    "shmem on v1.",
    "Add up those two, leave a little for the kernel's own bookkeeping, and round up to a "
    "multiple of 8Mi.",
]

DEBRIEF = [
    "150 of the 200 MiB were page cache, which gives way. 30 MiB of heap and 18 in a tmpfs "
    "can't, and 56Mi is enough.",
    "Usage includes page cache. What has to fit is anon plus shmem: the heap, and files that "
    "are in memory.",
    "A program that writes big files climbs to its limit and stays there, on every graph. "
    "That's cache, not a leak.",
]

MIB = 1 << 20
SMALLEST_MIB = 56
HEAP_BYTES, INDEX_BYTES, DATA_BYTES = 28 * MIB, 17 * MIB, 150 * MIB


def check(lab, path):
    pod = expected_pod(lab, "importer")
    pod.wait_until(
        lambda now: (
            now.conditions.get("Ready") == "True" or now.container("app").exit_code is not None
        ),
        timeout_seconds=60,
    )
    app = pod.now().container("app")
    if app.exit_code is not None:
        raise NotYet(
            "the app was ended before it had all it needs, by an OOM kill: the limit is too small"
            if app.exit_code == 137
            else f"the app ended with exit code {app.exit_code}"
        )
    cgroup = pod.settled_cgroup()
    size = pod.exec("app", "stat -c %s /data/in").stdout.strip()
    if (
        cgroup.memory_anonymous_bytes < HEAP_BYTES
        or cgroup.memory_shared_bytes < INDEX_BYTES
        or size != str(DATA_BYTES)
    ):
        raise NotYet(
            "the app does less than it did",
            "Change only the resources; lab.reset gives you the starter.",
        )
    limit = pod.container("app").cgroup.memory_limit_bytes
    if limit is None or limit > SMALLEST_MIB * MIB:
        raise NotYet(
            "the app has all it needs, but "
            + ("it has no limit" if limit is None else f"its limit is {limit // MIB} MiB")
            + ": a smaller one will do"
        )
    used = cgroup.memory_anonymous_bytes + cgroup.memory_shared_bytes
    return (
        f"with a limit of {limit // MIB} MiB the app has all it needs: "
        f"{used / MIB:.0f} MiB of heap and tmpfs, and page cache fills the rest"
    )
