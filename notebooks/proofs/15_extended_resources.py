"""Lab 15: the account of a counted resource."""

from collections.abc import Mapping

from labhelpers import formulas
from labhelpers.charts import ledger as charts
from labhelpers.charts.chart import Chart


def ledger(lab, title: str, moments: Mapping[str, formulas.Count]) -> Chart:
    """The account of a counted resource at several moments, as a picture with its finding.

    Args:
        title: the question that the picture answers.
        moments: by name, top to bottom, the account as it stood:
            ``lab.count("nvidia.com/gpu")``.

    Example::

        lab.tools.ledger("Who has it?", {"before": before, "after": after})
    """
    import pandas

    rows = []
    for moment, found in moments.items():
        rows.append((moment, "offered", "", int(found.offered)))
        rows += [(moment, "has", who, int(pieces)) for who, pieces in sorted(found.has.items())]
        rows += [(moment, "waits", who, int(pieces)) for who, pieces in sorted(found.waits.items())]
    return charts.ledger(
        pandas.DataFrame(rows, columns=["moment", "state", "who", "pieces"]), title
    )
