"""Creates, starts and deletes the labs' cluster, and reports its status. No lab imports this
module."""

import json
import os
import shutil
import subprocess
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from labhelpers import paths
from labhelpers.cluster import docker, doctor, engine, image, progress, readiness
from labhelpers.cluster.progress import Step
from labhelpers.errors import LabError, NotOurCluster
from labhelpers.files import lock, write_atomically
from labhelpers.kube.client import MARK, NODE_NAMESPACE
from labhelpers.kube.connect import connect
from labhelpers.node import hugepages
from labhelpers.node.record import RECORD
from labhelpers.paths import ClusterFiles
from labhelpers.patience import factor, patient

__all__ = [
    "Status",
    "check_up",
    "down",
    "give_back",
    "kind_environment",
    "locked",
    "purge",
    "status",
    "stop_engine",
    "up",
]

# kubeadm's own limits: https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4
KUBEADM_SECONDS = {
    "controlPlaneComponentHealthCheck": 240,
    "kubeletHealthCheck": 240,
    "kubernetesAPICall": 60,
    "etcdAPICall": 120,
    "tlsBootstrap": 300,
}


@dataclass(frozen=True)
class Status:
    """The state of a cluster.

    Attributes:
        cluster: its name.
        state: "running", "stopped", "half-made", "absent", "not ours", or "unknown" if the docker
            client doesn't show what its engine has.
        image: the node's image.
        kubernetes: the version, such as "v1.37.0".
        detail: what to know or do about it.
        engine: what the docker client says of its engine.
    """

    cluster: str
    state: str
    image: str = ""
    kubernetes: str = ""
    detail: str = ""
    engine: docker.Answer = field(default_factory=docker.Answer)

    def __str__(self) -> str:
        parts = [f"cluster {self.cluster}: {self.state}"]
        parts += [f"Kubernetes {self.kubernetes}"] if self.kubernetes else []
        parts += [f"image {self.image}"] if self.image else []
        parts += [self.detail] if self.detail else []
        return ", ".join(parts)


def _files(cluster: str | None) -> ClusterFiles:
    return ClusterFiles(cluster or paths.cluster_name())


# --- What is there --------------------------------------------------------------------------------


def status(cluster: str | None = None) -> Status:
    """Looks at the cluster, and changes nothing.

     status("a-cluster-that-nobody-made").state
    'absent'
    """
    return _status(_files(cluster))


