"""Exercise b of lab 18: the smallest CPU limit that's told as three."""

from labhelpers import formulas
from labhelpers.exercises import NotYet, expected_pod, first_log

QUESTION = """
The Pod mill starts as many workers as the variable WORKERS says, and Kubernetes fills that in from
limits.cpu. It starts two, and you need three.

CPU limits have steps of one thousandth of a CPU. Compute the smallest limit with which mill starts
three workers, and set it. Change only that number.
"""

HINTS = [
    "Without a divisor, the limit arrives in whole CPUs. How is it rounded?",
    "Rounded up: what's the largest limit that still arrives as 2? Add one step.",
]

DEBRIEF = [
    "limits.cpu arrives in whole CPUs, rounded up: 2000m is 2, and 2001m is 3.",
    "Without a divisor, CPU is rounded up to whole ones. With divisor: 1m the program gets the "
    "exact number.",
    "A limit of 1100m becomes two workers on little more than one CPU. They're throttled in "
    "every period.",
]

SMALLEST = "2001m"


def check(lab, path):
    pod = expected_pod(lab, "mill").wait_until("Ready", timeout_seconds=60)
    first_log(pod, "app")
    [app] = pod.raw["spec"]["containers"]
    [env] = app["env"]
    ref = env.get("valueFrom", {}).get("resourceFieldRef", {})
    if ref.get("resource") != "limits.cpu" or formulas.quantity(ref.get("divisor", "0")) > 1:
        raise NotYet("WORKERS isn't filled in from limits.cpu any more", "Change only the limit.")
    if 0 < formulas.quantity(ref.get("divisor", "0")) < 1:
        raise NotYet("WORKERS has another divisor", "Change only the limit.")
    said = pod.exec("app", "echo $WORKERS").stdout.strip()
    limit = formulas.quantity(app["resources"]["limits"]["cpu"])
    if said != "3":
        raise NotYet(f"mill starts {said} workers with a limit of {limit.normalize():f} CPUs")
    if limit > formulas.quantity(SMALLEST):
        raise NotYet("mill starts three workers, but a smaller limit would do")
    return "2001m arrives as 3: three workers, with hardly more than two CPUs"
