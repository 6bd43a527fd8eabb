"""Exercise a: two programs that want one port, in one Pod."""

import time

from labhelpers.errors import LabError, Refused
from labhelpers.exercises import NotYet

QUESTION = """
The Pod shop has two containers, web and metrics, and both want port 8080. Change the file so that both run in this one Pod:
web still answers on port 8080, and metrics answers on localhost too, on a port that you choose.
"""

HINTS = [
    (
        "The containers of a Pod have one network, and in it there is one port 8080. See who has"
        " got it: kubectl logs shop -c metrics"
    ),
    (
        "It is the program that takes the port, not the manifest. Which word of its command says"
        " which?"
    ),
    "Give the httpd of metrics another number behind -p, for example 9090.",
]


def check(lab, path):
    pod = lab.pod("shop")
    names = [container["name"] for container in pod.raw["spec"]["containers"]]
    if missing := [name for name in ("web", "metrics") if name not in names]:
        raise NotYet(
            f"the Pod shop has no container {missing[0]}: in a Pod of its own it has another"
            " network, and another localhost"
        )
    pod.wait_until(
        lambda now: now.conditions.get("Ready") == "True" or ended(now), timeout_seconds=60
    )
    answers, until = {}, time.monotonic() + 10
    while time.monotonic() < until and not ended(pod.now()):
        answers = ask(pod)
        if answers.get(8080) == "web" and "metrics" in answers.values():
            return "both run in one Pod, and each answers on a port of its own."
    if name := ended(pod.now()):
        raise NotYet(words_of_an_end(pod, name))
    told = ", ".join(f'port {port} "{answer}"' for port, answer in answers.items()) or "nobody"
    raise NotYet(
        f'on localhost answers: {told}; wanted are "web" on port 8080 and "metrics" on another'
    )


def ended(now):
    """The name of a container that has ended, be it started again or not; "" where all go on."""
    return next(
        (name for name in ("web", "metrics") if now.container(name).exit_code is not None), ""
    )


def ask(pod):
    """Each port that somebody listens on in the Pod's network, and what is answered there."""
    try:
        # The fourth word of a line is the state, 0A: listening. The second is address:port, in
        # hexadecimal.
        lines = [
            line.split()
            for line in pod.exec("web", "cat /proc/net/tcp /proc/net/tcp6").stdout.splitlines()
        ]
        ports = sorted({int(line[1].rpartition(":")[2], 16) for line in lines if line[3] == "0A"})
        return {
            port: (
                pod.exec("web", f"wget -q -O - localhost:{port}", timeout_seconds=5).stdout.strip()
            )
            for port in ports
        }
    except LabError:  # a container that has ended, of which the API does not know yet
        return {}


def words_of_an_end(pod, name):
    noted = [
        port for container in pod.raw["spec"]["containers"] for port in container.get("ports", [])
    ]
    words = next(
        (line for previous in (False, True) if (line := last_line(pod, name, previous))), "nothing"
    )
    note = (
        "; a containerPort is only a note, the program listens where its command says"
        if noted and "in use" in words
        else ""
    )
    return f"one of the two has ended, and the last words in its log are: {words}{note}"


def last_line(pod, name, previous):
    try:
        return (pod.logs(name, previous=previous).strip().splitlines() or [""])[-1]
    except Refused:
        return ""
