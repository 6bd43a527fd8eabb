"""Lab 19: where Kubernetes says why a Pod doesn't work, and one routine that finds the cause."""

import itertools
import json
import random
import re
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import yaml

from labhelpers import kubectl, paths
from labhelpers.charts.chart import Chart
from labhelpers.charts.verdicts import Mark, verdicts
from labhelpers.errors import LabError, Refused
from labhelpers.kube import fields
from labhelpers.outcomes import Shown, frame_of, listed
from labhelpers.polling import poll

CLINIC = paths.repository() / "notebooks" / "manifests" / "19-troubleshooting" / "clinic"
PART = "part"
RIPE_SECONDS, START_SECONDS, LOG_SECONDS = 150.0, 60.0, 60.0
CLEANED_SECONDS = 90.0  # the kubelet removes old logs once a minute
# chatty's. All but the last are a little more than 10 MiB. The less is written beyond the limit,
# the less likely it is that the file is rotated in between.
LINES = 96_001
STATUS_SECONDS = 30.0
NAMES = (
    *("basket", "billing", "catalog", "checkout", "coupons", "login", "mailer", "orders"),
    *("photos", "reviews", "search", "stock", "wishlist"),
)
MOST_LOOKS = 3

# --- The routine ----------------------------------------------------------------------------------

# What a reader may name: each fault's file in manifests/, what the routine calls it, and what
# lab.diagnose says of it.
CAUSES = {
    "admission": "The API server refuses to create the Pods",
    "unschedulable": "No node fits this Pod",
    "mount": "The volume certificate needs a Secret",
    "image": "can't be used",
    "config": "needs the ConfigMap prices",
    "command": "its image has no program serve-shop",
    "crash": "ended with an error: exit code 3",
    "oom": "memory",
    "liveness": "liveness probe",
    "readiness": "its readiness probe fails",
    "eviction": "evicted",
    "finalizer": "the finalizer example.com/backup keeps the object",
    "service": "The Service selects nothing",
}


@dataclass(frozen=True)
class Step:
    """One question of the routine.

    Attributes:
        look: which command answers it.
        says: the pattern to look for in what the command prints.
        then: the cause; or, with an arrow before it, the next command.
    """

    look: str
    says: str
    then: str


# The commands, as they're typed.
LOOKS = {
    "get": "get pod {name}",
    "describe": "describe pod {name}",
    "yaml": "get pod {name} -o yaml",
    "logs": "logs {name}",
    "previous": "logs {name} --previous",
    "replicaset": "describe replicaset -l app={name}",
    "service": "describe service {name}",
}
# From top to bottom; the first that fits decides. The schematic draws the same.
ROUTINE = (
    Step("get", r"NotFound", "→ replicaset"),
    Step("replicaset", r"FailedCreate .*forbidden", "admission"),
    Step("get", r"Terminating", "→ yaml"),
    Step("get", r"1/1 +Running +0 ", "→ service"),
    Step("service", r"(?m)^Endpoints: *$", "service"),
    Step("get", r".", "→ describe"),
    Step("describe", r"(?m)^Reason: +Evicted", "eviction"),
    Step("describe", r"FailedScheduling ", "unschedulable"),
    Step("describe", r"Reason: +ContainerCreating[\s\S]*FailedMount ", "mount"),
    Step("describe", r"Reason: +(ErrImagePull|ImagePullBackOff)", "image"),
    Step("describe", r"Reason: +CreateContainerConfigError", "config"),
    Step("describe", r"Reason: +OOMKilled", "oom"),
    Step("describe", r"Reason: +(StartError|RunContainerError)", "command"),
    Step("describe", r"failed liveness probe, will be restarted", "liveness"),
    Step("describe", r"Killing .*Stopping container", "→ yaml"),
    Step("yaml", r"deletionTimestamp:[\s\S]*finalizers:", "finalizer"),
    Step("get", r"/1 +Running +\d+ \(", "→ previous"),
    Step("previous", r".", "crash"),
    Step("describe", r"Exit Code: +[1-9]", "→ logs"),
    Step("logs", r".", "crash"),
    Step("describe", r"Readiness probe failed", "readiness"),
)


@dataclass(frozen=True)
class Walk:
    """How the routine came to its cause.

    Attributes:
        cause: what it found; "" if nothing fitted.
        looks: the commands that it needed, in their order.
        evidence: the line that decided.
    """

    cause: str
    looks: tuple[str, ...]
    evidence: str


