"""The house rules of a stored notebook. Each rule is a function: notebook and path in, complaints
out; RULES has them all.

tests/unit/test_notebooks.py holds the labs to them, tests/unit/test_guards.py breaks each of them
once.
"""

import ast
import re
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from labhelpers import stored
from tests import form

TAGS = re.compile(r"measure|reveal|core|by-chance|claim:[A-Z]\d{1,2}")
SIZE_BYTES = 600_000
IMPORT, EXCLUSIVE = "from labhelpers import start", "exclusive=True"
VOLATILE = {
    "a time of day": r"\b\d{2}:\d{2}:\d{2}\b",
    "a uid": r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
    "an address": r"\b(?:10\.\d{1,3}|172\.(?:1[6-9]|2\d|3[01])|192\.168)\.\d{1,3}\.\d{1,3}\b",
    "a container id": r"\b[0-9a-f]{64}\b|(?:containerd|docker)://[0-9a-f]{12}",
    "a namespace's inode": r"\b402653\d{4}\b",
    "an object's address": r"\b0x[0-9a-f]{6,}\b",
    "an age": r"(?<![\w.:-])(?:\d+[dhm])*\d+s\b",
    "a path of one machine": r"(?<![\w.])/(?:root|work|home|Users)/\w+",
}
NOT_COMPARED = {
    "a cell marker of nbval": r"#\s*(?:NBVAL_|PYTEST_VALIDATE_)",
    "a result hidden by a semicolon (nbval sees it all the same)": r";\s*$",
    "clear_output": r"\bclear_output\b",
    "an Output widget": r"\bOutput\(",
    "Out[…], which nbval does not fill": r"\bOut\[",
}


def cells_ran_in_order(notebook: Any, path: Path) -> Iterator[str]:
    """nbval runs a cell without a count and never compares it: a stripped notebook would pass."""
    counts = [cell.execution_count for cell in _code(notebook)]
    if not counts or counts != list(range(1, len(counts) + 1)):
        yield (
            "no cell has run; make try runs and stores them"
            if not any(counts)
            else f"its cells haven't run in order since the last change: {counts}; use make try"
        )


def tags_are_known(notebook: Any, path: Path) -> Iterator[str]:
    """raises-exception passes when nothing raises; skip and ignore compare nothing."""
    for cell in notebook.cells:
        for tag in cell.metadata.get("tags", []):
            if not TAGS.fullmatch(tag):
                yield f"{_name(cell)} has the tag {tag}"


def everything_is_compared(notebook: Any, path: Path) -> Iterator[str]:
    for cell in _code(notebook):
        for what, pattern in NOT_COMPARED.items():
            if re.search(pattern, cell.source, re.MULTILINE):
                yield f"{_name(cell)} has {what}"


def no_error_is_stored(notebook: Any, path: Path) -> Iterator[str]:
    for cell in _code(notebook):
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"{_name(cell)} stores {output.ename}"
            if output.get("name") == "stderr":
                yield f"{_name(cell)} stores stderr: {output.text.splitlines()[0]}"


def nothing_volatile_is_stored(notebook: Any, path: Path) -> Iterator[str]:
    """What differs between two runs of one fact."""
    for cell in _code(notebook):
        for text in texts(cell):
            for what, pattern in VOLATILE.items():
                if found := re.search(pattern, text):
                    yield f"{_name(cell)} shows {what}: {found[0]}"


def findings_are_computed(notebook: Any, path: Path) -> Iterator[str]:
    """A line that is shown as measured must not stand in the cell as a literal: it would be shown
    whatever was measured."""
    for cell in _code(notebook):
        pictured = any("image/png" in output.get("data", {}) for output in cell.outputs)
        if pictured or any(
            tag in stored.HIDDEN_TAGS or tag.startswith("claim:") for tag in _tags(cell)
        ):
            for finding in _literals(cell.source) & _findings(cell):
                yield f"{_name(cell)} has its finding in its source: {finding}"


def cells_are_short(notebook: Any, path: Path) -> Iterator[str]:
    lengths = sorted(
        len([line for line in cell.source.splitlines() if line.strip()]) for cell in _code(notebook)
    )
    if not lengths:
        return
    if statistics.median(lengths) > 4:
        yield f"the median of the code cells is {statistics.median(lengths)} lines; at most 4"
    if lengths[int((len(lengths) - 1) * 0.9)] > 10:
        yield (
            f"nine in ten code cells have up to {lengths[int((len(lengths) - 1) * 0.9)]} lines; at"
            " most 10"
        )
    if lengths[-1] > 20:
        yield f"the longest code cell has {lengths[-1]} lines; at most 20"


