"""Exercise a: a Pod that says good morning, and goes on running."""

from labhelpers.exercises import NotYet, first_log

QUESTION = """
The Pod greeter says "good night". Change the file so that its log says "good morning", and the Pod goes on running.
"""

HINTS = [
    "What a container writes to its standard output is its log. Look at the last line of the file.",
    "Replace the words behind `echo`, and keep `exec sleep 3600` behind them.",
]


def check(lab, path):
    pod = lab.pod("greeter")
    name = pod.now().raw["spec"]["containers"][0]["name"]
    pod.wait_until(
        lambda now: (
            now.conditions.get("Ready") == "True" or now.container(name).exit_code is not None
        ),
        timeout_seconds=60,
    )
    # The API may call a container ready that has just ended: only the node knows at once.
    if pod.container(name).exit_code is not None or name not in set(pod.processes()["container"]):
        raise NotYet(
            "its container said its words and ended, so it will be started again and again",
            "keep `exec sleep 3600`",
        )
    last = (first_log(pod, name).splitlines() or ["nothing"])[-1]
    if "good morning" not in last.lower():
        raise NotYet(f'its log says "{last}"')
    return "its log says good morning, and the Pod runs on."
