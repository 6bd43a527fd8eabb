"""What notebooks/claims.yaml says of each lab, for the tests that run one."""

import pytest
import yaml

from labhelpers import paths

NOTEBOOKS = paths.repository() / "notebooks"
LABS = yaml.safe_load((NOTEBOOKS / "claims.yaml").read_text(encoding="utf-8"))["labs"]
# The lab that is gone through cell by cell in the browser at every commit.
CELL_BY_CELL = "02_pause.ipynb"
WRITTEN = sorted(lab["notebook"] for lab in LABS.values() if "notebook" in lab)


def has_the_node(notebook: str) -> bool:
    """Whether the lab changes, fills or loads the node, and so runs with nothing beside it."""
    return LABS[notebook[:2]].get("needs") == "node-exclusive"


def marks(notebook: str) -> list[pytest.MarkDecorator]:
    """The marks of a test that runs a lab."""
    return [pytest.mark.alone] if has_the_node(notebook) else []
