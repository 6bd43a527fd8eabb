"""``make test``: what every commit has to pass, in order, on a cluster of its own; at the end a
table of what ran, and what did not and why.

python -m tests.run          all that is run at every commit, and one group of the rota
python -m tests.run unit     what needs no cluster
python -m tests.run clean    the clusters of the tests, and an engine that podlab started for them,
are ended

The rota: slow tests are in groups (the mark ``rota``, and the labs in the other order), and each
commit runs one, chosen by its hash. A commit that changes labhelpers/cluster or kind runs those of
the cluster's making as well; of a merge all that was merged counts. PODLAB_ROTA=NAME chooses a
group, PODLAB_ROTA=all (``make test-all``) all of them.

A test or a lab on the cluster that fails is run a second time, after all others and with nothing
beside it. If it passes then, it is told of as flaky; more than two flaky ones fail the run.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from labhelpers.cluster import docker, lifecycle
from labhelpers.paths import ClusterFiles
from tests import BROWSERS, CLUSTER, HALF, ROOM, SEATS, SECOND, SESSION, UNIT_CLUSTER
from tests.labs import CELL_BY_CELL, WRITTEN, has_the_node
from tests.outcomes import REPOSITORY, RUN_AGAIN_AT_MOST, Part, Run

ENVIRONMENT = {**os.environ, "PODLAB_CLUSTER": CLUSTER}
UNIT = ["ruff", "format", "unit"]
# What is beside tests/unit is there for its examples.
EXAMPLES = ["labhelpers", "benchmarks/table.py", "benchmarks/room.py", "docs/write_readme.py"]
EXAMPLES += ["docs/write_helpers.py", "docs/site/staging.py", "docs/site/terms.py"]
EXAMPLES += sorted(f"tests/{path.name}" for path in (REPOSITORY / "tests").glob("[!_]*.py"))
# Much of a test on a cluster is waiting. Three at a time keep two cores busy; with four, the load
# was 25 and what the labs time came late.
SIDE_BY_SIDE = ["-p", "tests.side_by_side", "--numprocesses=3"]
# With a worker for each lab all begin at once, and there would be no order to turn round.
FEWER = [*SIDE_BY_SIDE[:2], "--numprocesses=2"]
PYTHON, PYTEST = [sys.executable, "-m"], [sys.executable, "-m", "pytest", "-q"]
UP, DOWN = [*PYTHON, "labhelpers.cli", "up"], [*PYTHON, "labhelpers.cli", "down"]
STRICT = [*PYTEST, "--durations=10", "-p", "tests.notebooks.plugin"]
LABS = [f"notebooks/{name}" for name in WRITTEN]
# Of the labs that need a node to themselves, those that go to the second cluster. Lab 15 asks the
# machine for huge pages, so it stays where others ask for them.
ON_THE_SECOND = [lab for lab in LABS if lab.startswith(("notebooks/08", "notebooks/20"))]
ROTA = ["labs-again", "browser", "bundle", "engines", "registry", "kills", "load", "session", "hub"]
ROTA += ["capstone", "answers"]
# JupyterHub for the group of that name. Participants run it, so it's in nobody's home.
HUB, HUB_PYTHON = Path("/var/tmp/podlab-test-hub"), Path("/usr/bin/python3")
HUB_PATH = [f"{HUB}/venv/bin", f"{HUB}/node_modules/.bin"]
PROXY = "configurable-http-proxy@5.3.0"
# What is always run where these folders changed.
MAKING, OF_THE_MAKING = ("labhelpers/cluster", "kind"), ("bundle", "engines", "registry")


def git(*words: str) -> str:
    """Nothing where there is no git, no repository, or no such commit."""
    try:
        done = subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def commit_number() -> int:
    """The commit's hash, which is all that the choices of a run depend on."""
    return int(git("rev-parse", "HEAD") or "0", 16)


