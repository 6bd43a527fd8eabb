"""Exercise b of lab 05: how many dollar signs does it take?"""

from labhelpers.exercises import NotYet, expected_pod, first_log
from labhelpers.kube.manifests import Manifest

QUESTION = """
The Pod label has to print exactly this line, where tea and 5 come from the ConfigMap offer:

    tea costs $5, from $(ITEM) and $$(AMOUNT)

Compute the text in the manifest first, then check it. The program stays echo, without a shell. The
check also runs your Pod with another item at another price.
"""

HINTS = [
    "Kubernetes reads from left to right. $(NAME) becomes a value, if there is such a variable. $$ "
    "becomes one $, and what follows it is plain text.",
    "So the dollar of the price is written $$, and then comes the variable: three dollar signs.",
    "For one dollar sign in front of a bracket write two, for two write four.",
]

DEBRIEF = [
    "$ITEM is shell, which nobody ran, and $$ became one dollar sign. Only $(ITEM) is replaced, "
    "and $$(ITEM) stays as $(ITEM).",
    "Kubernetes replaces $(NAME) before the program starts, without a shell. $$ is a plain "
    "dollar sign. A name that it doesn't know stays.",
    "A password with $$ in a manifest arrives with one dollar sign, and the login fails. From a "
    "Secret it arrives unchanged.",
]

OTHER = {"ITEM": "coffee", "AMOUNT": "7"}
SECONDS = 60


def check(lab, path):
    _expect(lab, {"ITEM": "tea", "AMOUNT": "5"})
    # The ConfigMap first, so that the Pod finds it changed.
    for document in sorted(Manifest.read(path).documents, key=lambda each: each["kind"] == "Pod"):
        document["metadata"]["namespace"] = lab.namespace
        if document["kind"] == "Pod":
            lab.pod("label").delete(timeout_seconds=30, grace_seconds=1)
        elif document["metadata"]["name"] == "offer":
            document["data"].update(OTHER)
        lab.connection.apply(document)
    _expect(lab, OTHER)
    return "the line is right, and right for another item as well"


def _expect(lab, offer):
    pod = expected_pod(lab, "label")
    command = pod.raw["spec"]["containers"][0].get("command", ["nothing"])
    if command[0].rpartition("/")[2] != "echo":
        raise NotYet(f"the container's program is {command[0]}", "Let it be echo.")
    pod.wait_until(lambda now: now.phase in ("Succeeded", "Running"), timeout_seconds=SECONDS)
    wanted = f"{offer['ITEM']} costs ${offer['AMOUNT']}, from $(ITEM) and $$(AMOUNT)"
    said = (first_log(pod, "app").splitlines() or ["nothing"])[0]
    if said != wanted:
        raise NotYet(f"it printed {said}, and should print {wanted}")