def _status(files: ClusterFiles) -> Status:
    name = files.name
    if not (answer := docker.ask()).version:
        state = "stopped" if files.made_record.exists() else "absent"
        if answer.kind != "none":  # an engine that isn't reached may have the cluster running
            state = "unknown"
        detail = f"{answer.happened.removesuffix('.')} ({answer.trouble})"
        return Status(name, state, detail=detail[0].lower() + detail[1:], engine=answer)
    identity, state, node_image = _node_container(files)
    if not identity:
        return Status(name, "absent")
    try:
        made = json.loads(files.made_record.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        made = {}
    finished = made.get("container") == identity
    if not finished and not mounts_our_policy(files):
        detail = f"podlab didn't create the container {files.container} from {files.state}"
        return Status(name, "not ours", node_image, detail=detail)
    if not finished:
        detail = "an interrupted `podlab up` left it; `podlab up` creates it again"
        return Status(name, "half-made", node_image, detail=detail)
    kubernetes = made.get("kubernetes", "")
    if state != "running":
        detail = f"its container is {state}: `podlab up` starts it"
        return Status(name, "stopped", node_image, kubernetes, detail)
    return Status(name, "running", node_image, kubernetes)


def _node_container(files: ClusterFiles) -> tuple[str, str, str]:
    """(id, state, image) of the node's container; empty texts if there is none."""
    shape = "{{.Id}} {{.State.Status}} {{.Config.Image}}"
    found = docker.run("inspect", "--format", shape, files.container, check=False)
    identity, state, node_image = found.split() if found else ("", "", "")
    return identity, state, node_image


def mounts_our_policy(files: ClusterFiles) -> bool:
    """Whether the node's container mounts the file that ``up`` puts into the state folder before it
    calls kind. So we recognise a container as ours from the moment it exists, whatever interrupts
    ``up`` afterwards."""
    shape = (
        "{{range .Mounts}}{{if eq .Destination"
        ' "/etc/kubernetes/audit/policy.yaml"}}{{.Source}}{{end}}{{end}}'
    )
    source = docker.run("inspect", "--format", shape, files.container, check=False)
    # Docker Desktop gives the path in its virtual machine: under /host_mnt on a Mac, an opaque name
    # under WSL.
    if "/docker-desktop-bind-mounts/" in source:
        return files.audit_policy.exists()
    ours = files.audit_policy.resolve()
    return bool(source) and Path(source.removeprefix("/host_mnt")).resolve() == ours


def _require_ours(now: Status) -> None:
    """Raises NotOurCluster if it is somebody else's, or was made with another PODLAB_STATE."""
    if now.state == "not ours":
        container = ClusterFiles(now.cluster).container
        raise NotOurCluster(
            f"podlab didn't create the cluster {now.cluster} here, so it won't touch it.",
            now.detail,
            "Choose another name with `--cluster NAME`. If it is yours, delete it with"
            f" `docker rm --force --volumes {container}`.",
        )


def _require_known(now: Status) -> None:
    """Raises LabError, in the docker client's own words, if it doesn't show what is there."""
    if now.state == "unknown":
        raise now.engine.error()


def check_up(cluster: str | None = None) -> None:
    """Raises LabError unless the cluster is ours, runs and answers."""
    now = status(cluster)
    _require_known(now)
    _require_ours(now)
    if now.state != "running":
        raise LabError(f"The cluster {now.cluster} is not running.", str(now), "Run `podlab up`.")
    connect(ClusterFiles(now.cluster).kubeconfig).close()


# --- Up -------------------------------------------------------------------------------------------


def up(cluster: str | None = None) -> None:
    """Brings the cluster up, whatever is there: nothing, an engine, a stopped cluster, half of one.
    If it runs already, this takes a second.

    Raises:
        NotOurCluster: there is a container of that name which ``up`` did not create.
        LabError: a step failed; what was done before is kept, and the next ``up`` resumes there.
    """
    files = _files(cluster)
    with locked(files):
        now = _status(files)
        _require_ours(now)
        if now.state != "running":
            doctor.require(doctor.examine(files))
            with progress.step("Docker engine") as step:
                engine.start(step)
            now = _status(files)
            _require_known(now)
            _require_ours(now)
        if now.state == "half-made":
            with progress.step(f"what an interrupted run left of {files.name}") as step:
                _delete(files, step)
            now = _status(files)
        if now.state == "absent":
            node_image = image.node_image()
            image.use_programs(node_image)
            _create(files, node_image)
        else:
            image.use_programs(now.image)
            _wake(files, now)


def _create(files: ClusterFiles, node_image: str) -> None:
    with progress.step(f"cluster {files.name}") as step:
        files.state.mkdir(parents=True, exist_ok=True)
        files.made_record.unlink(missing_ok=True)
        for copy in (files.config, files.audit_policy):
            shutil.copyfile(paths.repository() / "kind" / copy.name, copy)
        if factor() > 1:
            files.config.write_text(patient_config(files.config.read_text(encoding="utf-8")))
        kind = paths.tools() / "kind"
        # Without --retain, kind removes a node that failed, with all its logs.
        command = [kind, "create", "cluster", "--retain", "--name", files.name]
        command += ["--image", node_image, "--config", files.config.name]
        command += ["--kubeconfig", files.kubeconfig]
        try:
            step.run(
                command,
                log=files.kind_log,
                timeout_seconds=600,
                cwd=files.state,
                env=kind_environment(),
            )
        except LabError as error:
            _keep_logs(files)
            if mounts_our_policy(files):
                _delete(files, step)
            raise LabError(
                "kind couldn't create the cluster.",
                error.seen,
                f"Read {files.kind_log} and {files.logs}, then run `podlab up` again.",
            ) from error
        image.load_busybox(files)
        _label_cluster(files)
        _make_usable(files, step)


def patient_config(text: str) -> str:
    """kind's configuration with kubeadm's own limits multiplied by ``PODLAB_PATIENCE``. Otherwise
    they'd end `kind create cluster` long before ours.

    >>> text = "nodes: [{kubeadmConfigPatches: []}]"
    >>> "kubeletHealthCheck: 240s" in patient_config(text)
    True
    """
    config = yaml.safe_load(text)
    limits = "".join(f"  {name}: {patient(s):.0f}s\n" for name, s in KUBEADM_SECONDS.items())
    for node in config["nodes"]:
        node["kubeadmConfigPatches"].append(f"kind: InitConfiguration\ntimeouts:\n{limits}")
    return yaml.safe_dump(config, sort_keys=False)


def _label_cluster(files: ClusterFiles) -> None:
    """Labels a cluster that was just created: ``connect`` refuses every cluster without the
    label."""
    body = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NODE_NAMESPACE, "labels": {MARK: "cluster"}},
    }
    # One plain request: `kubectl apply` would first fetch the server's whole schema.
    words = ("create", "--raw=/api/v1/namespaces", "--filename=-")
    done = readiness.kubectl(files, *words, stdin=json.dumps(body))
    if done.returncode:
        raise LabError(
            f"The cluster {files.name} was created, but its API server rejects requests.",
            done.stderr,
            "Run `podlab down`, then `podlab up`.",
        )


