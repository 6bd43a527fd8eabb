"""Exercise a of lab 04: a dashboard that the API server turns away, for two reasons."""

from labhelpers.exercises import NotYet, expected_pod
from labhelpers.polling import poll

QUESTION = """
Ticket: "The dashboard is empty: kubectl exec dashboard -- kubectl get pods says Forbidden. We gave
it a ServiceAccount and the Role pod-reader, and the platform team bound the two."

Their RoleBinding is right and stays; the first check creates it, and everything in your file. Find
the causes with kubectl. The dashboard has to run as the ServiceAccount dashboard. It may get and
list Pods, and nothing more.
"""

HINTS = [
    "Which account does the message name? kubectl exec dashboard -- kubectl auth whoami",
    "Once it names the right account, the RoleBinding counts. Then compare the Role's words with "
    "those in the message. kubectl describe role pod-reader",
    "The API's resources have names in the plural: kubectl api-resources",
]

DEBRIEF = [
    "The Pod ran as the ServiceAccount default, because it named no other. And the Role said "
    "pod, while the resource is called pods.",
    "RBAC compares words: who asks, the verb, and the resource in the plural. A Role with a "
    "typo is valid, and allows nothing.",
    "After a move to a new namespace, Forbidden names system:serviceaccount:…:default. Read who "
    "asked before you change any Role.",
]

ALLOWED_SECONDS = 15
BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "dashboard-reads-pods"},
    "roleRef": {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "Role",
        "name": "pod-reader",
    },
}


def check(lab, path):
    account = {"kind": "ServiceAccount", "name": "dashboard", "namespace": lab.connection.namespace}
    lab.connection.apply({**BINDING, "subjects": [account]})
    pod = expected_pod(lab, "dashboard").wait_until("Ready", timeout_seconds=60)
    for request in (["get", "pods"], ["get", "pod", "dashboard"]):
        if not poll(
            lambda request=request: _may(pod, *request),
            timeout_seconds=ALLOWED_SECONDS,
            every_seconds=0.5,
        ):
            said = pod.exec("app", ["kubectl", *request]).stderr.strip().splitlines()
            raise NotYet(said[0] if said else f"kubectl {' '.join(request)} fails")
    name = pod.raw["spec"].get("serviceAccountName")
    if name != "dashboard":
        raise NotYet(f"the dashboard runs as the ServiceAccount {name}")
    for request in (["get", "secrets"], ["delete", "pod", "dashboard", "--dry-run=server"]):
        if _may(pod, *request):
            raise NotYet(f"the dashboard may also do this: kubectl {' '.join(request)}")
    return "the dashboard gets and lists Pods, and may neither read Secrets nor delete Pods"


def _may(pod, *request):
    return pod.exec("app", ["kubectl", *request]).returncode == 0
