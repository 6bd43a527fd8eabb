"""Exercise b of lab NN: the longest host name that the API accepts."""

from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
Linux accepts a host name of 64 characters. How many may a Pod's have?

Find out, and give the Pod longest the longest host name that it can have. The Pod keeps its name.
"""

HINTS = [
    "Try a name that is too long: the API server's answer states the limit.",
    "In Python, 'n' * 60 is a name of 60 characters.",
]

DEBRIEF = [
    "The API server takes up to 63 characters: a host name has to be a DNS label.",
    "Names in Kubernetes follow DNS, which is stricter than Linux: 63 characters, lowercase "
    "letters, digits and hyphens.",
    "A script makes names from branch names. It works for months, until somebody's branch is "
    "too long.",
]

LONGEST = 63  # RFC 1123: a label of a DNS name


def check(lab, path):
    pod = expected_pod(lab, "longest").wait_until("Ready", timeout_seconds=30)
    said = pod.exec("app", ["hostname"]).stdout.strip()
    if len(said) != LONGEST:
        raise NotYet(f"the host name has {len(said)} characters, and a longer one is accepted")
    return f"the host name has {LONGEST} characters"