def walk(look: Callable[[str], str]) -> Walk:
    """Goes through the routine, and asks for a command's output only when a question needs it.

    Args:
        look: from the name of a command to what it prints.
    """
    seen: dict[str, str] = {"get": look("get")}
    for step in ROUTINE:
        found = re.search(step.says, seen[step.look]) if step.look in seen else None
        if not found:
            continue
        if step.then.startswith("→ "):
            following = step.then.removeprefix("→ ")
            if following not in seen:
                seen[following] = look(following)
            continue
        return Walk(step.then, tuple(seen), _line(seen[step.look], found))
    return Walk("", tuple(seen), "")


def _line(text: str, found: re.Match) -> str:
    """The line of a text in which a match ends. Of a log, it's the last line."""
    if found.re.pattern == ".":
        return text.strip().splitlines()[-1]
    end = text.find("\n", found.end())
    return " ".join(text[text.rfind("\n", 0, found.end()) + 1 : None if end < 0 else end].split())


def _kubectl(name: str, look: str) -> str:
    done = kubectl.run(LOOKS[look].format(name=name).split())
    return done.stdout + done.stderr


# --- The clinic -----------------------------------------------------------------------------------


class Clinic:
    """Thirteen patients. Which has what is nobody's business but the grader's."""

    def __init__(self, injected: Mapping[str, str]):
        self._injected = dict(injected)

    def __repr__(self) -> str:
        return f"{len(self._injected)} patients, each with another fault"

    @property
    def names(self) -> list[str]:
        return sorted(self._injected)

    def has(self, name: str) -> str:
        return self._injected[name]


def admit(lab, seed: int | None = None) -> Clinic:
    """Creates thirteen patients, in an order and under names that are drawn by lot."""
    lot = random.Random(seed)
    causes = list(CAUSES)
    lot.shuffle(causes)
    injected = dict(zip(NAMES, causes, strict=True))
    for name in lot.sample(NAMES, len(NAMES)):
        for body in bodies(injected[name], name):
            body["metadata"]["namespace"] = lab.namespace
            lab.connection.apply(body)
    _delete(lab, next(name for name, cause in injected.items() if cause == "finalizer"))
    return Clinic(injected)


def bodies(cause: str, name: str) -> list[dict]:
    """A patient's objects: what is ill, and the Service in front of it."""
    text = (CLINIC / f"{cause}.yaml").read_text(encoding="utf-8")
    found = list(yaml.safe_load_all(re.sub(r"\bpatient\b", name, text)))
    if cause != "service":
        spec = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
        found.append(service)
    for body in found:
        body["metadata"]["labels"] = {"app": name, PART: "shop"}
    return found


def _delete(lab, name: str) -> None:
    """Deletes the patient with the finalizer, after its container has started."""
    lab.pod(name).wait_until("Ready", timeout_seconds=START_SECONDS)
    lab.connection.delete("Pod", name)


def _is_ripe(lab, name: str, cause: str) -> bool:
    """Whether a fault shows: what restarts has been restarted, what is evicted has ended."""
    if cause == "admission":
        return any(
            each["reason"] == "FailedCreate" and each["involvedObject"]["name"].startswith(name)
            for each in lab.connection.list("Event", lab.namespace)["items"]
        )
    pod = lab.connection.get("Pod", name)
    status = pod["status"]
    restarts = sum(each["restartCount"] for each in status.get("containerStatuses", ()))
    if cause == "oom":
        return '"OOMKilled"' in json.dumps(status)
    if cause in ("crash", "liveness", "command"):
        return restarts > 0
    if cause in ("eviction", "finalizer"):
        return status.get("phase") == "Failed"
    if cause == "service":
        return fields.is_true(pod, "Ready")
    reasons = {
        "mount": "FailedMount",
        "readiness": "Unhealthy",
        "unschedulable": "FailedScheduling",
    }
    if cause not in reasons:
        waiting = [each["state"].get("waiting", {}) for each in status.get("containerStatuses", ())]
        return any(
            each.get("reason", "ContainerCreating") != "ContainerCreating" for each in waiting
        )
    return _times(lab, name, reasons[cause]) >= (3 if cause == "readiness" else 1)


def _times(lab, name: str, reason: str) -> int:
    """How often an event about a Pod was seen."""
    return sum(
        (each.get("series") or each).get("count") or 1
        for each in lab.connection.list("Event", lab.namespace)["items"]
        if each["involvedObject"]["name"] == name and each["reason"] == reason
    )


