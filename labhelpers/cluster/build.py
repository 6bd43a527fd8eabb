"""Builds the node image from Go modules and Debian packages, where no registry is asked.

Each step's result is kept in the cache folder under the hash of what went into it, so a second run
takes seconds, a changed file rebuilds only what depends on it, and an interrupted run goes on where
it stopped. Nothing here names an architecture: the image is built for the machine that builds it.

    modules/NAME/   the Go modules, see go_programs.py
    rootfs/         the files that make a Debian root file system a node
"""

import inspect
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

from labhelpers import paths
from labhelpers.cluster import docker, go_programs, progress
from labhelpers.cluster.build_steps import cached, digest, log
from labhelpers.cluster.progress import Step
from labhelpers.errors import LabError
from labhelpers.files import remove
from labhelpers.patience import patient

HERE = paths.repository() / "kind" / "node_image"
SUITE = "bookworm"  # systemd 256 and later (trixie) refuse to boot on cgroup v1
BUSYBOX = "docker.io/library/busybox:1.35.0"
# The same image under a name whose registry is this node itself: what imagePullPolicy Always does
# with an image that is present.
BUSYBOX_UNPULLABLE = "localhost:1/busybox:1"
NODE_PACKAGES = """systemd systemd-sysv dbus kmod iptables nftables iproute2 ethtool socat mount
    procps ca-certificates libseccomp2 jq conntrack util-linux bash curl""".split()
PROXY_PACKAGES = (
    "iptables libxtables12 libnftnl11 libmnl0 libnfnetlink0 libnetfilter-conntrack3 libip4tc2"
    " libip6tc2 conntrack libc6".split()
)
IMAGE_PACKAGES = ["busybox-static", "catatonit"]
# Units for real machines. In a container they fail, wait, or write to the host.
UNWANTED_UNITS = """systemd-binfmt.service systemd-udevd.service systemd-udev-trigger.service
    systemd-tmpfiles-setup-dev.service systemd-modules-load.service systemd-initctl.socket
    systemd-logind.service getty.target console-getty.service proc-sys-fs-binfmt_misc.automount
    sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
    systemd-pcrphase.service""".split()


KUBERNETES_NAMES = ("kubeadm", "kubelet", "kubectl")
CONTROL_PLANE_NAMES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")


def inputs_digest() -> str:
    """Twelve hex digits for everything that the node image is built from."""
    ours = Path(__file__)
    sources = [ours, ours.with_name("go_programs.py"), ours.with_name("go_progress.py")]
    return digest(HERE / "modules", HERE / "rootfs", *sources)


# --- The root file system -------------------------------------------------------------------------


def build_rootfs() -> Path:
    """A Debian root file system as a tar, with what the node does not need taken out."""
    packages = ",".join(NODE_PACKAGES + IMAGE_PACKAGES)

    def make(step: Step, target: Path) -> None:
        folder = target.with_suffix(".folder")
        remove(folder)
        try:
            step.run(
                [
                    "debootstrap",
                    "--variant=minbase",
                    f"--include={packages}",
                    SUITE,
                    folder,
                    *mirror(),
                ],
                log=log(),
                timeout_seconds=1200,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            )
            for pattern in (
                "var/cache/apt/archives/*.deb",
                "var/lib/apt/lists/*",
                "usr/share/doc/*",
                "usr/share/man/*",
                "usr/share/locale/*",
            ):
                for path in folder.glob(pattern):
                    remove(path)
            units = folder / "etc" / "systemd" / "system"
            for unit in UNWANTED_UNITS:
                for link in [
                    *units.glob(f"*.wants/{unit}"),
                    *(folder / "lib/systemd/system").glob(f"*.wants/{unit}"),
                ]:
                    link.unlink()
            for unit in (
                "systemd-binfmt.service",
                "systemd-udevd.service",
                "systemd-logind.service",
                "getty.target",
            ):
                (units / unit).unlink(missing_ok=True)
                (units / unit).symlink_to("/dev/null")
            (folder / "etc/systemd/system/default.target").unlink(missing_ok=True)
            (folder / "etc/systemd/system/default.target").symlink_to(
                "/lib/systemd/system/multi-user.target"
            )
            step.run(
                ["tar", "--numeric-owner", "--sort=name", "-C", folder, "-cf", target, "."],
                log=log(),
                timeout_seconds=300,
            )
        finally:
            remove(folder)

    unit_text = " ".join(UNWANTED_UNITS)
    key = digest(SUITE, packages, unit_text, platform.machine(), inspect.getsource(build_rootfs))
    return cached(
        f"Debian {SUITE} root file system", paths.cache() / "rootfs" / f"{SUITE}-{key}.tar", make
    )


