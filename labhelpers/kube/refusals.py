"""Turns what the API server says about a manifest into three lines: the field, its line, the fault.

The server names a field in one of three ways, or not at all. It quotes a value that it can't
convert, such as ``memory: 64MiB``, without saying where. Then it's asked again without a part of
the object, until the field is found.
https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation
"""

import copy
import json
import re
from collections.abc import Callable

from labhelpers.errors import Refused
from labhelpers.kube.yaml_reader import Document, Place, invisible, shown

__all__ = ["MOST_QUESTIONS", "explained", "missing"]

# What the API server's words for types mean in YAML.
_TYPES = {
    "string": ("string", "Write text, in quotes if there's a colon in it."),
    "numeric": ("number", "Write the number without quotes."),
    "boolean": ("boolean", "Write true or false, without quotes."),
    "list": ("list", "Write its items in lines of their own that begin with a dash, or in [ ]."),
    "map": ("mapping", "Write lines of `name: value`, indented."),
    "any scalar": ("single value", "Write one value, without [ ] or { }."),
}
# What the server writes into an object. Copied from `kubectl get -o yaml`, it's wrong in any other.
_SERVERS_OWN = (
    "managedFields uid resourceVersion creationTimestamp generation selfLink deletionTimestamp"
).split()
MOST_QUESTIONS = 200
_WRITTEN_BY_THE_SERVER = r"strconv|metadata\.(managedFields|uid|resourceVersion|generation)\b"
_MISSING = re.compile("not found|was found")
_UNITS = ("", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti")
# What people write instead of a quantity's suffix.
_UNITS_MEANT = {"b": "", "byte": "", "bytes": "", "kb": "k", "mb": "M", "gb": "G", "tb": "T"}
_UNITS_MEANT |= {"kib": "Ki", "mib": "Mi", "gib": "Gi", "tib": "Ti", "g": "G", "t": "T"}
_UNITS_MEANT |= {"ki": "Ki", "mi": "Mi", "gi": "Gi", "ti": "Ti"}
# Fields that refer to another object, which has to exist first.
_REFERENCES = ("serviceAccountName", "serviceAccount", "priorityClassName", "runtimeClassName")


def explained(
    error: Refused, name: str, document: Document, again: Callable[[dict], Refused | None]
) -> Refused:
    """Explains in three lines why the server rejected a document.

    Args:
        name: what errors call the manifest.
        again: sends a changed object to the server as a dry run, and returns its refusal.
    """
    happened, seen, do = _in_three_lines(error, name, document, again)
    # Go quotes such a character as an escape.
    quoted = "".join(chr(int(code, 16)) for code in re.findall(r"\\u([0-9a-f]{4})", seen))
    if names := invisible(seen + quoted):
        do = f"Delete the invisible character, {names}: type the line again."
    seen = shown(seen, longest=1000)
    return Refused(
        happened,
        seen,
        do,
        reason=error.reason,
        message=error.message,
        code=error.code,
    )


def missing(error: Refused, body: dict, earlier: list[dict]) -> dict | None:
    """If the server only misses an object that is earlier in the same file, returns the body
    without the reference to it. Otherwise None.

    >>> account = {"kind": "ServiceAccount", "metadata": {"name": "web"}}
    >>> pod = {"kind": "Pod", "spec": {"serviceAccountName": "web"}}
    >>> told = Refused("", "", "", message='serviceaccount "web" not found')
    >>> missing(told, pod, [account]), missing(told, pod, [])
    ({'kind': 'Pod', 'spec': {}}, None)
    """
    if not _MISSING.search(error.message):
        return None
    message = error.message.lower()
    for other in earlier:
        found = other["metadata"]["name"]
        if other["kind"].lower() in message and re.search(
            rf"(?<![-\w.]){re.escape(found)}(?![-\w.])", message
        ):
            return _without(body, found)
    return None


def _without(value: object, name: str) -> object:
    if isinstance(value, dict):
        return {
            key: _without(inner, name)
            for key, inner in value.items()
            if key not in _REFERENCES or inner != name
        }
    return [_without(inner, name) for inner in value] if isinstance(value, list) else value


def _in_three_lines(
    error: Refused, name: str, document: Document, again: Callable[[dict], Refused | None]
) -> tuple[str, str, str]:
    message, body = error.message, document.value
    what = f"{body['kind']} {body['metadata']['name']}"
    if found := re.search(
        r"(?:\): |errors:\n\s*)?(\S+): field not declared in schema", message
    ) or re.search(r'unknown field "(\S+)"', message):
        field = found[1].lstrip(".")
        return (
            f"{name}: {what} has no such field.",
            f"line {document.place(field).line}: {field}",
            f"Check its name and its indentation: `kubectl explain {_parent(body, field)}`.",
        )
    copied = {
        key: document.place(f"metadata.{key}").line
        for key in _SERVERS_OWN
        if key in body["metadata"]
    }
    if copied and (error.reason == "Conflict" or re.search(_WRITTEN_BY_THE_SERVER, message)):
        lines = ", ".join(f"line {line}: metadata.{key}" for key, line in copied.items())
        return (
            f"{name}: {what} has fields that only the API server writes.",
            f"{lines}; the server says: {message}",
            "Delete them: `kubectl get -o yaml` shows them, and they belong to that one object.",
        )
    if found := re.search(
        r"(\S+): expected (string|boolean|numeric|list|map|any scalar)\b.*?, got (.+)", message
    ):
        return _of_another_type(name, document, found[1].lstrip("."), found[2], found[3])
    if "to proper version: " in message:
        return _not_converted(error, name, document, again)
    if found := re.search(r"typed patch object \(.*?\): \.?(\S+): (.+)", message):
        field, rule = found.groups()
        return (
            f"The API server rejected {name} ({what}).",
            f"line {document.place(field).line}: {field}: {rule}",
            f"Compare it with `kubectl explain {_parent(body, f'{field}.x')}`.",
        )
    if "is invalid: spec: Forbidden: pod updates may not change fields" in message:
        return (
            f"{what} exists, and most of a Pod's spec can't be changed.",
            message.partition("\n")[0],
            f"Delete it first: `kubectl delete {what.lower()}`.",
        )
    if "oo large" in message or "[]: Too long" in message:
        size = len(json.dumps(body, ensure_ascii=False).encode())
        return (
            f"{name}: {what} is too large for the API server.",
            f"line {document.line}: {size} bytes; {message.rpartition('invalid: ')[2]}",
            "Make it smaller: a Secret or ConfigMap may have 1 MiB, another object about 1.5 MiB.",
        )
    do = error.do
    if error.reason == "Forbidden" and _MISSING.search(message):
        do = "Create it first, or delete the line that names it."
    return f"The API server rejected {name} ({what}).", _with_lines(error, document), do


def _of_another_type(
    name: str, document: Document, field: str, wanted: str, got: str
) -> tuple[str, str, str]:
    place, (type_, do) = document.place(field), _TYPES[wanted]
    got = re.sub(r"^&(?:\S*?\{Value:|\{)(.*)\}$", r"\1", got.strip())
    written = None if place.written is None else shown(place.written)
    if written is None:
        seen = {"m": "a mapping", "[": "a list"}.get(got[:1], got) if place.found else shown(got)
    elif wanted == "string":
        seen = written if got == written else f"{written}, which YAML reads as {got}"
        do = f'Put it in quotes: "{written}".'
    elif not place.is_plain:
        seen = f'"{written}"'
    elif wanted == "numeric":
        seen, do = f"{written}, which YAML reads as text", "Write a number, such as 1 or 0.5."
    else:
        seen = written
    return f"{name}: {field} must be a {type_}.", f"line {place.line}: {seen}", do


def _not_converted(
    error: Refused, name: str, document: Document, again: Callable[[dict], Refused | None]
) -> tuple[str, str, str]:
    body, message = document.value, error.message
    what = f"{body['kind']} {body['metadata']['name']}"
    rule = re.sub(r".*unable to convert unstructured object to [^:]*: |.*from json: ", "", message)
    field = _at_fault(body, message, again)
    place = document.place(field)
    kind, do = _in_words(rule, place, body["kind"], field)
    if not field:
        return f"{name}: a value of {what} {kind}.", f"line {place.line}: {rule}", do
    seen = "a list or a mapping" if place.written is None else shown(place.written)
    return f"{name}: {field} {kind}.", f"line {place.line}: {seen}", do


def _in_words(rule: str, place: Place, kind: str, field: str) -> tuple[str, str]:
    """What is wrong with a value, and what to do."""
    written = place.written or ""
    if "quantities must match" in rule or "unable to parse quantity" in rule:
        found = re.fullmatch(r"(\d+(?:[.,]\d+)?|[.,]\d+)\s*([a-zA-Z]*)", written.strip())
        unit = found and (found[2] if found[2] in _UNITS else _UNITS_MEANT.get(found[2].lower()))
        do = "Write a number, with Ki, Mi, Gi, k, M, G or m after it: 64Mi, 0.5, 500m."
        if unit is not None:
            do = f"Write {found[1].replace(',', '.')}{unit}."
        return "isn't a quantity", do
    if "base64" in rule:
        plain = "stringData" if kind == "Secret" else "data"
        do = f"Encode it with `printf %s TEXT | base64`, or put the plain text under {plain}."
        if place.tag == "!!binary":
            do = f"Delete !!binary: YAML decodes such a value, and {field} has to be encoded."
        return "isn't base64", do
    if "parsing time" in rule:
        return "isn't a time", "Write it as 2026-01-31T12:00:00Z, or delete the line."
    if "of type int32" in rule:  # Number or text: other numbers have their type checked before.
        return "isn't a number or a name", "Write a whole number, or a name such as http."
    if "cannot convert float64" in rule:
        return "isn't a whole number", "Write a whole number, without a fraction."
    return "can't be used", "Correct that value: the server can't convert it."


def _at_fault(body: dict, message: str, again: Callable[[dict], Refused | None]) -> str:
    """Finds the field whose value the server can't convert: without it, the complaint stops."""
    body = copy.deepcopy(body)
    identity = {key: body[key] for key in ("apiVersion", "kind")}
    name, complaint = body["metadata"]["name"], _complaint(message)
    within, path, asked = body, "", 0
    while True:
        keys = list(within) if isinstance(within, dict) else range(len(within))
        for key in reversed(keys):
            if within is body and key in identity:
                continue
            if asked == MOST_QUESTIONS:
                return path
            asked += 1
            value = within.pop(key)
            metadata = {**body.get("metadata", {}), "name": name}
            answer = again({**body, **identity, "metadata": metadata})
            if answer is not None and _complaint(answer.message) == complaint:
                continue  # It's elsewhere, so this part isn't needed any more.
            within.insert(key, value) if isinstance(within, list) else within.update({key: value})
            if answer is None or "typed patch object" not in answer.message:
                break
        else:
            return path
        if isinstance(key, int):
            path += f"[{key}]"
        else:
            path += f".{key}" if path else key
        if not isinstance(value, dict | list):
            return path
        within = value


def _complaint(message: str) -> str:
    """A message without its values: if several are wrong, the server names any of them."""
    return re.sub(r'"[^"]*"|\d+', "", message)


def _with_lines(error: Refused, document: Document) -> str:
    """The server's own words, with the lines of the fields that they name."""
    if error.reason == "Invalid":
        rules = error.message.partition(" is invalid: ")[2] or error.message
        named = re.findall(r"(?:^\[?|, )([a-zA-Z][^\s:]*): [A-Z]", rules)
        rules = f"{error.code} Invalid: {rules}"
    else:
        rules = error.seen
        named = [
            f"spec.{key}"
            for key in _REFERENCES
            if (document.place(f"spec.{key}").written or "\n") in error.message
        ]
    lines = sorted({document.place(field).line for field in named})
    told = " and ".join(map(str, lines))
    return (f"line{'s' * (len(lines) > 1)} {told}: " if lines else "") + rules


def _parent(body: dict, field: str) -> str:
    """The field's parent as `kubectl explain` wants it: pod.spec.containers."""
    parts = re.sub(r"\[.*?\]", "", field).split(".")[:-1]
    return ".".join([body["kind"].lower(), *parts])