def wait_for_symptoms(lab, clinic) -> None:
    """Waits until each fault shows. The eviction takes longest: the kubelet measures volumes about
    once a minute."""
    waiting: set[str] = set(clinic.names)
    # The runtime calls a kill by the kernel an Error now and then, so the last one is looked at.
    killed = [name for name in clinic.names if clinic.has(name) == "oom"]

    def are_ripe() -> bool:
        waiting.difference_update(
            [name for name in waiting if _is_ripe(lab, name, clinic.has(name))]
        )
        return not waiting and all(_is_ripe(lab, name, "oom") for name in killed)

    if not poll(are_ripe, timeout_seconds=RIPE_SECONDS, every_seconds=1.0):
        raise LabError(
            "Not every patient shows its symptoms yet.",
            f"after {RIPE_SECONDS:g} s: {listed(sorted(waiting or killed))}",
            "Run the cell again.",
        )


def causes(lab) -> Shown:
    """The causes that a reader can name."""
    said = {step.then: step for step in ROUTINE if not step.then.startswith("→")}
    rows = [{"write": cause, "in words": WORDS[cause]} for cause in said]
    return Shown(frame_of(rows), f"{len(rows)} causes to choose from, one for each patient")


WORDS = {
    "admission": "the API server rejects the Pod",
    "unschedulable": "no node fits",
    "mount": "a volume can't be mounted",
    "image": "the image can't be pulled",
    "config": "configuration that the Pod names is missing",
    "command": "the program can't be started",
    "crash": "the program ends with an error",
    "oom": "the kernel OOM-kills it",
    "liveness": "its liveness probe fails",
    "readiness": "it never becomes ready",
    "eviction": "the kubelet evicted the Pod",
    "finalizer": "deleted, and held by a finalizer",
    "service": "the Pod is well, and its Service selects nothing",
}


def grade(lab, clinic, named: Mapping[str, str]) -> Shown:
    """Compares the causes that the reader has named with those that were injected. What isn't named
    stays a secret.

    Raises:
        LabError: there's no such patient, or no such cause.
    """
    for name, cause in named.items():
        if name not in clinic.names or cause not in ("", *CAUSES):
            raise LabError(
                "That isn't a patient and a cause.",
                f"{name}: {cause}",
                f"The causes are {', '.join(CAUSES)}.",
            )
    rows, right = [], 0
    for name in clinic.names:
        cause = named.get(name, "")
        is_right = cause == clinic.has(name)
        right += is_right
        verdict = "✓ right" if is_right else "✗ something else" if cause else "not named yet"
        rows.append({"patient": name, "you say": WORDS.get(cause, ""), "verdict": verdict})
    count = sum(bool(cause) for cause in named.values())
    return Shown(frame_of(rows), f"{count} of {len(rows)} causes named, {right} of them right")


COLUMNS = ("1st command", "2nd", "3rd")
ASKED, WRONG = " …", " ×"
EVIDENCE_LETTERS, MESSAGE_LETTERS = 76, 100
# A line of events, as kubectl describe prints it: all but the reason and the message is left out.
EVENT = re.compile(r"(?:Normal|Warning) (\w+) \S+(?: \(.*?\))? [\w-]+(?: spec\.\S+)? (.*)")


def n5(lab, clinic) -> Shown:
    """Image-pull errors, configuration errors, crashes, failed probes, OOM kills and unschedulable
    Pods are told apart by one short routine."""
    rows, right, agreed, most = {}, 0, 0, 0
    order = list(CAUSES)
    for name in sorted(clinic.names, key=lambda each: order.index(clinic.has(each))):
        cause = clinic.has(name)
        went = walk(lambda look, name=name: _kubectl(name, look))
        agrees = CAUSES[cause] in _colleague(lab, name, cause)
        right += went.cause == cause
        agreed += agrees
        most = max(most, len(went.looks))
        *asked, last = went.looks
        told = [
            *(f"{look}{ASKED}" for look in asked),
            last if went.cause == cause else last + WRONG,
        ]
        row = dict(itertools.zip_longest(COLUMNS, told, fillvalue=""))
        row["lab.diagnose"] = "agrees" if agrees else f"differs{WRONG}"
        rows[f"{name}: {cause}"] = row | {"evidence": shortened(went.evidence)}
    few = f"at most {MOST_LOOKS}" if most <= MOST_LOOKS else f"up to {most}"
    words = (
        f"the routine found {right} of {len(rows)} injected causes, with {few} commands each; "
        f"lab.diagnose found {agreed} of {len(rows)}"
    )
    return Shown(_which_command(rows, f"{right} of {len(rows)} found"), words)


