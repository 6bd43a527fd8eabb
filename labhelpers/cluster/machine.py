"""Reads the facts about this machine, unjudged; findings.py says what they mean."""

import json
import os
import platform
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from labhelpers import paths
from labhelpers.cluster import docker, engine, engine_record, image
from labhelpers.cluster.docker import Answer
from labhelpers.cluster.probe import probe
from labhelpers.paths import ClusterFiles

__all__ = ["MachineFacts", "gather"]

PROBE_SECONDS = 5
NODE_SHAPE = "{{.State.Status}} {{.Config.Image}}"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class MachineFacts:
    """Texts of files, and outputs of programs: all that ``findings.judge`` needs.

    Attributes:
        docker_answer: what the client says when it's asked for its engine.
        docker_program: where the client is, links followed; "" if there is none.
        docker_info: ``docker info`` as JSON; empty if no engine answers.
        docker_trouble: the client's words in that case.
        docker_root_here: whether the engine's data folder is on this machine.
        hostname: this machine's name.
        proc_status, meminfo, mountinfo, cgroup_controllers: the texts of these files, "" where
            there are none.
        inotify_watches, inotify_instances, user_namespaces: the limits under /proc/sys, None where
            there are none.
        open_files: the hard limit of this process.
        free_bytes: free space where the engine stores; None if that is not on this machine.
        cache_free_bytes: free space where the node image is built.
        build_begun: whether an earlier build has left something there.
        files_trouble: which of podlab's own files, or which folder above them, can't be used; why;
            and the variable that moves them.
        checkout_writable: whether JupyterLab can save the notebooks.
        kind, kubectl: the first line that the project's own program prints; "" if it isn't there;
            "!" and a reason if it can't be run.
        node_container: the state of the node's container, "" if there is none.
        node_container_image: the image that it was made from.
        node_images: which of the wanted images the engine has.
        registry: None if not asked; "" if it has the image; else why not.
        port_trouble: "" if a port on the loopback device is available.
        port_wanted_trouble: the same for the port in PORT.
    """

    system: str = "Linux"
    machine: str = "x86_64"
    kernel: str = "6.18.0"
    os_release: str = ""
    python: tuple[int, int] = (3, 12)
    is_root: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    docker_answer: Answer = field(default_factory=Answer)
    docker_program: str = ""
    docker_info: Mapping = field(default_factory=dict)
    docker_trouble: str = ""
    docker_endpoint: str = ""
    docker_root_here: bool = True
    hostname: str = ""
    engine_is_ours: bool = False
    node_container: str = ""
    node_container_image: str = ""
    proc_status: str = ""
    meminfo: str = ""
    mountinfo: str = ""
    cgroup_controllers: str = ""
    inotify_watches: int | None = None
    inotify_instances: int | None = None
    user_namespaces: int | None = None
    open_files: int | None = None
    free_bytes: int | None = None
    cache_free_bytes: int | None = None
    build_begun: bool = False
    files_trouble: tuple[str, str, str] = ("", "", "")
    checkout_writable: bool = True
    kind: str = ""
    kubectl: str = ""
    node_images: Sequence[str] = ()
    registry: str | None = None
    port_trouble: str = ""
    port_wanted_trouble: str = ""

    @property
    def answers(self) -> bool:
        return bool(self.docker_info.get("ServerVersion"))

    @property
    def same_kernel(self) -> bool:
        """Whether containers run on the kernel that this process sees, not in Docker's virtual
        machine or on another machine."""
        return self.system == "Linux" and (
            not self.answers or self.docker_info.get("KernelVersion") == self.kernel
        )

    @property
    def same_files(self) -> bool:
        """Whether the engine stores on this machine. Docker Desktop under WSL2 shares the kernel,
        but not the file system."""
        return self.same_kernel and "Docker Desktop" not in self.docker_info.get(
            "OperatingSystem", ""
        )

    @property
    def elsewhere(self) -> str:
        """Why the engine that answers is on another machine than this process; "" if it isn't."""
        address = urlsplit(self.docker_endpoint)
        if address.scheme in ("tcp", "http", "https", "ssh") and address.hostname not in LOOPBACK:
            return f"the docker client's engine is at {self.docker_endpoint}"
        # A container with its host's Docker socket shares the host's kernel, and nothing else.
        name = self.docker_info.get("Name", "")
        if self.same_files and not self.docker_root_here and name not in ("", self.hostname):
            return f"its socket leads out of this container to the machine {name}"
        return ""

    @property
    def snap(self) -> bool:
        """Whether the docker client or the engine is a snap."""
        root = str(self.docker_info.get("DockerRootDir", ""))
        program = self.docker_program
        return (
            root.startswith("/var/snap/")
            or program.startswith("/snap/")
            or (program == "/usr/bin/snap")
        )

    @property
    def why_no_engine_of_ours(self) -> str:
        return engine.can_start_here(
            self.system, self.os_release, self.is_root, self.docker_endpoint
        )

    @property
    def image_source(self) -> str:
        return self.environment.get("PODLAB_DOOR", "")

    @property
    def mirror(self) -> str:
        return self.environment.get("PODLAB_REGISTRY", "").strip().removesuffix("/")

    @property
    def engine_asks_otherwise(self) -> bool:
        """Whether the engine reaches registries in ways that the client doesn't know about:
        mirrors, proxies or certificates of its own. The client is the one that was asked."""
        info = self.docker_info
        mirrors = (info.get("RegistryConfig") or {}).get("Mirrors")
        return bool(self.mirror or mirrors or info.get("HttpProxy") or info.get("HttpsProxy"))

    @property
    def offline(self) -> bool:
        return self.environment.get("PODLAB_OFFLINE") == "1"

    @property
    def can_build(self) -> bool:
        return self.image_source in ("", "build") and not engine.can_start_here(
            self.system, self.os_release, self.is_root, ""
        )

    @property
    def builds(self) -> bool | None:
        """Whether ``podlab up`` will build the node image; None if that depends on a registry that
        hasn't been asked yet."""
        if self.node_container or self.node_images or not self.can_build:
            return False
        if self.image_source == "build" or self.offline:
            return True
        if self.registry and self.engine_asks_otherwise:
            return None
        return None if self.registry is None else self.registry != ""


