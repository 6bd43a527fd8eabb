"""The form of a lab, rule by rule: what docs/house-style.md describes and a program can see.

Each rule is a function: notebook and path in, complaints out; FORM has them all. A lab with
``small: true`` in claims.yaml may have fewer predictions and exercises, and no schematic.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from labhelpers import stored
from tests import labs

CARD = ("> **The problem.**", "**You'll learn to**", "**Before this:**", "**Time:**", "**Needs:**")
CLOSING = ("## What you measured", "**On Monday.**", "**Remember.**", "**Read more.**")
CODE_CELLS, WORDS, LINES, COLUMNS = 35, 2000, 8, 88
KUBECTL = re.compile(r"^%kubectl (?:get|describe|logs|events)\b", re.MULTILINE)
PREDICTIONS, LINKS = range(3, 6), range(3, 6)
PREDICTIONS_IF_SMALL = range(1, 6)
EXERCISES = ["a", "b", "c"]
# kubectl's and the kernel's words in a line that begins with ! or % are no Python.
MAGIC = re.compile(r"^([ \t]*)(?:[\w.]+\s*=\s*)?[!%].*$", re.MULTILINE)
MUTE = re.compile(r"[({\[]?(?:True|False|None|yes|no|[\d.]+|'\w*'|, |: )+[)}\]]?")


def has_its_card(notebook: Any, path: Path) -> Iterator[str]:
    """A reader decides by it whether to begin: the problem first, what it takes, what it needs."""
    card = notebook.cells[0].source
    for part in CARD:
        if part not in card:
            yield f"the card has no {part}"
    if not re.search(r"\*\*Time:\*\* \d+ minutes", card):
        yield "the card doesn't say how many minutes it takes"


def shows_no_claim_ids(notebook: Any, path: Path) -> Iterator[str]:
    """They are the project's own bookkeeping."""
    for cell in _markdown(notebook):
        yield from (f"{found} is a claim's id" for found in re.findall(r"\b[A-QZ]\d{1,2}\b", cell))


def has_no_note_to_its_author(notebook: Any, path: Path) -> Iterator[str]:
    """The template's own paragraphs go as the lab is written."""
    for cell in notebook.cells:
        if "✎" in cell.source and path.stem != "TEMPLATE":
            yield f"{_name(cell)} has a note to its author: ✎"


def is_short(notebook: Any, path: Path) -> Iterator[str]:
    """Twenty to thirty minutes. A lab that is longer becomes two."""
    if (count := len(_code(notebook))) > CODE_CELLS:
        yield f"{count} code cells; at most {CODE_CELLS}"
    prose = re.sub(r"(?s)```.*?```|\]\([^)]*\)", " ", "\n".join(_markdown(notebook)))
    if (count := len(prose.split())) > WORDS:
        yield f"{count} words; at most {WORDS}"


def cells_are_what_a_reader_would_write(notebook: Any, path: Path) -> Iterator[str]:
    """What guards against races and noise lives in helpers and proof files."""
    for cell in _code(notebook):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        if len(lines) > LINES:
            yield f"{_name(cell)} has {len(lines)} lines; at most {LINES}"
        if any(len(line) > COLUMNS for line in lines):
            yield f"{_name(cell)} has a line of more than {COLUMNS} characters"
        if "2>/dev/null" in cell.source:
            yield f"{_name(cell)} hides errors with 2>/dev/null"
        for node in ast.walk(ast.parse(MAGIC.sub(r"\1None", cell.source))):
            if _is_comprehension(node) and any(
                _is_comprehension(each) for each in ast.walk(node) if each is not node
            ):
                yield f"{_name(cell)} has a comprehension in a comprehension"
            if isinstance(node, ast.Constant) and re.search(
                r"\b(?:while|until|for)\b.*\bdo\b", str(node.value), re.DOTALL
            ):
                yield f"{_name(cell)} has a shell loop in a string"


def shows_kubectl(notebook: Any, path: Path) -> Iterator[str]:
    """What the reader types every day, as it looks every day."""
    if len(KUBECTL.findall("\n".join(cell.source for cell in _code(notebook)))) < 2:
        yield "fewer than two lines of %kubectl get, describe, logs or events"


