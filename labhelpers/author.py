"""Creates the files of a new lab (``podlab new 07-life-cycle``), from ``notebooks/TEMPLATE.ipynb``
and the folders named ``template``: all of them, or none. It never overwrites anything.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from labhelpers import paths
from labhelpers.errors import LabError
from labhelpers.files import write_atomically

__all__ = ["FOLDERS", "NOTE", "new"]

FOLDERS = (
    "notebooks/manifests",
    "notebooks/exercises",
    "notebooks/solutions",
    "tests/exercises",
)
# begins a paragraph of the template that is for the author, who deletes it while writing the lab
NOTE = "> ✎ "
NAME = re.compile(r"(\d\d)((?:-[a-z0-9]+)+)")


def new(name: str, folder: Path | None = None) -> list[Path]:
    """Creates a lab that runs: it measures the template's small fact until its author replaces it.

    Args:
        name: number and words, such as "07-life-cycle". claims.yaml has a row for the number.
        folder: the checkout; by default this one.

    Returns:
        The files that are new or have changed: the notebook first.

    Raises:
        LabError: not a lab's name, no row for the number, or the lab exists already. Nothing was
            written.

    Example::

        new("07-life-cycle")
    """
    if not (folder := folder or paths.checkout()):
        raise LabError(
            "A new lab is made in a clone of the repository.",
            "this podlab was installed from a wheel, without the template and the tests",
            "Clone the repository, and make the lab there.",
        )
    notebooks = folder / "notebooks"
    if not (found := NAME.fullmatch(name)):
        raise LabError(
            f"{name!r} isn't a valid lab name.",
            "use two digits and words in lowercase letters, joined by hyphens",
            "Try: podlab new 07-life-cycle",
        )
    number, file = found[1], name.replace("-", "_")
    text = (notebooks / "claims.yaml").read_text(encoding="utf-8")
    known = yaml.safe_load(text)
    lab = known["labs"].get(number)
    own = [each["id"] for each in known["claims"] if each["lab"] == number]
    if lab is None or not own:
        raise LabError(
            f"claims.yaml has no {'lab' if lab is None else 'claim of lab'} {number}.",
            f"its labs are {', '.join(known['labs'])}",
            "Add the lab's title, question and minutes, and at least one claim; then try again.",
        )
    words = {"name": name, "number": number, "file": file, "title": lab["title"], "claim": own[0]}
    written = {notebooks / f"{file}.ipynb": _notebook(notebooks, known["labs"], words)}
    written |= dict(_copies(folder, words))
    folders = [folder / part / name for part in FOLDERS]
    there = [path for path in [*written, *folders] if path.exists()]
    if "notebook" in lab or there:
        raise LabError(
            f"Lab {number} exists already.",
            lab.get("notebook") or str(there[0].relative_to(folder)),
            "Choose another number, or delete its files first.",
        )
    written[notebooks / "claims.yaml"] = _with_lab(text, words)
    written |= dict(_neighbours(notebooks, words))
    before = {path: path.read_text(encoding="utf-8") if path.exists() else None for path in written}
    try:
        for path, content in written.items():
            write_atomically(path, content)
    except BaseException:
        _put_back(before)
        raise
    return list(written)


def _put_back(before: Mapping[Path, str | None]) -> None:
    for path, content in before.items():
        if content is None:
            path.unlink(missing_ok=True)
        else:
            write_atomically(path, content)


def _notebook(notebooks: Path, labs: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """Makes the notebook from the template, with links to the labs before and after it."""
    import nbformat

    lab = nbformat.read(notebooks / "TEMPLATE.ipynb", as_version=4)
    for number, cell in enumerate(lab.cells):
        cell.source = _renamed(cell.source, words)
        cell.id = f"{words['name'].partition('-')[2].partition('-')[0]}-{number:02}"
        if tags := cell.metadata.get("tags"):
            cell.metadata.tags = [_renamed(tag, words) for tag in tags]
    minutes = f"**Time:** {labs[words['number']]['minutes']} minutes"
    lab.cells[0].source = re.sub(r"\*\*Time:\*\* \d+ minutes", minutes, lab.cells[0].source)
    numbers = list(labs)
    place = numbers.index(words["number"])
    before, after = numbers[place - 1], numbers[(place + 1) % len(numbers)]
    lab.cells[-1].source = f"Previous: {_link(before, labs)} · Next: {_link(after, labs)}"
    return nbformat.writes(lab) + "\n"


def _link(number: str, labs: Mapping[str, Any]) -> str:
    words = f"{number} · {labs[number]['title']}"
    file = labs[number].get("notebook")
    return f"[{words}]({file})" if file else f"{words} (to come)"


def _renamed(text: str, words: Mapping[str, str]) -> str:
    """Replaces the template's placeholders.

    >>> _renamed('start("template")  # NN, X1', {"name": "07-a", "number": "07", "claim": "D1"})
    'start("07-a")  # 07, D1'
    >>> _renamed("def test_x1", {"name": "07-a", "number": "07", "claim": "D1"})
    'def test_d1'
    """
    text = re.sub(r"\btemplate\b", words["name"], text)
    text = re.sub(r"\bNN\b", words["number"], text)
    text = re.sub(r"\bX1\b", words["claim"], text)
    return re.sub(r"(\b|(?<=_))x1\b", words["claim"].lower(), text)


def _copies(folder: Path, words: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    for part in FOLDERS:
        for path in sorted((folder / part / "template").iterdir()):
            if path.is_file():
                content = path.read_text(encoding="utf-8")
                yield folder / part / words["name"] / path.name, _renamed(content, words)
    notebooks = folder / "notebooks"
    proofs = (notebooks / "proofs" / "TEMPLATE.py").read_text(encoding="utf-8")
    yield notebooks / "proofs" / f"{words['file']}.py", _renamed(proofs, words)
    tests = folder / "tests" / "unit"
    proved = (tests / "test_proofs_template.py").read_text(encoding="utf-8")
    yield tests / f"test_proofs_{words['number']}.py", _renamed(proved, words)
    picture = (notebooks / "pictures" / "template.svg").read_text(encoding="utf-8")
    yield notebooks / "pictures" / f"{words['name']}.svg", picture


def _with_lab(text: str, words: Mapping[str, str]) -> str:
    """Adds the lab's notebook and its first claim's proof to claims.yaml, and keeps the
    comments."""
    number = words["number"]
    row = re.compile(rf"^(  [\"']?{number}[\"']?:\n(?:    .*\n)+)", re.MULTILINE)
    text = row.sub(lambda found: f"{found[1]}    notebook: {words['file']}.ipynb\n", text, count=1)
    claim = re.compile(rf"(id: {words['claim']}\n(?:.*\n)*?)( *)(lab: [\"']{number}[\"']\n)")
    proof = f'proof: "claim:{words["claim"]}"\n'
    text = claim.sub(rf"\g<1>\g<2>\g<3>\g<2>{proof}", text, count=1)
    known = yaml.safe_load(text)
    proofs = [each.get("proof") for each in known["claims"] if each["id"] == words["claim"]]
    if "notebook" not in known["labs"][number] or proofs != [f"claim:{words['claim']}"]:
        raise LabError(
            f"The rows of lab {number} in claims.yaml can't be changed.",
            "they aren't formatted like the others",
            "Write the lab and each claim with one key per line, the claim's id before its lab.",
        )
    return text


def _neighbours(notebooks: Path, words: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """The labs that announce this one as "to come"."""
    title = f"{words['number']} · {words['title']}"
    for path in sorted(notebooks.glob("[0-9][0-9]_*.ipynb")):
        text = path.read_text(encoding="utf-8")
        if (promise := f"{title} (to come)") in text:
            yield path, text.replace(promise, f"[{title}]({words['file']}.ipynb)")
