"""The errors of podlab. Each has three lines: what happened, what was seen, what to do."""

__all__ = ["Impossible", "LabError", "NotOurCluster", "Refused", "TimedOut", "Unreachable"]


class LabError(Exception):
    """Anything that goes wrong in a lab, in three lines.

    Args:
        happened: what happened, in one sentence.
        seen: what was seen: the last state, the server's own words, the path.
        do: what to do now: something that helps with this cause.

    A notebook shows only the three lines; ``lab.traceback()`` shows the rest.

    >>> print(LabError("This is not YAML.", "pod.yaml, line 3: a tab", "Indent with spaces."))
    This is not YAML.
    Seen: pod.yaml, line 3: a tab
    Do:   Indent with spaces.
    """

    def __init__(self, happened: str, seen: str, do: str):
        self.happened, self.seen, self.do = (
            " ".join(str(part).split()) for part in (happened, seen, do)
        )
        super().__init__(f"{self.happened}\nSeen: {self.seen}\nDo:   {self.do}")

    def _render_traceback_(self) -> list[str]:
        """IPython asks an exception for this before it prints a traceback."""
        return [
            f"{type(self).__name__}: {line}" if not number else line
            for number, line in enumerate(str(self).splitlines())
        ]


class Refused(LabError):
    """The API server or the kubelet rejected a request. ``reason`` is Kubernetes' own word,
    ``message`` its own sentence.

    >>> what = ("The API server rejected pod.yaml.", "violates PodSecurity", "Read the rule.")
    >>> error = Refused(*what, reason="Forbidden")
    >>> error.reason
    'Forbidden'
    """

    def __init__(
        self,
        happened: str,
        seen: str,
        do: str,
        *,
        reason: str = "",
        message: str = "",
        code: int = 0,
    ):
        super().__init__(happened, seen, do)
        self.reason, self.message, self.code = reason, message, code


class TimedOut(LabError):
    """A wait reached its limit."""


class Impossible(LabError):
    """A wait ended early, because its goal can't be reached any more."""


class NotOurCluster(LabError):
    """The kubeconfig points to a cluster that podlab didn't create."""


class Unreachable(LabError):
    """The API server didn't answer: nothing listens, the connection was cut, or it took too
    long."""
