"""The one cluster of the labs: which engine, which door, up, down, how it is. Nothing in a lab
imports this module.

Two doors lead to the same cluster. With a registry, kind's own node image, by digest. Without one,
an image of the same Kubernetes built here from Go modules and Debian packages (cluster/build.py),
or brought in a bundle. ``PODLAB_DOOR=registry`` or ``build`` chooses; otherwise what is on the
machine comes first, then a registry that answers, then the build.
"""

import json
import os
import platform
import shutil
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from labhelpers import paths
from labhelpers.cluster import build, doctor, engine
from labhelpers.cluster.progress import Step, stage
from labhelpers.errors import LabError, NotOurCluster, TimedOut
from labhelpers.files import lock
from labhelpers.kube import client, fields
from labhelpers.kube.waiting import wait_until
from labhelpers.node import undo
from labhelpers.node.node import Node

__all__ = [
    "Status",
    "busybox_image",
    "check_up",
    "docker",
    "doctor_report",
    "down",
    "known_images",
    "node_image",
    "note_programs",
    "own_name",
    "pins",
    "purge",
    "recipe_digest",
    "record_image",
    "status",
    "stop_engine",
    "up",
    "use_programs",
]

READY_SECONDS = 120


@dataclass(frozen=True)
class Status:
    """How a cluster is: ``running``, ``stopped``, ``half-made``, ``absent`` or ``not ours``; the
    node's image and Kubernetes' version."""

    cluster: str
    state: str
    image: str = ""
    kubernetes: str = ""
    detail: str = ""

    def __str__(self) -> str:
        told = [f"cluster {self.cluster}: {self.state}"]
        told += [f"Kubernetes {self.kubernetes}"] if self.kubernetes else []
        told += [f"image {self.image}"] if self.image else []
        told += [self.detail] if self.detail else []
        return ", ".join(told)


# --- The pins and the recipe ----------------------------------------------------------------------


def pins() -> dict[str, str]:
    """``[tool.podlab]`` of pyproject.toml: the images of the door with a registry."""
    return tomllib.loads((paths.repository() / "pyproject.toml").read_text())["tool"]["podlab"]


def offline() -> bool:
    return os.environ.get("PODLAB_OFFLINE") == "1"


def known_images() -> list[str]:
    """The node images that serve this checkout and may be on the engine already: the one built
    here, and kind's own."""
    built, kinds = [recorded_image()], [own_name(pins()["node_image"]), pins()["node_image"]]
    names = {"registry": kinds, "build": built}.get(
        os.environ.get("PODLAB_DOOR", ""), built + kinds
    )
    return [name for name in names if name]


def own_name(image: str) -> str:
    """The name under which a bundle brings an image: `docker save` keeps names and drops digests,
    so one by digest gets a name of ours.

    >>> own_name("kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5")
    'podlab-node:v1.37.0-a1ed56cfb0e7'
    >>> own_name("podlab-node:v1.37.0-0123456789ab")
    'podlab-node:v1.37.0-0123456789ab'
    """
    name, _, digest = image.partition("@sha256:")
    return f"podlab-{name.rpartition('/')[2]}-{digest[:12]}" if digest else image


def image_record() -> Path:
    return paths.cache() / "node-image.json"


def recorded_image() -> str:
    """The image that was built or loaded for the recipe as it is now; "" if there is none."""
    try:
        record = json.loads(image_record().read_text())
    except (FileNotFoundError, ValueError):
        return ""
    return record.get("image", "") if record.get("recipe") == recipe_digest() else ""


def record_image(image: str) -> None:
    image_record().parent.mkdir(parents=True, exist_ok=True)
    image_record().write_text(json.dumps({"image": image, "recipe": recipe_digest()}) + "\n")


def recipe_digest() -> str:
    return build.digest(build.HERE / "modules", build.HERE / "rootfs", Path(build.__file__))


# --- What is there --------------------------------------------------------------------------------


