"""Lab 14: which Pod goes first, what a resize changes, and what a namespace allows."""

import re
import threading
import time
from collections.abc import Mapping, Sequence

from labhelpers import formulas, kubectl
from labhelpers.charts.values import values
from labhelpers.errors import LabError, TimedOut
from labhelpers.kube import fields
from labhelpers.kube.client import MARK
from labhelpers.kube.events import wait_for_event
from labhelpers.outcomes import Shown, as_printed, frame_of, listed, shown_only
from labhelpers.patience import patient
from labhelpers.polling import poll

MIB = 1 << 20
ENDED_SECONDS, HELD_SECONDS = 30, 60
LOOK_SECONDS, SETTLED_SECONDS, ERROR_SECONDS = 0.1, 30, 60
ERROR = "PodResizeInProgress: Error"
SPEC, STATUS, CGROUP, FILE, ENV = (
    "spec",
    "status",
    "cgroup on the node",
    "Downward API file",
    "environment variable",
)


def show_event(lab, name: str, reason: str) -> None:
    """The first event with this reason about an object, as soon as there is one."""
    event = wait_for_event(lab.connection, name, reason)
    about = f"{event['involvedObject']['kind'].lower()}/{name}"
    line = f"{event['type']}  {reason}  {about}  {event['message']}"
    shown_only(as_printed(f"$ kubectl events --for {about}\n{line}"))


# --- Who goes first -------------------------------------------------------------------------------


def class_of(lab, name: str) -> str:
    """A Pod's QoS class, by the API: a choice of "class"."""
    return lab.pod(name).raw["status"]["qosClass"]


def _scores(lab, pods: Sequence) -> list[dict]:
    """A row for each Pod: what the formula says, and what its container app has on the node."""
    rows = []
    for pod in pods:
        process = pod.container("app").process
        read = [
            lab.node.read(f"/proc/{process.pid}/{what}") for what in ("oom_score_adj", "oom_score")
        ]
        adjusted, score = map(int, read)
        raw = pod.raw
        memory = int(formulas.quantity(_capacity(lab)))
        rows.append(
            {
                "Pod": pod.name,
                "QoS class": raw["status"]["qosClass"],
                "in use, MiB": round(pod.container("app").cgroup.memory_bytes / MIB, 1),
                "formula": formulas.oom_score_adj(raw, "app", memory),
                "oom_score_adj": adjusted,
                "oom_score": score,
            }
        )
    return sorted(rows, key=lambda row: -row["oom_score"])


def _capacity(lab) -> str:
    return lab.connection.list("Node")["items"][0]["status"]["capacity"]["memory"]


def who_goes_first(lab, *pods) -> str:
    """Which Pod the kernel would kill first if the node ran out of memory: a choice of "first"."""
    rows = _scores(lab, pods)
    if len({row["oom_score"] for row in rows}) < len(rows):
        raise LabError(
            "Two Pods have the same oom_score.",
            f"{[(row['Pod'], row['oom_score']) for row in rows]}",
            "The node is too large, or too full, to tell them apart.",
        )
    return f"the Pod {rows[0]['Pod']}"


def i6(lab, *pods) -> Shown:
    """The QoS class follows from requests and limits. The oom_score_adj of each class, read from
    the node, equals the formula, raised to the node's floor where that is higher."""
    rows = _scores(lab, pods)
    wrong = [pod.name for pod in pods if pod.predicted.qos_class != pod.raw["status"]["qosClass"]]
    floor = lab.node.formula_inputs["floor"]
    off = [
        row["Pod"]
        for row in rows
        if row["oom_score_adj"] != (row["formula"] if floor is None else max(row["formula"], floor))
    ]
    classes = (
        f"{listed(wrong)} has another class than predicted" if wrong else "classes as predicted"
    )
    numbers = (
        f"another oom_score_adj than predicted in {listed(off)}"
        if off
        else "oom_score_adj as the formula and this node's floor say"
    )
    order = list(dict.fromkeys(row["QoS class"] for row in rows))
    return Shown(
        frame_of(rows), f"{classes}; {numbers}; highest oom_score first: {', '.join(order)}"
    )


# --- One limit for two ----------------------------------------------------------------------------


