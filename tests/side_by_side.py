"""How the tests of one run are shared out among several workers: ``python -m pytest -p
tests.side_by_side --numprocesses=3 …``.

pytest-xdist has a mark for tests that have to follow one another, xdist_group, but that of 3.8 is
without effect under pytest 9.2, and says nothing (pytest-dev/pytest-xdist#1386). So it is read from
the tests' names here, which is all that the one who shares out is told.
"""

import re

import pytest
from xdist.scheduler import LoadScopeScheduling

# What follows one another, and comes first: each of these takes longer than any single test.
GROUPS = {
    r"tests/unit/test_notebook_run\.py::": "they read the report of one run",
    r"tests/unit/test_wheel\.py::": "they share one wheel, and an environment with it",
    r"tests/browser/.*::test_(stored|run_all)_": "they share one JupyterLab and one Chromium",
    r"\b(\d\d)_\w+\.ipynb": "a lab is held by one kernel at a time",
    r"tests/cluster/test_samples\.py::": "each looks whether any sampler is left on the node",
    r"test_exercises\.py::.*\[15-": (
        "each offers the same thing on the node, and takes it off again"
    ),
}


def group(nodeid: str) -> str | None:
    """What a test shares with those that it must not run beside; None if it may run beside any.

    >>> in_browser = "tests/browser/test_labs.py::test_{}_is_so[{}]"
    >>> first, second = "01_what_a_pod_is.ipynb", "02_pause.ipynb"
    >>> group(f"notebooks/{first}::Cell 3") == group(in_browser.format("cell_by_cell", first))
    True
    >>> group(in_browser.format("stored", first)) == group(in_browser.format("stored", second))
    True
    >>> group(f"notebooks/{first}::Cell 3") == group(f"notebooks/{second}::Cell 3")
    False
    >>> group("tests/cluster/test_samples.py::a") == group("tests/cluster/test_samples.py::b")
    True
    >>> group("tests/cluster/test_pods.py::test_a_pod") is None
    True
    """
    for pattern in GROUPS:
        if found := re.search(pattern, nodeid):
            return f"{pattern} {found[1]}" if pattern.startswith(r"\b") else pattern
    return None


class ByGroup(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid) or nodeid


@pytest.hookimpl
def pytest_xdist_make_scheduler(config, log) -> ByGroup:
    # Else it sorts by the number of tests, and a lab of many cells need not be one that takes long.
    config.option.loadscopereorder = False
    return ByGroup(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that none of them is left to the end: the groups in the order above,
    then whatever order there is."""
    patterns = list(GROUPS)
    items.sort(
        key=lambda item: next(
            (n for n, pattern in enumerate(patterns) if re.search(pattern, item.nodeid)),
            len(patterns),
        )
    )
