"""Exercise b of lab 09: the largest request of an app that doesn't make the Pod's larger."""

from labhelpers import formulas
from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
The Pod budget has an init container, a sidecar and an app. Its effective memory request is already
larger than what it needs while it runs.

Compute the largest memory request, in Mi, that you can give to app for free: the Pod's effective
request must not grow. Change only that number.
"""

HINTS = [
    "While it starts: load, with the sidecars that were declared before it.",
    "While it runs: app and sidecar. Make both sums equal.",
]

DEBRIEF = [
    "While the Pod starts, proxy and load need 32 + 160. While it runs, it's 32 and app. So app "
    "gets 160 for free.",
    "Init containers and apps never run together, so the larger sum counts. A sidecar runs "
    "beside both and is part of both sums.",
    "A migration that requests 4Gi for one minute keeps 4Gi of the node reserved for as long as "
    "the Pod lives.",
]


def check(lab, path):
    spec = expected_pod(lab, "budget").raw["spec"]
    asked = {
        each["name"]: formulas.quantity(each["resources"]["requests"]["memory"]) / 2**20
        for each in [*spec["initContainers"], *spec["containers"]]
    }
    if [each["name"] for each in spec["initContainers"]] != ["proxy", "load"] or (
        asked["proxy"],
        asked["load"],
    ) != (32, 160):
        raise NotYet("proxy or load was changed", "Change only the request of app.")
    effective = formulas.effective_requests(spec)["memory"] / 2**20
    if effective > 192:
        raise NotYet(f"the effective request grew from 192 Mi to {effective} Mi")
    if asked["app"] + asked["proxy"] < effective:
        raise NotYet(f"app has {asked['app']} Mi and can have more")
    return f"app has {asked['app']} Mi, and the effective request is still {effective} Mi"
