"""When waiting longer cannot help."""

import pytest

from labhelpers.stuck import StuckDetector, why_container_stuck, why_stuck
from tests.unit.test_pod_status import GATED, UP, conditions, pod, status

SCHEDULED = conditions(PodScheduled=True)
NO_NODE = [
    {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available",
    }
]


def waits(reason, **more):
    return pod("Pending", [status("app", f"waiting:{reason}", **more)], conditions=SCHEDULED)


HOPELESS = {
    "an image that is not there": (waits("ErrImageNeverPull"), "Ready", "ErrImageNeverPull"),
    "an image that cannot be pulled": (waits("ImagePullBackOff"), "Succeeded", "ImagePullBackOff"),
    "an image without a name": (waits("InvalidImageName"), "Running", "InvalidImageName"),
    "no configuration": (
        waits("CreateContainerConfigError"),
        "Ready",
        "CreateContainerConfigError",
    ),
    "crashed twice": (
        waits("CrashLoopBackOff", restarts=2, last=1),
        "Ready",
        "restarts 2, exit code 1",
    ),
    "ended again and again, kubectl says Error": (
        pod("Running", [status("app", "Error:1", restarts=2)], conditions=SCHEDULED),
        "Ready",
        "restarts 2, exit code 1",
    ),
    "no node": (pod("Pending", conditions=NO_NODE), "Ready", "0/1 nodes are available"),
    "failed": (
        pod("Failed", reason="Evicted", message="too much"),
        "Ready",
        "Failed, Evicted, too much",
    ),
    "succeeded, not failed": (pod("Succeeded"), "Failed", "Succeeded"),
    "deleted": (pod("Running", [UP], deleted=True, conditions=SCHEDULED), "Ready", "being deleted"),
}
NOT_HOPELESS = {
    "creating": (waits("ContainerCreating"), "Ready"),
    "crashed once": (waits("CrashLoopBackOff", restarts=1, last=1), "Ready"),
    "crashed twice, and runs": (
        pod("Running", [status("app", "running", restarts=2, last=1)], conditions=SCHEDULED),
        "Ready",
    ),
    "an init container was run again in a new sandbox": (
        pod(
            "Running", [UP], [status("i", "Completed:0", restarts=2, last=0)], conditions=SCHEDULED
        ),
        "Ready",
    ),
    "retried until it succeeds": (waits("CrashLoopBackOff", restarts=5, last=1), "Succeeded"),
    "gated": (pod("Pending", conditions=GATED), "Ready"),
    "failed, as wanted": (pod("Failed"), "Failed"),
    "deleted, and may still end": (
        pod("Running", [UP], deleted=True, conditions=SCHEDULED),
        "Succeeded",
    ),
    "scheduled is all that is asked": (waits("ErrImageNeverPull"), "PodScheduled"),
}


@pytest.mark.parametrize(("raw", "goal", "says"), HOPELESS.values(), ids=HOPELESS)
def test_a_goal_out_of_reach_is_told_with_its_reason(raw, goal, says):
    assert says in why_stuck(raw, goal)[0]


@pytest.mark.parametrize(("raw", "goal"), NOT_HOPELESS.values(), ids=NOT_HOPELESS)
def test_a_goal_within_reach_is_waited_for(raw, goal):
    assert why_stuck(raw, goal) is None


def test_what_the_kubelet_says_of_the_image_before_the_change_does_not_count():
    raw = waits("ErrImagePull")
    raw["metadata"]["generation"] = 2
    raw["status"]["observedGeneration"] = 1
    assert why_stuck(raw, "Ready") is None
    raw["status"]["observedGeneration"] = 2
    assert "ErrImagePull" in why_stuck(raw, "Ready")[0]


def test_a_container_is_hopeless_for_its_own_reasons_only():
    raw = pod(
        "Pending",
        [status("a", "running"), status("b", "waiting:ErrImageNeverPull")],
        conditions=SCHEDULED,
    )
    assert why_container_stuck(raw, "a", "running") is None
    assert "ErrImageNeverPull" in why_container_stuck(raw, "b", "running")[0]
    assert (
        why_container_stuck(pod("Succeeded", [status("a", "Completed:0")]), "a", "terminated")
        is None
    )


def doubts(*looks):
    """The verdicts of one wait: each look is (second, Pod, goal's reason expected)."""
    now = [0.0]
    doubt = StuckDetector(lambda raw: why_stuck(raw, "Ready"), clock=lambda: now[0])
    said = []
    for second, raw in looks:
        now[0] = second
        said.append(bool(doubt(raw)))
    return said


@pytest.mark.parametrize(
    ("looks", "said"),
    [
        ([(0, waits("ErrImageNeverPull"))], [True]),
        (
            [(0, pod("Pending", conditions=NO_NODE)), (4, pod("Pending", conditions=NO_NODE))],
            [False, False],
        ),
        (
            [(0, pod("Pending", conditions=NO_NODE)), (5, pod("Pending", conditions=NO_NODE))],
            [False, True],
        ),
        (
            [
                (0, pod("Pending", conditions=NO_NODE)),
                (4, pod("Pending")),
                (6, pod("Pending", conditions=NO_NODE)),
            ],
            [False] * 3,
        ),
        # Old evidence may have been mended a moment ago; new evidence counts at once.
        (
            [(0, waits("CreateContainerConfigError")), (29, waits("CreateContainerConfigError"))],
            [False, False],
        ),
        (
            [(0, waits("CreateContainerConfigError")), (30, waits("CreateContainerConfigError"))],
            [False, True],
        ),
        (
            [(0, waits("ContainerCreating")), (1, waits("CreateContainerConfigError"))],
            [False, True],
        ),
        ([(0, None), (1, pod("Pending"))], [False, False]),
        ([(0, pod("Pending")), (1, None)], [False, True]),
    ],
)
def test_evidence_has_to_stand_for_a_while(looks, said):
    assert doubts(*looks) == said
