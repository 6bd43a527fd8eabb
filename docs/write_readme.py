"""Writes what README.md says of the labs: ``python docs/write_readme.py``, or ``--check`` to see
whether it is up to date.

The parts between markers come from notebooks/claims.yaml and from the stored notebooks, so that the
README claims no more than they show.
"""

import argparse
import base64
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import yaml

from labhelpers.stored import claims_of

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
CURRICULA = ROOT / "docs" / "curricula.md"
PICTURE = ROOT / "docs" / "picture.png"
# How much of a bullet of a curriculum counts.
HOW = {"covered": 1.0, "touched": 0.5, "out of scope": 0.0}
# The picture at the top: of this lab, the one that proves this claim.
PICTURED_LAB, PICTURED_CLAIM = "02", "B3"


def parts(claims: dict[str, Any], notebooks: dict[str, Any]) -> dict[str, str]:
    """The text of each marked part.

    Args:
        claims: notebooks/claims.yaml as read.
        notebooks: the notebooks there are, by the number of their lab.
    """
    shown = {
        number: set().union(*(claims_of(cell) for cell in book.cells))
        for number, book in notebooks.items()
    }
    proved = [
        claim
        for claim in claims["claims"]
        if "proof" in claim and claim["id"] in shown.get(claim["lab"], set())
    ]
    return {
        "count": _count(claims, proved),
        "labs": _labs(claims, notebooks, proved),
        "told": _told(claims, proved),
        "picture": _picture(picture(notebooks)),
    }


def picture(notebooks: dict[str, Any]) -> tuple[bytes, str] | None:
    """The PNG and the finding of the pictured claim, from the stored notebook."""
    for cell in notebooks[PICTURED_LAB].cells if PICTURED_LAB in notebooks else []:
        for output in cell.get("outputs", []) if PICTURED_CLAIM in claims_of(cell) else []:
            if "image/png" in output.get("data", {}):
                return base64.b64decode(output["data"]["image/png"]), output["data"]["text/plain"]
    return None


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
    wanted = {
        README: written(README.read_text(encoding="utf-8"), parts(claims, notebooks)).encode()
    }
    page = CURRICULA.read_text(encoding="utf-8")
    wanted[CURRICULA] = written(page, {"curricula": curricula(page)}).encode()
    if found := picture(notebooks):
        wanted[PICTURE] = found[0]
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
            path.write_bytes(wanted[path])
    return 1 if check and stale else 0


def _count(claims: dict[str, Any], proved: list[dict[str, Any]]) -> str:
    return f"{len(proved)} of {len(claims['claims'])} claims are proved today"


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


def _picture(found: tuple[bytes, str] | None) -> str:
    if found is None:
        return ""
    parts = " ".join(found[1].split()).split("; ")
    finding = " ".join(f"{part[0].upper()}{part[1:]}." for part in parts)
    return f"\n\n![{finding}](docs/picture.png)\n\n*Measured in lab {PICTURED_LAB}. {finding}*\n\n"


if __name__ == "__main__":
    sys.exit(main())