def mirror() -> list[str]:
    """The Debian mirror that this machine already uses; on Ubuntu and elsewhere debootstrap's
    own."""
    if "ID=debian" not in Path("/etc/os-release").read_text(encoding="utf-8").split():
        return []
    lists = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    text = "\n".join(path.read_text() for path in lists if path.is_file())
    found = re.search(r"^(?:URIs:|deb(?: \[.*?\])?)\s+(https?://\S+/debian)/?(?:\s|$)", text, re.M)
    return [found.group(1)] if found else []


# --- The images inside the node -------------------------------------------------------------------


def copy_tree(root: Path, target: Path, names: Iterable[str]) -> None:
    """Copy files out of a root file system, links as links."""
    for name in names:
        source = root / name.lstrip("/")
        # usrmerge: /bin, /sbin and /lib are links into /usr, and stay links.
        real = source.parent.resolve() / source.name
        if not (real.is_symlink() or real.is_file()):
            continue
        place = target / real.relative_to(root.resolve())
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink() and not place.exists():
            shutil.copy2(real, place, follow_symlinks=False)


def packaged_files(root: Path, packages: Iterable[str]) -> list[str]:
    text = subprocess.run(
        ["dpkg", f"--root={root}", "-L", *packages],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=True,
        timeout=patient(60),
    ).stdout
    kept = [
        line
        for line in text.splitlines()
        if line.startswith("/") and not line.startswith(("/usr/share", "/usr/lib/systemd"))
    ]
    # The names without -nft or -legacy are links that Debian's alternatives make; no package lists
    # them.
    links = [*root.glob("usr/sbin/ip*tables*"), *root.glob("etc/alternatives/ip*tables*")]
    return kept + [f"/{path.relative_to(root)}" for path in links]


def usrmerge(folder: Path, root: Path) -> None:
    """The links at the top of a merged Debian: bin, lib, lib64, sbin."""
    for link in root.iterdir():
        if link.is_symlink() and not (folder / link.name).is_symlink():
            (folder / link.name).symlink_to(os.readlink(link))


def kubernetes_image(folder: Path, root: Path, programs: dict[str, Path]) -> None:
    """One image for the four: the multicall program, and the iptables that kube-proxy calls."""
    copy_tree(root, folder, packaged_files(root, PROXY_PACKAGES))
    usrmerge(folder, root)
    place = folder / "usr/local/bin"
    place.mkdir(parents=True, exist_ok=True)
    os.link(programs["kubernetes"], place / "kubernetes")
    for name in CONTROL_PLANE_NAMES:
        (place / name).symlink_to("kubernetes")


def program_image(
    program: str, place: str = "usr/local/bin"
) -> Callable[[Path, Path, dict[str, Path]], None]:
    def fill(folder: Path, root: Path, programs: dict[str, Path]) -> None:
        (folder / place).mkdir(parents=True, exist_ok=True)
        os.link(programs[program], folder / place / program)
        certificates = root / "etc/ssl/certs/ca-certificates.crt"
        (folder / "etc/ssl/certs").mkdir(parents=True)
        shutil.copy2(certificates, folder / "etc/ssl/certs/ca-certificates.crt")

    return fill


def pause_image(folder: Path, root: Path, programs: dict[str, Path]) -> None:
    """Debian's catatonit under the name of pause: an independent program, so that what the labs say
    of pause is not said of ourselves."""
    shutil.copy2(root / "usr/bin/catatonit", folder / "pause")


