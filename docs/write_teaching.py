"""Writes docs/teaching.md from notebooks/teaching.yaml and the notebooks: ``python
docs/write_teaching.py``, or ``--check`` to see whether it is up to date.

``--times REPORT.xml`` first takes the cells' run times from a report of the strict run: ``python -m
pytest -p tests.notebooks.plugin --junitxml=REPORT.xml notebooks/[0-9]*.ipynb``. Labs that aren't in
the report keep theirs.
"""

import argparse
import json
import re
import sys
import xml.etree.ElementTree as xml
from collections import defaultdict
from pathlib import Path

from labhelpers import contents, teaching

ROOT = Path(__file__).resolve().parent.parent
PAGE, SECONDS = ROOT / "docs" / "teaching.md", ROOT / "notebooks" / "run_seconds.json"

HEAD = """# Teaching the labs

One part per lab: minutes by section, the core for when time is short, questions for the room, and
what usually goes wrong. `podlab plan 90m` makes a plan from it, `podlab slides 02` slides from a
lab's core. [workshop.md](workshop.md) says how to run a session.

A section's minutes have two parts. *Measured* is how long its cells ran:
{run}.
A dash means that nobody has measured it yet, or that it has no cells. It counts as nothing then.
*Computed* is the rest: prose at {words} words a minute, code at {line} s a line, and {guess} minute
for a prediction. Rooms differ, so write down your own. This page is made by
`python docs/write_teaching.py`.
"""


def page(labs: list[teaching.Lab], run: str) -> str:
    text = HEAD.format(
        run=run,
        words=teaching.WORDS_PER_MINUTE,
        line=teaching.SECONDS_PER_LINE,
        guess=teaching.MINUTES_PER_PREDICTION,
    )
    return text + "".join(map(part, labs))


def part(lab: teaching.Lab) -> str:
    """What the page says of one lab."""
    notebook = contents.labs()[lab.number]["notebook"]
    lines = ["", f"## [{lab.number} · {lab.title}](../notebooks/{notebook})", "", lab.question]
    lines += ["", "| section | core | minutes | of these, measured |", "| --- | --- | --: | --: |"]
    for section in lab.sections:
        core = "core" if section.heading in lab.core else ""
        ran = "–" if section.seconds is None else f"{section.seconds:.0f} s"
        lines.append(f"| {section.heading} | {core} | {section.minutes} | {ran} |")
    own = f"The core takes {lab.minutes(False)} minutes, the whole lab {lab.minutes(True)}. That's"
    own += f" with {teaching.OPENING_MINUTES} to open and {teaching.CLOSING_MINUTES} to close."
    lines += ["", f"{own} Exercises take {lab.exercises} more."]
    if lab.alone:
        lines.append("It needs the node to itself: one at a time on each cluster.")
    lines += ["", "Discuss:", "", *(f"- {each}" for each in lab.discuss)]
    lines += ["", "What usually goes wrong:", "", *(f"- {each}" for each in lab.wrong), ""]
    return "\n".join(lines)


def take_times(report: Path, run: str) -> None:
    """Writes the seconds of each section from a report, for labs whose cells all are in it."""
    took: dict[str, dict[int, float]] = defaultdict(dict)
    for case in xml.parse(report).getroot().iter("testcase"):
        cell = re.fullmatch(r"Cell (\d+)", case.get("name", ""))
        if cell and len(case) == 0:
            took[Path(case.get("file", "")).name][int(cell[1])] = float(case.get("time", 0))
    kept = json.loads(SECONDS.read_text(encoding="utf-8")) if SECONDS.is_file() else {"labs": {}}
    for number, lab in contents.labs().items():
        path = ROOT / "notebooks" / lab.get("notebook", "-")
        if path.is_file() and path.name in took:
            book = json.loads(path.read_text(encoding="utf-8"))
            if by_section := seconds(book, took[path.name]):
                kept["labs"][number] = by_section
            else:
                print(f"{path.name}: the report has another number of cells")
    kept["run"] = run or kept.get("run", "a strict run")
    kept["labs"] = dict(sorted(kept["labs"].items()))
    SECONDS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def seconds(notebook: dict, took: dict[int, float]) -> dict[str, float]:
    """The seconds by heading, or nothing if the report is about other cells."""
    found, number = {}, 0
    for part in contents.parts(notebook):
        own = range(number, number := number + len(part.cells))
        if own:
            found[part.heading] = round(sum(took.get(each, 0) for each in own), 1)
    return found if sorted(took) == list(range(number)) else {}


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes docs/teaching.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if stale")
    parser.add_argument("--times", type=Path, metavar="REPORT", help="a junit report of the labs")
    parser.add_argument("--run", default="", help="what that run was, for the page")
    options = parser.parse_args()
    if options.times:
        take_times(options.times, options.run)
    run = json.loads(SECONDS.read_text(encoding="utf-8"))["run"]
    wanted = page(teaching.labs(), run)
    stale = not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != wanted
    if stale:
        print(f"docs/teaching.md is {'not up to date' if options.check else 'written'}")
        if not options.check:
            PAGE.write_text(wanted, encoding="utf-8")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
