"""What is measured, but for the node image. Each function measures one thing in rounds, and leaves
nothing behind."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from benchmarks.table import Result
from labhelpers import paths
from labhelpers.cluster import docker, engine, image, lifecycle, progress
from labhelpers.cluster.progress import Step
from labhelpers.errors import LabError
from labhelpers.kube.connect import connect
from labhelpers.kube.waiting import wait_until
from labhelpers.lab import Lab, start
from labhelpers.paths import ClusterFiles

__all__ = ["delay", "imports", "ready", "running_cluster", "sizes", "starts", "usable"]

HERE = Path(__file__).resolve().parent
OURS, RAW = "podlab-bench", "podlab-raw"
KUBECTL_SECONDS = 150


def program(
    command: list[str | Path], timeout_seconds: float, env: dict[str, str] | None = None
) -> float:
    """The seconds that a short program takes. Raises LabError when it fails."""
    begin = time.perf_counter()
    try:
        # The pipes are not for the output alone: their end is seen at once, where a bare wait with
        # a limit looks every 50 ms.
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            stdin=subprocess.DEVNULL,
            env=env,
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(
            f"{command[0]} did not end.",
            f"{timeout_seconds:g} s are over",
            "Look at the cluster: `podlab status`.",
        ) from error
    seconds = time.perf_counter() - begin
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise LabError(
            f"{Path(command[0]).name} failed.",
            words,
            f"Run it by hand: {' '.join(map(str, command))}",
        )
    return seconds


# --- A usable cluster -----------------------------------------------------------------------------


def usable(rounds: int) -> Result:
    """From nothing to a cluster that can be worked with: ``podlab up`` against kind and kubectl,
    with the same image and configuration.

    Both sides end with the same proof (kind/proof.yaml), sent as soon as it can be: its Pod waits
    on the node for its volume and for DNS.
    """
    with progress.step("Docker engine") as step:
        engine.start(step)
    node_image = image.node_image()
    image.use_programs(node_image)
    ours, by_hand = [], []
    # Two runs at a time would delete each other's clusters. The lock is that of the raw one, for
    # `podlab up` takes the other.
    with (
        tempfile.TemporaryDirectory(prefix="podlab-bench-") as folder,
        lifecycle.locked(ClusterFiles(RAW)),
    ):
        try:
            for number in range(rounds):
                for name, sides, bring_up in ((OURS, ours, podlab_up), (RAW, by_hand, kind_create)):
                    remove_clusters(Path(folder))
                    with progress.step(
                        f"usable cluster, round {number + 1} of {rounds}: {name}"
                    ) as step:
                        begin = time.perf_counter()
                        bring_up(step, node_image, Path(folder))
                        sides.append(time.perf_counter() - begin)
        finally:
            remove_clusters(Path(folder))
            shutil.rmtree(paths.state(RAW))
    return Result("usable cluster from nothing", "ratio", tuple(ours), tuple(by_hand), goal=1.10)


def podlab_up(step: Step, node_image: str, folder: Path) -> None:
    command = [sys.executable, "-m", "labhelpers.cli", "up", "--cluster", OURS]
    step.run(command, log=log(), timeout_seconds=600)


def kind_create(step: Step, node_image: str, folder: Path) -> None:
    for name in ("cluster.yaml", "audit-policy.yaml"):
        shutil.copyfile(paths.repository() / "kind" / name, folder / name)
    kubeconfig = folder / "kubeconfig"
    command = [paths.tools() / "kind", "create", "cluster", "--name", RAW, "--image", node_image]
    command += ["--config", "cluster.yaml", "--kubeconfig", kubeconfig]
    step.run(command, log=log(), timeout_seconds=600, cwd=folder, env=lifecycle.kind_environment())
    # Our own image has it inside; for kind's it has to be loaded on both sides.
    image.load_busybox(ClusterFiles(RAW))
    kubectl(kubeconfig, "wait", "--for=condition=Ready", "node", "--all")
    kubectl(kubeconfig, "wait", "--for=create", "serviceaccount/default")
    prove(kubeconfig)


def prove(kubeconfig: Path) -> None:
    kubectl(
        kubeconfig, "apply", "--filename", paths.repository() / "kind" / "proof.yaml", wait=False
    )
    kubectl(
        kubeconfig, "wait", "--for=jsonpath={.status.phase}=Bound", "persistentvolumeclaim/proof"
    )
    kubectl(kubeconfig, "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/proof")


def kubectl(kubeconfig: Path, *words: str | Path, wait: bool = True) -> None:
    limit = [f"--timeout={KUBECTL_SECONDS - 30}s"] if wait else []
    program(
        [paths.tools() / "kubectl", "--kubeconfig", kubeconfig, *words, *limit], KUBECTL_SECONDS
    )


def remove_clusters(folder: Path) -> None:
    """Both clusters of this measurement, whether this run made them or an interrupted one."""
    for name in (OURS, RAW):
        docker.run(
            "rm",
            "--force",
            "--volumes",
            ClusterFiles(name).container,
            timeout_seconds=120,
            check=False,
        )
    shutil.rmtree(paths.state(OURS), ignore_errors=True)
    (folder / "kubeconfig").unlink(missing_ok=True)


def log() -> Path:
    return paths.cache() / "logs" / "benchmarks.log"


# --- In a running cluster -------------------------------------------------------------------------


@contextmanager
def running_cluster() -> Iterator[Lab]:
    """A lab on the cluster that this process works with. A cluster that was not there is deleted
    again."""
    before = lifecycle.status()
    if before.state != "running":
        lifecycle.up()
    try:
        lab = start("bench")
        try:
            yield lab
        finally:
            lab.finish()
    finally:
        if before.state == "absent":
            lifecycle.down()


def starts(rounds: int) -> list[Result]:
    """What a reader waits for the second time: ``podlab up`` where the cluster runs, and ``start``
    in a warm kernel, which empties the lab's namespace."""
    ups, begun = [], []
    command = [sys.executable, "-m", "labhelpers.cli", "up"]
    with running_cluster(), progress.step("up, and start") as step:
        for number in range(rounds):
            step.say(f"round {number + 1} of {rounds}")
            ups.append(program(command, 120))
            begin = time.perf_counter()
            start("bench")
            begun.append(time.perf_counter() - begin)
    return [
        Result("podlab up where the cluster runs", "median", tuple(ups), goal=10),
        Result("start of a lab", "median", tuple(begun), goal=1),
    ]


