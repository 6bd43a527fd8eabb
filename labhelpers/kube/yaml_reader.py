"""Reads YAML as kubectl does, with the line of everything.

kubectl's YAML is neither version 1.1 nor 1.2: it's what sigs.k8s.io/yaml makes of go-yaml v2. Here
libyaml, of which go-yaml is a translation, finds the structure, through PyYAML. The tables below,
which follow ``resolve.go``, say what a word means.

This module reports what only the YAML text shows, because it's too late after parsing: a bare
``no`` that became a boolean, a duplicate key, an invisible character in a key.
https://github.com/yaml/go-yaml/blob/v2.4.4/resolve.go
"""

import base64
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml
from yaml.composer import Composer

from labhelpers.errors import LabError

__all__ = ["Document", "Place", "invisible", "read", "shown"]

DEEPEST = 200  # A CustomResourceDefinition with a Pod's template in it has about 60 levels.
MOST_VALUES = 400_000  # As go-yaml: a few aliases of aliases make millions.

_PLAIN = "plain"  # The tag of a word without quotes and without a tag of its own.
_TAGS = "tag:yaml.org,2002:"
_WORDS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
# kubectl reads each of these as a boolean if it isn't quoted, and hardly anybody means one.
_BOOLEAN_WORDS = {
    **dict.fromkeys("y Y yes Yes YES on On ON".split(), True),
    **dict.fromkeys("n N no No NO off Off OFF".split(), False),
}
_NOT_IN_JSON = {sign + word for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")} | {
    ".nan",
    ".NaN",
    ".NAN",
}
_BASES = {"0x": 16, "0b": 2, "0o": 8}
_INTEGER = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
# A byte order mark, at the start of the text or of one of its documents.
_MARK_AT_START = re.compile(r"(\A|^---[ \t]*\n)\ufeff", re.MULTILINE)
_UNREADABLE = re.compile(
    "[\0-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]"
)
_WITHIN_AN_EMOJI = re.compile("(?<=[\u2600-\u27bf\ufe0f\U0001f000-\U0001faff])\u200d")
_HEX = "[0-9a-fA-F]"
_TWO_ESCAPES = re.compile(
    rf"(?<!\\)((?:\\\\)*)(\\u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}})"
)
# libyaml takes it for an escape, as JSON does, and go-yaml doesn't.
_SLASH = re.compile(r"(?<!\\)(\\\\)*\\/")
# kubectl cuts a file at each line that begins like this, and allows a comment behind it.
_SEPARATOR_AND_MORE = re.compile(r"^---[ \t]*[^\s#].*", re.MULTILINE)
_BACKSLASH = (
    "In double quotes a backslash begins an escape. Write the character itself, or use single"
    " quotes."
)
# What to do about an error of libyaml's, by a word in its message.
_ADVICE = {
    "escape": _BACKSLASH,
    "hexdecimal": _BACKSLASH,  # as libyaml spells it
    "alias": 'A bare * begins an alias. If text is meant, put it in quotes: "*/5 * * * *".',
    "anchor": "A bare & begins an anchor. If text is meant, put it in quotes.",
    "cannot start any token": "Put a value that begins with such a character in quotes.",
    "<document start>": "Put --- on a line between two objects, or delete what follows the first.",
    "nesting": "Use fewer levels: no object in the API is nested as deeply.",
    "anything else": "Check that line and the one above: indentation, a missing colon, a quote.",
}
_NO_SPACE = re.compile("[^ \t\n]")
# Letters and symbols that show nothing; the categories in `invisible` cover the others.
_EMPTY = "\u115f\u1160\u2800\u3164\uffa0"


@dataclass(frozen=True)
class Place:
    """Where in the text a field is.

    Attributes:
        line: counted from 1: the field's, or that of its nearest parent in the text.
        found: whether the field itself is in the text.
        written: a single value as it's written, without quotes; None for a list or a mapping.
        is_plain: whether it's written without quotes.
        tag: its type as YAML has it, such as "!!binary".
    """

    line: int
    found: bool = True
    written: str | None = None
    is_plain: bool = False
    tag: str = ""


