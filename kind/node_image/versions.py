"""`make versions`: raise all pins of the cluster together, starting from the newest kind.

kind names the node image, and with it the version of Kubernetes; that kubeadm names the etcd and the CoreDNS that go with it; the
rest is the newest. Writes the go.mod and go.sum of every module here and [tool.podlab] of pyproject.toml. It only writes: run `make test`.
"""

import re
import subprocess
import sys
from pathlib import Path

from labhelpers import cluster, places
from labhelpers.errors import LabError

STAGING = re.compile(r"^\t(k8s\.io/\S+) => \./staging/", re.M)


build = cluster.recipe()


def go(folder: Path, *words: str) -> str:
    command = [build.go(), *words]
    environment = build.go_environment(GOFLAGS="-mod=mod")
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
    if done.returncode:
        raise LabError(
            f"go {' '.join(words)} failed in {folder.name}.", done.stderr.strip()[-300:], "Look at the network; git has the old pins."
        )
    return done.stdout


def newest(versions: str) -> str:
    """The newest release of a line of versions; pre-releases do not count.

    >>> newest("sigs.k8s.io/kind v0.9.0 v0.33.0 v0.34.0-alpha v0.10.0")
    'v0.33.0'
    """
    releases = [version for version in versions.split() if re.fullmatch(r"v\d+\.\d+\.\d+", version)]
    return max(releases, key=lambda version: tuple(map(int, version[1:].split("."))))


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
    """Kubernetes' own go.mod requires its staging modules at v0.0.0, from folders beside it: each is replaced by the published one."""
    names = STAGING.findall((source / "go.mod").read_text())
    debug = re.search(r"^godebug default=.*$", (source / "go.mod").read_text(), re.M)
    staging = f"v0.{version[1:].split('.', 1)[1]}"
    lines = ["module podlab/kubernetes", "", re.search(r"^go .*$", (source / "go.mod").read_text(), re.M).group(0), ""]
    lines += [debug.group(0), ""] if debug else []
    lines += [
        f"require {build.KUBERNETES.pinned} {version}",
        "",
        "replace (",
        *(f"\t{name} => {name} {staging}" for name in names),
        ")",
        "",
    ]
    (build.KUBERNETES.folder / "go.mod").write_text("\n".join(lines))
    (build.KUBERNETES.folder / "go.sum").unlink(missing_ok=True)
    go(build.KUBERNETES.folder, "mod", "tidy")


def main() -> int:
    kind = newest(go(build.KIND.folder, "list", "-m", "-versions", build.KIND.pinned))
    raise_module(build.KIND, kind)
    image = default_image((source_of(build.KIND.folder, build.KIND.pinned, kind) / "pkg/apis/config/defaults/image.go").read_text())
    kubernetes = image.split(":")[1].split("@")[0]
    source = source_of(build.KUBERNETES.folder, build.KUBERNETES.pinned, kubernetes)
    if build.KUBERNETES.version != kubernetes:
        raise_kubernetes(kubernetes, source)
    etcd, coredns = named_by_kubeadm((source / "cmd/kubeadm/app/constants/constants.go").read_text())
    raise_module(build.ETCD, etcd)
    raise_module(build.COREDNS, coredns)
    for program in (build.CONTAINERD, build.RUNC, build.CNI, build.LOCAL_PATH):
        raise_module(program, newest(go(program.folder, "list", "-m", "-versions", program.pinned)))
    pyproject = places.repository() / "pyproject.toml"
    pyproject.write_text(re.sub(r'^node_image = ".*"$', f'node_image = "{image}"', pyproject.read_text(), flags=re.M))
    for program in (build.KIND, *build.NODE_PROGRAMS):
        print(f"{program.module:<24} {program.version}")
    minor = kubernetes.split(".")[1]
    if not re.search(rf'"kubernetes=={minor}\.', pyproject.read_text()):
        print(
            f"The Python client's pin in pyproject.toml is not of Kubernetes 1.{minor}: raise it by hand, its interface may have changed."
        )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(str(error))