def docker(*arguments: str | Path, timeout_seconds: float = 60, check: bool = True) -> str:
    """One docker command; its output. Without ``check`` a failure is an empty text."""
    try:
        done = subprocess.run(
            ["docker", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            stdin=subprocess.DEVNULL,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        if not check:
            return ""
        raise LabError(
            f"docker {arguments[0]} got no answer.", str(error), "Run `podlab doctor`."
        ) from error
    if done.returncode and check:
        raise LabError(
            f"docker {arguments[0]} failed.",
            (done.stderr.strip() or "no message").splitlines()[-1],
            "Run `podlab doctor`.",
        )
    return "" if done.returncode else done.stdout.strip()


def container(cluster: str) -> str:
    """The name of the node's container: kind names it so."""
    return f"{cluster}-control-plane"


def made_record(cluster: str) -> Path:
    """Written when ``up`` has come to its end; a cluster without it was interrupted in the
    making."""
    return paths.state(cluster) / "made.json"


def node_container(cluster: str) -> tuple[str, str, str]:
    """(id, state, image) of the node's container; empty texts if there is none."""
    told = docker(
        "inspect",
        "--format",
        "{{.Id}} {{.State.Status}} {{.Config.Image}}",
        container(cluster),
        check=False,
    )
    identity, state, image = told.split() if told else ("", "", "")
    return identity, state, image


def mounts_our_policy(cluster: str) -> bool:
    """Whether the node's container mounts the file that ``create`` lays into the state folder
    before it calls kind.

    So it is told which container is ours from the moment at which it exists, whatever interrupts
    ``up`` afterwards.
    """
    shape = (
        "{{range .Mounts}}{{if eq .Destination"
        ' "/etc/kubernetes/audit/policy.yaml"}}{{.Source}}{{end}}{{end}}'
    )
    source = docker("inspect", "--format", shape, container(cluster), check=False)
    policy = paths.state(cluster) / "audit-policy.yaml"
    # Docker Desktop says where its virtual machine has the file: one of a Mac under /host_mnt, one
    # of WSL under a name that tells nothing.
    if "/docker-desktop-bind-mounts/" in source:
        return policy.exists()
    return bool(source) and Path(source.removeprefix("/host_mnt")).resolve() == policy.resolve()


def status(cluster: str | None = None) -> Status:
    """Look, and change nothing.

    >>> status("a-cluster-that-nobody-made").state
    'absent'
    """
    cluster = cluster or paths.cluster_name()
    if not engine.answering_version():
        made = made_record(cluster).exists()
        detail = "no Docker engine answers"
        return Status(cluster, "stopped" if made else "absent", detail=detail)
    identity, state, image = node_container(cluster)
    if not identity:
        return Status(cluster, "absent")
    try:
        made = json.loads(made_record(cluster).read_text())
    except (FileNotFoundError, ValueError):
        made = {}
    if made.get("container") != identity and not mounts_our_policy(cluster):
        detail = (
            f"the container {container(cluster)} was not made from {paths.state(cluster)}, and is"
            " left as it is"
        )
        return Status(cluster, "not ours", image, detail=detail)
    if made.get("container") != identity:
        return Status(
            cluster,
            "half-made",
            image,
            detail="an interrupted `podlab up` left it: `podlab up` makes it anew",
        )
    if state != "running":
        return Status(
            cluster,
            "stopped",
            image,
            made.get("kubernetes", ""),
            f"its container is {state}: `podlab up` starts it",
        )
    return Status(cluster, "running", image, made.get("kubernetes", ""))


def require_ours(now: Status) -> None:
    """Raises NotOurCluster if it is somebody else's, or was made with another PODLAB_STATE."""
    if now.state == "not ours":
        raise NotOurCluster(
            f"The cluster {now.cluster} is not one that podlab made here, so nothing was done"
            " to it.",
            now.detail,
            "Choose another name with `--cluster NAME`; one of yours goes by `docker rm --force"
            f" --volumes {container(now.cluster)}`.",
        )


def check_up(cluster: str | None = None) -> None:
    """Raises LabError in three lines unless the cluster is ours, runs and answers."""
    now = status(cluster)
    require_ours(now)
    if now.state != "running":
        raise LabError(f"The cluster {now.cluster} is not running.", str(now), "Run `podlab up`.")
    client.connect(paths.kubeconfig(now.cluster)).close()


def doctor_report(cluster: str | None = None) -> tuple[str, bool]:
    """One line for each thing that a cluster needs, and whether ``up`` will work. What ended
    kernels left on the node is put back."""
    cluster = cluster or paths.cluster_name()
    findings = doctor.examine(
        cluster, node_images=known_images(), registry_image=pins()["node_image"]
    )
    findings.append(doctor.mend(cluster))
    return doctor.render(findings), all(finding.ok is not False for finding in findings)


# --- The programs ---------------------------------------------------------------------------------


def use_programs(image: str) -> None:
    """See to it that kind and kubectl are in ``places.tools()``, in the versions of this
    checkout."""
    sources = {"kind": build.kind_program, "kubectl": lambda: kubectl_program(image)}
    for name, wanted in program_notes(image).items():
        place = paths.tools() / name
        if place.exists() and note_of(name).exists() and note_of(name).read_text() == wanted:
            continue
        source = sources[name]()
        with stage(f"{name} in {paths.tools()}"):
            with build.whole(place) as new:
                shutil.copy2(source, new)
                new.chmod(0o755)
            note_of(name).write_text(wanted)


def program_notes(image: str) -> dict[str, str]:
    return {"kind": f"kind {build.KIND.version}", "kubectl": f"kubectl for {image}"}


def note_of(name: str) -> Path:
    return paths.tools() / f".{name}.version"


def note_programs(image: str) -> None:
    """The programs in ``places.tools()`` came with a bundle: say which they are, so that nothing is
    built in their place."""
    for name, text in program_notes(image).items():
        note_of(name).write_text(text)


def kubectl_program(image: str) -> Path:
    """kubectl without a build where that can be: the program that is in the node image runs on a
    Linux of the same architecture."""
    if platform.system() != "Linux":
        return build.build_kubectl()

    def copy(step: Step, target: Path) -> None:
        made = docker("create", image)
        try:
            # A link in our image, a file in kind's.
            docker("cp", "--follow-link", f"{made}:/usr/bin/kubectl", target, timeout_seconds=120)
        finally:
            docker("rm", made, check=False)

    return build.once(
        "kubectl out of the node image",
        paths.cache() / "kubectl" / image.rsplit(":", 1)[1][:40] / "kubectl",
        copy,
    )


# --- The node image -------------------------------------------------------------------------------


def node_image() -> str:
    """The image that the node is made from, brought here if it is not: the door.

    Raises:
        LabError: no door opens; each that was tried is named.
    """
    if image := first_here(known_images()):
        return image
    door = os.environ.get("PODLAB_DOOR", "")
    if door not in ("", "registry", "build"):
        raise LabError(
            "PODLAB_DOOR names no door.", door, "Set it to registry or build, or leave it unset."
        )
    tried = (
        "the registry was not asked"
        f" ({'PODLAB_DOOR=build' if door == 'build' else 'PODLAB_OFFLINE=1'})"
    )
    if door != "build" and not offline():
        try:
            return pull(pins()["node_image"])
        except LabError as refused:
            if door == "registry":
                raise
            tried = refused.seen
    reason = engine.can_start_here(
        platform.system(),
        Path("/etc/os-release").read_text() if Path("/etc/os-release").exists() else "",
        os.geteuid() == 0,
        "",
    )
    if door == "registry":
        reason = "PODLAB_DOOR=registry rules a build out"
    if reason:
        raise LabError(
            "There is no node image, and none can be built here.",
            f"{tried}; {reason.replace('an engine', 'a build')}",
            "Mend the network, or bring a bundle: `podlab bundle load FILE`.",
        )
    with stage("packages for the build") as step:
        engine.start(step, building=True)
    image = build.image()
    record_image(image)
    return image


def pull(image: str) -> str:
    """Pull an image by digest. A registry that does not answer is given up after a few seconds, a
    slow one is not."""
    with stage(f"image {image.partition('@')[0]}") as step:
        step.say("asking the registry")
        docker("manifest", "inspect", image, timeout_seconds=8)
        step.run(
            ["docker", "pull", image], log=paths.cache() / "logs" / "pull.log", timeout_seconds=3600
        )
    return image


def first_here(images: list[str]) -> str:
    """The first of the images that the engine has; "" if it has none."""
    return next(
        (
            image
            for image in images
            if docker("image", "inspect", "--format", "{{.Id}}", image, check=False)
        ),
        "",
    )


def busybox_image() -> str:
    """The busybox that goes with kind's own node image: the one that a bundle brought, else by
    digest, pulled if it is not here."""
    pinned = pins()["busybox_image"]
    return first_here([own_name(pinned), pinned]) or pull(pinned)


def load_busybox(cluster: str) -> None:
    """Where the node came by a registry: put busybox on it, under both names that the labs use. Our
    own image has it inside."""
    wanted = [build.BUSYBOX, build.BUSYBOX_UNPULLABLE]
    names = docker(
        "exec", container(cluster), "ctr", "--namespace=k8s.io", "images", "list", "-q"
    ).splitlines()
    if set(wanted) <= set(names):
        return
    put_image(cluster, busybox_image(), wanted)


def put_image(cluster: str, image: str, names: list[str]) -> None:
    """Copy one image from the engine onto the node, for the node's own platform only, under these
    names."""
    passing = f"podlab-passing:{os.getpid()}"
    docker("tag", image, passing)
    save = subprocess.Popen(["docker", "save", passing], stdout=subprocess.PIPE)
    ctr = [
        "docker",
        "exec",
        "--interactive",
        container(cluster),
        "ctr",
        "--namespace=k8s.io",
        "images",
    ]
    try:
        taken = subprocess.run(
            [*ctr, "import", "-"], stdin=save.stdout, capture_output=True, text=True, timeout=120
        )
        save.stdout.close()
        if save.wait(30) or taken.returncode:
            words = (taken.stderr.strip().splitlines() or ["docker save failed"])[-1]
            raise LabError(f"{image} cannot be put on the node.", words, "Run `podlab doctor`.")
        for name in names:
            docker(*ctr[1:], "tag", "--force", f"docker.io/library/{passing}", name)
        docker(*ctr[1:], "remove", f"docker.io/library/{passing}")
    finally:
        if save.poll() is None:
            save.kill()
            save.wait()
        docker("rmi", "--no-prune", passing, check=False)


# --- Up and down ----------------------------------------------------------------------------------


def up(cluster: str | None = None) -> None:
    """Bring the cluster up, whatever is there: nothing, an engine, a stopped cluster, half of one.
    Again: a second.

    Raises:
        NotOurCluster: there is a container of that name which ``up`` did not make.
        LabError: a stage failed; what was done before is kept, and the next ``up`` goes on from it.
    """
    cluster = cluster or paths.cluster_name()
    with alone(cluster):
        now = status(cluster)
        require_ours(now)
        if now.state != "running":
            doctor.require(doctor.examine(cluster, node_images=known_images()))
            with stage("Docker engine") as step:
                engine.start(step)
            now = status(cluster)
            require_ours(now)
        if now.state == "half-made":
            with stage(f"what an interrupted run left of {cluster}") as step:
                delete(cluster, step)
            now = status(cluster)
        if now.state == "absent":
            image = node_image()
            use_programs(image)
            create(cluster, image)
        else:
            use_programs(now.image)
            wake(cluster, now)


def create(cluster: str, image: str) -> None:
    state = paths.state(cluster)
    with stage(f"cluster {cluster}") as step:
        state.mkdir(parents=True, exist_ok=True)
        made_record(cluster).unlink(missing_ok=True)
        # Beside the kubeconfig, because the cluster outlives a checkout that is moved: its
        # container mounts the policy from here.
        for name in ("cluster.yaml", "audit-policy.yaml"):
            shutil.copyfile(paths.repository() / "kind" / name, state / name)
        command = [paths.tools() / "kind", "create", "cluster", "--name", cluster, "--image", image]
        command += ["--config", "cluster.yaml", "--kubeconfig", paths.kubeconfig(cluster)]
        try:
            step.run(
                command,
                log=state / "kind.log",
                timeout_seconds=600,
                cwd=state,
                env=kind_environment(),
            )
        except LabError as error:
            keep_logs(cluster)
            raise LabError(
                "kind could not create the cluster.",
                error.seen,
                f"Read {state / 'kind.log'} and {state / 'logs'}.",
            ) from error
        load_busybox(cluster)
        mark(cluster)
        make_usable(cluster, step)


def kubectl(cluster: str, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess:
    command = [
        str(paths.tools() / "kubectl"),
        "--kubeconfig",
        str(paths.kubeconfig(cluster)),
        "--request-timeout=20s",
        *words,
    ]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)


def readyz(cluster: str) -> str:
    """ "ok" from a server whose start-up is done; else why not."""
    done = kubectl(cluster, "get", "--raw=/readyz")
    return (
        done.stdout
        if done.returncode == 0
        else (done.stderr.strip() or "no answer").splitlines()[-1]
    )


def mark(cluster: str) -> None:
    """Put the mark on a cluster that was just made: `api.connect` refuses every cluster without
    it."""
    body = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": client.NODE_NAMESPACE, "labels": {client.MARK: "cluster"}},
    }
    # One plain request: `kubectl apply` would first fetch all that the server can tell of its
    # types.
    done = kubectl(
        cluster, "create", "--raw=/api/v1/namespaces", "--filename=-", stdin=json.dumps(body)
    )
    if done.returncode:
        raise LabError(
            f"The cluster {cluster} was made, but takes no orders.",
            done.stderr,
            "Run `podlab down`, then `podlab up`.",
        )


def wake(cluster: str, now: Status) -> None:
    with stage(f"cluster {cluster}") as step:
        begin = time.monotonic()
        if now.state == "stopped":
            step.say("starting its container")
            docker("start", container(cluster))
        # The engine may have given the API server another port; and an engine that was killed comes
        # back with its containers by itself.
        refresh_kubeconfig(cluster)
        make_usable(cluster, step, proved=now.state == "running")
        if now.state == "running" and time.monotonic() - begin < 5:
            step.skip(f"running, Kubernetes {now.kubernetes}")


def refresh_kubeconfig(cluster: str) -> None:
    command = [
        paths.tools() / "kind",
        "export",
        "kubeconfig",
        "--name",
        cluster,
        "--kubeconfig",
        paths.kubeconfig(cluster),
    ]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=60, env=kind_environment()
    )
    if done.returncode:
        words = (done.stderr.strip() or "no message").splitlines()[-1]
        raise LabError(
            f"The cluster {cluster} gives no kubeconfig.",
            words,
            "Run `podlab down`, then `podlab up`.",
        )