def busybox_image(folder: Path, root: Path, programs: dict[str, Path]) -> None:
    (folder / "bin").mkdir()
    shutil.copy2((root / "bin/busybox").resolve(), folder / "bin/busybox")
    applets = subprocess.run(
        [folder / "bin/busybox", "--list"],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=True,
        timeout=patient(60),
    ).stdout.split()
    for applet in applets:
        if applet != "busybox":
            os.link(folder / "bin/busybox", folder / "bin" / applet)
    for name, mode in {
        "etc": 0o755,
        "home": 0o755,
        "root": 0o700,
        "tmp": 0o1777,
        "usr/bin": 0o755,
        "usr/sbin": 0o755,
        "var/www": 0o755,
    }.items():
        (folder / name).mkdir(parents=True)
        (folder / name).chmod(mode)
    (folder / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n"
    )
    (folder / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    (folder / "usr/bin/env").symlink_to("/bin/env")


def kubeadm_images(programs: dict[str, Path]) -> dict[str, str]:
    """The names that kubeadm asks for, by program: the one who knows is kubeadm."""
    command = [
        "kubeadm",
        "config",
        "images",
        "list",
        "--kubernetes-version",
        go_programs.KUBERNETES.version,
    ]
    done = subprocess.run(
        command,
        executable=programs["kubernetes"],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=patient(60),
        check=True,
    )
    return {name.rsplit("/", 1)[1].split(":")[0]: name for name in done.stdout.split()}


def check_versions(names: dict[str, str]) -> None:
    """An image is tagged only with the version that it is."""
    for program, image in ((go_programs.ETCD, "etcd"), (go_programs.COREDNS, "coredns")):
        asked = names[image].rsplit(":", 1)[1].lstrip("v").split("-")[0]
        if program.version != f"v{asked}":
            raise LabError(
                f"kubeadm asks for another {image} than is built.",
                f"kubeadm: {asked}; {program.folder}/go.mod: {program.version}",
                "Run `make versions`, which raises all pins together.",
            )


def image_table(names: dict[str, str]) -> list[tuple[str, list[str], Callable, list[str]]]:
    """(entry point, tags, how it is filled, environment) of each image on the node."""
    local_path = f"docker.io/rancher/local-path-provisioner:{go_programs.LOCAL_PATH.version}"
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return [
        ("[]", [names[name] for name in CONTROL_PLANE_NAMES], kubernetes_image, [path]),
        ('["/usr/local/bin/etcd"]', [names["etcd"]], program_image("etcd"), [path]),
        ('["/coredns"]', [names["coredns"]], program_image("coredns", "."), [path]),
        (
            '["local-path-provisioner"]',
            [local_path],
            program_image("local-path-provisioner"),
            [path],
        ),
        ('["/pause", "-P"]', [names["pause"]], pause_image, [path]),
        ("[]", [BUSYBOX, BUSYBOX_UNPULLABLE], busybox_image, [path]),
    ]


# --- The node image -------------------------------------------------------------------------------


def build_image(step: Step, tag: str, programs: dict[str, Path], rootfs: Path) -> None:
    work = paths.cache() / f"work-{os.getpid()}"
    remove(work)
    builder = f"podlab-build-{os.getpid()}"
    tags: list[str] = []
    try:
        root = work / "root"
        root.mkdir(parents=True)
        step.say("unpacking the root file system")
        step.run(
            ["tar", "--numeric-owner", "-xpf", rootfs, "-C", root], log=log(), timeout_seconds=300
        )
        names = kubeadm_images(programs)
        check_versions(names)
        images = image_table(names)
        for number, (entry, image_tags, fill, environment) in enumerate(images):
            step.say(f"image {image_tags[0]}")
            folder = work / f"image-{number}"
            folder.mkdir()
            folder.chmod(0o755)
            fill(folder, root, programs)
            changes = [f"ENTRYPOINT {entry}", *(f"ENV {line}" for line in environment)]
            changes += ['CMD ["sh"]'] if BUSYBOX in image_tags else []
            # Under a name of our own: the engine may be the reader's, with a busybox of his.
            tags.append(f"{builder}:{number}")
            import_image(folder, tags[-1], changes)
        lay_out_node(root, programs, names)
        step.say("the node's root file system")
        base = f"{tag}-base"
        import_image(
            root,
            base,
            ['ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]', "ENV container=docker"],
        )
        tags.append(base)
        step.say("importing the images into the node")
        docker.run(
            "run",
            "--detach",
            "--privileged",
            "--network=none",
            "--name",
            builder,
            "--entrypoint",
            "sleep",
            base,
            "infinity",
        )
        fill_node(
            builder,
            {tag: image_tags for tag, (_, image_tags, *_) in zip(tags, images, strict=False)},
        )
        step.say("committing")
        change = 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]'
        docker.run("commit", "--change", change, "--change", "CMD []", builder, tag)
    finally:
        docker.run("rm", "--force", "--volumes", builder, timeout_seconds=120, check=False)
        if tags:
            docker.run("rmi", "--no-prune", *tags, timeout_seconds=120, check=False)
        remove(work)


