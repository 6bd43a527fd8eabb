"""Installs the Debian packages that an engine and a build of the node image need."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from labhelpers import paths
from labhelpers.cluster.progress import Step
from labhelpers.errors import LabError
from labhelpers.patience import patient

__all__ = ["BUILD", "ENGINE", "SHIM", "install", "missing_packages", "search_path"]

ENGINE = ("docker.io", "iptables")
PODMAN = "podman-docker"  # Podman as `docker`
SHIM = ("jq",)
BUILD = (
    "debootstrap",
    "busybox-static",
    "libseccomp-dev",
    "pkg-config",
    "gcc",
    "libc6-dev",
)
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = (
    "#!/bin/sh\n# Written by podlab while it installs docker.io, and removed afterwards: it starts"
    " the engine itself.\nexit 101\n"
)


def missing_packages(names: Sequence[str], dpkg_listing: str) -> list[str]:
    """Which packages are not installed, from lines of ``STATUS PACKAGE`` as dpkg-query prints them.

    >>> missing_packages(["jq", "gcc"], "installed jq\\nconfig-files gcc")
    ['gcc']
    """
    installed = {
        line.split()[1] for line in dpkg_listing.splitlines() if line.startswith("installed ")
    }
    return [name for name in names if name not in installed]


def _missing(names: Sequence[str]) -> list[str]:
    command = ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n", *names]
    return missing_packages(
        names,
        subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=patient(30)
        ).stdout,
    )


def install(step: Step, names: Sequence[str]) -> bool:
    """Installs the packages that are missing.

    Args:
        step: where the progress is shown.
        names: packages of Debian and Ubuntu.

    Returns:
        Whether any was missing.

    Raises:
        LabError: apt failed, or something would have to be removed for them.
    """
    # An engine from elsewhere (docker-ce) works too, and Debian's package would replace it.
    wanted = [
        name
        for name in names
        if not (name == "docker.io" and shutil.which("dockerd", path=search_path()))
    ]
    missing = _missing(wanted)
    if "docker.io" in missing and not _missing([PODMAN]):
        raise LabError(
            "Docker's package would replace Podman's, so podlab doesn't install it.",
            f"{PODMAN} is installed, and conflicts with docker.io",
            f"If you want Docker instead: `apt-get remove {PODMAN}` (Podman itself can stay). Then"
            " run the command again.",
        )
    log = paths.engine_state() / "install.log"
    env = {
        **os.environ,
        "DEBIAN_FRONTEND": "noninteractive",
        "LC_ALL": "C.UTF-8",
        "PATH": search_path(),
    }
    apt = ["apt-get", "-q", "-y", "-o", f"DPkg::Lock::Timeout={patient(120):.0f}"]
    # Nothing that somebody has installed is removed.
    apt += ["--no-remove"]

    def apt_install(packages: Sequence[str]) -> None:
        with _no_services():
            step.run(
                [*apt, "install", "--no-install-recommends", *packages],
                log=log,
                timeout_seconds=900,
                env=env,
            )

    if missing:
        step.say(f"installing {' '.join(missing)}")
        trouble = None
        try:
            step.run([*apt, "update"], log=log, timeout_seconds=300, env=env)
        except LabError as error:
            # one broken source among many needn't matter: the installation shows whether it does
            trouble = error
        try:
            apt_install(missing)
        except LabError as error:
            raise trouble or error from None
    if "docker.io" in names and shutil.which("docker", path=search_path()) is None:
        apt_install(["docker-cli"])  # newer releases keep the client in a package of its own
        return True
    return bool(missing)


@contextmanager
def _no_services() -> Iterator[None]:
    # Otherwise the package starts an engine of its own, without the shim, which we mustn't touch.
    if POLICY.exists() and POLICY.read_text(encoding="utf-8") != POLICY_TEXT:
        yield
        return
    POLICY.write_text(POLICY_TEXT, encoding="utf-8")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def search_path() -> str:
    """PATH with the sbin folders, where dockerd, iptables and runc are: a user's may lack them."""
    return os.pathsep.join(
        dict.fromkeys(
            [
                *os.environ.get("PATH", os.defpath).split(os.pathsep),
                "/usr/local/sbin",
                "/usr/sbin",
                "/sbin",
            ]
        )
    )
