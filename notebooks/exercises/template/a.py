"""Exercise a. For the writer: the question says what the cluster has to show. The check looks
there, never at the text of the file.

A wrong answer raises NotYet with what was seen, so worded that it names the mistake. Beside the
solution stand two more files, in tests/exercises: a-wrong.yaml, a plausible mistake whose first
line has words of the message, and a-other.yaml, a right answer that is written another way.
"""

from labhelpers.exercises import NotYet

QUESTION = """
The Pod named calls itself by its name. Let its container believe that it runs on a machine called db, and leave the Pod's name as it is.
"""

HINTS = [
    "The field stands beside the containers, not inside of one.",
    "Ask the API: kubectl explain pod.spec.hostname",
]


def check(lab, path):
    pod = lab.pod("named").wait_until("Ready", timeout_seconds=30)
    said = pod.exec("app", ["hostname"]).stdout.strip()
    if said != "db":
        raise NotYet(f"the container calls itself {said}")
    return "the Pod is named, and its container calls itself db."
