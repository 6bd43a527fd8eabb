"""Writes docs/helpers.md from the docstrings of what a lab's cells and proofs call: ``python
docs/write_helpers.py``, or ``--check`` to see whether it is up to date."""

import argparse
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from labhelpers import (
    charts,
    containers,
    exercises,
    lab,
    lab_changes,
    lab_measures,
    lab_questions,
    lab_shares,
    outcomes,
    pods,
    resources,
)
from labhelpers.charts.chart import Chart
from labhelpers.kube.events import wait_for_event
from labhelpers.measure import recording, samples
from labhelpers.node import node
from labhelpers.patience import patient
from labhelpers.polling import poll

PAGE = Path(__file__).resolve().parent / "helpers.md"
HEAD = """# The helpers

What a lab's cells, proofs and exercises call, a line for each. Three dots are arguments that may be
left out. In a notebook, `lab.pod?` shows the rest: arguments, errors and an example. This page is
made by `python docs/write_helpers.py` from the docstrings.
"""

# The heading, how a lab calls it, and the class.
CLASSES = (
    ("A lab", "lab", lab.Lab),
    ("Measure", "lab", lab_measures.LabMeasures),
    ("Questions and exercises", "lab", lab_questions.LabQuestions),
    ("Change the node or the cluster", "lab", lab_changes.LabChanges),
    ("The teacher's board", "lab", lab_shares.LabShares),
    ("A Pod", "pod", pods.Pod),
    ("A container", "app", containers.Container),
    ("Any object", "claim", resources.Resource),
    ("A recording", "life", recording.Recording),
    ("Samples of a container", "memory", samples.Samples),
    ("The node", "lab.node", node.Node),
)
IN_PROOFS = (
    *(outcomes.Shown, outcomes.frame_of, outcomes.listed, outcomes.as_printed),
    *(outcomes.shown_only, poll, patient, wait_for_event),
)
IN_EXERCISES = (exercises.expected_pod, exercises.first_log, exercises.NotYet)


def page() -> str:
    """The whole page."""
    parts = [("Begin", functions([lab.start]))]
    parts += [(heading, members(each, name)) for heading, name, each in CLASSES]
    parts += [
        ("In proof files", functions(IN_PROOFS)),
        ("Pictures, in proof files", functions(pictures())),
        ("In an exercise's check", functions(IN_EXERCISES)),
    ]
    return HEAD + "".join(
        f"\n## {heading}\n\n| call | what it does |\n| --- | --- |\n" + "".join(rows)
        for heading, rows in parts
    )


def members(owner: type, name: str) -> Iterator[str]:
    """A row for each public member. What a class has from that of another part is there."""
    others = {each for *_, each in CLASSES} - {owner}
    found: dict[str, object] = {}
    for each in owner.__mro__[:-1]:
        if each not in others:
            found = {**vars(each), **found}
    for key, value in sorted(found.items()):
        if key.startswith("_") or not (doc := inspect.getdoc(value)):
            continue
        if inspect.isfunction(value):
            yield row(f"{name}.{key}({arguments(value)})", doc)
        elif hasattr(value, "__get__"):  # a property
            yield row(f"{name}.{key}", doc)


def functions(found: Iterable[Callable]) -> Iterator[str]:
    """A row for each function or class, with what it's imported from."""
    for each in found:
        module = "labhelpers" if each is lab.start else each.__module__
        call = f"{module.removeprefix('labhelpers.')}: {each.__name__}({arguments(each)})"
        yield row(call.removeprefix("labhelpers: "), inspect.getdoc(each) or "")


def pictures() -> Iterator[Callable]:
    """Whatever in charts/ draws a picture."""
    for found in pkgutil.iter_modules(charts.__path__):
        module = importlib.import_module(f"{charts.__name__}.{found.name}")
        for each in (getattr(module, name) for name in module.__all__):
            if inspect.isfunction(each) and inspect.signature(each).return_annotation is Chart:
                yield each


def arguments(function: Callable) -> str:
    """The names of a function's arguments; three dots for those that may be left out.

    >>> arguments(poll)
    'ask, timeout_seconds, …'
    """
    found = list(inspect.signature(function).parameters.values())
    shown = [
        f"*{each.name}" if each.kind is each.VAR_POSITIONAL else each.name
        for each in found
        if each.default is each.empty and each.name != "self" and each.kind is not each.VAR_KEYWORD
    ]
    named = len(shown) + (bool(found) and found[0].name == "self")
    return ", ".join([*shown, *(["…"] if named < len(found) else [])])


def row(call: str, doc: str) -> str:
    """A line of a table: the call, and the first sentence of its docstring.

    >>> row("poll(ask)", "Asks until ``ask`` is true. Then it stops.")
    '| `poll(ask)` | Asks until `ask` is true. |\\n'
    """
    paragraph = " ".join(doc.partition("\n\n")[0].split()).replace("``", "`")
    first = re.split(r"(?<=[.?])\s+(?=[A-Z`]|https:)", paragraph)[0]
    return f"| `{call}` | {first} |\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes docs/helpers.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if stale")
    options = parser.parse_args()
    stale = not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page()
    if stale:
        print(f"docs/helpers.md is {'not up to date' if options.check else 'written'}")
        if not options.check:
            PAGE.write_text(page(), encoding="utf-8")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
