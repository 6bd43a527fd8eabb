"""Exercise c of lab 05: three sources, each of which may or may not be there."""

from labhelpers.errors import LabError
from labhelpers.exercises import NotYet, expected_pod
from labhelpers.kube.waiting import wait_until

QUESTION = """
Design the Pod worker so that all of these hold for the container app. What counts are the variables
with which its process is started.
1. TOKEN is what the init container writer makes up, another one in each Pod. The app mounts no
   volume.
2. LOG_LEVEL is info as long as there's no ConfigMap team. If there is one with a LOG_LEVEL, the
   next Pod has that value. The app starts in both cases.
3. A Service that somebody else adds to the namespace leaves no variable in it.
The ConfigMap defaults, the names and the images stay.
"""

HINTS = [
    "For 2: what's in env wins over envFrom, always. So where can't the default be?",
    "A source that may be missing is optional: true. Two items of envFrom, the default first, or "
    "one of envFrom and one of env: the stronger one is the one that may be missing.",
    "For 1: fileKeyRef reads the file for the app. Look at the lab's three kinds of quotes.",
]

DEBRIEF = [
    "LOG_LEVEL in env won over the team's, because env always beats envFrom. And a ConfigMap "
    "that's missing and not optional stops the start.",
    "Of two sources in envFrom, the later one wins, and env beats both. So the default goes "
    "first, and the optional override last.",
    "\"We've changed the ConfigMap, we've restarted, and nothing happens\": look for the same "
    "name in env, where somebody pinned it long ago.",
]

OF_TEAM = "trace"
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "cache"},
    "spec": {"ports": [{"port": 6379}]},
}
TEAM = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "team"},
    "data": {"LOG_LEVEL": OF_TEAM},
}


def check(lab, path):
    pod = expected_pod(lab, "worker")
    try:
        _remove(lab, "ConfigMap", "team")
        _apply(lab, SERVICE)
        first = _start(lab, pod, path, "without the ConfigMap team")
        _expect(first, "LOG_LEVEL", "info", "without the ConfigMap team")
        _apply(lab, TEAM)
        second = _start(lab, pod, path, "with the ConfigMap team")
        _expect(second, "LOG_LEVEL", OF_TEAM, "with the ConfigMap team")
    finally:
        _remove(lab, "ConfigMap", "team")
        _remove(lab, "Service", "cache")
    tokens = [each.get("TOKEN", "") for each in (first, second)]
    if not all(len(token) >= 32 for token in tokens):
        raise NotYet("the app has no TOKEN of writer's")
    if tokens[0] == tokens[1]:
        raise NotYet("two Pods had the same TOKEN", "Let the init container make it up.")
    app = next(each for each in pod.raw["spec"]["containers"] if each["name"] == "app")
    mounted = [each["mountPath"] for each in app.get("volumeMounts", ())]
    if [path for path in mounted if not path.startswith("/var/run/secrets/kubernetes.io/")]:
        raise NotYet("the app mounts a volume", "fileKeyRef needs no mount.")
    if linked := sorted(name for name in second if name.startswith("CACHE_")):
        raise NotYet(f"the Service cache left {len(linked)} variables, such as {linked[0]}")
    return f"each Pod had its own TOKEN; LOG_LEVEL was info, then {OF_TEAM}; no variable of cache"


def _start(lab, pod, path, when):
    """The variables of a new Pod's app."""
    pod.delete(timeout_seconds=30, grace_seconds=1)
    lab.apply(path)
    try:
        pod.wait_until("Ready", timeout_seconds=60)
    except LabError as error:
        waiting = pod.container("app").now()
        raise NotYet(f"{when} the app doesn't start: {waiting.reason or waiting.state}") from error
    text = pod.exec("app", ["cat", "/proc/1/environ"]).stdout
    return dict(line.split("=", 1) for line in text.split("\0") if "=" in line)


def _expect(env, name, wanted, when):
    if env.get(name) != wanted:
        raise NotYet(f"{when} {name} is {env.get(name, 'unset')}, and should be {wanted}")


def _apply(lab, body):
    metadata = {**body["metadata"], "namespace": lab.namespace}
    lab.connection.apply({**body, "metadata": metadata})


def _remove(lab, kind, name):
    lab.connection.delete(kind, name)
    wait_until(
        lab.connection, kind, name, lambda found: found is None, what="gone", timeout_seconds=30
    )