def what_is_shown_has_its_sentence(notebook: Any, path: Path) -> Iterator[str]:
    """Tables and pictures aren't compared, so a sentence beside each of them has to be."""
    for cell in _code(notebook):
        data = [output.get("data", {}) for output in cell.outputs]
        shown = any("image/png" in each or "<table" in each.get("text/html", "") for each in data)
        told = [each["text/plain"] for each in data if "text/plain" in each]
        if shown and not any(len(text.split()) > 3 for text in told):
            yield f"{_name(cell)} shows something and has no sentence that is compared"
        if stored.claims_of(cell) and not any(len(text.split()) > 3 for text in told):
            yield f"{_name(cell)} proves a claim and has no sentence that is compared"
        for text in told:
            if MUTE.fullmatch(text.strip()):
                yield f"{_name(cell)} ends in {text}, which says nothing"


def asks_and_answers_in_order(notebook: Any, path: Path) -> Iterator[str]:
    """Predict, run, explain, three to five times; once is enough in a small lab. The browser test
    takes the n-th answer for the n-th question's."""
    source = "\n".join(cell.source for cell in _code(notebook))
    asked = re.findall(r"lab\.predict\(\s*\"([^\"]+)\"", source)
    told = re.findall(r"lab\.reveal\(\s*\"([^\"]+)\"", source)
    if len(asked) not in (PREDICTIONS_IF_SMALL if _is_small(path) else PREDICTIONS):
        yield f"{len(asked)} predictions; {'one' if _is_small(path) else 'three'} to five"
    if asked != told:
        yield f"asked {asked}, answered {told}"


def has_a_schematic(notebook: Any, path: Path) -> Iterator[str]:
    """One drawing of how things are nested or connected, with words for who can't see it."""
    found = re.findall(r"!\[([^\]]*)\]\((pictures/[^)]+\.svg)\)", "\n".join(_markdown(notebook)))
    if len(found) > 1 or not (found or _is_small(path)):
        yield f"{len(found)} schematics; one"
    for words, file in found:
        if len(words.split()) < 5:
            yield f"{file} has no text alternative"
        if not (path.parent / file).is_file():
            yield f"{file} is not there"


def has_three_exercises(notebook: Any, path: Path) -> Iterator[str]:
    """Diagnose, compute, design. A small lab may stop before each of them."""
    source = "\n".join(cell.source for cell in _code(notebook))
    folder = path.parent / "exercises" / path.stem.replace("_", "-")
    there = sorted(each.stem for each in folder.glob("?.py")) if _is_small(path) else EXERCISES
    for verb in ("exercise", "check"):
        found = re.findall(rf"lab\.{verb}\(\"(\w)\"\)", source)
        if found != there or found != EXERCISES[: len(found)]:
            yield f"lab.{verb} is called for {found}; for {there}, from a on"


def closes_with_what_to_keep(notebook: Any, path: Path) -> Iterator[str]:
    """What was measured, what to do at work, what to remember, where to read on."""
    text = "\n".join(_markdown(notebook))
    for part in CLOSING:
        if part not in text:
            yield f"the end has no {part}"
    more = text.partition("**Read more.**")[2]
    if (count := len(re.findall(r"\]\(https://", more))) not in LINKS:
        yield f"{count} links to read more; three to five"


FORM: list[Callable[[Any, Path], Iterator[str]]] = [
    has_its_card,
    shows_no_claim_ids,
    has_no_note_to_its_author,
    is_short,
    cells_are_what_a_reader_would_write,
    shows_kubectl,
    what_is_shown_has_its_sentence,
    asks_and_answers_in_order,
    has_a_schematic,
    has_three_exercises,
    closes_with_what_to_keep,
]


def _code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _markdown(notebook: Any) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def _is_small(path: Path) -> bool:
    """Whether claims.yaml says so. What a small lab has keeps the rules."""
    return labs.LABS.get(path.name[:2], {}).get("small", False)


def _name(cell: Any) -> str:
    return f"[{cell.id}] {cell.source.partition(chr(10))[0][:60]}"


def _is_comprehension(node: ast.AST) -> bool:
    return isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)
