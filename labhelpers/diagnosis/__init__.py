"""Says why a Pod doesn't work: evidence first, then the verdict, what to do, and the lab that
explains it. ``lab.diagnose(pod)`` and ``podlab why POD`` are this.

It has two halves. ``reading`` asks the API server, with GET requests only. ``judging`` is a pure
function from what was read to a ``Diagnosis``: a table of rules in an order that matters.
"""

from labhelpers.diagnosis.judging import judge
from labhelpers.diagnosis.reading import Reading
from labhelpers.diagnosis.verdicts import Diagnosis

__all__ = ["Diagnosis", "Reading", "diagnose", "judge"]


def diagnose(reading: Reading, target: str) -> Diagnosis:
    """Reads what the API server knows about an object, and judges it.

    Args:
        target: the name of a Pod, or of what should have made it; or ``"kind/name"``.
    """
    return judge(reading.of(target))
