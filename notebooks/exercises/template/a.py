"""Exercise a of lab NN: the container says what it calls itself.

✎ For the author: the question says what the cluster has to show. The check looks there, never at
the text of the file. A wrong answer raises NotYet with what was seen. Beside the solution stand two
more files in tests/exercises: a-wrong.yaml, a plausible mistake whose first line has words of the
message, and a-other.yaml, a right answer that is written another way.
"""

from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
Ticket: "Our licence is for a machine called db. We've set hostname to db in the Pod named, and
kubectl get pod --show-labels proves it. The program still says: wrong machine."

Find the cause with kubectl. Then change the manifest until the container calls itself db. The
Pod keeps its name.
"""

HINTS = [
    "Ask the container: kubectl exec named -- hostname. Then look where the manifest says db.",
    "A label is a note for people and selectors. Which field is for the host name?",
    "kubectl explain pod.spec.hostname",
]

DEBRIEF = [
    "db was a label, which nobody in the container sees. The host name comes from the field "
    "hostname, or else from the Pod's name.",
    "Labels are for people and selectors. What a process sees of its Pod comes from fields of "
    "the spec.",
    "Licences and clusters that go by host name fail after a move, because the Pod's name is "
    "now the machine's name.",
]


def check(lab, path):
    pod = expected_pod(lab, "named").wait_until("Ready", timeout_seconds=30)
    said = pod.exec("app", ["hostname"]).stdout.strip()
    if said != "db":
        raise NotYet(f"the container calls itself {said}")
    return "the Pod is named, and its container calls itself db"
