"""What kubectl calls a Pod's status, and a Pod as the API server gives it, for other tests."""

import pytest

from labhelpers.snapshots import PodSnapshot

# tests/cluster/test_pods.py gives each of these to a real API server and compares with what kubectl
# prints.


def status(name, state, *, ready=False, restarts=0, started=None, last=None):
    """A container's status. state: "running", "waiting" or "waiting:Reason", "Reason:exit code" of
    an end."""
    kind, _, detail = state.partition(":")
    if kind == "running":
        inner = {"running": {}}
    elif kind == "waiting":
        inner = {"waiting": {"reason": detail} if detail else {}}
    else:
        inner = {"terminated": {"exitCode": int(detail), **({"reason": kind} if kind else {})}}
    found = {
        "name": name,
        "state": inner,
        "ready": ready,
        "restartCount": restarts,
        "image": "busybox:1.35.0",
        "imageID": "",
    }
    if last is not None:
        found["lastState"] = {"terminated": {"exitCode": last}}
    return found if started is None else {**found, "started": started}


def conditions(**states):
    return [
        {"type": kind, "status": "True" if state is True else "False"}
        for kind, state in states.items()
    ]


def pod(phase, apps=(), inits=(), sidecars=(), deleted=False, **more):
    """A Pod as the API server gives it."""
    names = [each["name"] for each in inits]
    spec = {
        "containers": (
            [{"name": each["name"], "image": "busybox:1.35.0"} for each in apps]
            or [{"name": "app", "image": "busybox:1.35.0"}]
        )
    }
    if names:
        restarting = {name: {"restartPolicy": "Always"} for name in sidecars}
        spec["initContainers"] = [
            {"name": name, "image": "busybox:1.35.0", **restarting.get(name, {})} for name in names
        ]
    metadata = {
        "name": "one",
        "uid": "uid-1",
        **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {}),
    }
    found = {"phase": phase, **more}
    if apps:
        found["containerStatuses"] = list(apps)
    if inits:
        found["initContainerStatuses"] = list(inits)
    return {"kind": "Pod", "metadata": metadata, "spec": spec, "status": found}


WAITING = status("app", "waiting:PodInitializing")
UP, READY = status("app", "running", ready=True), {"conditions": conditions(Ready=True)}
GATED = [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]
KUBECTL_STATUS = {
    "no container yet": ("Pending", pod("Pending")),
    "gated": ("SchedulingGated", pod("Pending", conditions=GATED)),
    "refused by the kubelet": ("NodeAffinity", pod("Failed", reason="NodeAffinity")),
    "creating": ("ContainerCreating", pod("Pending", [status("app", "waiting:ContainerCreating")])),
    "no image": ("ErrImageNeverPull", pod("Pending", [status("app", "waiting:ErrImageNeverPull")])),
    "waiting without a reason": ("Pending", pod("Pending", [status("app", "waiting")])),
    "running": ("Running", pod("Running", [UP], **READY)),
    "one waits, the first has the last word": (
        "ErrImagePull",
        pod(
            "Pending",
            [
                status("a", "waiting:ErrImagePull"),
                status("b", "waiting:CreateContainerConfigError"),
                status("c", "running"),
            ],
        ),
    ),
    "completed beside a running one, Ready": (
        "Running",
        pod("Running", [status("a", "Completed:0"), UP], **READY),
    ),
    "completed beside a running one, not Ready": (
        "NotReady",
        pod("Running", [status("a", "Completed:0"), UP]),
    ),
    "completed beside a failed one": (
        "Error",
        pod("Running", [status("a", "Completed:0"), status("b", "Error:1"), UP]),
    ),
    "completed": ("Completed", pod("Succeeded", [status("app", "Completed:0")])),
    "failed": ("Error", pod("Failed", [status("app", "Error:1")])),
    "out of memory": ("OOMKilled", pod("Running", [status("app", "OOMKilled:137")])),
    "an end without a reason": ("ExitCode:3", pod("Running", [status("app", ":3")])),
    "crashed": (
        "CrashLoopBackOff",
        pod("Running", [status("app", "waiting:CrashLoopBackOff", restarts=3)]),
    ),
    "evicted": ("Evicted", pod("Failed", reason="Evicted")),
    "first of two inits": (
        "Init:0/2",
        pod("Pending", [WAITING], [status("i", "running"), status("j", "waiting:PodInitializing")]),
    ),
    "second of two inits": (
        "Init:1/2",
        pod("Pending", [WAITING], [status("i", "Completed:0"), status("j", "running")]),
    ),
    "an init failed": ("Init:Error", pod("Pending", [WAITING], [status("i", "Error:1")])),
    "an init failed without a reason": (
        "Init:ExitCode:7",
        pod("Pending", [WAITING], [status("i", ":7")]),
    ),
    "an init backs off": (
        "Init:CrashLoopBackOff",
        pod("Pending", [WAITING], [status("i", "waiting:CrashLoopBackOff")]),
    ),
    "inits done": ("PodInitializing", pod("Pending", [WAITING], [status("i", "Completed:0")])),
    "a sidecar has not started": (
        "Init:0/2",
        pod(
            "Pending",
            [WAITING],
            [status("s", "running", started=False), status("t", "waiting")],
            sidecars=("s", "t"),
        ),
    ),
    "one sidecar has started": (
        "Init:1/2",
        pod(
            "Pending",
            [WAITING],
            [status("s", "running", started=True), status("t", "running", started=False)],
            sidecars=("s", "t"),
        ),
    ),
    "sidecar and app": (
        "Running",
        pod(
            "Running",
            [UP],
            [status("s", "running", ready=True, started=True)],
            sidecars=("s",),
            conditions=conditions(Initialized=True),
        ),
    ),
    "a sidecar has ended, the app waits": (
        "Init:Error",
        pod(
            "Pending",
            [status("app", "waiting")],
            [status("s", "Error:1", started=False)],
            sidecars=("s",),
        ),
    ),
    "a sidecar was killed at the end": (
        "Completed",
        pod(
            "Succeeded",
            [status("app", "Completed:0")],
            [status("s", "Error:137", started=False)],
            sidecars=("s",),
            conditions=conditions(Initialized=True),
        ),
    ),
    "a sidecar backs off beside a ready app": (
        "Init:CrashLoopBackOff",
        pod(
            "Running",
            [UP],
            [status("s", "waiting:CrashLoopBackOff", started=False)],
            sidecars=("s",),
            conditions=conditions(Initialized=True, Ready=False),
        ),
    ),
    "terminating": ("Terminating", pod("Running", [UP], deleted=True, **READY)),
    "terminating before it ran": ("Terminating", pod("Pending", deleted=True)),
    "ended, then deleted": (
        "Completed",
        pod("Succeeded", [status("app", "Completed:0")], deleted=True),
    ),
    "its node is lost": ("Running", pod("Running", [UP], **READY, message="")),
    "its node is lost, deleted": ("Unknown", pod("Running", [UP], deleted=True, reason="NodeLost")),
}


@pytest.mark.parametrize(("expected", "raw"), KUBECTL_STATUS.values(), ids=KUBECTL_STATUS)
def test_kubectl_status(expected, raw):
    assert PodSnapshot(raw).kubectl_status == expected
