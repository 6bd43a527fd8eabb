"""Writes what README.md says of the labs: ``python docs/write_readme.py``, or ``--check`` to see
whether it is up to date.

The parts between markers come from notebooks/claims.yaml, from the stored notebooks, from
pyproject.toml and from the comment in the film, so that the README claims no more than they show.
"""

import argparse
import html
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import nbformat
import yaml
from PIL import Image

from labhelpers.stored import claims_of

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
CURRICULA = ROOT / "docs" / "curricula.md"
FILM, BADGES = ROOT / "docs" / "film", ROOT / "docs" / "badges"
# How much of a bullet of a curriculum counts.
HOW = {"covered": 1.0, "touched": 0.5, "out of scope": 0.0}
# Of DejaVu Sans, Verdana's twin, in hundredths of the size of the type; all others are like "n".
NARROW = {"i": 28, "j": 28, "l": 28, "f": 35, "t": 39, "r": 41, " ": 32, ".": 32, "-": 36, "m": 97}


def parts(
    claims: dict[str, Any],
    notebooks: dict[str, Any],
    project: dict[str, Any],
    film: dict[str, Any],
) -> dict[str, str]:
    """The text of each marked part.

    Args:
        claims: notebooks/claims.yaml as read.
        notebooks: the notebooks there are, by the number of their lab.
        project: pyproject.toml as read.
        film: what the film says of itself: see ``said_by``.
    """
    proved = proved_in(claims, notebooks)
    return {
        "badges": "\n".join(["", "", *map(_badge, badges(claims, notebooks, project)), "", ""]),
        "count": count(claims, notebooks),
        "labs": _labs(claims, notebooks, proved),
        "told": _told(claims, proved),
        "film": _film(film),
    }


def proved_in(claims: dict[str, Any], notebooks: dict[str, Any]) -> list[dict[str, Any]]:
    """The claims that a stored notebook shows."""
    shown = {
        number: set().union(*(claims_of(cell) for cell in book.cells))
        for number, book in notebooks.items()
    }
    return [
        claim
        for claim in claims["claims"]
        if "proof" in claim and claim["id"] in shown.get(claim["lab"], set())
    ]


def count(claims: dict[str, Any], notebooks: dict[str, Any]) -> str:
    """How many claims are proved."""
    return f"{len(proved_in(claims, notebooks))} of {len(claims['claims'])} claims are proved today"


def badges(
    claims: dict[str, Any], notebooks: dict[str, Any], project: dict[str, Any]
) -> list[tuple[str, str, str, str]]:
    """Each badge: the name of its file, what it's about, what it says, and the page that shows it.

    Args:
        claims, notebooks, project: see ``parts``.
    """
    proved = f"{len(proved_in(claims, notebooks))} of {len(claims['claims'])}"
    image = project["tool"]["podlab"]["node_image"]
    pythons = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["project"]["requires-python"])
    lowest, above = map(int, pythons.groups())
    return [
        ("claims", "claims proved", f"{proved} in {len(notebooks)} labs", "notebooks/claims.yaml"),
        ("kubernetes", "Kubernetes", re.search(r":v([\d.]+)@", image)[1], "docs/testing.md"),
        ("python", "Python", f"3.{lowest} to 3.{above - 1}", "docs/running.md"),
        ("license", "license", project["project"]["license"], "LICENSE"),
    ]


def drawn(label: str, text: str) -> str:
    """A badge as an SVG. Its colours bring their own background, so any theme will do, and the
    widths are fixed, so any font will do.

    >>> drawn("Python", "3.11 to 3.13").splitlines()[1]
    '<title>Python: 3.11 to 3.13</title>'
    """
    left, right = (
        sum(NARROW.get(letter, 64) for letter in words) * 11 // 100 for words in (label, text)
    )
    total, middle = left + right + 40, left + 20
    word = '<text x="{}" y="15" textLength="{}" lengthAdjust="spacingAndGlyphs">{}</text>'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{total}" height="22" role="img">',
            f"<title>{html.escape(f'{label}: {text}')}</title>",
            f'<clipPath id="round"><rect width="{total}" height="22" rx="4"/></clipPath>',
            '<g clip-path="url(#round)">',
            f'<rect width="{middle}" height="22" fill="#57606a"/>',
            f'<rect x="{middle}" width="{total - middle}" height="22" fill="#0b5cad"/>',
            "</g>",
            '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">',
            word.format(10, left, html.escape(label)),
            word.format(middle + 10, right, html.escape(text)),
            "</g>",
            "</svg>",
            "",
        ]
    )


def said_by(film: Path) -> dict[str, Any]:
    """What the film says of itself: the version of Kubernetes, and what was asked and measured."""
    with Image.open(film) as image:
        return json.loads(image.info["comment"])


def told_by(film: dict[str, Any]) -> tuple[str, str]:
    """What happens in the film, for those who don't see it: first in lab 02, then in lab 17.

    >>> asked = {"question": "Who?", "committed": "the app", "measured": "pause"}
    >>> told_by({"asked": asked, "clicks": []})[0]
    'Lab 02 asks: Who? Somebody commits to: the app. Measured: pause.'
    """
    asked = film["asked"]
    first = (
        f"Lab 02 asks: {asked['question']} Somebody commits to: {asked['committed']}."
        f" Measured: {asked['measured']}."
    )
    then = "Lab 17 lists the lines of a security context, and what each level says."
    for line, is_on, says in film["clicks"]:
        verdict, _, rules = says.partition(": ")
        why = f": {rules}" if rules else ""
        then += f" {'With' if is_on else 'Without'} {line}, restricted {verdict} the Pod{why}."
    return first, then