def make_usable(cluster: str, step: Step, *, proved: bool = False) -> None:
    """Ready is not usable: also the default ServiceAccount, DNS, volumes, and the Pod through which
    labs see the node have to be there.

    DNS and volumes are proved by using them (kind/proof.yaml); where that was done before, it is
    enough that those who serve them answer.
    """
    deadline = time.monotonic() + READY_SECONDS
    while True:
        step.say("waiting for the API server")
        words = readyz(cluster)
        # Until its own start-up is done, a server that answers may still forbid everything to
        # everybody.
        if words == "ok":
            try:
                version = use_all(cluster, step, deadline, proved)
                break
            except client.Unreachable as error:
                # After the engine was killed, a server can answer and go away once more.
                words = error.seen
        if time.monotonic() > deadline:
            raise TimedOut(
                f"The cluster {cluster} does not answer after {READY_SECONDS} s.",
                words,
                "Run `podlab down`, then `podlab up`.",
            )
        time.sleep(0.2)
    identity, _, image = node_container(cluster)
    made_record(cluster).write_text(
        json.dumps({"container": identity, "image": image, "kubernetes": version}) + "\n"
    )


def use_all(cluster: str, step: Step, deadline: float, proved: bool) -> str:
    """Everything that `make_usable` promises, tried once; the server's version."""

    def left() -> float:
        return max(1.0, deadline - time.monotonic())

    connection = client.connect(paths.kubeconfig(cluster))
    try:
        step.say("waiting for the node")
        wait_until(
            connection,
            "Node",
            container(cluster),
            lambda node: fields.is_true(node, "Ready"),
            what="Ready",
            timeout_seconds=left(),
        )
        for namespace in ("default", client.NODE_NAMESPACE):
            step.say(f"waiting for the default ServiceAccount of {namespace}")
            wait_until(
                connection,
                "ServiceAccount",
                "default",
                bool,
                what="there",
                timeout_seconds=left(),
                namespace=namespace,
            )
        if proved:
            Node(connection).ensure(timeout_seconds=left())
            for namespace, name in (
                ("kube-system", "coredns"),
                ("local-path-storage", "local-path-provisioner"),
            ):
                step.say(f"waiting for {name}")
                wait_until(
                    connection,
                    "Deployment",
                    name,
                    is_available,
                    what="available",
                    timeout_seconds=left(),
                    namespace=namespace,
                )
        else:
            with proof(connection.within(client.NODE_NAMESPACE)) as here:
                Node(connection).ensure(timeout_seconds=left())
                step.say("waiting until a volume is bound and DNS answers")
                wait_until(
                    here,
                    "PersistentVolumeClaim",
                    "proof",
                    is_in("Bound"),
                    what="Bound",
                    timeout_seconds=left(),
                )
                wait_until(
                    here,
                    "Pod",
                    "proof",
                    is_in("Succeeded"),
                    what="Succeeded",
                    timeout_seconds=left(),
                )
        return connection.raw("/version")["gitVersion"]
    finally:
        connection.close()


