"""What a lab takes in a room, section by section, and which sections fit into a given time.

Measured: the run time of a section's cells, in a strict run (notebooks/run_seconds.json). Computed:
all else, by the rates below. notebooks/teaching.yaml says which sections are a lab's core.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from labhelpers import contents, paths
from labhelpers.errors import LabError

__all__ = ["Lab", "Section", "advice", "labs", "minutes_of", "plan", "sections"]

WORDS_PER_MINUTE, SECONDS_PER_LINE, MINUTES_PER_PREDICTION = 200, 4, 1
OPENING_MINUTES, CLOSING_MINUTES, BREAK_MINUTES, WORK_MINUTES = 3, 7, 10, 60
# Folded notes, drawings, and where a link leads.
UNREAD = re.compile(r"(?s)<details.*?</details>|<svg.*?</svg>|\]\([^)]*\)")
NO_SECTIONS = ("Exercises", "What you measured")


@dataclass
class Section:
    """What stands between two headings of a lab.

    Attributes:
        words, lines, predictions: to be read, to be read and run, to be answered.
        seconds: how long its cells ran; None if that hasn't been measured.
    """

    heading: str
    words: int = 0
    lines: int = 0
    predictions: int = 0
    seconds: float | None = None

    @property
    def minutes(self) -> int:
        """Reading, running and guessing, rounded up."""
        reading = self.words / WORDS_PER_MINUTE + self.lines * SECONDS_PER_LINE / 60
        guessing = self.predictions * MINUTES_PER_PREDICTION
        return max(1, math.ceil(reading + guessing + (self.seconds or 0) / 60))


@dataclass
class Lab:
    """A lab as a teacher sees it."""

    number: str
    title: str
    question: str
    sections: list[Section] = field(default_factory=list)
    core: list[str] = field(default_factory=list)
    discuss: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    exercises: int = 0
    alone: bool = False

    def chosen(self, whole: bool) -> list[Section]:
        return [each for each in self.sections if whole or each.heading in self.core]

    def minutes(self, whole: bool) -> int:
        """With its opening, and with the table and two questions at its end; without exercises."""
        inside = sum(section.minutes for section in self.chosen(whole))
        return OPENING_MINUTES + inside + CLOSING_MINUTES


def labs() -> list[Lab]:
    """The labs that teaching.yaml has something to say about."""
    folder = paths.notebooks()
    rows = yaml.safe_load((folder / "teaching.yaml").read_text(encoding="utf-8"))
    return [_lab(number, row, folder) for number, row in rows.items()]


def sections(notebook: dict, seconds: dict[str, float]) -> list[Section]:
    """The sections of a notebook, without its exercises and its end.

    >>> cells = [{"cell_type": "markdown", "source": "## Who?\\nLook here."}]
    >>> cells += [{"cell_type": "code", "source": "lab.predict('who', …)"}]
    >>> [made] = sections({"cells": cells}, {"Who?": 30})
    >>> made.heading, made.words, made.lines, made.predictions, made.minutes
    ('Who?', 2, 1, 1, 2)
    """
    found = []
    for part in contents.parts(notebook)[1:]:
        if part.heading in NO_SECTIONS:
            continue
        code = ["".join(cell["source"]).strip() for cell in part.cells]
        found.append(
            Section(
                part.heading,
                words=len(UNREAD.sub(" ", " ".join(part.prose)).split()),
                lines=sum(len(source.splitlines()) for source in code),
                predictions=sum(source.count("lab.predict(") for source in code),
                seconds=seconds.get(part.heading),
            )
        )
    return found


def minutes_of(text: str) -> int:
    """A time as people write it.

    >>> minutes_of("90m"), minutes_of("2h"), minutes_of("1h30m"), minutes_of("45")
    (90, 120, 90, 45)
    """
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m?)?", text.strip())
    if not text.strip() or not found:
        raise LabError("That isn't a time.", text, "Write it as 90m, 2h or 1h30m.")
    return int(found[1] or 0) * 60 + int(found[2] or 0)


def plan(minutes: int, wanted: Sequence[Lab]) -> str:
    """Which sections of which labs fit, in the order of the labs: the core of each, and with time
    to spare the whole of the first ones.

    Args:
        minutes: all that there is, with breaks.
        wanted: the labs to choose from, in order.

    Raises:
        LabError: not even the first lab's core fits.
    """
    chosen: list[Lab] = []
    for lab in wanted:
        if _total([*chosen, lab], 0) > minutes:
            break
        chosen.append(lab)
    if not chosen:
        raise LabError(
            f"{minutes} minutes are too short.",
            f"the core of lab {wanted[0].number} takes {wanted[0].minutes(False)} minutes",
            "Take more time, or other labs: --labs NN.",
        )
    whole = 0
    while whole < len(chosen) and _total(chosen, whole + 1) <= minutes:
        whole += 1
    lines, now, since = [f"{minutes} minutes, of which {_total(chosen, whole)} are planned"], 0, 0
    for number, lab in enumerate(chosen):
        takes = lab.minutes(number < whole)
        if since and since + takes > WORK_MINUTES:
            lines.append(f"\n{_clock(now)}  Break, {BREAK_MINUTES} min")
            now, since = now + BREAK_MINUTES, 0
        kind = "all" if number < whole else "core"
        lines.append(f"\n{_clock(now)}  {lab.number} · {lab.title} ({kind}), {takes} min")
        lines.append(f"{OPENING_MINUTES:7} min  the problem, and the first cell")
        lines += [f"{each.minutes:7} min  {each.heading}" for each in lab.chosen(number < whole)]
        lines.append(f"{CLOSING_MINUTES:7} min  what you measured; discuss: {lab.discuss[0]}")
        if lab.alone:
            lines.append("             It needs a node to itself: one at a time on each cluster.")
        now, since = now + takes, since + takes
    lines.append(f"\n{_clock(now)}  End. {_rest(minutes - now, chosen, wanted)}")
    lines.append("Run times are measured, reading and thinking are computed: docs/teaching.md")
    return "\n".join(lines)


def advice(numbers: str) -> list[Lab]:
    """The labs by their numbers, "02,07", in that order; all if there are none.

    Raises:
        LabError: there's no such lab.
    """
    known = {lab.number: lab for lab in labs()}
    names = [name.strip().zfill(2) for name in numbers.split(",") if name.strip()]
    for name in names:
        if name not in known:
            have = f"there is for {', '.join(known)}"
            raise LabError(f"There is no plan for lab {name}.", have, "Use one of these.")
    return [known[name] for name in names] or [*known.values()]


def _lab(number: str, row: dict, folder: Path) -> Lab:
    about = contents.labs()[number]
    notebook = json.loads((folder / about["notebook"]).read_text(encoding="utf-8"))
    times = json.loads((folder / "run_seconds.json").read_text(encoding="utf-8"))["labs"]
    card = "".join(notebook["cells"][0]["source"])
    more = re.search(r"[Ee]xercises (\d+) more", card)
    return Lab(
        number,
        about["title"],
        about["question"],
        sections(notebook, times.get(number, {})),
        row["core"],
        row["discuss"],
        row["wrong"],
        int(more[1]) if more else 0,
        about.get("needs") == "node-exclusive",
    )


def _total(chosen: Sequence[Lab], whole: int) -> int:
    """The minutes of some labs, the first ones whole, with the breaks between them."""
    now = since = 0
    for number, lab in enumerate(chosen):
        takes = lab.minutes(number < whole)
        if since and since + takes > WORK_MINUTES:
            now, since = now + BREAK_MINUTES, 0
        now, since = now + takes, since + takes
    return now


def _rest(left: int, chosen: Sequence[Lab], wanted: Sequence[Lab]) -> str:
    words = [f"{left} min are left for exercises and questions."] if left else []
    missing = [lab.number for lab in wanted[len(chosen) :]]
    if missing:
        later = ", ".join(missing[:3]) + (" and what follows" if missing[3:] else "")
        words.append(f"No time for {later}.")
    return " ".join(words)


def _clock(minutes: int) -> str:
    return f"{minutes // 60}:{minutes % 60:02}"