def shortened(evidence: str) -> str:
    """A line that decided, without what's the same in each, and no longer than there's room.

    >>> shortened("Warning FailedMount 25s (x7 over 57s) kubelet MountVolume.SetUp failed")
    'FailedMount: MountVolume.SetUp failed'
    >>> shortened("Normal Killing 24s kubelet spec.containers{app}: Container app failed liveness")
    'Killing: Container app failed liveness'
    >>> shortened("Reason: OOMKilled")
    'Reason: OOMKilled'
    """
    words = EVENT.sub(r"\1: \2", evidence)
    return textwrap.shorten(words, EVIDENCE_LETTERS, placeholder=" …")


def _which_command(rows: dict[str, dict[str, str]], finding: str) -> Chart:
    """For each patient: what was asked, what told the cause, and the line that did."""
    import pandas

    frame = pandas.DataFrame.from_dict(rows, orient="index")
    said = {each for row in rows.values() for name, each in row.items() if name != "evidence"}
    colors = {ASKED: None, WRONG: 1}
    marks = {each: Mark(colors.get(each[-2:], 0), each) for each in sorted(said) if each}
    return verdicts(frame, "Which command names which cause?", finding, marks, "evidence")


def _colleague(lab, name: str, cause: str) -> str:
    """What lab.diagnose says about a patient."""
    with lab.transcript.quietly():
        return lab.diagnose(asked_about(name, cause)).verdict


def asked_about(name: str, cause: str) -> str:
    """The object of a patient in which the fault is, as ``podlab why`` takes it."""
    kinds = {"admission": "deployment", "service": "service"}
    return f"{kinds.get(cause, 'pod')}/{name}"


# --- Pending --------------------------------------------------------------------------------------


def _cut(message: str) -> str:
    return textwrap.shorten(message, MESSAGE_LETTERS, placeholder=" …")


def n1(lab, *pods) -> Shown:
    """A Pending Pod's events say why."""
    poll(lambda: all(_event(lab, each)["message"] for each in pods), timeout_seconds=START_SECONDS)
    # The kubelet sends an event at once, and the status that belongs to it a moment later. A volume
    # has none, so this comes to its limit if there's no other.
    poll(
        lambda: len([each for each in pods if _in_its_status(each)]) >= len(pods) - 1,
        timeout_seconds=STATUS_SECONDS,
    )
    rows = []
    for pod in pods:
        event = _event(lab, pod)
        rows.append(
            {
                "Pod": pod.name,
                "phase": pod.raw["status"]["phase"],
                "what's wrong": _missing(pod.raw),
                "a message in its status says it": _cut(_in_its_status(pod)) or "none",
                "an event says it": f"{event['reason']}: {_cut(event['message'])}".strip(": ")
                or "none",
            }
        )
    pending = sum(row["phase"] == "Pending" for row in rows)
    says = [row["Pod"] for row in rows if row["an event says it"] != "none"]
    status = [row["Pod"] for row in rows if row["a message in its status says it"] != "none"]
    return Shown(
        frame_of(rows),
        f"{pending} of {len(rows)} Pods are Pending; an event names what's wrong with "
        f"{listed(says) or 'none'}; a message in the status does so for {listed(status) or 'none'}",
    )


def _missing(raw: Mapping) -> str:
    """What is wrong with a Pod of N1, in the word that a message about it has to contain: the
    ConfigMap that it mounts, the resource of which it wants too much, or else its image."""
    spec = raw["spec"]
    for volume in spec.get("volumes", ()):
        if "configMap" in volume:
            return volume["configMap"]["name"]
    container = spec["containers"][0]
    wanted = container.get("resources", {}).get("requests", {})
    return next((f"Insufficient {name}" for name in wanted), container["image"])


def _event(lab, pod) -> dict:
    """The event that names what is wrong with a Pod; one without words if there's none."""
    word = _missing(pod.raw)
    found = [
        each
        for each in lab.connection.list("Event", lab.namespace)["items"]
        if each["involvedObject"]["name"] == pod.name
        and each["reason"] in ("FailedScheduling", "FailedMount", "Failed")
        and word in each["message"]
    ]
    return min(found, key=lambda each: each["message"], default={"reason": "", "message": ""})


