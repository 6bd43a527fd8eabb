"""Kubernetes quantities as exact numbers, and what is done with several of them."""

import math
import re
from collections.abc import Mapping
from decimal import Decimal, DecimalException

from labhelpers.errors import LabError

__all__ = [
    "amounts",
    "milli",
    "most",
    "plus",
    "quantity",
    "whole",
]

# ParseQuantity in apimachinery's pkg/api/resource/quantity.go.
QUANTITY = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+|[KMGTPE]i|[numkMGTPE])?")


def quantity(text: str | int | float | Decimal) -> Decimal:
    """Converts a Kubernetes quantity to an exact number of CPUs, bytes or units.

    Raises:
        LabError: it isn't a quantity.

    https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/

    >>> quantity("250m"), quantity("64Mi"), quantity("1e3")
    (Decimal('0.250'), Decimal('67108864'), Decimal('1E+3'))
    """
    from kubernetes.utils.quantity import parse_quantity

    # The client accepts more than the API server does: "1K", "1 Gi".
    try:
        return parse_quantity(str(text)) if QUANTITY.fullmatch(str(text)) else _no_quantity(text)
    except (ValueError, DecimalException):
        return _no_quantity(text)


def _no_quantity(text: object) -> Decimal:
    raise LabError(
        f"{text!r} isn't a quantity.",
        "a quantity is a number, perhaps with a suffix",
        'Write it like "500m", "1.5", "64Mi", or "100M".',
    )


def milli(amount: str | int | float | Decimal | None) -> int:
    """Thousandths, rounded up as MilliValue in apimachinery's pkg/api/resource/quantity.go does.

    >>> milli("0.1"), milli("100u"), milli(None)
    (100, 1, 0)
    """
    return 0 if amount is None else math.ceil(quantity(amount) * 1000)


def whole(amount: str | int | float | Decimal | None) -> int:
    """A whole number, rounded up as Value in apimachinery's pkg/api/resource/quantity.go does.

    >>> whole("1500m"), whole(None)
    (2, 0)
    """
    return 0 if amount is None else math.ceil(quantity(amount))


def amounts(listed: Mapping | None) -> dict[str, Decimal]:
    """Quantities by resource, as numbers; empty for None."""
    return {name: quantity(amount) for name, amount in (listed or {}).items()}


def plus(one: Mapping[str, Decimal], other: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """The sum of both, for each resource."""
    return {
        name: one.get(name, Decimal(0)) + other.get(name, Decimal(0)) for name in {**one, **other}
    }


def most(one: Mapping[str, Decimal], other: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """The larger of both, for each resource."""
    return {
        name: max(one.get(name, Decimal(0)), other.get(name, Decimal(0)))
        for name in {**one, **other}
    }
