"""When the kubelet probes a container, and when it gives up: the arithmetic of a probe's numbers.

The kubelet has a clock for each probe. It ticks every ``periodSeconds``, from the moment at which
the kubelet took the Pod. Neither a container's start nor trouble sets it to zero. So a moment can't
be computed, but a window can: the next tick comes within one period.

https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
"""

from dataclasses import dataclass

__all__ = ["ProbeTimes", "Window"]

# The kubelet asks the runtime once a second which containers run, and probes none that it doesn't
# know to be running.
NOTICE_SECONDS = 1.0
# What the kubelet's status manager cuts off a time stamp, at most: pkg/kubelet/status,
# normalizeStatus. pkg/kubelet/prober/worker.go reads the start from there.
WHOLE_SECONDS = 1.0


@dataclass(frozen=True)
class Window:
    """From when to when something happens, in seconds.

    >>> Window(4, 6)
    4 to 6 s
    >>> Window(4, 6).holds(6.2, tolerance_seconds=0.5), Window(4, 6).holds(3)
    (True, False)
    """

    earliest: float
    latest: float

    def __repr__(self) -> str:
        return f"{self.earliest:g} to {self.latest:g} s"

    def later(self, seconds: float) -> "Window":
        """The window so many seconds later."""
        return Window(self.earliest + seconds, self.latest + seconds)

    def holds(self, seconds: float, tolerance_seconds: float = 0.0) -> bool:
        """Whether a measured moment lies in it, or at most so far outside."""
        return self.meets(Window(seconds, seconds), tolerance_seconds)

    def meets(self, other: "Window", tolerance_seconds: float = 0.0) -> bool:
        """Whether the two have a moment in common, or are at most so far apart: a measurement knows
        its moment no better than to a window, either.

        >>> Window(4, 6).meets(Window(5.9, 6.4)), Window(4, 6).meets(Window(6.2, 6.4))
        (True, False)
        """
        latest = min(self.latest, other.latest) + tolerance_seconds
        return max(self.earliest, other.earliest) <= latest


@dataclass(frozen=True)
class ProbeTimes:
    """A probe's numbers, with the defaults of the API.

    >>> liveness = ProbeTimes(period_seconds=2, failure_threshold=3)
    >>> liveness.gives_up
    4 to 6 s
    >>> ProbeTimes(period_seconds=2, timeout_seconds=3, failure_threshold=3).gives_up_on_silence
    9 to 11 s
    """

    initial_delay_seconds: float = 0
    period_seconds: float = 10
    timeout_seconds: float = 1
    failure_threshold: int = 3

    @classmethod
    def of(cls, probe: dict) -> "ProbeTimes":
        """The numbers of a probe in a manifest.

        >>> ProbeTimes.of({"periodSeconds": 2, "tcpSocket": {"port": 80}}).gives_up
        4 to 6 s
        """
        names = {
            "initialDelaySeconds": "initial_delay_seconds",
            "periodSeconds": "period_seconds",
            "timeoutSeconds": "timeout_seconds",
            "failureThreshold": "failure_threshold",
        }
        return cls(**{name: probe[field] for field, name in names.items() if probe.get(field)})

    @property
    def first(self) -> Window:
        """The first probe, from the container's start: the first tick after the delay, once the
        kubelet has noticed the start. The kubelet counts the delay from the start's whole second,
        so it may be over up to a second early.

        >>> ProbeTimes(initial_delay_seconds=4, period_seconds=2).first
        3 to 7 s
        """
        earliest = max(0, self.initial_delay_seconds - WHOLE_SECONDS)
        return Window(earliest, self.initial_delay_seconds + self.period_seconds + NOTICE_SECONDS)

    @property
    def gives_up(self) -> Window:
        """The failure that counts, from the moment at which the app begins to answer with an error:
        the next tick, and then one period for each further failure."""
        return self._failure(self.period_seconds)

    @property
    def gives_up_on_silence(self) -> Window:
        """The same where the app accepts the request and doesn't answer any more. Each probe waits
        for its timeout. Ticks meanwhile don't add up."""
        return self._failure(max(self.period_seconds, self.timeout_seconds)).later(
            self.timeout_seconds
        )

    @property
    def start_budget(self) -> Window:
        """How long after its start a container is given up that never passes: what a startup probe
        gives a slow start. Only the earliest moment is a promise.

        >>> ProbeTimes(period_seconds=5, failure_threshold=6).start_budget
        25 to 31 s
        """
        return self.first.later((self.failure_threshold - 1) * self.period_seconds)

    def _failure(self, spacing_seconds: float) -> Window:
        return Window(0, self.period_seconds).later((self.failure_threshold - 1) * spacing_seconds)