def _in_its_status(pod) -> str:
    """The message in a Pod's status that names what is wrong; "" if there's none. Every message
    counts, of its conditions and of its containers."""
    word = _missing(pod.raw)
    return next((each for each in _messages(pod.raw["status"]) if word in each), "")


def _messages(part: object) -> Iterator[str]:
    """Every message in a status, however deep."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "message":
                yield value
            else:
                yield from _messages(value)
    elif isinstance(part, list):
        for each in part:
            yield from _messages(each)


def where_the_mount_says_why(lab, pod) -> str:
    """Which of the choices of "mount" is right."""
    poll(lambda: _event(lab, pod)["message"], timeout_seconds=START_SECONDS)
    if _in_its_status(pod):
        return "in the Pod's status"
    try:
        if _missing(pod.raw) in pod.logs("app"):
            return "in the container's log"
    except Refused:
        pass
    if _event(lab, pod)["message"]:
        return "only in the Pod's events"
    return "only in the kubelet's log"


# --- Logs -----------------------------------------------------------------------------------------


def wait_for_restart(lab, *pods) -> None:
    """Waits until each Pod's container has crashed once, and runs again."""
    for pod in pods:
        pod.wait_until(_runs_again, timeout_seconds=START_SECONDS)
        poll(lambda pod=pod: pod.logs("app").strip(), timeout_seconds=LOG_SECONDS)


def _runs_again(pod) -> bool:
    [status] = pod.raw["status"].get("containerStatuses") or [{}]
    return status.get("restartCount", 0) > 0 and "running" in status["state"]


def n2(lab, pod) -> Shown:
    """kubectl logs --previous shows the crash that the current container has forgotten."""
    now, before = pod.logs("app").strip(), pod.logs("app", previous=True).strip()
    word = "fatal:"
    rows = [
        {"command": f"kubectl logs {pod.name}", "prints": now},
        {"command": f"kubectl logs {pod.name} --previous", "prints": before},
    ]
    says = [f"logs {'shows' if word in now else 'misses'} the crash"]
    says.append(f"logs --previous {'shows' if word in before else 'misses'} it")
    return Shown(frame_of(rows), f"{pod.name} was restarted and runs: {', '.join(says)}")


def o8(lab, plain, fallback) -> Shown:
    """terminationMessagePolicy FallbackToLogsOnError puts a crashed container's last log lines into
    its status."""
    rows, says = [], []
    for pod in (plain, fallback):
        spec = pod.raw["spec"]["containers"][0]["terminationMessagePolicy"]
        ended = pod.raw["status"]["containerStatuses"][0]["lastState"].get("terminated", {})
        message = ended.get("message", "").strip()
        rows.append(
            {
                "Pod": pod.name,
                "terminationMessagePolicy": spec,
                "exit code": ended.get("exitCode"),
                "message in the status": message or "none",
            }
        )
        has = "has the crash's last words" if "fatal:" in message else "says nothing about it"
        says.append(f"with {spec} the status {has}")
    return Shown(frame_of(rows), "; ".join(says))


def _files(lab, pod, uid: str = "") -> list[tuple[str, int]]:
    """The files of a container's logs on the node, with their sizes."""
    folder = f"/var/log/pods/{lab.namespace}_{pod.name}_{uid or pod.uid}/app"
    with lab.transcript.quietly():
        said = lab.node.run(f"ls -l {folder} || true")
    rows = [line.split() for line in said.splitlines() if "log" in line]
    return sorted((row[-1], int(row[4])) for row in rows if len(row) >= 9)


def wait_for_rotation(lab, pod, restarted) -> None:
    """Waits until the kubelet has rotated the log, and the app has written its last line; and until
    the kubelet has removed what's left of another Pod's older containers."""

    def is_rotated() -> bool:
        return len(_files(lab, pod)) > 1 and bool(pod.logs("app").strip())

    if not poll(is_rotated, timeout_seconds=LOG_SECONDS, every_seconds=1.0):
        raise LabError(
            "The log hasn't been rotated.",
            ", ".join(f"{name}: {size} bytes" for name, size in _files(lab, pod)),
            "Run the cell again.",
        )
    restarted.wait_until(_ran_three_times, timeout_seconds=START_SECONDS)
    poll(lambda: len(_files(lab, restarted)) == 2, timeout_seconds=CLEANED_SECONDS)