@dataclass(frozen=True)
class Document:
    """One object of a file: its value, and the place of each part of it."""

    value: dict
    node: yaml.Node = field(repr=False)

    @property
    def line(self) -> int:
        return self.node.start_mark.line + 1

    def place(self, path: str) -> Place:
        """The place of a field that the server names: ``spec.containers[name="app"].image``,
        ``spec.containers[0].resources.limits[memory]``, ``metadata.labels.a.b/c``.

        >>> (document,) = read("kind: Pod\\nspec:\\n  containers:\\n    - {name: app}", "a.yaml")
        >>> document.place('spec.containers[name="app"].name').line
        4
        """
        line, node, rest = self.line, self.node, path.lstrip(".")
        while rest:
            step = _step(node, rest)
            if step is None:
                return Place(line, found=False)
            line, node, rest = step
        if not isinstance(node, yaml.ScalarNode):
            return Place(line)
        return Place(line, True, node.value, node.tag == _PLAIN, node.tag.replace(_TAGS, "!!"))


def read(text: str, name: str) -> list[Document]:
    """Reads the objects in a text. Items of a List count as objects, as for ``kubectl apply``.

    Args:
        name: what errors call the text.

    Raises:
        LabError: it isn't YAML, or has something hidden in it; with the line.

    >>> [document.value for document in read("a: 0644\\n---\\nb: 12:00", "a.yaml")]
    [{'a': 420}, {'b': '12:00'}]
    """
    text = _MARK_AT_START.sub(r"\1", text)
    # JSON writes an emoji as two escapes. kubectl reads a file that begins with { as JSON.
    if text.lstrip().startswith("{"):
        text = _TWO_ESCAPES.sub(lambda found: found[1] + json.loads(f'"{found[2]}"'), text)
        if parts := _json_objects(text):
            return [each for part in parts for each in _Reader(part, name).documents()]
    _refuse_more_than_a_separator(text, name)
    return list(_Reader(text, name, is_json=False).documents())


def invisible(text: str) -> str:
    """The names of the invisible characters in a text.

    >>> invisible("busybox\\u200b:1.35.0")
    'U+200B (zero width space)'
    """
    text = _WITHIN_AN_EMOJI.sub("", text)
    found = dict.fromkeys(letter for letter in text if _is_invisible(letter))
    return ", ".join(
        f"U+{ord(letter):04X} ({unicodedata.name(letter, 'control character').lower()})"
        for letter in found
    )


