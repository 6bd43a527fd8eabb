"""Records the kubelet's verdict on each probe over time, by reading its own counter repeatedly.

Events only report failures, and aggregate equal ones. The kubelet counts every verdict, in the
metric ``prober_probe_total``; the time at which the counter moves is the time of the verdict.

https://kubernetes.io/docs/reference/instrumentation/metrics/
"""

import re
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

from labhelpers.errors import LabError
from labhelpers.kube.client import MARK, Connection

__all__ = ["Verdict", "Verdicts", "counts"]

METRIC = re.compile(r"^prober_probe_total\{(.*)\} (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')
WORDS = {"successful": "passed", "failed": "failed"}
EVERY_SECONDS, JOIN_SECONDS = 0.1, 15.0


class Verdict(NamedTuple):
    """One verdict: which probe of which container passed or failed, and when, in seconds since 1970
    by our clock, give or take ``resolution_seconds``: between one look at the counter and the
    next."""

    seconds: float
    resolution_seconds: float
    pod: str
    container: str
    probe: str
    result: str


Key = tuple[str, str, str, str, str]


def counts(metrics: str, namespace: str) -> dict[Key, int]:
    """Counts how often each probe has passed and failed, by the UID and name of the Pod, the
    container, the kind of probe, and "passed" or "failed".

    Args:
        metrics: the text of the kubelet's ``/metrics/probes``.

    >>> labels = 'container="app",namespace="a",pod="web",pod_uid="1",probe_type="Liveness"'
    >>> counts('prober_probe_total{%s,result="failed"} 3' % labels, "a")
    {('1', 'web', 'app', 'liveness', 'failed'): 3}
    """
    found = {}
    for labels, number in METRIC.findall(metrics):
        told = dict(LABEL.findall(labels))
        if told["namespace"] == namespace and told["result"] in WORDS:
            names = told["pod_uid"], told["pod"], told["container"], told["probe_type"].lower()
            found[(*names, WORDS[told["result"]])] = int(float(number))
    return found


class Verdicts:
    """Records the verdicts of all probes in a namespace while its ``with`` block runs.

    Args:
        connection: an open connection, in the namespace to record.

    Raises:
        LabError: at the end of the block, if the kubelet's counters couldn't be read.

    Example::

        with Verdicts(lab.connection) as verdicts:
            pod.wait_until("Ready", timeout_seconds=30)
        verdicts.of("web", "startup")
    """

    def __init__(self, connection: Connection):
        self._connection = connection
        self.rows: list[Verdict] = []
        self._before: dict[Key, int] = {}
        self._asked = 0.0
        self._path = ""
        self._error: LabError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{MARK}-verdicts", daemon=True)

    def __enter__(self) -> "Verdicts":
        node = self._connection.list("Node")["items"][0]["metadata"]["name"]
        self._path = f"/api/v1/nodes/{node}/proxy/metrics/probes"
        self._asked = time.time()
        self._before = self._read()
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self._stop.set()
        self._thread.join(JOIN_SECONDS)
        if kind is None and self._error is not None:
            raise self._error

    def of(self, pod: str, probe: str, result: str = "") -> list[Verdict]:
        """The verdicts of one kind of probe ("startup", "liveness", "readiness") of a Pod, in
        order; with ``result`` only those that passed, or failed."""
        return [
            each
            for each in list(self.rows)
            if (each.pod, each.probe) == (pod, probe) and result in ("", each.result)
        ]

    def passed_ever(self, pod_uid: str, probe: str) -> int:
        """How often a kind of probe of a Pod has passed since the Pod was created, in the block or
        before."""
        wanted = pod_uid, probe, "passed"
        return sum(
            count
            for (uid, _, _, kind, result), count in self._before.items()
            if (uid, kind, result) == wanted
        )

    def _run(self) -> None:
        ends = False
        while not ends:
            ends = self._stop.wait(EVERY_SECONDS)  # then look once more, at the end
            try:
                self.rows.extend(self._news())
                self._error = None
            except LabError as error:  # The next look may succeed; the last one has to.
                self._error = error

    def _news(self) -> Iterator[Verdict]:
        asked = time.time()
        now = self._read()
        middle, half = (time.time() + self._asked) / 2, (time.time() - self._asked) / 2
        for key, count in now.items():
            _, *names, result = key
            for _ in range(count - self._before.get(key, 0)):
                yield Verdict(middle, half, *names, result)
        self._before, self._asked = now, asked

    def _read(self) -> dict[Key, int]:
        return counts(str(self._connection.raw(self._path)), self._connection.namespace)