def wait_until_big_is(lab, name: str, state: str) -> None:
    """Waits until the container big of a Pod has its 48 MiB, or has ended."""
    pod = lab.pod(name)
    if state == "terminated":
        pod.container("big").wait_until("terminated", timeout_seconds=HELD_SECONDS)
        return
    pod.container("big").wait_until("running", timeout_seconds=HELD_SECONDS)
    if not poll(
        lambda: pod.exec("big", "test -e /full").returncode == 0,
        timeout_seconds=patient(HELD_SECONDS),
        every_seconds=0.3,
    ):
        raise LabError(
            f"big in {name} has no 48 MiB.", "no file /full", "Look at kubectl get pods."
        )


def ask(lab, pod, *, mib: int) -> None:
    """A program in the container small asks for so much memory. It waits until a container of the
    Pod has ended."""
    pod.exec("small", f"head -c {mib * MIB} /dev/zero | tail >/dev/null", timeout_seconds=30)
    poll(lambda: _ended(pod), timeout_seconds=patient(ENDED_SECONDS), every_seconds=0.3)


def _ended(pod) -> list[str]:
    """The containers of a Pod that have ended."""
    return [
        each["name"] for each in fields.statuses(pod.raw) if "terminated" in (each["state"] or {})
    ]


def who_was_killed(lab, pod) -> str:
    """Which container has ended: a choice of "victim"."""
    return listed(_ended(pod)) if _ended(pod) else "neither: the program gets an error"


def o6(lab, own, shared) -> Shown:
    """Pod-level resources: one limit for all containers, which can use each other's slack. At that
    limit the kernel picks the victim, and it needn't be the one that asked for more.

    Args:
        own: the Pod whose containers have a limit each.
        shared: the Pod with one limit for both.
    """
    alone, together = _ended(own), _ended(shared)
    log = lab.node.kernel_log(shared.container("big").id)
    reports = [line for line in log if "oom-kill:" in line]
    found = (
        dict(re.findall(r"(\w+)=([^,]*)", reports[-1].partition("oom-kill:")[2])) if reports else {}
    )
    above = bool(found) and found["task_memcg"].startswith(found["oom_memcg"] + "/")
    rows = [
        (own.name, "32Mi each", "needs 48 MiB", listed(alone) or "none"),
        (
            shared.name,
            "64Mi for both",
            "small asked for more",
            listed(together) or "none",
        ),
    ]
    return Shown(
        frame_of(rows, ["Pod", "limits", "what happened", "container that was killed"]),
        f"with a limit each, {_killed(alone)}; with one for both, big had its memory "
        f"until small asked, and {_killed(together)}; the limit that was hit is "
        f"{'the Pod' if above else 'the container'}'s",
    )


def _killed(names: Sequence[str]) -> str:
    return f"{listed(names)} was killed" if names else "nobody was killed"


# --- A running container gets more ----------------------------------------------------------------