@contextmanager
def proof(here: client.Connection) -> Iterator[client.Connection]:
    """A claim, and a Pod that starts when it is bound and ends when DNS has answered; both go
    afterwards."""
    bodies = list(yaml.safe_load_all((paths.repository() / "kind" / "proof.yaml").read_text()))
    here.delete(
        "Pod", "proof", grace_seconds=0
    )  # one that a killed `up` left would tell of yesterday
    wait_until(here, "Pod", "proof", lambda pod: pod is None, what="gone", timeout_seconds=30)
    try:
        for body in bodies:
            here.apply(body)
        yield here
    finally:
        for body in reversed(bodies):
            here.delete(body["kind"], "proof", grace_seconds=0)


def is_in(phase: str) -> Callable[[dict | None], bool]:
    return lambda found: (found or {}).get("status", {}).get("phase") == phase


def is_ready(node: dict | None) -> bool:
    return fields.is_true(node, "Ready")


def is_available(deployment: dict | None) -> bool:
    """Kubernetes' own word for a Deployment that answers, said of what was asked for last. CoreDNS
    is so with one of its two."""
    told = (deployment or {}).get("status", {})
    fresh = (
        told.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
        if deployment
        else False
    )
    return fresh and fields.is_true(deployment, "Available")


def down(cluster: str | None = None) -> bool:
    """Delete the cluster and its kubeconfigs. The engine, the images and the caches stay. Returns
    whether there was one.

    Raises:
        NotOurCluster: there is a container of that name which ``up`` did not make.
        LabError: no engine answers, and there is a cluster.
    """
    cluster = cluster or paths.cluster_name()
    with alone(cluster):
        answers = engine.answering_version()
        if not answers and made_record(cluster).exists():
            seen = f"no Docker engine answers, and {made_record(cluster)} says that there is one"
            raise LabError(
                f"The cluster {cluster} cannot be deleted.",
                seen,
                "Start Docker, or run `podlab up`; then run it again.",
            )
        there = bool(answers) and bool(node_container(cluster)[0])
        if there:
            require_ours(status(cluster))
            give_back(cluster)
        with stage(f"cluster {cluster}") as step:
            if there:
                delete(cluster, step)
            else:
                step.skip("not there")
        remove_state(cluster)
    return there