def shown(text: str, longest: int = 200) -> str:
    """The text with these characters spelled out, and without its middle if it's long.

    >>> shown("busybox\\u200b:1.35.0")
    'busybox<U+200B>:1.35.0'
    """
    letters = [f"<U+{ord(each):04X}>" if _is_invisible(each) else each for each in text]
    if len(letters) > longest:
        letters[longest // 2 : -longest // 2] = "…"
    return "".join(letters)


def _json_objects(text: str) -> list[str]:
    """The objects of a text that is JSON, one behind the other, each on its line of the text; none
    if something in it isn't JSON.

    >>> _json_objects('{"a": 1}{"b": 2}\\n{"c": 3}'), _json_objects("{a: 1}")
    (['{"a": 1}', '{"b": 2}', '\\n{"c": 3}'], [])
    """
    parts: list[str] = []
    begin = _NO_SPACE.search(text)
    while begin:
        try:
            _, end = json.JSONDecoder().raw_decode(text, begin.start())
        except (ValueError, RecursionError):
            return []
        parts.append("\n" * text.count("\n", 0, begin.start()) + text[begin.start() : end])
        begin = _NO_SPACE.search(text, end)
    return parts


def _refuse_more_than_a_separator(text: str, name: str) -> None:
    if found := _SEPARATOR_AND_MORE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise LabError(
            f"{name}: a line that separates two objects has more on it than ---.",
            f"line {line}: {shown(found[0])}",
            "Write what follows --- on the next line.",
        )


def _items(value: dict, node: yaml.Node) -> Iterator[Document]:
    """The items of a List. The API server leaves out their kind, which is the List's own: that of a
    PodList's items is Pod."""
    items = next(item for key, item in _pairs(node) if key.value == "items")
    kind = str(value.get("kind") or "").removesuffix("List")
    given = {"apiVersion": value.get("apiVersion"), "kind": kind}
    for inner, at in zip(value["items"], items.value, strict=True):
        lacks = kind and isinstance(inner, dict) and not inner.get("kind")
        yield Document({**inner, **given} if lacks else inner, at)


class _Loader(Composer, yaml.CSafeLoader):
    """Composes libyaml's events with PyYAML's Python code: go-yaml allows an anchor twice, and C
    code without a depth limit would crash the process."""

    yaml_implicit_resolvers = {None: [(_PLAIN, re.compile(""))]}  # noqa: RUF012

    def __init__(self, text: str):
        yaml.CSafeLoader.__init__(self, text)
        Composer.__init__(self)
        self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node:
        event = self.peek_event()
        if not isinstance(event, yaml.AliasEvent):
            self.anchors.pop(event.anchor, None)
        if self.depth == DEEPEST:
            raise yaml.MarkedYAMLError(
                problem=f"nesting deeper than {DEEPEST} lists and mappings",
                problem_mark=event.start_mark,
            )
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def compose_scalar_node(self, anchor: str | None) -> yaml.Node:
        if self.peek_event().tag == "!":  # A bare ! means text, whatever it looks like.
            self.peek_event().tag = f"{_TAGS}str"
        return super().compose_scalar_node(anchor)


class _Reader:
    def __init__(self, text: str, name: str, *, is_json: bool = True):
        self.text, self.name, self.is_json = text, name, is_json
        self.lines = text.splitlines() or [""]
        self.open: list[yaml.Node] = []
        self.count = 0

    def documents(self) -> Iterator[Document]:
        if found := _UNREADABLE.search(self.text):
            line = self.text.count("\n", 0, found.start()) + 1
            raise LabError(
                f"{self.name} is not YAML.",
                f"line {line}: the control character U+{ord(found[0]):04X}",
                "Delete it: YAML may contain only text.",
            )
        try:
            loader = _Loader(self.text)
            while loader.check_node():
                node = loader.get_node()
                value = self._value(node)
                if value is None:
                    continue
                if isinstance(value, dict) and isinstance(value.get("items"), list):
                    yield from _items(value, node)
                else:
                    yield Document(value, node)
        except yaml.MarkedYAMLError as error:
            raise self._not_yaml(error) from error
        except yaml.YAMLError as error:
            raise LabError(
                f"{self.name} is not YAML.", str(error), "Save it as plain UTF-8 text."
            ) from error

    def _not_yaml(self, error: yaml.MarkedYAMLError) -> LabError:
        mark = error.problem_mark or error.context_mark
        number = min(mark.line, len(self.lines) - 1)
        problem = f"{error.context or ''} {error.problem or ''}"
        seen = f"line {number + 1}: {error.problem or error.context}"
        do = next(
            (advice for word, advice in _ADVICE.items() if word in problem),
            _ADVICE["anything else"],
        )
        for near in range(number, max(number - 2, -1), -1):
            if names := invisible(self.lines[near]):
                seen += f"; line {near + 1} contains {names}"
                do = "Delete the invisible character: type the line again, with ordinary spaces."
                break
            if "\t" in re.match(r"\s*", self.lines[near])[0]:
                seen += f"; line {near + 1} is indented with a tab"
                do = "Indent with spaces."
                break
        return LabError(f"{self.name} is not YAML.", seen, do)

    def _value(self, node: yaml.Node) -> object:
        self.count += 1
        if self.count > MOST_VALUES:
            raise LabError(
                f"{self.name} is too large.",
                f"more than {MOST_VALUES} values, counting what its aliases repeat",
                "Use fewer aliases, or split it into several files.",
            )
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if node in self.open:
            raise LabError(
                f"{self.name}: an anchor contains itself.",
                f"line {_line(node)}: what begins here has an alias of itself inside it",
                "Remove the alias: nothing can be a part of itself.",
            )
        self.open.append(node)
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self._value(item) for item in node.value]
            return self._mapping(node)
        finally:
            self.open.pop()

    def _mapping(self, node: yaml.MappingNode) -> dict:
        found: dict[str, object] = {}
        lines: dict[str, int] = {}
        for key, value in node.value:
            if _is_merge(key):
                # At its position, as in go-yaml: it overrides what is above it. In a list of
                # mappings, the first one wins.
                parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for part in reversed(parts):
                    if not isinstance(part, yaml.MappingNode):
                        raise LabError(
                            f"{self.name}: only mappings can be merged with <<.",
                            f"line {_line(key)}: << is before something else",
                            "Write an alias of a mapping after <<, or a list of such aliases.",
                        )
                    found.update(self._value(part))
                continue
            word = self._key(key)
            if word in lines:
                raise LabError(
                    f"{self.name}: duplicate key {word}.",
                    f"lines {lines[word]} and {_line(key)}; YAML keeps only the last one",
                    "Delete one of them.",
                )
            lines[word] = _line(key)
            found[word] = self._value(value)
        return found

    def _key(self, node: yaml.Node) -> str:
        """A key as text: JSON's keys are text, and kubectl converts numbers and booleans."""
        if not isinstance(node, yaml.ScalarNode):
            raise LabError(
                f"{self.name}: a key has to be a single value.",
                f"line {_line(node)}: a list or a mapping where a key is expected",
                "Put a value that begins with { or [ in quotes. If it's a template, such as"
                " Helm's, render it first.",
            )
        if names := invisible(node.value):
            raise self._hidden(node, names)
        value = self._scalar(node)
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, str):
            return value
        if value is not None and _integer(node.value) is not None:
            return str(value)
        # Go writes the shortest 32-bit form of a float. Up to six digits, it's this one.
        if value is not None and float(f"{value:g}") == value:
            return f"{value:g}"
        raise LabError(
            f"{self.name}: {node.value or 'nothing'} can't be a key.",
            f"line {_line(node)}: YAML reads it as {'null' if value is None else 'a number'}, and"
            " a key is text",
            f'Put it in quotes: "{node.value}".',
        )

    def _scalar(self, node: yaml.ScalarNode) -> object:
        if node.style == '"' and not self.is_json:
            written = self.text[node.start_mark.index : node.end_mark.index]
            if _SLASH.search(written):
                raise LabError(
                    f"{self.name} is not YAML.",
                    f"line {_line(node)}: \\/ in {shown(written)}",
                    _BACKSLASH,
                )
        if node.tag == _PLAIN:
            if node.value in _BOOLEAN_WORDS:
                raise LabError(
                    f"{self.name}: YAML doesn't read the unquoted word {node.value} as text.",
                    f"line {_line(node)}: {node.value} is read as the boolean"
                    f" {str(_BOOLEAN_WORDS[node.value]).lower()}",
                    f'Write "{node.value}" where text is meant, true or false where a boolean is'
                    " meant.",
                )
            # At either end, or where YAML needs a space. In the middle, as in an emoji, it may be
            # intended.
            ends = node.value[:1] + node.value[-1:]
            if names := invisible(ends + "".join(re.findall(r"(?:^-|:)(.)", node.value))):
                raise self._hidden(node, names)
            value = _resolved(node.value)
        elif not node.tag.startswith(_TAGS):
            return node.value
        else:
            value = self._tagged(node, node.tag.removeprefix(_TAGS))
        if isinstance(value, float) and not abs(value) < float("inf"):
            raise LabError(
                f"{self.name}: JSON, which the API server reads, has no such number.",
                f"line {_line(node)}: {node.value}",
                f'Put it in quotes if text is meant: "{node.value}".',
            )
        return value

    def _tagged(self, node: yaml.ScalarNode, tag: str) -> object:
        text = node.value
        if tag == "binary":
            try:
                return base64.b64decode(re.sub(r"[\r\n]", "", text), validate=True).decode()
            except ValueError as error:
                raise LabError(
                    f"{self.name}: a value with !!binary has to be base64, and this one isn't.",
                    f"line {_line(node)}: {text}",
                    "Remove !!binary: the API takes plain base64, in a Secret's data and a"
                    " ConfigMap's binaryData.",
                ) from error
        if tag not in ("bool", "int", "float", "null"):
            return text
        value = _BOOLEAN_WORDS.get(text, _resolved(text))
        kind = {bool: "bool", type(None): "null", str: "str"}.get(type(value), "int")
        if kind == "int" and (isinstance(value, float) or _integer(text) is None):
            kind = "float"
        if kind == tag or (kind, tag) == ("int", "float"):
            return value
        raise LabError(
            f"{self.name}: the value isn't what its tag says.",
            f"line {_line(node)}: !!{tag} {text}",
            f"Remove !!{tag}, or correct the value.",
        )

    def _hidden(self, node: yaml.Node, names: str) -> LabError:
        return LabError(
            f"{self.name} contains an invisible character.",
            f"line {_line(node)}: {names} in {shown(node.value)}",
            "Delete it: type the line again, with ordinary spaces. If it's meant, put the value"
            " in quotes.",
        )


