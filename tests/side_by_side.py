"""How the tests of one run are shared out among several workers: ``python -m pytest -p
tests.side_by_side --numprocesses=4 …``.

pytest-xdist has a mark for tests that have to follow one another, xdist_group, but that of 3.8 is
without effect under pytest 9.2, and says nothing (pytest-dev/pytest-xdist#1386). So it is read from
the tests' names here, which is all that the one who shares out is told.
"""

import re

import pytest
from xdist.scheduler import LoadScopeScheduling

# What follows one another, and comes first: each of these takes longer than any single test.
GROUPS = {
    r"tests/cluster/test_(bundle|lifecycle)\.py::": (
        "the node image is taken away for a while, and others make clusters from it"
    ),
    r"\b(\d\d)_\w+\.ipynb": "a lab is held by one kernel at a time",
    r"tests/cluster/test_samples\.py::": "each looks whether any sampler is left on the node",
    r"test_exercises\.py::.*\[15-": (
        "each offers the same thing on the node, and takes it off again"
    ),
}


def group(nodeid: str) -> str | None:
    """What a test shares with those that it must not run beside; None if it may run beside any.

    >>> group("notebooks/01_what_a_pod_is.ipynb::Cell 3") == group("tests/browser/test_labs.py::test_run_all[01_what_a_pod_is.ipynb]")
    True
    >>> group("notebooks/01_what_a_pod_is.ipynb::Cell 3") == group("notebooks/02_pause.ipynb::Cell 3")
    False
    >>> group("tests/cluster/test_bundle.py::test_what_it_holds") == group("tests/cluster/test_lifecycle.py::test_the_door")
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
