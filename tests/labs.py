"""What notebooks/claims.yaml says of each lab, for the tests that run one."""

import pytest
import yaml

from labhelpers import paths

NOTEBOOKS = paths.repository() / "notebooks"
LABS = yaml.safe_load((NOTEBOOKS / "claims.yaml").read_text(encoding="utf-8"))["labs"]
# The lab that is gone through cell by cell in the browser at every commit.
CELL_BY_CELL = "02_pause.ipynb"
# Of the labs that have the node to themselves, those that need the machine to themselves, too.
TIMES_THE_CPUS = ("12", "13")
WRITTEN = sorted(lab["notebook"] for lab in LABS.values() if "notebook" in lab)


def has_the_node(notebook: str) -> bool:
    """Whether the lab changes, fills or loads the node, and so has it to itself."""
    return LABS[notebook[:2]].get("needs") == "node-exclusive"


def marks(notebook: str) -> list[pytest.MarkDecorator]:
    """The marks of a test that runs a lab."""
    if not has_the_node(notebook):
        return []
    return [pytest.mark.alone if notebook[:2] in TIMES_THE_CPUS else pytest.mark.own_node]
