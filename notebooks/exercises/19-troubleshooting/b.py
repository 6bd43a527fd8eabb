"""Exercise b of lab 19: a percentage in a PodDisruptionBudget, and how it's rounded."""

from labhelpers.errors import Refused
from labhelpers.exercises import NotYet
from labhelpers.patience import patient
from labhelpers.polling import poll

QUESTION = """
The Deployment team runs with 3, 4 or 6 Pods. While nodes are drained, one Pod may be away when
there are 3 or 4, and two when there are 6.

Compute one percentage that does this, for minAvailable or maxUnavailable, and write it into the
PodDisruptionBudget. The check scales the Deployment and reads what the budget allows.
"""

HINTS = [
    "Kubernetes rounds a budget's percentage up to whole Pods, in both fields.",
    "With maxUnavailable 30% and 4 Pods: 1.2, rounded up to 2. So 30 is too much.",
    "With minAvailable, ALLOWED DISRUPTIONS is the number of Pods less the rounded percentage.",
]

DEBRIEF = [
    "maxUnavailable 25% is 0.75, 1 and 1.5 Pods: rounded up, 1, 1 and 2. 30% of 4 would be 2.",
    "A percentage is rounded up in both fields. That's generous with maxUnavailable, and strict "
    "with minAvailable.",
    "minAvailable 100%, or 1 with a single Pod, allows nothing: the drain waits until somebody "
    "deletes the Pod.",
]

WANTED = {3: 1, 4: 1, 6: 2}
SCALE_SECONDS = 40


def check(lab, path):
    try:
        spec = lab.connection.get("PodDisruptionBudget", "team")["spec"]
        lab.connection.get("Deployment", "team")
    except Refused as error:
        raise NotYet("there is no Deployment or no PodDisruptionBudget named team") from error
    if not any(str(spec.get(key, "")).endswith("%") for key in ("minAvailable", "maxUnavailable")):
        raise NotYet("the budget has no percentage")
    for pods, wanted in WANTED.items():
        lab.connection.patch("Deployment", "team", {"spec": {"replicas": pods}})
        seen: list[int] = []

        def counts(pods=pods, seen=seen) -> bool:
            budget = lab.connection.get("PodDisruptionBudget", "team")
            status = budget.get("status", {})
            seen[:] = [status.get("disruptionsAllowed", 0)]
            is_current = status.get("observedGeneration") == budget["metadata"]["generation"]
            return is_current and status.get("expectedPods") == pods == status.get("currentHealthy")

        if not poll(counts, timeout_seconds=patient(SCALE_SECONDS)):
            raise NotYet(
                f"after {patient(SCALE_SECONDS):g} s the budget doesn't see {pods} healthy Pods"
            )
        if seen != [wanted]:
            raise NotYet(f"with {pods} Pods the budget allows {seen[0]}, and not {wanted}")
    return "the budget allows 1 of 3, 1 of 4 and 2 of 6 Pods to be away"