def gather(
    files: ClusterFiles, *, node_images: Sequence[str] = (), registry_image: str = ""
) -> MachineFacts:
    """Reads everything that ``findings.judge`` needs. Programs run side by side, each with a limit.

    Args:
        files: the cluster that is to be brought up.
        node_images: the images that its node can be made from; if one is there already, no registry
            is asked.
        registry_image: what to ask a registry for if none of them is there; "" asks for nothing,
            and so does ``PODLAB_OFFLINE=1``.
    """
    with ThreadPoolExecutor(8) as pool:
        answer = pool.submit(docker.ask)
        info = pool.submit(_run, ["docker", "info", "--format", "{{json .}}"])
        container = pool.submit(
            _run,
            [
                "docker",
                "inspect",
                "--format",
                "{{.State.Status}} {{.Config.Image}}",
                files.container,
            ],
        )
        kind = pool.submit(_first_line, [str(paths.tools() / "kind"), "version"])
        kubectl = pool.submit(_first_line, [str(paths.tools() / "kubectl"), "version", "--client"])
        where = pool.submit(engine.endpoint)
        asked = [
            pool.submit(_run, ["docker", "image", "inspect", "--format", "{{.Id}}", name])
            for name in node_images
        ]
        held = [
            name for name, answer in zip(node_images, asked, strict=True) if answer.result()[0] == 0
        ]
        registry = None
        may_ask = not image.offline() and image.source() != "build"
        if registry_image and not held and may_ask:
            code, _, words = _run(["docker", "manifest", "inspect", registry_image])
            registry = "" if code == 0 else words
        docker_info = _json(info.result()[1])
        root = Path(docker_info.get("DockerRootDir") or engine.DATA_ROOT)
        node_state, _, node_image = container.result()[1].strip().partition(" ")
        return MachineFacts(
            system=platform.system(),
            machine=platform.machine(),
            kernel=platform.release(),
            os_release=_text("/etc/os-release"),
            python=sys.version_info[:2],
            is_root=hasattr(os, "geteuid") and os.geteuid() == 0,
            environment=dict(os.environ),
            docker_answer=answer.result(),
            docker_program=_docker_program(),
            docker_info=docker_info,
            docker_trouble=info.result()[2],
            docker_endpoint=where.result(),
            docker_root_here=os.path.exists(root),
            hostname=platform.node(),
            engine_is_ours=platform.system() == "Linux" and engine.started_by_us(),
            node_container=node_state,
            node_container_image=node_image,
            proc_status=_text("/proc/self/status"),
            meminfo=_text("/proc/meminfo"),
            mountinfo=_text("/proc/self/mountinfo"),
            cgroup_controllers=_text("/sys/fs/cgroup/cgroup.controllers"),
            inotify_watches=_number("/proc/sys/fs/inotify/max_user_watches"),
            inotify_instances=_number("/proc/sys/fs/inotify/max_user_instances"),
            user_namespaces=_number("/proc/sys/user/max_user_namespaces"),
            open_files=_open_files(),
            free_bytes=_free_bytes(root),
            cache_free_bytes=_free_bytes(paths.cache()),
            build_begun=os.path.exists(paths.cache() / "go"),
            files_trouble=_files_trouble(files),
            checkout_writable=paths.folder() is None or _is_usable(paths.notebooks()),
            kind=kind.result(),
            kubectl=kubectl.result(),
            node_images=held,
            registry=registry,
            port_trouble=_bind(0),
            port_wanted_trouble=_bind_wanted(os.environ.get("PORT", "")),
        )


