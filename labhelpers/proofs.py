"""Loads a lab's proof file, such as ``notebooks/proofs/02_pause.py``: what only this lab computes.

A function named after a claim (``b3``) takes the lab and what the notebook measured, and returns a
``Shown``. Functions with other names are tools of that lab: ``lab.tools.matrix(…)``.
"""

import importlib.util
import inspect
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType
from typing import Any

from labhelpers import paths
from labhelpers.errors import LabError
from labhelpers.outcomes import Shown

__all__ = ["Proofs", "Tools", "proof_file"]


def proof_file(lab_name: str) -> Path:
    """The path of a lab's proof file.

    >>> proof_file("02-pause").name
    '02_pause.py'
    """
    name = "TEMPLATE" if lab_name == "template" else lab_name.replace("-", "_")
    return paths.notebooks() / "proofs" / f"{name}.py"


class Proofs:
    """The functions of a lab's proof file.

    Args:
        lab_name: such as "02-pause".

    Example::

        Proofs("02-pause").of("B3")
    """

    def __init__(self, lab_name: str):
        self.path = proof_file(lab_name)

    @cached_property
    def module(self) -> ModuleType:
        """The file as a module, loaded when it's first needed."""
        if not self.path.is_file():
            raise LabError(
                "This lab has no proof file.",
                f"no {self.path.name} in {self.path.parent}",
                "Create it, with one function per claim; see docs/adding-a-lab.md.",
            )
        spec = importlib.util.spec_from_file_location(f"proofs_{self.path.stem}", self.path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def of(self, claim: str) -> Callable[..., Shown]:
        """The function that proves a claim.

        Raises:
            LabError: the file doesn't have one.
        """
        found = getattr(self.module, claim.lower(), None)
        if not inspect.isfunction(found):
            raise LabError(
                f"{self.path.name} has no proof of {claim}.",
                f"its functions: {', '.join(self.functions()) or 'none'}",
                f"Add the function {claim.lower()}(lab, …), which returns a Shown.",
            )
        return found

    def functions(self) -> list[str]:
        """The names of the file's public functions."""
        return [
            name
            for name, value in vars(self.module).items()
            if inspect.isfunction(value)
            and value.__module__ == self.module.__name__
            and not name.startswith("_")
        ]

    def source(self, claim: str) -> str:
        """The source of the function that proves a claim."""
        return inspect.getsource(self.of(claim)).rstrip()


class Tools:
    """What only one lab needs, from its proof file, with the lab as the first argument.

    Example::

        lab.tools.matrix("Which namespaces do two containers of one Pod share?", pod)
    """

    def __init__(self, lab: Any, proofs: Proofs):
        self._lab, self._proofs = lab, proofs

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_") or name not in self._proofs.functions():
            raise AttributeError(f"{self._proofs.path.name} has no function {name}")
        return partial(getattr(self._proofs.module, name), self._lab)

    def __dir__(self) -> list[str]:
        return self._proofs.functions()
