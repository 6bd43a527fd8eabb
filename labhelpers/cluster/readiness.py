"""Waits until a cluster is usable. A Ready node is not enough: the default ServiceAccount, DNS,
volumes and the Pod through which labs see the node have to work too."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import yaml

from labhelpers import paths
from labhelpers.cluster.progress import Step
from labhelpers.errors import TimedOut, Unreachable
from labhelpers.kube import fields
from labhelpers.kube.client import NODE_NAMESPACE, Connection
from labhelpers.kube.connect import connect
from labhelpers.kube.waiting import wait_until
from labhelpers.node.node import Node
from labhelpers.paths import ClusterFiles
from labhelpers.patience import advice, factor, patient

__all__ = ["is_available", "kubectl", "wait_until_usable"]

READY_SECONDS = 120
SYSTEM_DEPLOYMENTS = (
    ("kube-system", "coredns"),
    ("local-path-storage", "local-path-provisioner"),
)


def kubectl(
    files: ClusterFiles, *words: str, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs the project's own kubectl as the cluster's administrator."""
    program, config = paths.tools() / "kubectl", files.kubeconfig
    return subprocess.run(
        [
            str(program),
            "--kubeconfig",
            str(config),
            f"--request-timeout={patient(20):.0f}s",
            *words,
        ],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=patient(60),
    )


def wait_until_usable(files: ClusterFiles, step: Step, *, proved: bool = False) -> str:
    """Waits until the cluster is usable.

    DNS and volumes are tested by using them (kind/proof.yaml). If that was done before, it's enough
    that the Deployments that serve them are available.

    Args:
        files: the cluster.
        step: where the progress is shown.
        proved: whether DNS and volumes have been tested before.

    Returns:
        The server's version, such as "v1.37.0".

    Raises:
        TimedOut: something is still missing after ``READY_SECONDS``, times ``PODLAB_PATIENCE``.
    """
    limit = patient(READY_SECONDS)
    deadline = time.monotonic() + limit
    while True:
        step.say("waiting for the API server")
        words = _readyz(files)
        # A server that is still starting may answer, and forbid everything to everybody.
        if words == "ok":
            try:
                return _use_everything(files, step, deadline, proved)
            except Unreachable as error:
                # After the engine was killed, a server can answer, and then be gone once more.
                words = error.seen
        if time.monotonic() > deadline:
            raise TimedOut(
                f"The cluster {files.name} didn't answer within {limit:g} s.",
                words,
                advice("Run `podlab down`, then `podlab up`."),
            )
        time.sleep(0.2)


def _readyz(files: ClusterFiles) -> str:
    """Asks the server: "ok" if its start-up is done, else why not."""
    done = kubectl(files, "get", "--raw=/readyz")
    if done.returncode == 0:
        return done.stdout
    return (done.stderr.strip() or "no answer").splitlines()[-1]


def _use_everything(files: ClusterFiles, step: Step, deadline: float, proved: bool) -> str:
    """Tries everything that `wait_until_usable` promises once; returns the server's version."""
    connection = connect(files.kubeconfig)

    def wait(
        kind: str,
        name: str,
        goal: Callable[[dict | None], bool],
        what: str,
        namespace: str | None = None,
    ) -> None:
        wait_until(
            connection,
            kind,
            name,
            goal,
            what=what,
            timeout_seconds=left(),
            namespace=namespace,
        )

    def left() -> float:
        # wait_until multiplies it again.
        return max(1.0, deadline - time.monotonic()) / factor()

    try:
        step.say("waiting for the node")
        wait("Node", files.container, lambda node: fields.is_true(node, "Ready"), "Ready")
        for namespace in ("default", NODE_NAMESPACE):
            step.say(f"waiting for the default ServiceAccount of {namespace}")
            wait("ServiceAccount", "default", bool, "there", namespace)
        if proved:
            Node(connection).ensure(timeout_seconds=left())
            for namespace, name in SYSTEM_DEPLOYMENTS:
                step.say(f"waiting for {name}")
                wait("Deployment", name, is_available, "available", namespace)
        else:
            here = NODE_NAMESPACE
            with _proof(connection.within(here)):
                Node(connection).ensure(timeout_seconds=left())
                step.say("waiting until a volume is bound and DNS answers")
                wait("PersistentVolumeClaim", "proof", _has_phase("Bound"), "Bound", here)
                wait("Pod", "proof", _has_phase("Succeeded"), "Succeeded", here)
        return connection.raw("/version")["gitVersion"]
    finally:
        connection.close()


@contextmanager
def _proof(here: Connection) -> Iterator[None]:
    """Creates a volume claim, and a Pod that starts when the claim is bound and ends when DNS has
    answered; deletes both afterwards."""
    text = (paths.repository() / "kind" / "proof.yaml").read_text(encoding="utf-8")
    bodies = list(yaml.safe_load_all(text))
    # One that a killed `up` left would prove nothing about now.
    here.delete("Pod", "proof", grace_seconds=0)
    wait_until(here, "Pod", "proof", lambda pod: pod is None, what="gone", timeout_seconds=30)
    try:
        for body in bodies:
            here.apply(body)
        yield
    finally:
        for body in reversed(bodies):
            here.delete(body["kind"], "proof", grace_seconds=0)


def _has_phase(phase: str) -> Callable[[dict | None], bool]:
    return lambda found: (found or {}).get("status", {}).get("phase") == phase


def is_available(deployment: dict | None) -> bool:
    """Whether a Deployment's condition Available is true for its newest generation. CoreDNS is
    available with one of its two Pods.

    >>> is_available(None)
    False
    """
    if not deployment:
        return False
    observed = deployment.get("status", {}).get("observedGeneration", 0)
    newest = observed >= deployment["metadata"]["generation"]
    return newest and fields.is_true(deployment, "Available")
