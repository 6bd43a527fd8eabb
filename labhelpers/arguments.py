"""Checks what helpers are called with, from their own signatures: types, missing and unknown
arguments, limits in seconds. Python's own errors name neither the helper nor the right form.
"""

import functools
import inspect
import numbers
import re
import reprlib
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, TypeVar

from labhelpers.errors import LabError
from labhelpers.polling import must_be_seconds

__all__ = ["checked", "must_differ"]

Thing = TypeVar("Thing", bound=Callable[..., Any])

_WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    list: "a list",
    dict: "a dict",
    type(None): "None",
}
_TEXTS = (str, bytes, bytearray)


def checked(thing: Thing) -> Thing:
    """Decorates a function, or a class with its public methods: a call that doesn't fit the
    signature raises a ``LabError`` with the docstring's example in it.

    >>> class Lab:
    ...     def free(self, resource: str) -> int:
    ...         return 3
    >>> checked(Lab)().free(None)
    Traceback (most recent call last):
        ...
    labhelpers.errors.LabError: lab.free can't use None as its resource.
    Seen: a NoneType
    Do:   Give it text.
    """
    if not inspect.isclass(thing):
        return _checked(thing, thing.__name__)
    # What a reader calls a part of Lab is lab, too.
    noun = re.match(r"Lab|Node|\w+", thing.__name__)[0].lower()
    for name, member in list(vars(thing).items()):
        if inspect.isfunction(member) and not name.startswith("_"):
            setattr(thing, name, _checked(member, f"{noun}.{name}"))
    return thing


def must_differ(what: str, values: Sequence[Any]) -> None:
    """Raises unless there's something to choose: at least one value, none empty, none twice.

    >>> must_differ("choices", ["a", "b"])
    >>> must_differ("choices", ["a", "a"])
    Traceback (most recent call last):
        ...
    labhelpers.errors.LabError: These choices can't be used.
    Seen: ['a', 'a']
    Do:   Give at least one, none of them empty, and none twice.
    """
    if not len(values) or any(each == "" or values.count(each) > 1 for each in values):
        raise LabError(
            f"These {what} can't be used.",
            reprlib.repr(values),
            "Give at least one, none of them empty, and none twice.",
        )


def _checked(function: Callable[..., Any], called: str) -> Callable[..., Any]:
    signature = inspect.signature(function)
    parameters = signature.parameters

    @functools.wraps(function)
    def call(*args, **kwargs):
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise LabError(
                f"{called} can't be called like this.",
                str(error),
                _example(function) or f"Write {called}{_without_self(signature)}.",
            ) from None
        for name, value in given.items():
            _check(function, called, parameters[name], value)
        return function(*args, **kwargs)

    return call


def _check(
    function: Callable[..., Any], called: str, parameter: inspect.Parameter, value: object
) -> None:
    wanted = parameter.annotation
    if wanted is parameter.empty or parameter.kind is parameter.VAR_KEYWORD:
        return
    every = value if parameter.kind is parameter.VAR_POSITIONAL else (value,)
    for each in every:
        if parameter.name.endswith("seconds") and not (each is None and _fits(None, wanted)):
            must_be_seconds(each, parameter.name)
        if not _fits(each, wanted):
            raise LabError(
                f"{called} can't use {reprlib.repr(each)} as its {parameter.name}.",
                f"{'an' if type(each).__name__[0] in 'aeiou' else 'a'} {type(each).__name__}",
                _example(function) or f"Give it {_in_words(wanted)}.",
            )


def _fits(value: object, wanted: Any) -> bool:
    """Whether a value is what an annotation says. What isn't understood fits."""
    if isinstance(wanted, str | TypeVar) or wanted in (Any, object):
        return True
    if wanted is None or wanted is type(None):
        return value is None
    origin, inside = typing.get_origin(wanted) or wanted, typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, each) for each in inside)
    if origin in (int, float):
        number = numbers.Integral if origin is int else numbers.Real
        return isinstance(value, number) and not isinstance(value, bool)
    if origin is Callable:
        return callable(value)
    if not inspect.isclass(origin):
        return True
    if issubclass(origin, Mapping):
        pairs = value.items() if isinstance(value, Mapping) else ()
        return isinstance(value, Mapping) and all(
            _fits(each, one) for pair in pairs for each, one in zip(pair, inside, strict=False)
        )
    if issubclass(origin, Iterable) and not issubclass(origin, _TEXTS):
        # A tuple or a table's column is as good as a list. A text is a list of letters, and
        # nobody means that.
        if not isinstance(value, Iterable) or isinstance(value, (*_TEXTS, Mapping)):
            return False
        again = isinstance(value, list | tuple | Set)
        return not again or not inside or all(_fits(each, inside[0]) for each in value)
    return isinstance(value, origin)


def _in_words(wanted: Any) -> str:
    """
    >>> _in_words(str | list[str] | None)
    'text, a list or None'
    """
    origin = typing.get_origin(wanted) or wanted
    if origin in (typing.Union, types.UnionType):
        *others, last = map(_in_words, typing.get_args(wanted))
        return f"{', '.join(others)} or {last}"
    if origin is Callable:
        return "a function"
    if inspect.isclass(origin) and issubclass(origin, Iterable) and origin not in _WORDS:
        return "a dict" if issubclass(origin, Mapping) else "a list"
    return _WORDS.get(origin, f"a {getattr(origin, '__name__', origin)}")


def _example(function: Callable[..., Any]) -> str:
    """The first line of the docstring's example, which is a call."""
    _, _, example = (inspect.getdoc(function) or "").partition("Example::")
    lines = [line.strip() for line in example.splitlines() if line.strip()]
    line = next((line for line in lines if f"{function.__name__}(" in line), "")
    return f"For example: {line}" if line else ""


def _without_self(signature: inspect.Signature) -> str:
    named = [parameter for name, parameter in signature.parameters.items() if name != "self"]
    plain = [parameter.replace(annotation=parameter.empty) for parameter in named]
    return str(signature.replace(parameters=plain, return_annotation=signature.empty))
