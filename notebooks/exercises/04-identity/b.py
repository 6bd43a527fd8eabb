"""Exercise b of lab 04: the numbers with which a process reads one file, writes another, and can't
read a third."""

from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
The Pod archive works with three files. Its init container creates them, as root:

    /files/plans      owner 1000, group 3000, mode 040
    /files/notes      owner 2000, group 4000, mode 620
    /files/salaries   owner 3000, group 4000, mode 640

Compute a uid and the groups with which the container app can read plans and append to notes, and
can't read salaries. Then change the numbers in the Pod's securityContext. You may add lines there.
The init container stays as it is, and app isn't root.
"""

HINTS = [
    "The kernel takes the first class that fits: owner, group, others. An owner without the right "
    "isn't asked again as a member of the group.",
    "Two files have the group 4000. Which one do you need, and which one must stay closed? So how "
    "else can app append to notes?",
    "plans opens for its group alone. A process has one uid, and may be in any number of groups.",
]

DEBRIEF = [
    "uid 1000 owns plans, and mode 040 gives its owner nothing. uid 2000 owns notes, and reads "
    "plans as a member of group 3000.",
    "The kernel takes one class, the first that fits: owner, group, others. If that class lacks "
    "the right, it doesn't try the next.",
    'Somebody adds a group to get rid of "Permission denied", and opens other files, too. Group '
    "4000 would have opened the salaries.",
]

FILES = {
    "plans": "1000:3000 40",
    "notes": "2000:4000 620",
    "salaries": "3000:4000 640",
}


def check(lab, path):
    pod = expected_pod(lab, "archive").wait_until("Ready", timeout_seconds=60)
    for name, wanted in FILES.items():
        found = pod.exec("app", ["stat", "-c", "%u:%g %a", f"/files/{name}"]).stdout.strip()
        if found != wanted:
            raise NotYet(f"/files/{name} is {found or 'missing'}, and should be {wanted}")
    me = pod.exec("app", ["id"]).stdout.strip()
    if me.startswith("uid=0"):
        raise NotYet("app is root: uid 0")
    if not _may(pod, "cat /files/plans"):
        raise NotYet(f"{me} can't read plans")
    if not _may(pod, ": >> /files/notes"):
        raise NotYet(f"{me} can't append to notes")
    if _may(pod, "cat /files/salaries"):
        raise NotYet(f"{me} can read salaries")
    return f"{me} reads plans, appends to notes and can't read salaries"


def _may(pod, command):
    return pod.exec("app", ["sh", "-c", command]).returncode == 0
