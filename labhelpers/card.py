"""How far a reader has come: what's on record beside what there is, as a table for the terminal, as
a card below a lab, and as one thing to do next."""

import html
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from labhelpers import contents, paths
from labhelpers.record import Done, Record

__all__ = ["Row", "as_json", "card", "next_step", "rows", "scores", "table"]

NOTHING = "·"
_BLUE, _GREY = "#3a8fd0", "rgba(127,127,127,.3)"
_BOX = (
    "border:1px solid rgba(127,127,127,.45);border-radius:8px;padding:.8em 1.1em;max-width:44em;"
    "color:var(--jp-content-font-color1, inherit);font-family:var(--jp-content-font-family,"
    " sans-serif);font-size:var(--jp-content-font-size1, 14px);line-height:1.5;margin:.3em 0"
)


@dataclass(frozen=True)
class Row:
    """One lab: what there is, and what was done of it.

    Attributes:
        lab: its name, "02-pause".
        title: as claims.yaml has it.
        planned_minutes: what its card says.
        claims, exercises: how many it has.
        seen: of how many claims the cell has run.
        right, wrong, late: predictions, by their first attempt.
        open: the exercises that aren't passed, by their letter.
        checks, hints: how many it took until the exercises were passed, or so far.
        minutes: how long the lab was in use.
        used: when it was used last, as a text that sorts; "" if never.
    """

    lab: str
    title: str
    planned_minutes: int
    claims: int
    exercises: int
    seen: int = 0
    right: int = 0
    wrong: int = 0
    late: int = 0
    open: tuple[str, ...] = ()
    checks: int = 0
    hints: int = 0
    minutes: int = 0
    used: str = ""

    @property
    def number(self) -> str:
        return self.lab.partition("-")[0]

    @property
    def passed(self) -> int:
        return self.exercises - len(self.open)

    @property
    def is_done(self) -> bool:
        """Every claim was seen, and every exercise is passed."""
        return bool(self.used) and self.seen == self.claims and not self.open


def rows(record: Record) -> list[Row]:
    """A row for each lab that is written, in the order of claims.yaml.

    Raises:
        LabError: the record can't be used.
    """
    known, found = record.labs(), []
    for number, lab in contents.labs().items():
        if "notebook" in lab:
            name = lab["notebook"].removesuffix(".ipynb").replace("_", "-")
            found.append(_row(name, number, lab, known.get(name, Done())))
    return found


def _row(name: str, number: str, lab: dict[str, Any], done: Done) -> Row:
    ids = {each["id"] for each in contents.claims() if each["lab"] == number and "proof" in each}
    folder = paths.notebooks() / "exercises" / name
    keys = sorted(path.stem for path in folder.glob("*.py"))
    right, wrong, late = done.first_attempts()
    return Row(
        lab=name,
        title=lab["title"],
        planned_minutes=lab["minutes"],
        claims=len(ids),
        exercises=len(keys),
        seen=len(ids & set(done.claims)),
        right=right,
        wrong=wrong,
        late=late,
        open=tuple(key for key in keys if key not in done.passed()),
        checks=sum(each["checks"] for each in done.exercises.values()),
        hints=sum(each["hints"] for each in done.exercises.values()),
        minutes=round(done.seconds / 60),
        used=done.used,
    )


def next_step(labs: Sequence[Row]) -> str:
    """The one thing to do next: finish the lab that was used last; then the next one after it that
    isn't done."""
    last = max(labs, key=lambda row: row.used, default=None)
    if last is None or not last.used:
        return _begin(labs[0]) if labs else "No lab is written yet."
    if not last.is_done:
        return _continue(last)
    later = [row for row in labs if row.lab > last.lab]
    for row in [*later, *labs]:
        if not row.is_done:
            return _continue(row) if row.used else _begin(row)
    return "Nothing: you've seen every claim and passed every exercise."


def _begin(row: Row) -> str:
    words = f"lab {row.number}, {row.title.rstrip('?')} ({row.planned_minutes} minutes)"
    return f"{words}: podlab open {row.number}"


def _continue(row: Row) -> str:
    if left := row.claims - row.seen:
        what = f"{left} more claim{'s' if left > 1 else ''}"
    else:
        what = f"exercise {row.open[0]}"
    return f"{what} of lab {row.number}, {row.title.rstrip('?')}: podlab open {row.number}"


# --- For a terminal -------------------------------------------------------------------------------


def table(labs: Sequence[Row]) -> str:
    """A line for each lab, the totals, and what to do next."""
    head = ("lab", "claims seen", "right", "wrong", "late", "exercises", "minutes")
    lines = [(row.lab, *_cells(row)) for row in labs]
    done = sum(row.is_done for row in labs)
    lines.append((f"{done} of {len(labs)} labs done", *_cells(_total(labs))))
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    text = [_line(each, widths) for each in (head, *lines)]
    rule = "-" * len(text[0])
    over = f"{'':<{widths[0]}}  {'':>{widths[1]}}  {'predictions':^{sum(widths[2:5]) + 4}}".rstrip()
    return "\n".join(
        [over, text[0], rule, *text[1:-1], rule, text[-1], "", f"Next: {next_step(labs)}"]
    )


def _cells(row: Row) -> list[str]:
    if not row.used:
        return [f"0/{row.claims}", *3 * [NOTHING], f"0/{row.exercises}", NOTHING]
    counts = [f"{row.seen}/{row.claims}", row.right, row.wrong, row.late]
    return [str(each) for each in (*counts, f"{row.passed}/{row.exercises}", row.minutes)]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return "  ".join([f"{first[0]:<{first[1]}}", *(f"{cell:>{wide}}" for cell, wide in others)])