def o27(lab, chatty, restarted) -> Shown:
    """Container logs are files on the node: rotated at containerLogMaxSize, kept for one previous
    container, gone with the Pod."""
    files, lines = _files(lab, chatty), len(chatty.logs("app").splitlines())
    rotated = [size for name, size in files if not name.endswith(".log")]
    limit = _log_limit(lab)
    restarts, uid = restarted.container("app").restarts, restarted.uid
    kept = _files(lab, restarted)
    restarted.delete(timeout_seconds=START_SECONDS, grace_seconds=1)
    gone = bool(poll(lambda: not _files(lab, restarted, uid), timeout_seconds=CLEANED_SECONDS))
    rows = [{"Pod": chatty.name, "file": name, "bytes": size} for name, size in files]
    rows += [{"Pod": restarted.name, "file": name, "bytes": size} for name, size in kept]
    over = bool(rotated) and min(rotated) > limit
    was = "larger than containerLogMaxSize was rotated" if over else "wasn't rotated at its limit"
    return Shown(
        frame_of(rows),
        f"the file {was}; kubectl logs prints {lines} line of {chatty.name}'s {LINES}; after "
        f"{restarts} restarts the logs of {len(kept)} containers are kept; with the Pod they are "
        f"{'gone' if gone else 'not gone'}",
    )


def _ran_three_times(pod) -> bool:
    [status] = pod.raw["status"].get("containerStatuses") or [{}]
    return status.get("restartCount", 0) == 2 and "running" in status["state"]


def _log_limit(lab) -> int:
    """The kubelet's own containerLogMaxSize, in bytes."""
    [node, *_] = lab.connection.list("Node")["items"]
    said = lab.connection.raw(f"/api/v1/nodes/{node['metadata']['name']}/proxy/configz")
    value = (said if isinstance(said, dict) else json.loads(said))["kubeletconfig"]
    return int(value["containerLogMaxSize"].removesuffix("Mi")) << 20


def what_logs_print(lab, pod) -> str:
    """Which of the choices of "rotated" is right."""
    lines = pod.logs("app").strip().splitlines()
    if len(lines) == LINES:
        return f"all {LINES} lines"
    return "only the last line" if lines == ["the shop closes"] else "the newest 10 MiB"


# --- No shell -------------------------------------------------------------------------------------


def shell_error(lab, pod) -> str:
    """What exec says where the image has no shell, without its random id."""
    try:
        said = pod.exec("app", ["sh", "-c", "ps"]).stderr
    except LabError as error:
        said = str(error)
    found = re.search(r'exec: "sh": executable file not found', said)
    return found[0] if found else said


DEBUG_PODS = "app.kubernetes.io/managed-by=kubectl-debug"


def wait_for_debug_pods(lab, copy: str) -> None:
    """Waits until a copy of a Pod runs, and until what was started on the node has ended."""
    lab.pod(copy).wait_until("Ready", timeout_seconds=START_SECONDS)

    def have_ended() -> bool:
        found = lab.connection.list("Pod", lab.namespace, label_selector=DEBUG_PODS)["items"]
        return all(each["status"]["phase"] == "Succeeded" for each in found)

    poll(have_ended, timeout_seconds=START_SECONDS)


def wait_for_words(lab, pod, *containers: str) -> None:
    """Waits until debug containers have started, written everything and ended."""

    def have_ended() -> bool:
        statuses = pod.raw["status"].get("ephemeralContainerStatuses", ())
        ended = {each["name"] for each in statuses if "terminated" in each.get("state", {})}
        return ended >= set(containers)

    if not poll(have_ended, timeout_seconds=LOG_SECONDS):
        raise LabError(
            "The debug containers haven't ended.", f"after {LOG_SECONDS:g} s", "Run the cell again."
        )


def n4(lab, pod, alone: str, target: str) -> Shown:
    """exec into an image without a shell fails; an ephemeral debug container with --target sees its
    processes."""
    error = shell_error(lab, pod)
    sees = {name: _first_process(pod.logs(name)) for name in (alone, target)}
    restarts = pod.container("app").restarts
    rows = [
        {"command": f"kubectl exec {pod.name} -- sh", "what comes of it": error},
        {"command": "kubectl debug", "what comes of it": f"PID 1: {sees[alone]}"},
        {"command": "kubectl debug --target=app", "what comes of it": f"PID 1: {sees[target]}"},
    ]
    said = [f"exec of a shell {'fails' if 'not found' in error else 'works'}"]
    for name, how in ((target, "with --target"), (alone, "without it")):
        see = "sees etcd as PID 1" if "etcd" in sees[name] else "doesn't see etcd"
        said.append(f"{how} the debug container {see}")
    said.append(f"etcd was {'not restarted' if restarts == 0 else 'restarted'}")
    return Shown(frame_of(rows), "; ".join(said))


