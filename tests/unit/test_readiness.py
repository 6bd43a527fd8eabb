"""When a cluster counts as usable. The real one is in tests/cluster."""

import pytest

from labhelpers.cluster import readiness


@pytest.mark.parametrize(
    ("generation", "observed", "conditions", "available"),
    [
        (1, 0, [], False),
        (1, 1, [("Progressing", "True")], False),
        (1, 1, [("Progressing", "True"), ("Available", "False")], False),
        (2, 1, [("Available", "True")], False),  # said of what was asked for before
        (2, 2, [("Available", "True")], True),
    ],
)
def test_when_a_deployment_answers(generation, observed, conditions, available):
    told = {
        "observedGeneration": observed,
        "conditions": [{"type": kind, "status": status} for kind, status in conditions],
    }
    assert (
        readiness.is_available({"metadata": {"generation": generation}, "status": told})
        is available
    )


def test_a_deployment_that_is_not_there_answers_nobody():
    assert readiness.is_available(None) is False
