"""Exercise b of lab 20: shop survives a kill, a leak and a slow database."""

QUESTION = """
Your file begins with an answer to exercise a. Now it has to survive three bad days: the attacks
kill, oom and slow. Say first what each costs its customers: how many seconds, and why. Then find
the smallest change that keeps the promise.

app reads DB_TIMEOUT: after so many seconds it answers with what it last knew. Customers give up
after 3 seconds.
"""

HINTS = [
    "kill and oom: app or its Pod is out for some seconds in either case. Who else could answer?",
    "slow: who restarts app, and what did it ask? Read the events, and lab 11.",
    "slow: how long does app wait for the database, and how long do customers wait for app?",
]

DEBRIEF = [
    "A kill and a leak each took one Pod out, and the other answered. Beside the slow database, app "
    "told old numbers in time.",
    "Replicas carry what hits one Pod. Nothing but timeouts carries what hits all of them: each has "
    "to be shorter than its caller's.",
    "A liveness probe that asks a database restarts all replicas at once, in the minute when the "
    "database needs it least.",
]


def check(lab, path):
    lab.tools.run(["kill", "oom", "slow"])
    return "somebody always answered: after a kill, after an OOM kill, and beside a slow database"