def rota(number: int, wanted: str = "", changed: bool = False) -> list[str]:
    """The groups of the rota that this run is to have.

    Args:
        number: of the commit.
        wanted: PODLAB_ROTA.
        changed: whether the commit changes how clusters are made.

    >>> rota(0), rota(2), rota(24)
    (['labs-again'], ['browser'], ['browser'])
    >>> rota(2, "kills"), rota(2, changed=True)
    (['kills'], ['browser', 'bundle', 'engines', 'registry'])
    """
    if wanted:
        return ROTA if wanted == "all" else [wanted]
    turn = ROTA[number // 2 % len(ROTA)]
    also = OF_THE_MAKING if changed else ()
    return [name for name in ROTA if name == turn or name in also]


def turn_round(backwards: bool) -> list[str]:
    return ["--backwards"] if backwards else []


def parts(number: int, groups: list[str]) -> list[Part]:
    """Which tests run with nothing beside them on their node, or on the machine, the tests say
    themselves (the marks ``own_node`` and ``alone``), and of a lab claims.yaml (``needs``). Half of
    the commits run the labs backwards."""
    backwards = turn_round(bool(number % 2))
    everything = [*STRICT, *LABS, "tests/cluster", "tests/browser", *backwards]
    # Beside the cluster that is coming up, with a name of their own: they look for what is left.
    apart = {"PODLAB_CLUSTER": UNIT_CLUSTER}
    unit = [*PYTEST, *SIDE_BY_SIDE, "--doctest-modules", *EXAMPLES, "tests/unit"]
    side_by_side = [*everything, "-m", "not (alone or own_node or rota)", *SIDE_BY_SIDE]
    second, on_second = {"PODLAB_CLUSTER": SECOND}, [*STRICT, *ON_THE_SECOND, *backwards]
    on_first = [each for each in everything if each not in ON_THE_SECOND]
    on_first += ["-m", "own_node and not rota"]
    alone = [*everything, "-m", "alone and not rota"]
    return [
        *browser(),
        *(hub() if "hub" in groups else []),
        Part("ruff", [*PYTHON, "ruff", "check", "."]),
        Part("format", [*PYTHON, "ruff", "format", "--check", "."]),
        Part("cluster up", UP, meanwhile=True),
        Part("unit", unit, apart),
        Part("side by side", side_by_side, once_more=True),
        Part("second cluster up", UP, second),
        Part("own node, second cluster", on_second, second, once_more=True, meanwhile=True),
        Part("own node", on_first, once_more=True),
        Part("second cluster down", DOWN, second),
        Part("alone", alone, once_more=True),
        *(part for group in groups for part in rota_parts(group, number)),
        Part("cluster down", DOWN),
    ]


def rota_parts(group: str, number: int) -> list[Part]:
    if group == "labs-again":
        other = turn_round(not number % 2)
        shared = [*STRICT, *LABS, "-m", "not (alone or own_node)", *other, *FEWER]
        alone = [*STRICT, *LABS, "-m", "alone or own_node", *other]
        return [
            Part("rota: labs again", shared, once_more=True),
            Part("rota: labs again, alone", alone, once_more=True),
        ]
    command = [*PYTEST, "--durations=5", "tests/cluster", "tests/browser"]
    command += ["-m", f"rota(group='{group}')"]
    if group == "browser":
        command += ["-k", two_labs(number)]
    if group == "answers":
        command += SIDE_BY_SIDE
    also = {"PATH": os.pathsep.join([*HUB_PATH, os.environ["PATH"]])} if group == "hub" else {}
    return [Part(f"rota: {group}", command, also, once_more=True)]


def two_labs(number: int) -> str:
    """For pytest's -k: of the labs that are gone through cell by cell, two; of other tests, all.
    With PODLAB_ROTA=all these are two as well: more would test JupyterLab, not the labs."""
    others = [name for name in WRITTEN if not has_the_node(name) and name != CELL_BY_CELL]
    first = number // (2 * len(ROTA)) % len(others)
    two = {others[first], others[(first + 1) % len(others)]}
    return " or ".join(["not cell_by_cell", *sorted(name.partition(".")[0] for name in two)])


def browser() -> list[Part]:
    """A Chromium where there is none and apt-get can fetch it. Elsewhere the tests that need one
    skip, and say why."""
    if any(map(shutil.which, BROWSERS)) or not shutil.which("apt-get") or os.geteuid() != 0:
        return []
    install = (
        "DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends chromium"
        " fonts-dejavu-core"
    )
    return [Part("browser", ["sh", "-c", f"apt-get -q update && {install}"])]


def hub() -> list[Part]:
    """JupyterHub and its proxy where they aren't there and can be fetched, in an environment that
    goes with this run. Elsewhere their tests skip, and say why."""
    there = all(map(shutil.which, ("jupyterhub", "configurable-http-proxy")))
    can = shutil.which("npm") and HUB_PYTHON.exists() and os.geteuid() == 0
    if there or not can:
        return []
    python = f"VIRTUAL_ENV={HUB}/venv {HUB_PYTHON} -m labhelpers.cluster.environment --hub"
    npm = f"npm install --no-audit --no-fund --prefix {HUB} {PROXY}"
    return [Part("hub", ["sh", "-c", f"{python} && {npm}"])]


def main() -> int:
    wanted, group = sys.argv[1] if len(sys.argv) > 1 else "all", os.environ.get("PODLAB_ROTA", "")
    if wanted == "clean":
        return clean()
    if wanted not in ("all", "unit"):
        return usage(
            f"There is no part {wanted}.", wanted, "Name unit or clean, or nothing for all."
        )
    if group not in ("", "all", *ROTA):
        return usage(
            "The rota has no such group.", group, f"PODLAB_ROTA is all, {', '.join(ROTA)}."
        )
    number = commit_number()
    groups = rota(number, group, bool(git("diff", "--name-only", "HEAD~1", "HEAD", "--", *MAKING)))
    whole = parts(number, groups)
    run = Run(whole, [name for name in ROTA if name not in groups])
    if wanted == "unit":
        run = Run([part for part in whole if part.name in UNIT])
    folder = Path(tempfile.mkdtemp(prefix="podlab-test-"))
    # What a reader has written into notebooks/mine must not change what the notebooks show here.
    ENVIRONMENT["PODLAB_MINE"] = str(folder / "mine")
    try:
        execute(run, folder)
    except KeyboardInterrupt:
        print("\nInterrupted: `python -m tests.run clean` ends what is left.")
    finally:
        shutil.rmtree(folder)
        if any(part.name == "hub" for part in whole):
            shutil.rmtree(HUB, ignore_errors=True)
        print("\n" + run.table())
    return run.code


def usage(what: str, seen: str, do: str) -> int:
    print(f"{what}\nSeen: {seen}\nDo:   {do}", file=sys.stderr)
    return 2


def execute(run: Run, folder: Path) -> None:
    """The parts one after the other, but for those that another runs beside; before the cluster
    goes, what failed a second time."""
    waiting: list[tuple[threading.Thread, Path]] = []
    began = time.monotonic()
    try:
        for part in [*run.parts]:
            report = folder / f"{run.parts.index(part)}.xml"
            if part.name == "cluster down" and not run.has_no_cluster:
                run_again(run, folder / "again.xml")
            if part.name != "cluster down" and run.has_no_cluster:
                continue
            if part.meanwhile:
                waiting.append(begin(part, report))
                continue
            part.run(ENVIRONMENT, report)
            join(waiting)
    finally:
        join(waiting)
        run.seconds = time.monotonic() - began


def begin(part: Part, report: Path) -> tuple[threading.Thread, Path]:
    log = report.with_suffix(".log")

    def run() -> None:
        with log.open("wb") as output:
            part.run(ENVIRONMENT, report, output)

    thread = threading.Thread(target=run, name=part.name)
    thread.start()
    return thread, log


def join(waiting: list[tuple[threading.Thread, Path]]) -> None:
    while waiting:
        thread, log = waiting.pop()
        thread.join()
        print(f"\n=== {thread.name}, said meanwhile\n{log.read_text(errors='replace')}", flush=True)


def run_again(run: Run, report: Path) -> None:
    """Each lab in a kernel of its own, as at first. Where much failed it is no coincidence, and the
    hours are not for it."""
    targets = [*run.suspects]
    if 0 < len(targets) <= RUN_AGAIN_AT_MOST:
        run.again = Part("again, what failed", [*PYTEST, "-p", "tests.notebooks.plugin", *targets])
        run.parts.insert(-1, run.again)
        run.again.run(ENVIRONMENT, report)


def clean() -> int:
    """End what the tests may have left, whatever ended them."""
    for name in (SECOND, CLUSTER):
        subprocess.call(DOWN, cwd=REPOSITORY, env=ENVIRONMENT | {"PODLAB_CLUSTER": name})
    for name in (HALF, ROOM, *SESSION, *SEATS):
        # Not by `down`: a test may have had its state in a folder that is gone.
        docker.run(
            "rm",
            "--force",
            "--volumes",
            ClusterFiles(name).container,
            timeout_seconds=120,
            check=False,
        )
    lifecycle.stop_engine()
    return 0


if __name__ == "__main__":
    sys.exit(main())