def written(readme: str, texts: dict[str, str]) -> str:
    """The README with each part put between its markers.

    >>> written("a <!-- count -->0<!-- /count --> b", {"count": "7"})
    'a <!-- count -->7<!-- /count --> b'
    """
    for name, text in texts.items():
        pattern = rf"(<!-- {name} -->).*?(<!-- /{name} -->)"
        if len(re.findall(pattern, readme, re.DOTALL)) != 1:
            raise SystemExit(
                f"The page has no part <!-- {name} --> … <!-- /{name} -->, or has it twice"
            )
        readme = re.sub(
            pattern, lambda match, text=text: match[1] + text + match[2], readme, flags=re.DOTALL
        )
    return readme


def domains(page: str) -> list[tuple[str, str, int, list[list[str]]]]:
    """The domains of the exams: the exam, the domain, its weight in percent, and a row for each
    bullet: its text, its labs, how far it's covered, and a note.

    >>> domains("## CKA\\n### Storage, 10 %\\n| a | 16 | covered | b |")
    [('CKA', 'Storage', 10, [['a', '16', 'covered', 'b']])]
    """
    found, exam = [], ""
    for line in page.splitlines():
        if match := re.fullmatch(r"### (.+), (\d+) %", line):
            found.append((exam, match[1], int(match[2]), []))
        elif line.startswith("## "):
            exam = line.removeprefix("## ")
        elif found and line.startswith("| ") and not line.startswith(("| bullet |", "| --- |")):
            found[-1][3].append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found


def curricula(page: str) -> str:
    """How far the labs cover each exam, counted from the page's own rows."""
    rows = [
        "",
        "",
        "| exam | covered | touched | out of scope | share |",
        "| --- | --- | --- | --- | --- |",
    ]
    read = domains(page)
    for exam in dict.fromkeys(each[0] for each in read):
        own = [
            (weight, [row[2] for row in rows_]) for name, _, weight, rows_ in read if name == exam
        ]
        counts = [sum(hows.count(how) for _, hows in own) for how in HOW]
        share = sum(weight * sum(HOW[how] for how in hows) / len(hows) for weight, hows in own)
        rows.append(f"| {exam} | {' | '.join(map(str, counts))} | {share:.0f} % |")
    return "\n".join([*rows, "", ""])


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes what README.md says of the labs.")
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; the exit code is 1 where something would be written",
    )
    check = parser.parse_args().check
    claims = yaml.safe_load((ROOT / "notebooks" / "claims.yaml").read_text(encoding="utf-8"))
    paths = {
        number: ROOT / "notebooks" / lab["notebook"]
        for number, lab in claims["labs"].items()
        if "notebook" in lab
    }
    notebooks = {
        number: nbformat.read(path, as_version=4)
        for number, path in paths.items()
        if path.is_file()
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    texts = parts(claims, notebooks, project, said_by(FILM / "light.gif"))
    wanted = {README: written(README.read_text(encoding="utf-8"), texts).encode()}
    page = CURRICULA.read_text(encoding="utf-8")
    wanted[CURRICULA] = written(page, {"curricula": curricula(page)}).encode()
    for name, label, text, _ in badges(claims, notebooks, project):
        wanted[BADGES / f"{name}.svg"] = drawn(label, text).encode()
    stale = [
        path
        for path, content in wanted.items()
        if not path.is_file() or path.read_bytes() != content
    ]
    for path in stale:
        print(
            f"{path.relative_to(ROOT)} is"
            f" {'not up to date: run python docs/write_readme.py' if check else 'written'}"
        )
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(wanted[path])
    return 1 if check and stale else 0


def _labs(claims: dict[str, Any], notebooks: dict[str, Any], proved: list[dict[str, Any]]) -> str:
    rows = ["", "", "| lab | the question | minutes | claims proved |", "| --- | --- | --- | --- |"]
    for number, lab in claims["labs"].items():
        name = f"{number} {lab['title']}"
        title = f"[{name}](notebooks/{lab['notebook']})" if number in notebooks else name
        own = [claim for claim in claims["claims"] if claim["lab"] == number]
        done = len([claim for claim in proved if claim["lab"] == number])
        share = f"{done} of {len(own)}" if own else "–"
        rows.append(
            f"| {title} | {lab['question']} | {lab['minutes']} |"
            f" {share if number in notebooks else 'to come'} |"
        )
    return "\n".join([*rows, "", ""])


def _told(claims: dict[str, Any], proved: list[dict[str, Any]]) -> str:
    rows = ["", "", "| You may hear | What we measured | Lab |", "| --- | --- | --- |"]
    rows += [
        f"| {claim['myth']} | {claim['claim']} | {claim['lab']} |"
        for claim in proved
        if "myth" in claim
    ]
    return "\n".join([*rows, "", ""])


def _badge(badge: tuple[str, str, str, str]) -> str:
    name, label, text, page = badge
    return f"[![{label}: {text}](docs/badges/{name}.svg)]({page})"


def _film(film: dict[str, Any]) -> str:
    """The film in the reader's theme, and a still for those who want no motion."""
    still, dark = "(prefers-reduced-motion: reduce)", "(prefers-color-scheme: dark)"
    sources = [(f"{still} and {dark}", "dark.png"), (still, "light.png"), (dark, "dark.gif")]
    lines = [f'<source media="{media}" srcset="docs/film/{name}">' for media, name in sources]
    lines.append(f'<img src="docs/film/light.gif" alt="{html.escape(" ".join(told_by(film)))}">')
    made = f"*Labs 02 and 17, on Kubernetes {film['kubernetes'].lstrip('v')}."
    made += " A box marks what the cluster answered.*"
    return "\n".join(["", "", "<picture>", *lines, "</picture>", "", made, "", ""])


if __name__ == "__main__":
    sys.exit(main())