def _first_process(said: str) -> str:
    """The command of PID 1 in what ps printed."""
    rows = [line.split(maxsplit=2) for line in said.splitlines()]
    return next((row[2] for row in rows if len(row) == 3 and row[0] == "1"), "none")


def what_look_sees(lab, pod) -> str:
    """Which of the choices of "debug" is right."""
    said = pod.logs("look")
    if "kubelet" in said:
        return "every process of the node"
    return "etcd as PID 1" if "etcd" in _first_process(said) else "nothing but its own processes"


# --- Terminating ----------------------------------------------------------------------------------


def n3(lab, held, plain: str) -> Shown:
    """Force deletion removes a Pod's object without waiting for its processes; a finalizer it
    doesn't remove. With a finalizer, kubectl says Terminating only while the containers run."""
    there, other = _exists(lab, held.name), _exists(lab, plain)
    printed = _kubectl(held.name, "get").splitlines()[-1].split()[2] if there else "nothing"
    left = held.raw["metadata"].get("finalizers", []) if there else []
    rows = [
        {
            "Pod": held.name,
            "object": "there" if there else "gone",
            "STATUS": printed,
            "finalizers": listed(left) or "none",
        },
        {
            "Pod": plain,
            "object": "there" if other else "gone",
            "STATUS": "",
            "finalizers": "none",
        },
    ]
    return Shown(
        frame_of(rows),
        f"after a forced deletion {plain} is {'still there' if other else 'gone'}; {held.name}, "
        f"with a finalizer, is {'still there' if there else 'gone'}, and kubectl's STATUS is "
        f"{printed}",
    )


def _exists(lab, name: str) -> bool:
    try:
        lab.connection.get("Pod", name)
    except Refused:
        return False
    return True


def after_force(lab, held) -> str:
    """Which of the choices of "force" is right."""
    return "it stays, force or not" if _exists(lab, held.name) else "it's gone at once"


def has_ended(lab, pod) -> bool:
    """Whether a deleted Pod's containers have ended, while its object is still there."""
    return pod.phase == "Failed"


def settle(lab) -> None:
    """Gives the API server a moment: a forced deletion of a finalizer would show by then."""
    poll(lambda: not _exists(lab, "stubborn"), timeout_seconds=START_SECONDS)
    time.sleep(1)


# --- Eviction -------------------------------------------------------------------------------------


def o13(lab, refusal, deleted, evicted) -> Shown:
    """The eviction API honours a PodDisruptionBudget, delete does not; DisruptionTarget says who
    did it."""
    reasons = {name: _disrupted(life) for name, life in (("delete", deleted), ("evict", evicted))}
    rows = [
        {"request": "evict, with the budget", "answer": refusal.reason, "DisruptionTarget": "none"},
        {
            "request": "delete, with the budget",
            "answer": "accepted",
            "DisruptionTarget": reasons["delete"],
        },
        {
            "request": "evict, without a budget",
            "answer": "accepted",
            "DisruptionTarget": reasons["evict"],
        },
    ]
    gone = "delete wasn't stopped by it" if _was_deleted(deleted) else "delete was stopped too"
    return Shown(
        frame_of(rows),
        f"the budget made the API server answer the eviction with {refusal.reason}; {gone}; "
        f"DisruptionTarget after the deletion: {reasons['delete']}; after the eviction: "
        f"{reasons['evict']}",
    )


def _was_deleted(life) -> bool:
    return any(each.obj["metadata"].get("deletionTimestamp") for each in life.versions)


def _disrupted(life) -> str:
    """The reason of the condition DisruptionTarget in a recording; "none" without one."""
    found = itertools.chain.from_iterable(
        each.obj.get("status", {}).get("conditions", ()) for each in life.versions
    )
    return next((each["reason"] for each in found if each["type"] == "DisruptionTarget"), "none")


def what_delete_does(lab, life) -> str:
    """Which of the choices of "budget" is right."""
    return "it's deleted" if _was_deleted(life) else "it's rejected, as the eviction was"