def give_back(cluster: str) -> None:
    """The huge pages that a lab took from the machine would outlive the cluster. What cannot be
    done now stays on record."""

    def run(script: str) -> str:
        return docker("exec", container(cluster), "sh", "-c", script)

    if (paths.state(cluster) / undo.RECORD).exists():
        with stage("changes of the node") as step:
            try:
                undo.put_back_pages(run, cluster)
            except LabError as error:
                step.skip(
                    f"not put back, so still on record: {error.happened} `podlab up`, then `podlab"
                    " doctor`, do it"
                )


def delete(cluster: str, step: Step) -> None:
    step.say("deleting its container")
    docker("rm", "--force", "--volumes", container(cluster), timeout_seconds=120)
    made_record(cluster).unlink(missing_ok=True)


def remove_state(cluster: str) -> None:
    state = paths.state(cluster)
    for path in state.glob("*") if state.exists() else ():
        # The lock is held; the scores are the reader's, not the cluster's; what is still in the
        # record is the machine's.
        if path.name in ("lock", "scores.json", undo.RECORD):
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def purge() -> None:
    """After ``down``: the node images, everything in the cache folder, and the engine if it is
    ours; not what another container needs."""
    with stage("images and caches") as step:
        if engine.answering_version():
            ours = ("--filter=reference=podlab-node", "--filter=reference=podlab-busybox")
            images = docker(
                "images", "--format", "{{.Repository}}:{{.Tag}}", *ours, check=False
            ).splitlines()
            if kept := [image for image in images if not docker("rmi", image, check=False)]:
                step.skip(f"removed, but for {', '.join(kept)}, from which there is a container")
        if paths.cache().exists():
            # Go writes its module cache read-only.
            for path in paths.cache().rglob("*"):
                if path.is_dir() and not path.is_symlink():
                    path.chmod(0o755)
            shutil.rmtree(paths.cache())
    stop_engine()


