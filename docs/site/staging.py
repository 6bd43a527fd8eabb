"""Lays out the pages of the site as Sphinx reads them: README.md, docs/, the stored notebooks, and
a page of all claims. What is decorated is a copy; the sources stay as they are."""

import shutil
from pathlib import Path
from typing import Any

import nbformat
import yaml

from docs import write_readme
from labhelpers.stored import claims_of

__all__ = ["ROOT", "claims_page", "decorated", "front_page", "stage"]

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
FILM = ROOT / "docs" / "film" / "light.gif"


def stage(folder: Path) -> None:
    """Writes all sources of the site into a folder, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("docs", "notebooks"):
        (folder / name).mkdir(parents=True)
    claims = yaml.safe_load((ROOT / "notebooks/claims.yaml").read_text(encoding="utf-8"))
    named = ("CONTRIBUTING.md", "LICENSE", "notebooks/claims.yaml")
    for path in [*ROOT.glob("docs/*.*"), *(ROOT / name for name in named)]:
        shutil.copy(path, folder / path.relative_to(ROOT))
    for name in ("notebooks/pictures", "notebooks/manifests", "docs/badges", "docs/film"):
        shutil.copytree(ROOT / name, folder / name)
    books = {}
    for path in sorted(ROOT.glob("notebooks/[0-9][0-9]_*.ipynb")):
        books[path.name[:2]] = nbformat.read(path, as_version=4)
        nbformat.write(decorated(books[path.name[:2]]), folder / path.relative_to(ROOT))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = {
        "index": front_page(readme, write_readme.told_by(write_readme.said_by(FILM))[0]),
        "claims": claims_page(claims, books),
        "glossary": (HERE / "glossary.md").read_text(encoding="utf-8"),
    }
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def decorated(book: Any) -> Any:
    """A notebook for the site: folded outputs stay folded, pictures have a text alternative, and
    each claim has an anchor before the first cell that proves it, such as ``claim-B3``."""
    cells, anchored = [], set()
    for cell in book.cells:
        if cell.cell_type == "code" and (claims := sorted(claims_of(cell) - anchored)):
            cells.append(_anchors(claims, cell))
            anchored.update(claims)
        cells.append(_decorated_cell(cell) if cell.cell_type == "code" else cell)
    # As Jupyter stores it, for `%kubectl` and `!cat` in Python.
    metadata = {**book.metadata, "language_info": {"name": "python", "pygments_lexer": "ipython3"}}
    return nbformat.from_dict({**book, "cells": cells, "metadata": metadata})


def _anchors(claims: list[str], cell: Any) -> Any:
    spans = "".join(f'<span id="claim-{claim}"></span>' for claim in claims)
    link = (
        f'<a class="claim-anchor" href="#claim-{claims[0]}" title="Link to this measurement"'
        ' aria-label="Link to this measurement">#</a>'
    )
    source = f'<div class="claim-anchors">{spans}{link}</div>'
    return nbformat.v4.new_markdown_cell(source, id=f"{cell.id}-claims"[:64])


def _decorated_cell(cell: Any) -> Any:
    outputs = [output for output in cell.outputs if output.get("data", True)]
    metadata = {**cell.metadata}
    if metadata.get("jupyter", {}).get("outputs_hidden") and outputs:
        metadata["tags"] = [*metadata.get("tags", []), "hide-output"]
    for output in outputs:
        data = output.get("data", {})
        if "image/png" in data:
            alternative = " ".join(data["text/plain"].split())
            metadata["mystnb"] = {"image": {"alt": alternative}}
    return nbformat.from_dict({**cell, "metadata": metadata, "outputs": outputs})


# What the site has a page of its own for, and the reader of the front page needs no table of.
TOLD = (
    "\n\nThe page of [all claims](claims.md) has what each lab proves, and the myth beside it.\n\n"
)

CONTENTS = """
```{toctree}
:hidden:
:caption: Labs
:glob:

notebooks/*
```

```{toctree}
:hidden:
:caption: Look it up

claims
glossary
```

```{toctree}
:hidden:
:caption: The project
:glob:

docs/*
```
"""


def front_page(readme: str, film: str) -> str:
    """README.md as the front page, with the tree of all pages. Sphinx copies no file that only HTML
    names, so the page has the film's still.

    Args:
        readme: the text of README.md.
        film: what its still shows, in words.

    >>> page = "a <!-- film -->b<!-- /film --> <!-- told -->rows<!-- /told --> c"
    >>> still, told = front_page(page, "Somebody clicks.").splitlines()[2:7:4]
    >>> still
    '![Somebody clicks.](docs/film/light.png)'
    >>> told
    'The page of [all claims](claims.md) has what each lab proves, and the myth beside it.'
    """
    still = f"\n\n![{film}](docs/film/light.png)\n\n"
    return write_readme.written(readme, {"told": TOLD, "film": still}) + CONTENTS


def claims_page(claims: dict[str, Any], books: dict[str, Any]) -> str:
    """Each claim with its myth, and a link to the cell that proves it.

    Args:
        claims: notebooks/claims.yaml as read.
        books: the notebooks there are, by the number of their lab.
    """
    count = write_readme.count(claims, books)
    parts = [
        "# All claims",
        f"{count}. Each link leads to the cell that measured it. The number is a permanent link"
        " to the claim.",
    ]
    for number, lab in claims["labs"].items():
        own = [claim for claim in claims["claims"] if claim["lab"] == number]
        if own:
            parts += [f"## {number} · {lab['title']}", lab["question"]]
            shown = set().union(*map(claims_of, books[number].cells)) if number in books else set()
            parts += [_claim(claim, lab, claim["id"] in shown) for claim in own]
    return "\n\n".join(parts) + "\n"


def _claim(claim: dict[str, Any], lab: dict[str, Any], is_shown: bool) -> str:
    id_ = claim["id"]
    page = f"notebooks/{lab.get('notebook', '')}".replace(".ipynb", ".html")
    where = f'<a href="{page}#claim-{id_}">See it measured</a>' if is_shown else "to come"
    number = f'<a class="claim-id" href="#{id_}" title="Link to this claim">{id_}</a>'
    lines = [f'<div class="claim" id="{id_}">', f"**{claim['claim']}**"]
    if "myth" in claim:
        lines.append(f"You may hear: *{claim['myth']}*")
    if "note" in claim:
        lines.append(claim["note"])
    return "\n\n".join([*lines, f"{number} · {where}", "</div>"])
