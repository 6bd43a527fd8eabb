"""Reads which labs there are, from ``notebooks/claims.yaml``."""

from functools import cache
from pathlib import Path

import yaml

from labhelpers import paths

__all__ = ["claims", "labs"]


@cache
def _read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _file() -> Path:
    # `podlab why POD` names labs anywhere, even where there is no folder with labs.
    return (paths.folder() or paths.repository()) / "notebooks" / "claims.yaml"


def labs() -> dict[str, dict]:
    """The labs by number: title, question, minutes, and the notebook if it's written.

    >>> labs()["02"]["title"]
    'Who keeps the Pod together?'
    """
    return _read(_file()).get("labs", {})


def claims() -> list[dict]:
    """All claims, in the order of the file."""
    return _read(_file()).get("claims", [])