def _wake(files: ClusterFiles, now: Status) -> None:
    with progress.step(f"cluster {files.name}") as step:
        begin = time.monotonic()
        if now.state == "stopped":
            step.say("starting its container")
            docker.run("start", files.container)
        # The engine may have given the API server another port. And an engine that was killed
        # starts its containers by itself when it's back.
        _refresh_kubeconfig(files)
        _make_usable(files, step, proved=now.state == "running")
        if now.state == "running" and time.monotonic() - begin < 5:
            step.skip(f"running, Kubernetes {now.kubernetes}")


def _refresh_kubeconfig(files: ClusterFiles) -> None:
    command = [str(paths.tools() / "kind"), "export", "kubeconfig", "--name", files.name]
    done = subprocess.run(
        [*command, "--kubeconfig", str(files.kubeconfig)],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=patient(60),
        env=kind_environment(),
    )
    if done.returncode:
        raise LabError(
            f"kind can't write the kubeconfig of the cluster {files.name}.",
            (done.stderr.strip() or "no message").splitlines()[-1],
            "Run `podlab down`, then `podlab up`.",
        )


def _make_usable(files: ClusterFiles, step: Step, *, proved: bool = False) -> None:
    version = readiness.wait_until_usable(files, step, proved=proved)
    identity, _, node_image = _node_container(files)
    made = {"container": identity, "image": node_image, "kubernetes": version}
    write_atomically(files.made_record, json.dumps(made) + "\n")


def kind_environment() -> dict[str, str]:
    """The environment for kind, without KUBECONFIG: with it, kind would also write to the reader's
    own file."""
    kept = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    return {**kept, "KIND_EXPERIMENTAL_PROVIDER": "docker"}


def _keep_logs(files: ClusterFiles) -> None:
    """Keeps the logs of a node that failed, beside the kubeconfig."""
    files.logs.mkdir(parents=True, exist_ok=True)
    words = {"node": docker.run("logs", files.container, check=False)}
    for unit in ("kubelet", "containerd"):
        journal = ("journalctl", "--no-pager", "--unit", unit, "--lines", "200")
        words[unit] = docker.run("exec", files.container, *journal, check=False)
    # Only a static Pod's own log says why it crashed.
    crashed = "tail -n 50 /var/log/pods/kube-system_*/*/*.log"
    words["pods"] = docker.run("exec", files.container, "sh", "-c", crashed, check=False)
    for name, text in words.items():
        write_atomically(files.logs / f"{name}.log", text)