class WhoSays:
    """What several places say about a container's memory limit, while the ``with`` block runs.

    Args:
        pod: with a container app that has the limit in a Downward API file and in its environment.

    Attributes:
        seen: (seconds, place, MiB), in order: each value when it was seen for the first time.
        marks: (seconds, words): what was done, and what came of it.
        error: the kubelet's words about a resize that it can't finish.
    """

    def __init__(self, pod):
        self._pod = pod
        self.seen: list[tuple[float, str, int]] = []
        self.marks: list[tuple[float, str]] = []
        self.error = ""
        self.ended = 0.0
        self.process_before = self.process_after = None
        self.restarts = 0
        self._stop = threading.Event()
        self._error: Exception | None = None

    def __enter__(self) -> "WhoSays":
        self.process_before = self._pod.container("app").process
        self._began = time.monotonic()
        self._look()
        self._thread = threading.Thread(target=self._run, name=f"{MARK}-who-says", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self._stop.set()
        self._thread.join(30)
        self.ended = self._now()
        if kind is None and self._error:
            raise self._error
        if kind is None:
            self.process_after = self._pod.container("app").process
            self.restarts = self._pod.container("app").restarts

    def did(self, words: str, *, then_seconds: float = 0) -> None:
        """Notes what was done just now, and goes on for a while."""
        self.marks.append((self._now(), words))
        time.sleep(then_seconds)

    def did_until_answered(self, words: str) -> None:
        """Notes what was done just now, and goes on until the kubelet says that it can't finish
        the resize, and a while longer."""
        self.did(words)

        def says_so(now) -> bool:
            condition = fields.conditions(now.raw).get("PodResizeInProgress", {})
            self.error = condition.get("message", "")
            return condition.get("reason") == "Error"

        self._pod.wait_until(says_so, timeout_seconds=ERROR_SECONDS)
        self.did(ERROR, then_seconds=3)

    def show_error(self) -> None:
        """The kubelet's words about the resize that it can't finish."""
        shown_only(as_printed(f"{ERROR}\n{self.error}"))

    def says(self, place: str) -> list[int]:
        """What a place said, in order."""
        return [mib for _, each, mib in self.seen if each == place]

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:
                self._look()
            except LabError as error:
                self._error = error
                return

    def _look(self) -> None:
        raw = self._pod.raw
        spec = next(each for each in raw["spec"]["containers"] if each["name"] == "app")
        status = next(each for each in fields.statuses(raw) if each["name"] == "app")
        self._saw(SPEC, _mib(spec["resources"]["limits"]["memory"]))
        self._saw(STATUS, _mib(status["resources"]["limits"]["memory"]))
        inside = self._pod.exec("app", "cat /info/limit; echo; echo $LIMIT_MIB").stdout.split()
        self._saw(FILE, int(inside[0]))
        self._saw(ENV, int(inside[1]))
        self._saw(CGROUP, self._pod.container("app").cgroup.memory_limit_bytes // MIB)

    def _saw(self, place: str, mib: int) -> None:
        if self.says(place)[-1:] != [mib]:
            self.seen.append((self._now() if self.says(place) else 0.0, place, mib))


def _mib(text: str) -> int:
    return int(formulas.quantity(text)) // MIB


def who_says(lab, pod) -> WhoSays:
    """Follows what five places say about a container's memory limit."""
    return WhoSays(pod)


def what_shows_the_new_value(lab, seen: WhoSays) -> str:
    """Where a program finds its new limit after a resize: a choice of "env"."""
    new = [place for place in (FILE, ENV) if len(seen.says(place)) > 1]
    return {
        (FILE,): "the file only",
        (ENV,): "the environment variable only",
        (FILE, ENV): "both",
        (): "neither, until it restarts",
    }[tuple(new)]


def what_a_cut_does(lab, seen: WhoSays) -> str:
    """What became of the app whose limit was cut below what it uses: a choice of "cut"."""
    if seen.restarts or seen.process_after != seen.process_before:
        return "it's OOM-killed"
    return "it runs on with its old limit" if 32 not in seen.says(CGROUP) else "it runs on, slower"


def o24(lab, seen: WhoSays) -> Shown:
    """After an in-place resize a Downward API file shows the new value, the environment variable
    the old one."""
    rows = []
    for place in (SPEC, FILE, STATUS, CGROUP, ENV):
        steps = [(at, mib) for at, each, mib in seen.seen if each == place]
        ends = [at for at, _ in steps[1:]] + [seen.ended]
        rows += [
            {"place": place, "value": f"{mib} MiB", "start": at, "end": end}
            for (at, mib), end in zip(steps, ends, strict=True)
        ]
    told = {place: _steps(seen.says(place)) for place in (SPEC, FILE, STATUS, CGROUP, ENV)}
    alike: dict[str, list[str]] = {}
    for place, steps in told.items():
        alike.setdefault(steps, []).append(place)
    finding = " · ".join(f"{listed(places)}: {steps}" for steps, places in alike.items())
    chart = values(frame_of(rows), "Who shows which memory limit?", finding, seen.marks)
    return Shown(chart, finding.replace(" · ", "; "))


def _steps(mib: Sequence[int]) -> str:
    return ", ".join(map(str, mib)) + " MiB" + (" all the time" if len(mib) == 1 else "")


# --- What can come of a resize --------------------------------------------------------------------


def just_too_much(lab, resource: str = "cpu") -> str:
    """A little more CPU than is free on the node, as a quantity."""
    return f"{1000 * lab.free(resource) + 20:.0f}m"


def i7(lab, seen: WhoSays, quicker, outcomes: Mapping[str, object]) -> Shown:
    """CPU and memory are resized in place: the cgroup changes, and the container doesn't restart. A
    resize is done, or Deferred while the node has no room. Cutting memory below usage ends in an
    error that stays. The API rejects what would change the QoS class or exceed the node.

    Args:
        seen: a memory limit that was raised, and then cut below what was in use.
        quicker: a Pod whose CPU limit was raised; it's one of the outcomes.
        outcomes: by what was asked, a ``Resize`` or a ``Refusal``.
    """
    same = seen.process_after == seen.process_before and not seen.restarts
    grown = 96 in seen.says(CGROUP)
    limit = quicker.raw["spec"]["containers"][0]["resources"]["limits"]["cpu"]
    quota = quicker.container("app").cgroup.cpu_quota_us
    as_told = (
        quota == quicker.predicted["app"].cpu_quota_us and not quicker.container("app").restarts
    )
    cut = any(words == ERROR for _, words in seen.marks)
    kept = 32 not in seen.says(CGROUP)
    rows = [
        ("more memory, 96Mi", "done" if grown else "not done", ""),
        (
            "less memory than is in use",
            "error" if cut else "no error",
            "PodResizeInProgress, reason Error",
        ),
        *((what, *_outcome(each)) for what, each in outcomes.items()),
    ]
    words = [
        f"more memory: {'the cgroup changed' if grown else 'the cgroup did not change'}",
        f"a CPU limit of {limit}: "
        f"{'the cgroup changed' if as_told else 'the cgroup did not change'}",
        f"less than in use: {'an error' if cut else 'no error'}, and the cgroup "
        f"{'stayed' if kept else 'changed'}",
        f"the process {'stayed the same' if same else 'did not stay the same'}",
        *(f"{what}: {_outcome(each)[0]}" for what, each in outcomes.items()),
    ]
    return Shown(frame_of(rows, ["asked for", "outcome", "who says so"]), "; ".join(words))


def _outcome(found) -> tuple[str, str]:
    """The outcome in a word, and where it's said."""
    if hasattr(found, "outcome"):
        says = {"done": "", "deferred": "PodResizePending, reason Deferred"}
        return found.outcome, says.get(found.outcome, f"{found.message}"[:80])
    said = str(found.message).partition(": ")[2].partition(", requested")[0]
    return f"rejected, {found.reason}", said[:90]


# --- What a namespace allows ----------------------------------------------------------------------


def wait_until_in_force(lab, manifest: str, *, says: str = "", fills: str = "") -> None:
    """Waits until the API server goes by a new rule: it reads it from its own cache, a moment
    later. A dry run creates nothing.

    Args:
        manifest: a Pod in this lab's manifests.
        says: what its rejection has to contain.
        fills: a field of its container's resources that has to be filled in.
    """

    form = "--output=jsonpath={.spec.containers[0].resources}"
    command = ["apply", "--dry-run=server", form, "-f", f"manifests/{lab.name}/{manifest}"]

    def in_force() -> bool:
        done = kubectl.run(command)
        return bool((says and says in done.stderr) or (fills and fills in done.stdout))

    if not poll(in_force, timeout_seconds=patient(SETTLED_SECONDS), every_seconds=0.2):
        raise TimedOut("The rule isn't in force.", f"not in {SETTLED_SECONDS} s", "Run it again.")


def i8(lab, plain, refusal, old: Sequence) -> Shown:
    """A LimitRange fills in defaults, and a ResourceQuota rejects what is over it.

    Args:
        plain: a Pod without resources of its own.
        refusal: what the API server said about one more.
        old: Pods that were there before the quota.
    """
    filled = plain.raw["spec"]["containers"][0].get("resources") or {}
    given = plain.raw["status"]["qosClass"]
    live = [pod.name for pod in old if pod.phase == "Running"]
    kind = "exceeded quota" in str(refusal.message)
    rows = [
        ("limit of plain", (filled.get("limits") or {}).get("memory", "none")),
        ("request of plain", (filled.get("requests") or {}).get("memory", "none")),
        ("QoS class of plain", given),
        ("one more Pod", str(refusal.message)[:110]),
        ("Pods from before", f"{len(live)} of {len(old)} run on"),
    ]
    both = {"limits", "requests"} <= set(filled)
    return Shown(
        frame_of(rows, ["what", "was seen"]),
        f"the LimitRange {'filled in request and limit' if both else 'filled in nothing'}, and "
        f"plain is {given}; one more Pod was "
        f"{'rejected over the quota' if kind else 'rejected for another reason'}; "
        f"{'all' if len(live) == len(old) else 'not all'} Pods from before run on",
    )
