"""One thing that a cluster needs, and whether this machine has it."""

import re
from dataclasses import dataclass

__all__ = ["MACHINES", "Finding", "numbers"]

MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Finding:
    """One thing that a cluster needs.

    Attributes:
        name: the thing.
        ok: True; None if it works anyway, with a warning; False if ``podlab up`` would fail.
        seen: what was found.
        fix: what to do about it, "" if there is nothing to do.
    """

    name: str
    ok: bool | None
    seen: str
    fix: str = ""


def numbers(version: str) -> tuple[int, ...]:
    """The first two numbers of a version; () if it doesn't begin with one.

    >>> numbers("v1.37.0"), numbers("master")
    ((1, 37), ())
    """
    found = re.match(r"v?(\d+)(?:\.(\d+))?", version)
    return tuple(int(number) for number in found.groups(default="0")) if found else ()
