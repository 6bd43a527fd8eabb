"""Exercise b of lab 16: the smallest memory-backed emptyDir that ten files fit into."""

from labhelpers.exercises import NotYet, expected_pod, first_log

QUESTION = """
The Pod cards writes ten files of 5,000 bytes each into a memory-backed emptyDir. With the starter's
sizeLimit they don't fit. The kernel gives memory to a tmpfs in pages of 4 KiB, and no two files
share a page.

Compute the smallest sizeLimit that's enough, and set it. Change only that number.
"""

HINTS = [
    "How many pages does one file of 5,000 bytes need?",
    "Ten files, each in whole pages of 4,096 bytes. Write the sum in Ki.",
]

DEBRIEF = [
    "A file of 5,000 bytes takes two pages of 4,096. Ten files take 20 pages: 80Ki for 50,000 "
    "bytes.",
    "A tmpfs gives memory in whole pages, and no two files share one. The size of a file isn't "
    "what it costs.",
    "A million tiny files in a memory-backed cache cost 4 GB, even if each has only 100 bytes. "
    "The container's memory limit pays.",
]

FILES, BYTES = 10, 5000


def check(lab, path):
    pod = expected_pod(lab, "cards").wait_until("Ready", timeout_seconds=60)
    first_log(pod, "app")  # it writes "done" when it has tried all files
    mounts = pod.exec("app", ["cat", "/proc/mounts"]).stdout
    if not any(line.split()[1:3] == ["/cards", "tmpfs"] for line in mounts.splitlines()):
        raise NotYet("/cards isn't in memory any more", "Change only the sizeLimit.")
    sizes = pod.exec("app", "stat -c %s /cards/*").stdout.split()
    whole = sum(size == str(BYTES) for size in sizes)
    if whole < FILES:
        raise NotYet(f"{whole} of {FILES} files are whole")
    free = int(pod.exec("app", ["stat", "-f", "-c", "%f", "/cards"]).stdout)
    if free:
        raise NotYet(
            f"all files are whole, but {free} {'page is' if free == 1 else 'pages are'} free"
        )
    return "all ten files are whole, and no page is left"
