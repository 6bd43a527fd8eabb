"""Exercise c of lab 03: three Pods that take turns, without anything that starts them in turn."""

from itertools import pairwise

from labhelpers.errors import LabError, Refused
from labhelpers.exercises import NotYet, expected_pod
from labhelpers.patience import patient
from labhelpers.polling import poll

QUESTION = """
The Job load runs three Pods in parallel. Each keeps the node's disk so busy that there must never be
two of them on one node at the same time. The Pod monitor has to run on the same node all the while.

Change the Job's template so that the scheduler sees to it:
1. On our node the three run one after the other. When one has ended, the next begins by itself.
2. On three nodes, all of them could run at once. So parallelism stays 3, and there's no nodeName.
3. Names, labels and commands stay as they are, and monitor stays as it is.

The check runs both, and reads when each of the three began and ended.
"""

HINTS = [
    "While a Pod runs, it has to keep the others off its node. Two of the ten Pods in the lab waited "
    "for a reason of that kind.",
    "Required anti-affinity among the three. A Pod that has ended doesn't count any more.",
    "None of them starts beside monitor? Look at whose labels your selector matches.",
]

DEBRIEF = [
    "The scheduler doesn't count disk traffic, so it had no reason to keep the three apart. "
    "Required anti-affinity is such a reason.",
    "Anti-affinity compares labels with the Pods that are on a node now. One that has ended "
    "doesn't count, so the next can start.",
    "With a selector that's too wide, such as app: etl, Pods wait for a neighbour that never "
    "ends, beside a node that's almost empty.",
]

COUNT = 3
# The scheduler looks at a waiting Pod again within ten seconds.
STUCK_SECONDS = 25
LABELS, COMMAND = {"app": "etl", "role": "load"}, ["sleep", "4"]


def check(lab, path):
    try:
        job = lab.connection.get("Job", "load")
    except Refused as refused:
        raise NotYet("there is no Job named load", "Keep the name.") from refused
    monitor = expected_pod(lab, "monitor")
    template = job["spec"]["template"]
    kept = LABELS.items() <= template["metadata"].get("labels", {}).items()
    if not kept or template["spec"]["containers"][0].get("command") != COMMAND:
        raise NotYet("the Job's Pods have another command or other labels", "Keep both.")
    if job["spec"].get("parallelism") != COUNT:
        raise NotYet(f"parallelism isn't {COUNT} any more: three nodes would be no faster than one")
    if template["spec"].get("nodeName"):
        raise NotYet("the template has a nodeName: three nodes would be no faster than one")
    try:
        monitor.wait_until("Ready", timeout_seconds=60)
    except LabError as error:
        raise NotYet("monitor doesn't run beside the others") from error
    uid = job["metadata"]["uid"]
    ended: list[tuple[str, str]] = []
    while len(ended) < COUNT:
        enough = len(ended) + 1
        poll(
            lambda: len(_ended(lab, uid)) >= enough or _running(lab, uid) > 1,  # noqa: B023
            timeout_seconds=patient(STUCK_SECONDS),
            every_seconds=0.5,
        )
        ended = _ended(lab, uid)
        if _running(lab, uid) > 1:
            raise NotYet("two of the three run at the same time")
        if len(ended) < enough:
            raise NotYet(f"{len(ended)} of the three have ended, and nothing moves any more")
    # Both times are whole seconds.
    if any(began < over for (_, over), (began, _) in pairwise(sorted(ended))):
        raise NotYet("two of the three ran at the same time")
    return "the three ran one after the other, beside monitor"


def _pods(lab, job_uid: str) -> list[dict]:
    return [
        pod
        for pod in lab.connection.list("Pod")["items"]
        if job_uid in [each["uid"] for each in pod["metadata"].get("ownerReferences", [])]
    ]


def _states(lab, job_uid: str, state: str) -> list[dict]:
    """What the API says of the containers that are in a state."""
    statuses = [
        status
        for pod in _pods(lab, job_uid)
        for status in pod["status"].get("containerStatuses", [])
    ]
    return [status["state"][state] for status in statuses if state in status["state"]]


def _running(lab, job_uid: str) -> int:
    return len(_states(lab, job_uid, "running"))


def _ended(lab, job_uid: str) -> list[tuple[str, str]]:
    """When each container that has ended began and ended."""
    return [(each["startedAt"], each["finishedAt"]) for each in _states(lab, job_uid, "terminated")]
