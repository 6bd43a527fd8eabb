"""Exercise a of lab 06: a Service that finds its Pod, and the port in it."""

from labhelpers.errors import Refused
from labhelpers.exercises import NotYet, expected_pod
from labhelpers.polling import poll

QUESTION = """
Ticket: "The Pod shop is Running and Ready, and answers on port 8080 when we ask its address. The
Service shop doesn't answer at all. All that the Service's team told us to write is in the Pod: app,
and the port."

Find the cause with kubectl. Then change the Pod until http://shop answers in the Pod client. The
Service belongs to another team, and stays as it is.
"""

HINTS = [
    "Which Pods does the Service find? kubectl get endpointslices, and kubectl get pods -l app=shop.",
    "Selectors look at one of the two maps in metadata. Which one has app: shop?",
    "Still nothing? The Service names its target port. Which port of the Pod has that name?",
]

DEBRIEF = [
    "app: shop was an annotation, which no selector reads. And the Pod's port was called web, "
    "while the Service asks for http.",
    "A Service finds its Pods by label, and a named port by its name. A Pod can be Ready and "
    "still belong to no Service.",
    "All Pods are Ready, and the Service doesn't answer. Look at kubectl get endpointslices "
    "first: no address, or no port.",
]

ANSWER_SECONDS = 15.0


def check(lab, path):
    pod = expected_pod(lab, "shop").wait_until("Ready", timeout_seconds=60)
    client = expected_pod(lab, "client").wait_until("Ready", timeout_seconds=60)
    try:
        spec = lab.connection.get("Service", "shop")["spec"]
    except Refused as error:
        raise NotYet("there is no Service named shop", "Keep the Service.") from error
    if spec["selector"] != {"app": "shop"} or spec["ports"][0]["targetPort"] != "http":
        raise NotYet("the Service isn't as it was", "Change the Pod, not the Service.")

    def page():
        done = client.exec("app", "timeout 2 wget -q -O - http://shop")
        return done.stdout.strip() if done.returncode == 0 else ""

    if not poll(lambda: _targets(lab) and page(), timeout_seconds=ANSWER_SECONDS):
        found = _targets(lab)
        how_many = "no Pod" if not found else f"the Pods {', '.join(found)}"
        raise NotYet(
            f"{pod.name} is Ready, and the Service finds {how_many}; http://shop doesn't answer"
        )
    return (
        "the Service finds the Pod by its label and the port by its name, and http://shop answers"
    )


def _targets(lab):
    """The Pods behind the Service; a Pod without the target port isn't one."""
    slices = lab.connection.list("EndpointSlice", label_selector="kubernetes.io/service-name=shop")[
        "items"
    ]
    return sorted(
        each["targetRef"]["name"]
        for one in slices
        if one.get("ports")
        for each in one.get("endpoints") or ()
    )