def opens_with_its_card(notebook: Any, path: Path) -> Iterator[str]:
    first = notebook.cells[0]
    if first.cell_type != "markdown" or not first.source.startswith("# "):
        yield "the first cell is not the card with the title"
    titles = [
        line
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for line in _prose(cell.source)
        if re.match(r"# ", line)
    ]
    if len(titles) != 1:
        yield f"there are {len(titles)} titles of the first level: {titles}"


def begins_with_the_set_up(notebook: Any, path: Path) -> Iterator[str]:
    """The same two lines in every lab, so that any lab may be run first."""
    lines = [
        line for cell in _code(notebook)[:1] for line in cell.source.splitlines() if line.strip()
    ]
    begins = f'lab = start("{lab_name(path)}"'
    if lines not in ([IMPORT, f"{begins})"], [IMPORT, f"{begins}, {EXCLUSIVE})"]):
        yield f"the first code cell is {lines}"


def ends_in_facts_clean_up_and_links(notebook: Any, path: Path) -> Iterator[str]:
    closing = " ".join(cell.source for cell in _code(notebook)[-3:])
    if "lab.facts()" not in closing or not _code(notebook)[-1].source.rstrip().endswith(
        "lab.finish()"
    ):
        yield "the last code cells are not lab.facts() and, as the very last, lab.finish()"
    last = notebook.cells[-1]
    if last.cell_type != "markdown" or "Previous" not in last.source or "Next" not in last.source:
        yield "the last cell does not name the previous and the next lab"
    for cell in notebook.cells:
        for link in (
            re.findall(r"\]\(([^)#:]+)\)", cell.source) if cell.cell_type == "markdown" else []
        ):
            if not (path.parent / link).exists():
                yield f"{_name(cell)} links to {link}, which is not there"


def answers_are_kept(notebook: Any, path: Path) -> Iterator[str]:
    """What a reader sees while they choose doesn't give the answer away: neither a prediction's own
    name, nor a cell below that expects a rejection."""
    is_open = False
    for cell in _code(notebook):
        if is_open and "lab.refused(" in cell.source:
            yield (
                f"{_name(cell)} says before the reveal that the API server rejects it: take"
                " lab.attempt(), the reveal is compared"
            )
        if "lab.reveal(" in cell.source:
            is_open = False
        for name in re.findall(r"lab\.predict\(\s*\"([^\"]+)\"", cell.source):
            is_open = True
            shown = "".join(output.get("data", {}).get("text/plain", "") for output in cell.outputs)
            if f"( ) {name}" in shown.splitlines():
                yield f"{_name(cell)} has the name of one of its choices: {name}"


def answers_are_folded(notebook: Any, path: Path) -> Iterator[str]:
    """Between a prediction and its reveal, what measures is tagged; is_canonical then holds that
    tagged cells are stored folded, and the text after a reveal. No heading is folded with it."""
    open_questions: set[str] = set()
    for cell in _code(notebook):
        open_questions |= set(re.findall(r"lab\.predict\(\s*\"([^\"]+)\"", cell.source))
        revealed = set(re.findall(r"lab\.reveal\(\s*\"([^\"]+)\"", cell.source))
        measures = "lab.recording(" in cell.source or any(
            "image/png" in output.get("data", {}) for output in cell.outputs
        )
        # Only a cell's last value is shown.
        if revealed and not [
            line for line in cell.source.splitlines() if line[:1] not in ("", " ", ")")
        ][-1].startswith("lab.reveal("):
            yield f"{_name(cell)} reveals, but not in its last line, so nobody sees it"
        if revealed and "reveal" not in _tags(cell):
            yield f"{_name(cell)} reveals and has no tag reveal"
        elif open_questions and measures and not revealed and "measure" not in _tags(cell):
            yield f"{_name(cell)} measures what was asked just before and has no tag measure"
        open_questions -= revealed
    if open_questions:
        yield f"asked and never revealed: {sorted(open_questions)}"
    for cell in notebook.cells:
        folded = cell.metadata.get("jupyter", {}).get("source_hidden")
        if cell.cell_type == "markdown" and folded and re.search(r"(?m)^#", cell.source):
            yield f"{_name(cell)} is folded with a heading in it: begin a new cell with the heading"


def is_canonical(notebook: Any, path: Path) -> Iterator[str]:
    """No widget view or state, no timings, answers folded: exactly what `labhelpers.stored`
    writes."""
    wanted = stored.canonical(notebook)
    if notebook != wanted:
        parts = [
            _name(is_)
            for is_, should in zip(notebook.cells, wanted["cells"], strict=True)
            if is_ != should
        ]
        yield f"not as `make refresh` writes it: {', '.join(parts) or 'metadata of the notebook'}"


