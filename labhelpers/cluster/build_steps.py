"""One step of a build, and the hash under which its result is kept."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from labhelpers import paths
from labhelpers.cluster import progress
from labhelpers.cluster.progress import Step
from labhelpers.files import made_atomically

__all__ = ["cached", "digest", "log"]


def digest(*parts: str | bytes | Path) -> str:
    """Hashes texts, files, and folders with names, modes and contents, to twelve hex digits.

    >>> digest("a", "b") == digest("a", "b"), digest("a", "b") == digest("ab")
    (True, False)
    """
    total = hashlib.sha256()

    def add(kind: str, content: bytes) -> None:
        total.update(f"{kind} {len(content)}\n".encode() + content)

    for part in parts:
        if isinstance(part, Path):
            for file in sorted(
                p for p in ([part] if part.is_file() else part.rglob("*")) if p.is_file()
            ):
                add(f"{file.relative_to(part)} {file.stat().st_mode & 0o111:o}", file.read_bytes())
        else:
            add("text", part.encode() if isinstance(part, str) else part)
    return total.hexdigest()[:12]


def log() -> Path:
    return paths.cache() / "logs" / "node-image.log"


def cached(title: str, target: Path, make: Callable[[Step, Path], None]) -> Path:
    """Runs one step of the build, atomically; skips it if its result is there already."""
    with progress.step(title) as step:
        if target.exists():
            step.skip("already built")
        else:
            with made_atomically(target) as partial:
                make(step, partial)
    return target