def _total(labs: Sequence[Row]) -> Row:
    added = {
        name: sum(getattr(row, name) for row in labs)
        for name in (
            *("planned_minutes", "claims", "exercises", "seen", "right", "wrong", "late"),
            *("checks", "hints", "minutes"),
        )
    }
    left = tuple(f"{row.number}{key}" for row in labs for key in row.open)
    used = max((row.used for row in labs), default="")
    return Row(lab="all", title="All labs", open=left, used=used, **added)


def scores(record: Record) -> str:
    """How the first attempts at predictions went: a line for each lab, and one for all."""
    used = {name: done.first_attempts() for name, done in sorted(record.labs().items())}
    used = {name: counts for name, counts in used.items() if any(counts[:2])}
    if not used:
        return "No prediction has been committed yet."
    together = [sum(each) for each in zip(*used.values(), strict=True)]
    wide = max(map(len, [*used, "all labs"]))
    lines = [
        f"{name:<{wide}}  {right:>5}  {wrong:>5}  {late:>4}"
        for name, (right, wrong, late) in [*used.items(), ("all labs", together)]
    ]
    return "\n".join([f"{'lab':<{wide}}  right  wrong  late", *lines])


def as_json(labs: Sequence[Row]) -> dict[str, Any]:
    """The same for a program."""
    return {"labs": [asdict(row) for row in labs], "next": next_step(labs)}


# --- Below a lab ----------------------------------------------------------------------------------


def card(lab: str, labs: Sequence[Row], notice: str = "") -> str:
    """The HTML of the card below a lab: this lab, all labs, and what to do next.

    Args:
        lab: the name of the one that ends.
        notice: a sentence about the record, if there is something to say.
    """
    row = next((each for each in labs if each.lab == lab), None)
    if row is None:
        return ""  # an author's own, or a test's
    total = _total(labs)
    parts = [
        f'<div style="font-weight:bold;font-size:1.1em">{_text(f"{row.number} · {row.title}")}'
        "</div>",
        _facts(row),
        '<div style="margin-top:.7em;padding-top:.6em;border-top:1px solid rgba(127,127,127,.35)">'
        f"<b>All labs:</b> {_summary(labs, total)}</div>",
        f"<div><b>Next:</b> {_step(next_step(labs))}</div>",
        '<div style="opacity:.75;font-size:.9em;margin-top:.4em">'
        f"{_text(notice) if notice else 'Only you see this: it isn’t saved with the notebook.'}"
        "</div>",
    ]
    return f'<div style="{_BOX}">{"".join(parts)}</div>'


def _facts(row: Row) -> str:
    asked = row.right + row.wrong + row.late
    predictions = [f"{row.right} right", f"{row.wrong} wrong"]
    predictions += [f"{row.late} late"] if row.late else []
    left = f", {' and '.join(row.open)} to go" if row.open and row.passed else ""
    tries = f" · {row.checks} check{'s' if row.checks != 1 else ''}" if row.checks else ""
    tries += f", {row.hints} hint{'s' if row.hints != 1 else ''}" if row.hints else ""
    facts = [
        ("Claims seen", _bar(row.seen, row.claims), f"{row.seen} of {row.claims}"),
        (
            "Predictions",
            _bar(row.right, asked),
            " · ".join(predictions) if asked else "none committed",
        ),
        (
            "Exercises",
            _bar(row.passed, row.exercises),
            f"{row.passed} of {row.exercises} passed{left}{tries}",
        ),
        ("Time", "", f"{row.minutes} minute{'s' if row.minutes != 1 else ''}"),
    ]
    lines = "".join(
        f'<div style="white-space:nowrap">{name}</div><div>{bar}</div><div>{_text(words)}</div>'
        for name, bar, words in facts
    )
    grid = "display:grid;grid-template-columns:max-content 7em 1fr;gap:.15em .9em;margin-top:.5em"
    return f'<div style="{grid};align-items:center">{lines}</div>'


def _bar(part: int, whole: int) -> str:
    """The words beside it say the same, so a screen reader passes over it."""
    percent = round(100 * part / whole) if whole else 0
    inner = f'<div style="width:{percent}%;height:100%;background:{_BLUE}"></div>'
    outer = f"height:.55em;border-radius:.3em;overflow:hidden;background:{_GREY}"
    return f'<div aria-hidden="true" style="{outer}">{inner}</div>'


def _summary(labs: Sequence[Row], total: Row) -> str:
    done = sum(row.is_done for row in labs)
    words = [
        f"{done} of {len(labs)} done",
        f"{total.seen} of {total.claims} claims",
        f"{total.right} of {total.right + total.wrong + total.late} predictions right",
        f"{total.passed} of {total.exercises} exercises",
        _duration(total.minutes).replace(" ", "\u00a0"),
    ]
    return _text(" · ".join(words))


def _duration(minutes: int) -> str:
    """
    >>> _duration(59), _duration(125)
    ('59 min', '2 h 5 min')
    """
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{rest} min"


def _step(words: str) -> str:
    """
    >>> _step("lab 03, Scheduling: podlab open 03")
    'lab 03, Scheduling: <code>podlab open 03</code>'
    """
    return re.sub(r"podlab open \d\d$", lambda found: f"<code>{found[0]}</code>", _text(words))


def _text(words: str) -> str:
    return html.escape(words)