def is_small(notebook: Any, path: Path) -> Iterator[str]:
    size = len(str(notebook).encode())
    if size > SIZE_BYTES:
        yield f"{size} bytes; at most {SIZE_BYTES}"


# What a notebook is, before it has ever run: the template has to pass these.
FORM: list[Callable[[Any, Path], Iterator[str]]] = [
    tags_are_known,
    everything_is_compared,
    no_error_is_stored,
    cells_are_short,
    opens_with_its_card,
    begins_with_the_set_up,
    ends_in_facts_clean_up_and_links,
    answers_are_folded,
    answers_are_kept,
    is_canonical,
    is_small,
]
RULES = [*FORM, cells_ran_in_order, nothing_volatile_is_stored, findings_are_computed]


def lab_name(path: Path) -> str:
    """02_pause.ipynb is the lab 02-pause."""
    return path.stem.replace("_", "-").lower()


def texts(cell: Any) -> Iterator[str]:
    """All that a code cell stores to be compared: streams and plain text. HTML is shown only."""
    for output in cell.outputs:
        if output.output_type == "stream":
            yield output.text
        if "text/plain" in output.get("data", {}):
            yield output.data["text/plain"]


def _code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _tags(cell: Any) -> list[str]:
    return cell.metadata.get("tags", [])


def _name(cell: Any) -> str:
    """What a person finds it by: its first line."""
    return f"[{cell.id}] {next(iter(cell.source.splitlines()), '(empty)')[:60]}"


def _prose(source: str) -> list[str]:
    return re.sub(r"^```.*?^```", "", source, flags=re.MULTILINE | re.DOTALL).splitlines()


def _findings(cell: Any) -> set[str]:
    """Each line of what is shown, whole and in the parts that a finding joins with a middle dot;
    quotes of a repr taken away."""
    lines = {line.strip() for text in texts(cell) for line in text.splitlines()}
    parts = lines | {part.strip() for line in lines for part in line.split(" · ")}
    return {part.strip("'\"") for part in parts} - {""}


def _literals(source: str) -> set[str]:
    """String literals of more than one word; single words are names of containers and columns."""
    tree = ast.parse(form.MAGIC.sub(r"\1None", source))
    found = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    parts = found | {part for text in found for part in text.split(" · ")}
    return {part.strip() for part in parts if len(part.split()) > 1}


def unproved(claims: dict[str, Any], labs: dict[str, Any]) -> Iterator[str]:
    """notebooks/claims.yaml against the notebooks, both ways.

    Args:
        claims: claims.yaml as read.
        labs: the notebooks by the number of their lab, "02".
    """
    known = {claim["id"]: claim for claim in claims["claims"]}
    for claim in claims["claims"]:
        if "proof" in claim:
            cells = (
                [
                    cell
                    for cell in _code(labs[claim["lab"]])
                    if claim["id"] in stored.claims_of(cell)
                ]
                if claim["lab"] in labs
                else []
            )
            if claim["proof"] != f"claim:{claim['id']}":
                yield f"{claim['id']}: its proof is {claim['proof']}, not claim:{claim['id']}"
            elif not cells:
                yield f"{claim['id']}: no cell of lab {claim['lab']} has the tag {claim['proof']}"
            elif not any(
                cell.execution_count and any(text.strip() for text in texts(cell)) for cell in cells
            ):
                yield (
                    f"{claim['id']}: no cell with the tag {claim['proof']} has run and shows"
                    " something"
                )
    for number, notebook in labs.items():
        proved = set().union(*(stored.claims_of(cell) for cell in _code(notebook)))
        for name in sorted(proved):
            if known.get(name, {}).get("lab") != number or "proof" not in known[name]:
                yield (
                    f"lab {number} has a cell with the tag claim:{name}, which claims.yaml does not"
                    " give to it as proved"
                )
        takes = re.search(r"\*\*Time:\*\* (\d+) minutes", notebook.cells[0].source)
        if not takes or int(takes[1]) != claims["labs"][number]["minutes"]:
            yield (
                f"the card of lab {number} does not say {claims['labs'][number]['minutes']} minutes"
            )
        alone = EXCLUSIVE in next((cell.source for cell in _code(notebook)), "")
        if alone != (claims["labs"][number].get("needs") == "node-exclusive"):
            yield (
                f"lab {number} begins {'with' if alone else 'without'} {EXCLUSIVE}, and claims.yaml"
                " says otherwise"
            )