def _docker_program() -> str:
    found = shutil.which("docker")
    return os.path.realpath(found) if found else ""


def _json(text: str) -> dict:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _run(command: Sequence[str]) -> tuple[int, str, str]:
    """Runs a program; returns its exit code, its output, and the last line of its errors."""
    asked = probe(command, PROBE_SECONDS)
    words = [line.strip() for line in asked.said.splitlines() if line.strip()]
    return asked.code, asked.printed, words[-1] if words else ""


def _first_line(command: Sequence[str]) -> str:
    if not os.path.exists(command[0]):
        return ""
    code, said, words = _run(command)
    return said.strip().split("\n")[0] if code == 0 else f"!{words or f'exit status {code}'}"


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(path: str) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _open_files() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return None if hard == resource.RLIM_INFINITY else hard


def _free_bytes(folder: Path) -> int | None:
    there = next((place for place in (folder, *folder.parents) if os.path.exists(place)), None)
    return shutil.disk_usage(there).free if there else None


def _files_trouble(files: ClusterFiles) -> tuple[str, str, str]:
    """(what can't be used, why, the variable that moves it); empty texts if all can."""
    state = [paths.states(), files.state, files.lock, files.made_record, files.kubeconfig]
    for variable, places in {
        "PODLAB_STATE": [*state, paths.engine_state(), engine_record.record_path()],
        "PODLAB_CACHE": [paths.cache(), image.image_record(), paths.tools()],
    }.items():
        for place in places:
            there = next(each for each in (place, *place.parents) if os.path.lexists(each))
            if there in place.parents and not there.is_dir():
                return str(there), "is not a folder", variable
            if not _is_usable(there):
                return str(there), "can't be read and written by this user", variable
    return "", "", ""


def _is_usable(path: Path) -> bool:
    mode = os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _bind(port: int) -> str:
    with socket.socket() as listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            return getattr(error, "strerror", None) or str(error)
    return ""


def _bind_wanted(port: str) -> str:
    if not port:
        return ""
    return _bind(int(port)) if port.isdigit() else "not a number"