def locked(files: ClusterFiles) -> AbstractContextManager[None]:
    """Locks the cluster: one podlab command at a time works on it.

    Raises:
        TimedOut: another command holds the lock.
    """
    return lock(files.lock, f"Another podlab command is busy with the cluster {files.name}.")


# --- Down -----------------------------------------------------------------------------------------


def down(cluster: str | None = None) -> bool:
    """Deletes the cluster and its kubeconfigs. The engine, the images and the caches stay.

    Returns:
        Whether there was a cluster.

    Raises:
        NotOurCluster: there is a container of that name which ``up`` did not create.
        LabError: no engine answers, and there is a cluster.
    """
    files = _files(cluster)
    with locked(files):
        answer = docker.ask()
        if answer.kind not in ("answers", "none"):
            raise answer.error()  # a cluster may be there without showing
        if not answer.version and files.made_record.exists():
            raise LabError(
                f"The cluster {files.name} can't be deleted.",
                f"no Docker engine answers ({answer.trouble}), and {files.made_record} says that"
                " there is a cluster",
                "Start Docker, or run `podlab up`; then run `podlab down` again.",
            )
        there = bool(answer.version) and bool(_node_container(files)[0])
        if there:
            _require_ours(_status(files))
            give_back(files)
        with progress.step(f"cluster {files.name}") as step:
            if there:
                _delete(files, step)
            else:
                step.skip("not there")
        _remove_state(files)
    return there


def give_back(files: ClusterFiles) -> None:
    """Gives the machine back the huge pages that a lab took, which would outlive the cluster. What
    can't be done now stays on record."""

    def run(script: str) -> str:
        return docker.run("exec", files.container, "sh", "-c", script)

    if (files.state / RECORD).exists():
        with progress.step("changes of the node") as step:
            try:
                hugepages.put_back_pages(run, files.name)
            except LabError as error:
                step.skip(
                    f"not put back, so still on record: {error.happened} `podlab up`, then `podlab"
                    " doctor`, puts them back"
                )


def _delete(files: ClusterFiles, step: Step) -> None:
    step.say("deleting its container")
    docker.run("rm", "--force", "--volumes", files.container, timeout_seconds=120)
    files.made_record.unlink(missing_ok=True)


def _remove_state(files: ClusterFiles) -> None:
    # The lock is in use; scores, which an older podlab kept here, belong to the reader; what is
    # still on record belongs to the machine.
    kept = (files.lock.name, "scores.json", RECORD)
    for path in files.state.glob("*") if files.state.exists() else ():
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def purge() -> None:
    """Removes, after ``down``, the node images, everything in the cache folder, and the engine if
    podlab started it. What another container needs stays."""
    with progress.step("images and caches") as step:
        if docker.ask().version:
            ours = ("--filter=reference=podlab-node", "--filter=reference=podlab-busybox")
            shape = "{{.Repository}}:{{.Tag}}"
            images = docker.run("images", "--format", shape, *ours, check=False).splitlines()
            if kept := [name for name in images if not docker.run("rmi", name, check=False)]:
                step.skip(f"removed, except {', '.join(kept)}, which a container uses")
        if paths.cache().exists():
            # Go writes its module cache read-only.
            for path in paths.cache().rglob("*"):
                if path.is_dir() and not path.is_symlink():
                    path.chmod(0o755)
            shutil.rmtree(paths.cache())
    stop_engine()


def stop_engine() -> None:
    """Stops the engine that podlab started, unless containers still run on it, because those are
    somebody else's."""
    with progress.step("Docker engine") as step:
        answers = engine.started_by_us() and docker.ask().version
        if running := docker.run("ps", "--format", "{{.Names}}").splitlines() if answers else []:
            step.skip(f"kept, because it runs {', '.join(running)}")
        else:
            step.skip("stopped" if engine.stop() else "not started by podlab")