def _resolved(text: str) -> object:
    """What a plain word means."""
    if text in _WORDS:
        return _WORDS[text]
    if text in _NOT_IN_JSON:
        return float(text.replace(".", ""))
    if text[:1] not in set("+-.0123456789"):
        return text
    plain = re.sub(r"(?<=\d)_(?=\d)" if text[0] == "." else "_", "", text)
    number = _integer(plain)
    value = float(plain) if number is None and _FLOAT.fullmatch(plain) else number
    if value is None or abs(value) == float("inf"):
        return text
    # JSON has one kind of number. Go reads it as a 64-bit integer if it can, else as a float.
    return int(value) if value == int(value) and -(2**63) <= value < 2**63 else float(value)


def _integer(text: str) -> int | None:
    """The integer; None if it isn't one, or needs more than 64 bits."""
    found = _INTEGER.fullmatch(text.replace("_", ""))
    if found is None:
        return None
    digits = found[2].lower()
    base = _BASES.get(digits[:2], 8 if digits[0] == "0" else 10)
    if base == 10 and len(digits) > 20:  # Python itself refuses only beyond some thousand digits.
        return None
    value = int(digits[2:] if digits[:2] in _BASES else digits, base)
    value = -value if found[1] == "-" else value
    return value if -(2**63) <= value < (2**63 if found[1] else 2**64) else None


