"""Exercise c of lab 01: three programs, and what each needs: which of them belong in one Pod?"""

import time

from labhelpers.errors import LabError
from labhelpers.exercises import NotYet

QUESTION = """
A shop has three programs, and someone has put them into one Pod. Redesign it: decide how many Pods there
are, and what is in each. The containers keep their names, images and commands.

1. front serves /www on port 8080. Within five seconds it serves what renderer wrote into /out.
2. stock serves on port 8080, too, and neither of the two can be told to use another port.
3. stock can be replaced while front goes on serving.
4. stock is bought software that insists on being root in its container. If it ever breaks out of
   there, it must not be root on the node. The other two are your own, and run as they do now.

No hostPath, no hostNetwork: nothing may stay on the node. Write as many Pods as you like into the
file, with a line of three dashes (---) between two of them.
"""

HINTS = [
    "Start with the second sentence: which two can't be in one Pod? Then: which two need a common "
    "directory?",
    "A volume's name counts only inside its Pod. The two containers that share a directory are in "
    "one Pod, and each mounts it at a path of its own.",
    "Root inside, another user outside: a Pod gets its own user namespace by one line of its spec. "
    "kubectl explain pod.spec.hostUsers",
]

DEBRIEF = [
    "front and stock both need port 8080, so they can't share a Pod. front and renderer need "
    "one directory, so they have to.",
    "Programs belong in one Pod only if they must share a network, files or a life. Otherwise "
    "each gets a Pod of its own.",
    "An app and its database in one Pod work until the first rollout: each new version of the "
    "app restarts the database, too.",
]
NAMES = ("front", "renderer", "stock")
FOUND_SECONDS, START_SECONDS, SERVED_SECONDS, LATE_SECONDS = 10, 40, 10, 5


def check(lab, path):
    pods = _pods(lab)
    _are_ready(lab, pods)
    front, renderer, stock = (pods[name] for name in NAMES)
    for name, pod in pods.items():
        spec = pod.raw["spec"]
        if spec.get("hostNetwork") or any("hostPath" in each for each in spec.get("volumes", ())):
            raise NotYet(f"the Pod of {name} uses the node's own files or network")
    if stock.name == front.name:
        raise NotYet("stock and front are in one Pod: replacing one replaces the other")
    _serves_what_is_rendered(front, renderer)
    said = front.exec("front", f"wget -q -O - {stock.address}:8080", timeout_seconds=10).stdout
    if said.strip() != "stock":
        raise NotYet(f"on port 8080 of its Pod's address stock says {said.strip() or 'nothing'}")
    inside = stock.exec("stock", ["id", "-u"]).stdout.strip()
    outside = stock.container("stock").process.uid
    if inside != "0":
        raise NotYet(f"stock insists on being root in its container, and there it's user {inside}")
    if outside == 0:
        raise NotYet("stock is root in its container, and on the node, too")
    return (
        "front serves what renderer writes, stock has a Pod of its own, and on the node it isn't "
        "root"
    )


def _pods(lab) -> dict:
    """The Pod of each of the three containers, however it was made."""
    deadline = time.monotonic() + FOUND_SECONDS  # a controller needs a moment
    while missing := [name for name in NAMES if name not in (found := _found(lab))]:
        if time.monotonic() > deadline:
            raise NotYet(f"no Pod has a container {missing[0]}")
        time.sleep(0.5)
    return found


def _found(lab) -> dict:
    items = lab.connection.list("Pod")["items"]
    there = [each for each in items if "deletionTimestamp" not in each["metadata"]]
    return {
        container["name"]: lab.pod(each["metadata"]["name"])
        for each in there
        for container in _containers(each["spec"])
        if container["name"] in NAMES
    }


def _containers(spec: dict) -> list[dict]:
    return [*spec["containers"], *spec.get("initContainers", [])]


def _are_ready(lab, pods: dict) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        ends = [name for name, pod in pods.items() if pod.now().container(name).exit_code]
        if ends:
            words = pods[ends[0]].logs(ends[0]).strip().splitlines()
            raise NotYet(
                f"{ends[0]} has ended, and its last words are: {(words or ['nothing'])[-1]}"
            )
        if all(pod.conditions.get("Ready") == "True" for pod in pods.values()):
            return
        time.sleep(0.5)
    late = next(name for name, pod in pods.items() if pod.conditions.get("Ready") != "True")
    raise NotYet(f"the Pod of {late} is not Ready after {START_SECONDS} seconds")


def _serves_what_is_rendered(front, renderer) -> None:
    deadline = time.monotonic() + SERVED_SECONDS
    while time.monotonic() < deadline:
        written = renderer.exec("renderer", ["cat", "/out/index.html"]).stdout.strip()
        served = _served(front)
        both = written.isdigit() and served.isdigit()  # each is a time, in seconds
        if both and abs(int(served) - int(written)) <= LATE_SECONDS:
            return
        time.sleep(0.5)
    raise NotYet(
        f"front serves {served or 'nothing'}, and renderer has written {written or 'nothing'}"
    )


def _served(front) -> str:
    try:
        return front.exec("front", "wget -q -O - localhost:8080", timeout_seconds=5).stdout.strip()
    except LabError:
        return ""