def ready(rounds: int) -> Result:
    """Apply a Pod and wait until it is Ready: in a warm kernel, against two kubectl commands. The
    deletions between are not counted."""
    manifest = HERE / "pod.yaml"
    by_kubectl = [
        "sh",
        "-c",
        (
            f"kubectl apply -f '{manifest}' && kubectl wait --for=condition=Ready pod/bench"
            " --timeout=60s"
        ),
    ]
    ours, by_hand = [], []
    with running_cluster() as lab, progress.step("apply and Ready") as step:
        pod = lab.pod("bench")
        for number in range(rounds + 1):
            step.say(f"round {number} of {rounds}")
            begin = time.perf_counter()
            lab.apply(manifest).wait_until("Ready", timeout_seconds=60)
            ours.append(time.perf_counter() - begin)
            pod.delete(timeout_seconds=60, grace_seconds=1)
            by_hand.append(program(by_kubectl, 90))  # start() has put KUBECONFIG and PATH right
            pod.delete(timeout_seconds=60, grace_seconds=1)
    # The first pair fills the caches of both sides.
    return Result(
        "apply a Pod and wait until Ready", "ratio", tuple(ours[1:]), tuple(by_hand[1:]), goal=0.88
    )


def delay(rounds: int) -> Result:
    """How long after an event ``wait_until`` returns.

    The event is a change of a ConfigMap, written over a connection of its own when the wait is
    known to be in its watch: a change before it has come through. It is counted from the moment
    when the writer sends it, so that the write itself is in the figure.
    """
    delays, after_answer = [], []
    with (
        running_cluster() as lab,
        progress.step("delay of wait_until"),
        ThreadPoolExecutor(1) as pool,
    ):
        writer = connect(namespace=lab.namespace)
        try:
            body = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "event"},
                "data": {"step": ""},
            }
            lab.connection.apply(body)
            for number in range(rounds):
                listed, watching = threading.Event(), threading.Event()
                written = pool.submit(write_two, writer, number, listed, watching)

                def goal(
                    found: dict | None, number=number, listed=listed, watching=watching
                ) -> bool:
                    listed.set()
                    if found["data"]["step"] == f"{number} first":
                        watching.set()
                    return found["data"]["step"] == f"{number} second"

                wait_until(
                    lab.connection, "ConfigMap", "event", goal, what="written", timeout_seconds=20
                )
                returned = time.perf_counter()
                sent, answered = written.result(20)
                delays.append(returned - sent)
                after_answer.append(returned - answered)
        finally:
            writer.close()
    later = statistics.median(after_answer) * 1000
    note = (
        "counted from the sending of the change, so with the write itself; from the API's answer"
        f" to the writer it is {later:.1f} ms."
    )
    return Result(
        "delay of wait_until after the event", "median", tuple(delays), goal=0.030, note=note
    )


def write_two(
    writer, number: int, listed: threading.Event, watching: threading.Event
) -> tuple[float, float]:
    """Writes one change when the wait has listed, and the other when that has come through; when
    the second was sent and answered."""
    listed.wait(10)
    writer.patch("ConfigMap", "event", {"data": {"step": f"{number} first"}})
    watching.wait(10)
    sent = time.perf_counter()
    writer.patch("ConfigMap", "event", {"data": {"step": f"{number} second"}})
    return sent, time.perf_counter()


# --- Imports and sizes ----------------------------------------------------------------------------


def imports(rounds: int) -> Result:
    """What ``import labhelpers.lab`` takes beyond ``import kubernetes``, in fresh processes.

    From bytecode, as it is for a reader from the second time on. Where PYTHONDONTWRITEBYTECODE is
    set, only packages that pip installed have theirs, and a checkout is compiled each time; so both
    sides keep it in a folder of their own, and the first round is not counted.
    """
    ours, by_hand = [], []
    with progress.step("import"), tempfile.TemporaryDirectory() as folder:
        env = {
            key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"
        } | {"PYTHONPYCACHEPREFIX": folder}
        for _ in range(rounds + 1):
            ours.append(
                program([sys.executable, "-c", "import kubernetes, labhelpers.lab"], 60, env)
            )
            by_hand.append(program([sys.executable, "-c", "import kubernetes"], 60, env))
    return Result(
        "import labhelpers.lab beyond kubernetes",
        "difference",
        tuple(ours[1:]),
        tuple(by_hand[1:]),
        goal=0.1,
    )


def sizes(bundle: Path | None) -> list[Result]:
    """The node image as the engine has it, and the bundle if there is one."""
    node_image = image.node_image()
    found = [
        Result(
            "size of the node image",
            "median",
            (float(docker.run("inspect", "--format", "{{.Size}}", node_image)),),
            unit="B",
        )
    ]
    if bundle:
        found.append(
            Result("size of the bundle", "median", (float(bundle.stat().st_size),), unit="B")
        )
    return found
