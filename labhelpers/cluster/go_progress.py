"""How far a build of Go programs has come, from what `go list` and `go build -v` print."""

from collections.abc import Collection, Sequence
from pathlib import Path

from labhelpers.cluster.progress import Step, log_lines

__all__ = ["Compiling", "build", "downloading", "modules_at_most"]

STALE = "podlab-compiles "


class Compiling:
    """Tells of a running `go build -v`, which prints each package when it begins to compile it. No
    time left is told: a package takes from a hundredth of a second to half a minute.

    Args:
        packages: those that will be compiled; cached ones aren't printed.

    >>> Compiling(["errors", "main"])("errors")
    ('package 1 of 2: errors', '')
    >>> Compiling(["errors", "main"])("errors\\nmain\\nmain.go:3: undefined: y")
    ('all 2 packages compiled, linking', 'main.go:3: undefined: y')
    """

    def __init__(self, packages: Collection[str]):
        self.packages = frozenset(packages)

    def __call__(self, text: str) -> tuple[str, str]:
        """What to show of this output, and what of it is no progress: a package's name, such as
        "errors", isn't an error."""
        lines = log_lines(text)
        begun = [line for line in lines if line in self.packages]
        rest = "\n".join(line for line in lines if line not in self.packages)
        number, total = len(set(begun)), len(self.packages)
        if not begun:
            return (log_lines(rest) or ["go build"])[-1], rest
        if number == total:
            return f"all {total} packages compiled, linking", rest
        return f"package {number} of {total}: {begun[-1]}", rest


def downloading(text: str, at_most: int) -> tuple[str, str]:
    """What to show of a `go list` that has to download the sources first.

    >>> downloading("go: downloading k8s.io/api v0.37.0", 180)[0]
    'downloading sources, module 1 of at most 180: k8s.io/api v0.37.0'
    """
    begin = "go: downloading "
    lines = [line for line in log_lines(text) if not line.startswith(STALE)]
    fetched = [line.removeprefix(begin) for line in lines if line.startswith(begin)]
    rest = "\n".join(line for line in lines if not line.startswith(begin))
    if not fetched:
        return "looking for what has to be compiled", rest
    count = f"module {len(fetched)} of at most {max(at_most, len(fetched))}"
    return f"downloading sources, {count}: {fetched[-1]}", rest


def modules_at_most(folder: Path) -> int:
    """How many modules' sources go.sum knows; those of other systems aren't downloaded."""
    file = folder / "go.sum"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return sum(len(line.split()) == 3 and not line.split()[1].endswith("/go.mod") for line in lines)


def build(
    step: Step,
    toolchain: str,
    flags: Sequence[str],
    packages: str,
    target: str,
    *,
    log: Path,
    env: dict[str, str],
    folder: Path,
) -> None:
    """`go build`, with its progress in packages.

    Args:
        step: where it is shown.
        toolchain: the go program.
        flags: of the build.
        packages: what is built.
        target: where the programs go.
        log: what go says.
        env, folder: what it runs with, and in.

    Raises:
        LabError: a download or the build failed.
    """
    begin = log.stat().st_size if log.exists() else 0
    at_most = modules_at_most(folder)
    shape = f"{{{{if .Stale}}}}{STALE}{{{{.ImportPath}}}}{{{{end}}}}"
    settings = {"log": log, "timeout_seconds": 3600, "env": env, "cwd": folder}
    step.run(
        [toolchain, "list", "-deps", *flags, "-f", shape, packages],
        reads=lambda text: downloading(text, at_most),
        **settings,
    )
    with log.open(encoding="utf-8", errors="replace") as file:
        file.seek(begin)
        stale = [
            line.removeprefix(STALE).strip()
            for line in file
            if line.startswith(STALE) and line.split() != [STALE.strip(), "unsafe"]
        ]
    step.run(
        [toolchain, "build", "-v", *flags, "-o", target, packages],
        reads=Compiling(stale),
        **settings,
    )
