"""Finds out from a Pod's status why a wait will never end."""

import time
from collections.abc import Callable

from labhelpers.kube import fields
from labhelpers.kube.pod_status import reached
from labhelpers.patience import patient

__all__ = ["StuckDetector", "why_container_stuck", "why_stuck"]

# The kubelet's reasons if an image can't be pulled, and if a container can't be configured.
IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName")
CONFIGURATION_REASONS = ("CreateContainerConfigError",)

# The scheduler may find a node a moment later, if a taint is removed or a Pod ends. Don't give up
# at once.
UNSCHEDULABLE_GRACE_SECONDS = 5
# The kubelet tries again after 10 to 15 s, and needs longer on a busy node. The cause of what was
# seen before the wait began may already be fixed.
OLD_EVIDENCE_GRACE_SECONDS = 30


class StuckDetector:
    """Turns evidence into a verdict: each kind has to persist for a while, longer if it was there
    before the wait began.

    Args:
        evidence: takes a Pod, and returns None, or (sentence, seconds for which it has to persist,
            seconds if it was there at the first look).
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
            return "It has been deleted." if self._uid else None
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
    """Why a Pod can't reach a condition or phase any more, and how long that has to persist."""
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
    """Why a container can't become "running", "restarted" or "terminated" any more."""
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
    """The evidence that a container's image can't be pulled, or that it can't be configured."""
    waiting_for = (container.get("state") or {}).get("waiting") or {}
    reason = waiting_for.get("reason", "")
    sentence = (
        f"The container {container['name']} can't start: {reason}:"
        f" {waiting_for.get('message', '')}".strip()
    )
    # A Pod's image can be changed: what the kubelet says about the spec before that doesn't count.
    if reason in IMAGE_REASONS and not _is_behind(raw):
        return sentence, 0, 0
    if reason in CONFIGURATION_REASONS:
        return sentence, 0, patient(OLD_EVIDENCE_GRACE_SECONDS)
    return None


def _is_behind(raw: dict) -> bool:
    return raw.get("status", {}).get("observedGeneration", 0) < raw["metadata"].get("generation", 0)


def _crashing(raw: dict, container: dict) -> tuple[str, float, float] | None:
    """The evidence that a container has ended three times and isn't running. kubectl's word
    CrashLoopBackOff may come minutes later."""
    state, restarts = container.get("state") or {}, container.get("restartCount", 0)
    end = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    is_init = any(
        spec["name"] == container["name"] for spec in raw["spec"].get("initContainers") or []
    )
    if restarts < 2 or "running" in state or not end or (is_init and end["exitCode"] == 0):
        return None
    sentence = (
        f"The container {container['name']} keeps ending: restarts {restarts}, exit"
        f" code {end['exitCode']}."
    )
    return sentence, 0, patient(OLD_EVIDENCE_GRACE_SECONDS)