def stop_engine() -> None:
    """End the engine that podlab started, unless a container runs on it, which is somebody
    else's."""
    with stage("Docker engine") as step:
        answers = engine.started_by_us() and engine.answering_version()
        if running := docker("ps", "--format", "{{.Names}}").splitlines() if answers else []:
            step.skip(f"kept, because {', '.join(running)} runs on it")
        else:
            step.skip("stopped" if engine.stop() else "podlab has started none")


def kind_environment() -> dict[str, str]:
    # KUBECONFIG would make kind write into the reader's own file as well.
    return {
        **{k: v for k, v in os.environ.items() if k != "KUBECONFIG"},
        "KIND_EXPERIMENTAL_PROVIDER": "docker",
    }


def keep_logs(cluster: str) -> None:
    """What the node said before it failed, kept beside the kubeconfig."""
    folder = paths.state(cluster) / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "node.log").write_text(docker("logs", container(cluster), check=False))
    for unit in ("kubelet", "containerd"):
        words = docker(
            "exec",
            container(cluster),
            "journalctl",
            "--no-pager",
            "--unit",
            unit,
            "--lines",
            "200",
            check=False,
        )
        (folder / f"{unit}.log").write_text(words)


def alone(cluster: str) -> AbstractContextManager[None]:
    """One podlab command at a time for a cluster."""
    return lock(
        paths.state(cluster) / "lock", f"Another podlab command works on the cluster {cluster}."
    )
