"""Why a wait will never end: what a Pod's status says of a goal that is out of reach."""

import time
from collections.abc import Callable

from labhelpers.kube import fields
from labhelpers.kube.pod_status import reached
from labhelpers.patience import patient

__all__ = ["StuckDetector", "why_container_stuck", "why_stuck"]

# The kubelet's words for an image that will not come, and for a container that it cannot configure.
IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName")
CONFIGURATION_REASONS = ("CreateContainerConfigError",)

# The scheduler may find a place a moment later (a taint goes, a Pod ends): not at once a lost case.
UNSCHEDULABLE_GRACE_SECONDS = 5
# The kubelet tries again after 10 to 15 s, and needs some more on a busy node. Evidence that was
# there before the wait began may already be mended.
OLD_EVIDENCE_GRACE_SECONDS = 30


class StuckDetector:
    """Turns evidence into a verdict: each kind has to stand for a while, longer when it was there
    before the wait began.

    Args:
        evidence: from a Pod to None, or (sentence, seconds that it has to stand, seconds if it was
            there at the first look).
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        evidence: Callable[[dict], tuple[str, float, float] | None],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._evidence, self._clock = evidence, clock
        self._looks, self._sentence, self._since, self._old = 0, "", 0.0, False
        self._uid = None

    def __call__(self, raw: dict | None) -> str | None:
        self._looks += 1
        if raw is None:
            return "It was there and has been deleted." if self._uid else None
        self._uid = raw["metadata"].get("uid", "?")
        found = self._evidence(raw)
        if found is None:
            self._sentence = ""
            return None
        sentence, new_seconds, old_seconds = found
        if sentence != self._sentence:
            self._sentence, self._since, self._old = sentence, self._clock(), self._looks == 1
        return (
            sentence
            if self._clock() - self._since >= (old_seconds if self._old else new_seconds)
            else None
        )


def why_stuck(raw: dict, goal: str) -> tuple[str, float, float] | None:
    """Why a Pod cannot come to a condition or phase any more, and how long that has to stand."""
    status, ends = raw.get("status", {}), ("Succeeded", "Failed")
    phase = status.get("phase")
    if phase in ends and phase != goal and not reached(raw, goal):
        return f"The Pod has ended: phase {phase}{_because(status)}.", 0, 0
    if raw["metadata"].get("deletionTimestamp") and goal not in ends:
        return "The Pod is being deleted.", 0, 0
    if goal == "PodScheduled" or not fields.is_true(raw, "PodScheduled"):
        scheduled = fields.conditions(raw).get("PodScheduled", {})
        if scheduled.get("reason") == "Unschedulable":
            return (
                f"No node fits: {scheduled.get('message', '')}",
                patient(UNSCHEDULABLE_GRACE_SECONDS),
                patient(UNSCHEDULABLE_GRACE_SECONDS),
            )
        return None
    if goal in ("Pending", "PodReadyToStartContainers") or (
        goal == "Failed" and raw["spec"].get("activeDeadlineSeconds")
    ):
        return None
    for container in fields.statuses(raw):
        if found := _stuck(raw, container):
            return found
        if goal not in ends and (found := _crashing(raw, container)):
            return found
    return None


def why_container_stuck(raw: dict, name: str, goal: str) -> tuple[str, float, float] | None:
    """Why one container cannot come to "running", "restarted" or "terminated" any more."""
    status = raw.get("status", {})
    if status.get("phase") in ("Succeeded", "Failed") and goal != "terminated":
        return f"The Pod has ended: phase {status['phase']}{_because(status)}.", 0, 0
    return next(
        (
            found
            for container in fields.statuses(raw)
            if container["name"] == name and (found := _stuck(raw, container))
        ),
        None,
    )


def _because(status: dict) -> str:
    return "".join(
        f", {status[word]}" for word in ("reason", "message") if status.get(word)
    ).rstrip(".")


def _stuck(raw: dict, container: dict) -> tuple[str, float, float] | None:
    """A container whose image does not come, or which cannot be configured."""
    waiting_for = (container.get("state") or {}).get("waiting") or {}
    reason = waiting_for.get("reason", "")
    sentence = (
        f"The container {container['name']} cannot start: {reason}:"
        f" {waiting_for.get('message', '')}".strip()
    )
    # The image of a Pod can be changed: what the kubelet says of the spec before does not count.
    if reason in IMAGE_REASONS and not _is_behind(raw):
        return sentence, 0, 0
    if reason in CONFIGURATION_REASONS:
        return sentence, 0, patient(OLD_EVIDENCE_GRACE_SECONDS)
    return None


def _is_behind(raw: dict) -> bool:
    return raw.get("status", {}).get("observedGeneration", 0) < raw["metadata"].get("generation", 0)


def _crashing(raw: dict, container: dict) -> tuple[str, float, float] | None:
    """A container that has ended three times and does not run. kubectl's word CrashLoopBackOff may
    come minutes later."""
    state, restarts = container.get("state") or {}, container.get("restartCount", 0)
    end = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    is_init = any(
        spec["name"] == container["name"] for spec in raw["spec"].get("initContainers") or []
    )
    if restarts < 2 or "running" in state or not end or (is_init and end["exitCode"] == 0):
        return None
    sentence = (
        f"The container {container['name']} has ended again and again: restarts {restarts}, exit"
        f" code {end['exitCode']}."
    )
    return sentence, 0, patient(OLD_EVIDENCE_GRACE_SECONDS)
