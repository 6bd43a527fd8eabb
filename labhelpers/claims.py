"""Reads the claims of one lab from ``notebooks/claims.yaml``, and keeps what a run measured for
each."""

from functools import cached_property

from labhelpers import contents
from labhelpers.errors import LabError
from labhelpers.outcomes import Claim, ClaimTable

__all__ = ["Claims"]


class Claims:
    """The claims of a lab.

    Args:
        lab: its name, such as "02-pause".
    """

    def __init__(self, lab: str):
        self._lab = lab
        self._measured: dict[str, str] = {}

    def check(self, id_: str) -> None:
        """Refuses a claim that isn't this lab's.

        Raises:
            LabError: it isn't; names those that are.
        """
        if id_ not in self._known:
            raise LabError(
                f"{self._lab} has no claim {id_!r}.",
                f"its claims: {', '.join(self._known) or 'none'}",
                "Add it to notebooks/claims.yaml, or use one of these.",
            )

    def keep(self, id_: str, measured: str) -> None:
        """Keeps what was measured for a claim; a later measurement replaces it."""
        self._measured[id_] = measured

    def table(self) -> ClaimTable:
        """Each claim, its myth, and what was measured."""
        return ClaimTable(
            Claim(each["claim"], each.get("myth", ""), self._measured.get(id_, "not in this run"))
            for id_, each in self._known.items()
        )

    @cached_property
    def _known(self) -> dict[str, dict]:
        number = self._lab.partition("-")[0]
        return {claim["id"]: claim for claim in contents.claims() if claim.get("lab") == number}