def import_image(folder: Path, tag: str, changes: list[str]) -> None:
    options = [word for change in changes for word in ("--change", change)]
    with (
        docker.piped("import", *options, "-", tag, into=True) as archive,
        tarfile.open(fileobj=archive, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        tar.add(folder, arcname=".")


def lay_out_node(root: Path, programs: dict[str, Path], names: dict[str, str]) -> None:
    """Put the programs and the files of rootfs/ in their places."""
    for place, outputs in {
        "usr/local/bin": ("kubernetes", *go_programs.CONTAINERD.outputs),
        "usr/local/sbin": go_programs.RUNC.outputs,
        "opt/cni/bin": go_programs.CNI.outputs,
    }.items():
        (root / place).mkdir(parents=True, exist_ok=True)
        for name in outputs:
            os.link(programs[name], root / place / name)
    for name in KUBERNETES_NAMES:
        (root / "usr/bin" / name).symlink_to("/usr/local/bin/kubernetes")
    for name in ("usr/bin/catatonit", "bin/busybox"):
        (root / name).unlink()
    shutil.copytree(HERE / "rootfs", root, symlinks=True, dirs_exist_ok=True)
    fill_in = {
        "@PAUSE_IMAGE@": names["pause"],
        "@LOCAL_PATH_IMAGE@": (
            f"docker.io/rancher/local-path-provisioner:{go_programs.LOCAL_PATH.version}"
        ),
        "@BUSYBOX_IMAGE@": BUSYBOX,
    }
    for path in ("etc/containerd/config.toml", "kind/manifests/default-storage.yaml"):
        text = (root / path).read_text()
        for word, value in fill_in.items():
            text = text.replace(word, value)
        (root / path).write_text(text)
    (root / "kind/version").write_text(go_programs.KUBERNETES.version)
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    for unit in ("containerd.service", "kubelet.service"):
        (wants / unit).symlink_to(f"/etc/systemd/system/{unit}")


def fill_node(builder: str, images: dict[str, list[str]]) -> None:
    """With containerd running in the build container: its base spec, and the images, not unpacked,
    under their names on the node."""
    naming = "\n".join(
        f"ctr --namespace k8s.io images tag --force docker.io/library/{tag} {name}"
        for tag, names in images.items()
        for name in names
    )
    script = f"""set -eu
        ctr oci spec | jq 'del(.process.rlimits)' >/etc/containerd/base-spec.json
        containerd --log-level warn >/tmp/containerd.log 2>&1 &
        for attempt in $(seq 100); do ctr version >/dev/null 2>&1 && break; sleep 0.1; done
        images="ctr --namespace k8s.io images"
        $images import --no-unpack --label io.cri-containerd.pinned=pinned - >/dev/null
        {naming}
        $images list -q | grep {builder} | xargs $images rm
        kill %1; wait %1 || true
        rm -rf /var/lib/containerd/tmpmounts /run/containerd /tmp/containerd.log"""
    with docker.piped("save", *images) as archive:
        words = ("exec", "--interactive", builder, "bash", "-c", script)
        docker.run(*words, stdin=archive, timeout_seconds=300)


def image() -> str:
    """The name of the node image, built if it is not there: ``podlab-node:v1.37.0-<hash>``.

    Raises:
        LabError: a step failed; the log is named.
    """
    programs: dict[str, Path] = {}
    folders = [go_programs.build_program(program) for program in go_programs.NODE_PROGRAMS]
    for folder in folders:
        programs.update({file.name: file for file in folder.iterdir()})
    rootfs = build_rootfs()
    key = digest(*(folder.name for folder in folders), rootfs.name, HERE / "rootfs", Path(__file__))
    tag = f"podlab-node:{go_programs.KUBERNETES.version}-{key}"
    with progress.step(f"node image {tag}") as step:
        if docker.has_image(tag):
            step.skip("already built")
        else:
            build_image(step, tag, programs, rootfs)
    return tag


def main() -> int:
    progress.print_anywhere()
    try:
        print(json.dumps({"image": image()}) if "--json" in sys.argv else image())
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
