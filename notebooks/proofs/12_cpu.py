"""Lab 12: how CPU time divides, and how long bursts take."""

from collections.abc import Mapping, Sequence
from typing import Any

from labhelpers import formulas
from labhelpers.charts import cpu as charts
from labhelpers.charts.chart import Chart
from labhelpers.measure.samples import Samples


def division(lab, title: str, *samples: Samples, weights: Mapping[str, int]) -> Chart:
    """How CPU time divided among containers while all of them wanted it, beside what shares or
    weights say: see ``charts.division``.

    Args:
        title: the question that the picture answers.
        samples: of each container, taken at the same time.
        weights: by container, the shares or the weight that the node has.

    Example::

        lab.tools.division("Who gets how much?", small, big, weights={"small": 102, "big": 307})
    """
    first = samples[0].life.began_seconds
    frames = {}
    for each in samples:
        later = each.life.began_seconds - first
        frames[each.container] = each.frame.assign(
            time_seconds=lambda frame, later=later: frame["time_seconds"] + later
        )
    return charts.division(frames, title, formulas.contention_split(weights, cpus=1))


def latencies(
    lab,
    title: str,
    seconds: Mapping[str, Sequence[float]],
    predicted: Mapping[str, tuple],
    **how: Any,
) -> Chart:
    """How long each of many equal pieces of work took, beside what was predicted: see
    ``charts.latencies``."""
    return charts.latencies(seconds, title, predicted, **how)
