"""Exercise b of lab 07: how long each try has to last, from the delays between restarts."""

from labhelpers.errors import TimedOut
from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
payments can't work before its database answers, 25 seconds after payments' first start. Each try
lasts TRY_SECONDS; if there's no answer by then, it exits with code 1. At the third restart, somebody
is woken up.

Compute the smallest whole TRY_SECONDS with which payments is sure to connect after at most two
restarts: the kubelet may make each delay as short as it's allowed to. The Pod keeps its name.
"""

HINTS = [
    "Draw the three tries one after the other, with the delays between them. What's the shortest"
    " that each delay can be?",
    "The first delay may be 0. The third try has to end after 25 seconds or later.",
]

DEBRIEF = [
    "The first restart may come at once, the second waits 10 seconds. Three tries of 5 seconds "
    "and 10 of waiting make 25.",
    "A container that fails restarts at once, then after 10, 20, 40 seconds, up to five "
    "minutes. Plan with the shortest of these.",
    "The database is back after an hour, and your app isn't: it's in a back-off of five minutes.",
]
ANSWERS_AFTER, SHORTEST = 25, (0, 10)


def check(lab, path):
    pod = expected_pod(lab, "payments")
    pod.container("app").wait_until("running", timeout_seconds=30)
    said = pod.exec("app", "echo $TRY_SECONDS").stdout.strip()
    if not said.isdigit():
        raise NotYet(f"TRY_SECONDS is {said or 'missing'}: it has to be a whole number")
    ends = _third_try_ends(int(said))
    if ends < ANSWERS_AFTER:
        raise NotYet(f"the third try may end after {ends} s, and the database needs 25")
    if _third_try_ends(int(said) - 1) >= ANSWERS_AFTER:
        raise NotYet(f"{said} is enough, and so is a smaller number")
    try:
        pod.process("sleep 3600", timeout_seconds=90)
    except TimedOut as error:
        raise NotYet("payments hasn't connected after 90 s") from error
    restarts = pod.container("app").restarts
    if restarts > len(SHORTEST):
        raise NotYet(f"it took {restarts} restarts")
    return f"tries of {said} s: connected within two restarts, and no smaller number is sure"


def _third_try_ends(seconds: int) -> int:
    """The earliest moment, in seconds after the first start."""
    return 3 * seconds + sum(SHORTEST)
