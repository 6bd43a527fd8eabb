"""What a reader is told when an exercise is passed: their manifest beside the solution, and three
lines that stay."""

import difflib
import html
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from labhelpers.kube.manifests import Manifest

__all__ = ["TITLES", "Debrief", "difference"]

TITLES = ("What happened", "The right model", "In production")
AROUND = 2  # unchanged lines above and below a difference
WIDTH = 88  # of a list that's written in one line
ADDED, REMOVED = "rgba(46,160,67,.22)", "rgba(219,109,40,.22)"


class Debrief:
    """What is said below the verdict of an exercise that is passed.

    Args:
        yours, solution: the two manifests.
        lines: what happened, the right model, where it bites in production.

    Attributes:
        difference: the lines of a diff from yours to the solution; none if both say the same.
    """

    def __init__(self, yours: Path, solution: Path, lines: Iterable[str]):
        self.difference = difference(yours, solution)
        self.lines = tuple(lines)

    def __str__(self) -> str:
        said = [f"{title}: {line}" for title, line in zip(TITLES, self.lines, strict=True)]
        return "\n".join([self.headline, *self.difference, "", *said])

    @property
    def headline(self) -> str:
        """How the two manifests compare. Another way isn't a mistake: the check has passed it."""
        if not self.difference:
            return "Your manifest says the same as the solution."
        return "Your way isn't the solution's, and both work. Yours is -, the solution's is +:"

    def html(self) -> str:
        """The same for a notebook."""
        marks = "".join(map(_marked, self.difference))
        shown = f'<pre style="overflow-x:auto;line-height:1.35">{marks}</pre>' if marks else ""
        said = "".join(
            f"<p><b>{title}.</b> {html.escape(line)}</p>"
            for title, line in zip(TITLES, self.lines, strict=True)
        )
        return f"<p>{self.headline}</p>{shown}{said}"


def difference(yours: Path, solution: Path) -> list[str]:
    """The lines of a diff between what two manifests say. Comments, quotes, flow style and the
    order of fields make none, and neither does the order of documents."""
    theirs, model = (Manifest.read(path).documents for path in (yours, solution))
    ordered, model = _like(theirs, model), _like(model, model)
    lines = difflib.unified_diff(_lines(ordered), _lines(model), n=AROUND, lineterm="")
    # Without the names and the first place; what is left out in between is three dots.
    return ["…" if line.startswith("@@") else line for line in list(lines)[3:]]


def _like(value: Any, model: Any) -> Any:
    """The value with its fields, and its named items, in the order that the model has them in. The
    order of containers and env may matter, so only documents change their places.

    >>> _like({"b": 1, "c": 3, "a": 2}, {"a": 0, "b": 0})
    {'a': 2, 'b': 1, 'c': 3}
    """
    if isinstance(value, dict):
        model = model if isinstance(model, dict) else {}
        keys = [key for key in model if key in value] + [key for key in value if key not in model]
        return {key: _like(_mode(key, value[key]), model.get(key)) for key in keys}
    if isinstance(value, list):
        model = model if isinstance(model, list) else []
        named = {_name(each): each for each in model}
        if all(isinstance(each, dict) and "kind" in each for each in value):
            places = list(named)
            value = sorted(
                value,
                key=lambda each: places.index(_name(each)) if _name(each) in named else len(places),
            )
        return [_like(each, named.get(_name(each))) for each in value]
    return value


def _mode(key: str, value: Any) -> Any:
    """
    >>> f"{_mode('defaultMode', 0o440):o}", _mode("replicas", 2)
    ('440', 2)
    """
    octal = key in ("mode", "defaultMode") and isinstance(value, int)
    return _Octal(value) if octal else value


def _name(item: Any) -> str:
    """
    >>> _name({"kind": "Pod", "metadata": {"name": "a"}}), _name({"name": "app"}), _name("sh")
    ('Pod a', ' app', '')
    """
    if not isinstance(item, dict):
        return ""
    name = item.get("name") or (item.get("metadata") or {}).get("name", "")
    return f"{item.get('kind', '')} {name}"


class _Dumper(yaml.SafeDumper):
    """Block style as on kubernetes.io: lists indented, scripts as blocks, words of a command in one
    line, double quotes."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


class _Octal(int):
    """A file's mode."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    means_another = dumper.resolve(yaml.ScalarNode, text, (True, False)) != _TEXT
    style = "|" if "\n" in text else '"' if means_another else None
    return dumper.represent_scalar(_TEXT, text, style=style)


def _list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.Node:
    words = all(isinstance(each, str | int) and "\n" not in str(each) for each in items)
    in_a_line = words and sum(len(str(each)) + 2 for each in items) <= WIDTH
    node = dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=in_a_line)
    for each in node.value if in_a_line else ():
        if " " in each.value:
            each.style = '"'  # a script is easier to see so
    return node


_TEXT = "tag:yaml.org,2002:str"
_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(
    _Octal, lambda dumper, mode: dumper.represent_scalar("tag:yaml.org,2002:int", f"0{mode:o}")
)


def _lines(documents: list[dict[str, Any]]) -> list[str]:
    text = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return text.splitlines()


def _marked(line: str) -> str:
    """
    >>> _marked("+b: 1")
    '<span style="display:block;background:rgba(46,160,67,.22)">+b: 1</span>'
    """
    background = {"+": ADDED, "-": REMOVED}.get(line[:1], "")
    look = f"background:{background}" if background else "opacity:.75"
    style = f"display:block;{look}"
    return f'<span style="{style}">{html.escape(line)}</span>'