def _is_invisible(letter: str) -> bool:
    if letter in " \t\n\r" or "\U000e0000" <= letter <= "\U000e007f":  # flags are made of these
        return False
    return letter in _EMPTY or unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp", "Zs")


def _is_merge(node: yaml.Node) -> bool:
    return (
        isinstance(node, yaml.ScalarNode)
        and node.value == "<<"
        and (node.tag in (_PLAIN, f"{_TAGS}merge"))
    )


def _pairs(node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """A mapping's keys and values, the last first, with those that are merged into it."""
    for key, value in reversed(node.value):
        if not _is_merge(key):
            yield key, value
        elif isinstance(value, yaml.SequenceNode):
            for part in value.value:
                yield from _pairs(part)
        else:
            yield from _pairs(value)


def _step(node: yaml.Node, path: str) -> tuple[int, yaml.Node, str] | None:
    """The first part of a path: its line, its node, and the path that's left."""
    bracket = re.match(r'\[((?:"[^"]*"|[^\]"])*)\]', path)
    rest = path[bracket.end() :].lstrip(".") if bracket else ""
    if isinstance(node, yaml.MappingNode):
        if bracket:
            inside = bracket[1].strip('"')
            return next(
                ((_line(key), value, rest) for key, value in _pairs(node) if key.value == inside),
                None,
            )
        # A key may have dots in it, such as a label's.
        fits = [
            (len(key.value), _line(key), value)
            for key, value in _pairs(node)
            if re.match(re.escape(key.value) + r"(?=[.\[]|$)", path)
        ]
        if fits:
            length, line, value = max(fits, key=lambda fit: fit[0])
            return line, value, path[length:].lstrip(".")
    elif isinstance(node, yaml.SequenceNode) and bracket:
        if bracket[1].isdigit():
            item = dict(enumerate(node.value)).get(int(bracket[1]))
        else:
            wanted = re.findall(r'([^=,]*)="?(.*?)"?(?:,|$)', bracket[1])
            item = max(node.value, key=lambda item: _likeness(item, wanted), default=None)
            item = item if item is not None and _likeness(item, wanted) else None
        if item is not None:
            return _line(item), item, rest
    return None


def _likeness(item: yaml.Node, wanted: list[tuple[str, str]]) -> int:
    """How many of the keys by which the server identifies an item match. A missing key has its
    default; another value means another item."""
    if isinstance(item, yaml.ScalarNode):
        return [("", item.value)] == wanted
    if not isinstance(item, yaml.MappingNode):
        return 0
    there = {key.value: value.value for key, value in _pairs(item)}
    named = [there[key] == value for key, value in wanted if key in there]
    return len(named) if all(named) else 0


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1
