"""One tree of errors. A reader sees three lines: what happened, what was seen, what to do."""

__all__ = ["Impossible", "LabError", "NotOurCluster", "Refused", "TimedOut", "Unreachable"]


class LabError(Exception):
    """Anything that goes wrong in a lab, told in three lines.

    Args:
        happened: what happened, one sentence.
        seen: what was seen: the last state, the server's own words, the path.
        do: what to do now.

    In a notebook only the three lines are shown; ``lab.traceback()`` shows the rest.

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
    """The API server or the kubelet said no. ``reason`` is Kubernetes' own word, ``message`` its
    own sentence.

    >>> what = ("The API server refused pod.yaml.", "violates PodSecurity", "Read the rule.")
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
    """A wait came to its limit."""


class Impossible(LabError):
    """A wait ended early: its goal cannot be reached any more."""


class NotOurCluster(LabError):
    """The kubeconfig points to a cluster that the labs did not create."""


class Unreachable(LabError):
    """No answer from the API server: nothing listens, the connection was cut, or it did not answer
    in time."""
