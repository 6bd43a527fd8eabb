"""Reads which labs there are, from ``notebooks/claims.yaml``, and what stands in a notebook between
two headings."""

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

from labhelpers import paths

__all__ = ["Part", "claims", "labs", "parts"]

FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


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


@dataclass
class Part:
    """What stands in a notebook between two headings of the second level.

    Attributes:
        heading: as it's written; "" of what stands before the first one.
        prose: its Markdown, without blocks of code.
        cells: its code cells, as nbformat has them.
    """

    heading: str
    prose: list[str] = field(default_factory=list)
    cells: list[dict] = field(default_factory=list)


def parts(notebook: dict) -> list[Part]:
    """A notebook, part by part. The first is what stands before the first heading.

    >>> cells = [{"cell_type": "markdown", "source": "# 02\\n## Who?\\nLook here."}]
    >>> cells += [{"cell_type": "code", "source": "lab.predict('who', …)"}]
    >>> [(part.heading, part.prose, len(part.cells)) for part in parts({"cells": cells})]
    [('', ['# 02\\n'], 0), ('Who?', ['Look here.'], 1)]
    """
    found = [Part("")]
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            found[-1].cells.append(cell)
        elif cell["cell_type"] == "markdown":
            text = FENCED.sub("", "".join(cell["source"]))
            before, *headed = re.split(r"^## ", text, flags=re.MULTILINE)
            found[-1].prose.append(before)
            for each in headed:
                heading, _, rest = each.partition("\n")
                found.append(Part(heading.strip(), [rest]))
    return found
