"""The node image from nothing, against the same builds as plain commands, one after the other. Ten
minutes of processor for each side."""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.table import Result
from labhelpers import paths
from labhelpers.cluster import build, docker, engine, go_programs, progress
from labhelpers.cluster.progress import Step, log_lines, tail

__all__ = ["image"]

BUILDER = "podlab-by-hand"
# What the recipe takes out of the root file system, for the image would be larger with it.
TIDY = (
    "rm -rf var/cache/apt/archives/*.deb var/lib/apt/lists/* usr/share/doc/* usr/share/man/*"
    " usr/share/locale/*"
)


def image(rounds: int) -> Result:
    """``labhelpers.cluster.build`` with an empty cache folder, against the sum of its commands run
    by hand with empty caches.

    By hand only the commands are counted: the toolchain, the Go builds, debootstrap, and what goes
    through tar and docker. Laying out the files of the images is done by the recipe's own functions
    meanwhile, and not counted, which can only make the goal harder.
    """
    with progress.step("packages for the build") as step:
        engine.start(step, building=True)
    ours, by_hand = [], []
    for number in range(rounds):
        # On the disk that builds use, which /tmp need not be.
        paths.cache().mkdir(parents=True, exist_ok=True)
        # By turns: one that always comes first meets the machine in another state than the one
        # after it.
        turns = ((ours, build_by_recipe), (by_hand, build_by_hand))
        for sides, make in turns if number % 2 == 0 else turns[::-1]:
            title = (
                f"node image, round {number + 1} of {rounds}:"
                f" {'recipe' if sides is ours else 'by hand'}"
            )
            with (
                tempfile.TemporaryDirectory(prefix="benchmark-", dir=paths.cache()) as folder,
                progress.step(title) as step,
            ):
                sides.append(make(step, Path(folder)))
    return Result("node image from nothing", "ratio", tuple(ours), tuple(by_hand), goal=1.05)


def build_by_recipe(step: Step, folder: Path) -> float:
    """The seconds of build.py, from a copy of the checkout: one more comment makes it another
    recipe, so no image on the engine serves."""
    for name in ("labhelpers", "kind"):
        shutil.copytree(paths.repository() / name, folder / "copy" / name)
    with (folder / "copy/labhelpers/cluster/build.py").open("a") as file:
        file.write(f"\n# {folder.name}\n")
    log = folder / "build.log"
    tag = ""
    try:
        begin = time.perf_counter()
        step.run(
            [sys.executable, "-m", "labhelpers.cluster.build", "--json"],
            cwd=folder / "copy",
            log=log,
            timeout_seconds=5400,
            env={**os.environ, "PODLAB_CACHE": str(folder / "cache")},
        )
        seconds = time.perf_counter() - begin
        tag = json.loads(log_lines(tail(log))[-1])["image"]
    finally:
        if tag:
            docker.run("rmi", tag, check=False)
    return seconds


def build_by_hand(step: Step, folder: Path) -> float:
    with cache_folder(folder / "cache"):
        return _by_hand(step, folder)


@contextmanager
def cache_folder(folder: Path) -> Iterator[None]:
    """With another PODLAB_CACHE, also in this process."""
    before = os.environ.get("PODLAB_CACHE")
    os.environ["PODLAB_CACHE"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("PODLAB_CACHE")
        if before is not None:
            os.environ["PODLAB_CACHE"] = before


def _by_hand(step: Step, folder: Path) -> float:
    """The sum of the seconds of the commands."""
    log, programs, root, total = folder / "by-hand.log", folder / "programs", folder / "root", 0.0
    tags: list[str] = []

    def run(
        *command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None
    ) -> None:
        nonlocal total
        begin = time.perf_counter()
        step.run(command, log=log, timeout_seconds=3600, cwd=cwd, env=env)
        total += time.perf_counter() - begin

    def import_folder(source: Path, tag: str, changes: list[str]) -> None:
        words = " ".join(f"--change '{change}'" for change in changes)
        tags.append(tag)
        run("sh", "-c", f"tar --numeric-owner -C '{source}' -c . | docker import {words} - {tag}")

    docker.run(
        "rm", "--force", "--volumes", BUILDER, check=False
    )  # what a run that was killed may have left
    begin = time.perf_counter()
    go = go_programs.go(step)
    total += time.perf_counter() - begin
    files: dict[str, Path] = {}
    try:
        for program in go_programs.NODE_PROGRAMS:
            target = programs / program.module
            target.mkdir(parents=True)
            command = [go, "build", "-trimpath", "-buildvcs=false", "-ldflags", program.ldflags()]
            command += ["-tags", program.tags] if program.tags else []
            command += [
                "-o",
                f"{target}/",
                "." if (program.folder / "main.go").exists() else "tool",
            ]
            run(
                *command,
                cwd=program.folder,
                env=go_programs.go_environment(CGO_ENABLED="1" if program.static_c else "0"),
            )
            if program.rename:
                (target / program.rename[0]).rename(target / program.rename[1])
            files.update({file.name: file for file in target.iterdir()})

        packages = ",".join(build.NODE_PACKAGES + build.IMAGE_PACKAGES)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run(
            "debootstrap",
            "--variant=minbase",
            f"--include={packages}",
            build.SUITE,
            root,
            *build.mirror(),
            env=environment,
        )
        run("sh", "-c", TIDY, cwd=root)

        names = build.kubeadm_images(files)
        on_node: dict[str, list[str]] = {}
        for number, (entry, node_names, fill, environment_lines) in enumerate(
            build.image_table(names)
        ):
            layer = folder / f"image-{number}"
            layer.mkdir(mode=0o755)
            fill(layer, root, files)
            on_node[f"{BUILDER}:{number}"] = node_names
            import_folder(
                layer,
                f"{BUILDER}:{number}",
                [f"ENTRYPOINT {entry}", *(f"ENV {line}" for line in environment_lines)],
            )
        build.lay_out_node(root, files, names)
        import_folder(root, f"{BUILDER}:base", [])
        run(
            "docker",
            "run",
            "--detach",
            "--privileged",
            "--network=none",
            "--name",
            BUILDER,
            f"{BUILDER}:base",
            "sleep",
            "infinity",
        )
        begin = time.perf_counter()
        build.fill_node(BUILDER, on_node)  # docker save, into docker exec of a script
        total += time.perf_counter() - begin
        tags.append(f"{BUILDER}:node")
        run(
            "docker",
            "commit",
            "--change",
            'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]',
            BUILDER,
            f"{BUILDER}:node",
        )
    finally:
        docker.run("rm", "--force", "--volumes", BUILDER, check=False, timeout_seconds=120)
        for tag in tags:
            docker.run("rmi", tag, check=False)
    return total
