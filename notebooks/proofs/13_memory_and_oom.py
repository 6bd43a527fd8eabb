"""Lab 13: what memory is used for."""

from collections.abc import Mapping

from labhelpers.charts import memory as charts
from labhelpers.charts.chart import Chart
from labhelpers.node.cgroups import Cgroup


def memory_parts(lab, title: str, moments: Mapping[str, Cgroup]) -> Chart:
    """What memory was used for, at several moments, against the limit: as a picture with its
    finding.

    Args:
        title: the question that the picture answers.
        moments: by name, top to bottom, the cgroup as it was: ``pod.cgroup`` or
            ``pod.container("app").cgroup``.

    Example::

        lab.tools.memory_parts("Who gives way?", {"at rest": before, "with a file": after})
    """
    import pandas

    limit = max((each.memory_limit_bytes or 0 for each in moments.values()), default=0)
    rows = [
        (
            each.memory_anonymous_bytes,
            max(0, each.memory_cache_bytes - each.memory_shared_bytes),
            each.memory_shared_bytes,
        )
        for each in moments.values()
    ]
    frame = pandas.DataFrame(
        rows, columns=["programs", "files", "memory volumes"], index=list(moments)
    )
    return charts.parts(frame, title, limit or None)
