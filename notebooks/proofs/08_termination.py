"""Lab 08: where the last seconds of a Pod go, and what becomes of a Pod whose node is lost."""

import re
import time
from dataclasses import dataclass
from typing import NamedTuple

from labhelpers.charts.chart import records
from labhelpers.charts.lanes import Lane
from labhelpers.errors import LabError
from labhelpers.measure.beside import endpoint
from labhelpers.measure.changes import spans_of
from labhelpers.measure.log_follower import LogFollower
from labhelpers.node.logs import stamped_lines
from labhelpers.outcomes import Shown, frame_of, listed
from labhelpers.patience import patient

# What the containers write to their logs. etcd has its own words for SIGTERM.
TERM, HOOK_BEGINS, HOOK_ENDS = "SIGTERM", "preStop begins", "preStop ends"
OF_ETCD = '"signal":"terminated"'
SIGTERM = 15
# The kubelet's constant minimumGracePeriodInSeconds.
LEAST_SECONDS = 2.0
# The kubelet notices a deletion, starts a hook and sends a signal: each takes a moment.
SLACK_SECONDS, EARLY_SECONDS = 1.5, 0.1
BY_ITSELF, KILLED = "ended by itself", "killed"


# --- What the containers say ----------------------------------------------------------------------


class Logs(LogFollower):
    """Follows the logs of all Pods with a label until the last of them has ended."""

    def at(self, pod: str, words: str) -> float | None:
        """When a Pod first wrote a line with these words, by the node's clock; None: never."""
        own = (each for each in self.lines if each.pod == pod and words in each.text)
        return next((each.seconds for each in own), None)


def logs(lab, label: str) -> Logs:
    """Follows the logs of all Pods with this label while the ``with`` block runs."""
    return Logs("--selector", label, "--max-log-requests=20")


# --- What is predicted ----------------------------------------------------------------------------


def catches(status: str, signal: int = SIGTERM) -> bool:
    """Whether a process has a handler for a signal, by its ``/proc/PID/status``.

    >>> catches("SigCgt:\\t0000000000004000"), catches("SigCgt:\\t0000000000000000")
    (True, False)
    """
    mask = int(re.search(r"(?m)^SigCgt:\s*(\w+)", status)[1], 16)
    return bool(mask >> (signal - 1) & 1)


@dataclass(frozen=True)
class Plan:
    """What the arithmetic says of a Pod's end.

    Attributes:
        grace, hook, needs: in seconds: the grace period, the preStop hook's own time, and what the
            app takes to end after SIGTERM.
        handler: whether PID 1 has a handler for SIGTERM.
    """

    name: str
    grace: float
    hook: float
    handler: bool
    needs: float
    first: str = "app"

    @property
    def term(self) -> float:
        """When SIGTERM is sent, in seconds after the deletion."""
        return min(self.hook, self.grace)

    @property
    def kill(self) -> float:
        """When SIGKILL would be sent."""
        return self.term + max(self.grace - self.term, LEAST_SECONDS)

    @property
    def how(self) -> str:
        fits = self.handler and self.term + self.needs <= self.kill
        return BY_ITSELF if fits else KILLED

    @property
    def ends(self) -> float:
        """When the container ends."""
        return self.kill if self.how == KILLED else self.term + self.needs

    def holds(self, stop: "Stop") -> bool:
        """Whether a Pod ended so, and then."""
        earliest, latest = stop.ended - stop.unsure, stop.ended + stop.unsure
        in_time = earliest <= self.ends + SLACK_SECONDS and latest >= self.ends - EARLY_SECONDS
        return stop.how == self.how and in_time


def plan(lab, *names: str) -> dict[str, Plan]:
    """What is predicted for running Pods, from their specs, and from the node: whether PID 1 of
    each has a handler for SIGTERM."""
    return {name: _plan(lab, lab.pod(name)) for name in names}


def _plan(lab, pod) -> Plan:
    spec, first = pod.raw["spec"], pod.container("app").process
    [app] = spec["containers"]
    hook = (app.get("lifecycle") or {}).get("preStop") or {}
    command = (hook.get("exec") or {}).get("command") or ["0"]
    sleeps = float((hook.get("sleep") or {}).get("seconds", command[-1]))
    needs = next((each["value"] for each in app.get("env", []) if each["name"] == "TAKES"), 1)
    handler = catches(lab.node.read(f"/proc/{first.pid}/status"))
    grace = spec["terminationGracePeriodSeconds"]
    return Plan(pod.name, grace, sleeps, handler, float(needs), first.command)


# --- What is measured -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Stop:
    """How a Pod's container ended. All in seconds after the API had marked the Pod for deletion.

    Attributes:
        began: that moment, in seconds since the recording began.
        term: when it got SIGTERM, by its own log; None if it never said so.
        hook: from when to when its hook ran, by its own log; None without.
        ended, unsure: when it ended, give or take.
        exit_code: as the API had it last.
    """

    name: str
    began: float
    term: float | None
    hook: tuple[float, float | None] | None
    ended: float
    unsure: float
    exit_code: int

    @property
    def how(self) -> str:
        return KILLED if self.exit_code == 137 else BY_ITSELF


def stops(lab, life, said, *names: str) -> dict[str, Stop]:
    """How the containers of recorded Pods ended, by Pod.

    Raises:
        LabError: one of them wasn't deleted, or its end wasn't seen.
    """
    return {name: _stop(life, said, name) for name in names}


def _stop(life, said, name: str) -> Stop:
    began = _marked(life, name)
    ends = [
        row
        for row in records(life.intervals)
        if row["lane"] == f"{name}: app" and row["state"] == "terminated"
    ]
    if began is None or not ends:
        raise LabError(
            f"The end of {name} wasn't recorded.",
            "it wasn't deleted" if began is None else "it was deleted, and ended unseen",
            "Run the cells of this section again.",
        )

    def after(words: str) -> float | None:
        at = said.at(name, words)
        return None if at is None else life.seconds_of(at) - began

    hook, last = after(HOOK_BEGINS), ends[-1]
    term = after(TERM)
    return Stop(
        name,
        began,
        after(OF_ETCD) if term is None else term,
        None if hook is None else (hook, after(HOOK_ENDS)),
        last["start"] - began,
        last["start_resolution"] or 0.0,
        int(last["exit_code"]),
    )


def _marked(life, name: str) -> float | None:
    """When the API had marked a Pod for deletion, in seconds since the recording began."""
    marked = (
        version.seconds
        for version in life.versions
        if version.name == name and version.obj["metadata"].get("deletionTimestamp")
    )
    return next(marked, None)


def _lane(stop: Stop, planned: Plan | None = None) -> Lane:
    """A Pod's end as a bar: before, the hook, and what came after SIGTERM."""
    begin, end = stop.began, stop.began + stop.ended
    spans = [(0.0, begin, "runs")]
    term = None if stop.term is None else begin + stop.term
    waits = "preStop" if stop.hook or planned is None else "never sees SIGTERM"
    if term is None:
        spans.append((begin, end, waits))
    else:
        spans += [(begin, term, "preStop")] if term - begin > 2 * SLACK_SECONDS / 3 else []
        spans.append((spans[-1][1], end, "after SIGTERM"))
    points = [(end, stop.how, stop.how == BY_ITSELF)]
    return Lane(stop.name, "on the node", spans=spans, points=points)


def _chart(life, found: dict[str, Stop], planned: dict[str, Plan], title: str):
    zero = min(stop.began for stop in found.values())
    grace = min(each.grace for each in planned.values())
    lanes = [_lane(stop, planned.get(name)) for name, stop in found.items()]
    marks = [(zero + grace, f"grace period over: {grace:g} s")]
    return life.chart(title, lanes, _tell(found), predicted=marks)


def _tell(found: dict[str, Stop]) -> list[str]:
    return [f"{name}: app" for name in found]


def _story(stop: Stop, planned: Plan) -> str:
    """What became of a Pod, beside what was predicted."""
    how = f"{stop.how} after {planned.ends:g} s" if planned.holds(stop) else f"{stop.how}"
    was = "was " if stop.how == KILLED else ""
    as_planned = "as predicted" if planned.holds(stop) else "unlike predicted"
    saw = "saw SIGTERM" if stop.term is not None else "never saw SIGTERM"
    return f"{stop.name} {saw} and {was}{how}, {as_planned}"


def table(lab, found: dict[str, Stop], planned: dict[str, Plan]) -> Shown:
    """Prediction and measurement, side by side."""
    rows = [
        {
            "Pod": name,
            "PID 1": planned[name].first,
            "handles SIGTERM": "yes" if planned[name].handler else "no",
            "preStop, s": planned[name].hook,
            "grace, s": planned[name].grace,
            "ends, predicted, s": planned[name].ends,
            "measured, s": f"{stop.ended:.1f}",
            "exit code": stop.exit_code,
        }
        for name, stop in found.items()
    ]
    unlike = [name for name, stop in found.items() if not planned[name].holds(stop)]
    words = f"{listed(found)} ended as predicted"
    return Shown(frame_of(rows), f"not as predicted: {listed(unlike)}" if unlike else words)


# --- SIGTERM --------------------------------------------------------------------------------------


def c11(lab, life, said, planned) -> Shown:
    """The grace period is the time from SIGTERM to SIGKILL: an app that handles SIGTERM ends before
    that; a PID 1 without a handler takes all of it."""
    found = stops(lab, life, said, *planned)
    title = "Four Pods are deleted at the same time. When does each end?"
    words = [_story(found[name], planned[name]) for name in ("handles", "ignores")]
    return Shown(_chart(life, found, planned, title), "; ".join(words))


def o2(lab, life, said, planned) -> Shown:
    """A shell wrapper keeps SIGTERM from the app: it takes the full grace period; with exec the app
    is PID 1 itself, and gets it."""
    found = stops(lab, life, said, "wrapped", "execs")
    words = [
        f"PID 1 is {planned[name].first} in {name}"
        f"{', which has no handler' if not planned[name].handler else ''}"
        for name in found
    ]
    words += [_story(stop, planned[name]) for name, stop in found.items()]
    return Shown(table(lab, found, planned).what, "; ".join(words))


def what_the_wrapper_does(lab, life, said) -> str:
    """What became of the wrapped app: a choice of "wrapped"."""
    stop = stops(lab, life, said, "wrapped")["wrapped"]
    if stop.how == KILLED:
        return "only sh, which ignores it: killed after 6 s"
    if stop.term is None:
        return "only sh, which ends at once, and the app with it"
    return "both: the app cleans up and ends after 1 s"


# --- preStop --------------------------------------------------------------------------------------


def c17(lab, life, said, planned) -> Shown:
    """preStop runs before SIGTERM, and its time counts against the grace period."""
    found = stops(lab, life, said, *planned)
    order = [_order(stop) for stop in found.values()]
    first = "preStop ran before SIGTERM" if all(order[:2]) else "SIGTERM didn't wait for preStop"
    words = [f"in hook {first}", *(_story(stop, planned[name]) for name, stop in found.items())]
    title = "Three Pods with a preStop hook. What gets how much time?"
    return Shown(_chart(life, found, planned, title), "; ".join(words))


def _order(stop: Stop) -> bool:
    """Whether the hook had begun and ended before SIGTERM, by the container's own log."""
    times = (*(stop.hook or (None, None)), stop.term)
    return None not in times and list(times) == sorted(times)


def how_both_ended(lab, life, said) -> str:
    """What became of the Pod whose hook and app take 4 s each: a choice of "both"."""
    stop = stops(lab, life, said, "both")["both"]
    if stop.how == KILLED:
        return "it's killed after 6 s"
    whole = (stop.hook or (0, None))[1] is not None
    return (
        "it ends by itself after 8 s: the grace period begins with SIGTERM"
        if whole
        else "the hook is cut off after 2 s, so that the app has its 4 s"
    )


def how_overlong_ended(lab, life, said) -> str:
    """What became of the Pod whose hook takes a minute: a choice of "overlong"."""
    stop = stops(lab, life, said, "overlong")["overlong"]
    if stop.how == KILLED:
        return "it's killed when the 6 s are over, and never gets SIGTERM"
    late = "after the minute" if stop.ended > 60 else "when the 6 s are over"
    return f"it gets SIGTERM {late}, and cleans up"


def o26(lab, life, said) -> Shown:
    """A preStop sleep action needs no shell and no sleep binary; the exec form fails without them,
    and an event says so."""
    names = {"no-shell-sleep": "sleep", "no-shell-exec": "exec"}
    found = stops(lab, life, said, *names)
    rows, words = [], []
    for name, form in names.items():
        stop = found[name]
        held = stop.ended >= 3 - EARLY_SECONDS
        told = [
            each["reason"]
            for each in records(life.events)
            if each["object"] == f"Pod/{name}" and each["reason"] == "FailedPreStopHook"
        ]
        rows.append(
            {
                "Pod": name,
                "preStop": form,
                "ended after, s": f"{stop.ended:.1f}",
                "event": "".join(told[:1]) or "none",
            }
        )
        waited = "waited 3 s" if held else "didn't wait"
        reported = "was reported as FailedPreStopHook" if told else "wasn't reported"
        words.append(f"the {form} form {waited} and {reported}")
    return Shown(frame_of(rows), "without a shell in the image, " + "; ".join(words))


# --- Traffic --------------------------------------------------------------------------------------

HELD = "polite"  # by its hook
SHOPS = ("abrupt", HELD)
# An answer that is written so shortly after the deletion may have been on its way before it.
ON_ITS_WAY_SECONDS = 0.2
# kube-proxy writes its rules at most once a second (minSyncPeriod). What is deleted less than that
# after another Pod has to wait for the next time.
STEPS, STEP_SECONDS = (3, 2, 1), 0.25


def look_on(lab, seconds: float) -> None:
    """Lets so many seconds go by."""
    time.sleep(seconds)


def scale_down(lab, life) -> None:
    """Scales both Deployments down, one Pod after the other, as an autoscaler does; then waits
    until these Pods are gone, for at most a minute."""
    for replicas in STEPS:
        for shop in SHOPS:
            lab.transcript.note(f"kubectl scale deployment {shop} --replicas={replicas}")
            lab.connection.patch("Deployment", shop, {"spec": {"replicas": replicas}})
        time.sleep(STEP_SECONDS)
    wanted = len(SHOPS) * len(STEPS)
    deadline = time.monotonic() + patient(60)
    while (gone := sum(each.event == "DELETED" for each in life.versions)) < wanted:
        if time.monotonic() > deadline:
            raise LabError(
                "The Deployments weren't scaled down.",
                f"{gone} of {wanted} Pods are gone",
                "Look at kubectl get pods.",
            )
        time.sleep(0.2)


class Requests(NamedTuple):
    """The client's requests to one Deployment while it was rolled out.

    Attributes:
        answered: (seconds since the recording began, Pod).
        failed: seconds.
        deleted: when each Pod that had to go was marked for deletion, in seconds, by Pod; the first
            one first.
        gone: when the API had it no more.
        told: how long after that its EndpointSlice said so.
    """

    answered: list[tuple[float, str]]
    failed: list[float]
    deleted: dict[str, float]
    gone: dict[str, float]
    told: dict[str, float]

    def late(self, pod: str) -> list[float]:
        """Answers of a Pod that was marked for deletion already, in seconds after that."""
        since = self.deleted[pod]
        late = [at - since for at, of in self.answered if of == pod]
        return [seconds for seconds in late if seconds > ON_ITS_WAY_SECONDS]


def requests(lab, life, client) -> dict[str, Requests]:
    """What the client's requests got during a recording, by Deployment."""
    lines = stamped_lines(lab.node, lab.namespace, client.name, client.uid, "app")
    began = -life.seconds_of(0.0)  # by the node's clock, as the lines are
    said = [(at - began, text) for at, text in lines]
    end = max((each.seconds for each in life.versions if each.event == "DELETED"), default=0.0)
    during = [(at, text) for at, text in said if 0 <= at <= end]
    found = {}
    for shop in SHOPS:
        there = {v.name for v in life.versions if v.name.startswith(shop)}
        marked = {name: _marked(life, name) for name in there}
        order = sorted((at, name) for name, at in marked.items() if at is not None)
        deleted = {name: at for at, name in order}
        gone = {name: _gone(life, name) for name in deleted}
        answered = [(at, text) for at, text in during if text.startswith(f"{shop}-")]
        failed = [at for at, text in during if text == f"{shop} failed"]
        told = {name: _told(life, shop, name) - at for name, at in deleted.items()}
        found[shop] = Requests(answered, failed, deleted, gone, told)
    return found


def _told(life, service: str, pod: str) -> float:
    """When a Service's EndpointSlice first said that a Pod is terminating, or had it no more."""
    for version in life.versions_of("EndpointSlice"):
        if version.obj["metadata"].get("labels", {}).get("kubernetes.io/service-name") != service:
            continue
        said = endpoint([version.obj], pod)
        if (said is None and version.seconds > 0.5) or (said and "terminating" in said[1]):
            return version.seconds
    return float("nan")


def o1(lab, life, client) -> Shown:
    """A terminating Pod still gets traffic until everybody has heard of its end. A preStop sleep
    bridges the gap: failed requests are counted without it and with it."""
    found = requests(lab, life, client)
    words, lanes = [], []
    for shop, seen in found.items():
        # A Pod of abrupt may answer late, too: on a busy node the kubelet needs a while.
        late = shop == HELD and any(seen.late(pod) for pod in seen.deleted)
        words.append(
            f"{shop}: {'some requests' if seen.failed else 'no request'} failed"
            + (", and Pods answered that had been deleted already" if late else "")
        )
        lanes += [_served(shop, number, pod, seen) for number, pod in enumerate(seen.deleted, 1)]
        points = [(at, "request failed", False) for at in seen.failed]
        lanes.append(Lane(f"{shop}: no answer", "the client's log", points=points))
    title = "Three of four Pods are deleted. Which requests fail?"
    return Shown(life.chart(title, lanes, [], notes=_on_its_way(found)), "; ".join(words))


def _served(shop: str, number: int, pod: str, seen: Requests) -> Lane:
    """A Pod that had to go: until it was deleted, and from then until its last answer."""
    at, last = seen.deleted[pod], max([0.0, *seen.late(pod)])
    spans = [(0.0, at, "answers")]
    spans += [(at, at + last, "deleted, answers")] if last else []
    return Lane(f"{shop}: Pod {number}", "the client's log", spans=spans)


def _on_its_way(found: dict[str, Requests]) -> list[tuple[float, float, str]]:
    """From the first deletion to the last answer of a Pod that had been deleted."""
    begun = [at for seen in found.values() for at in seen.deleted.values()]
    ends = [
        at + late for seen in found.values() for pod, at in seen.deleted.items()
        for late in seen.late(pod)
    ]  # fmt: skip
    return [(min(begun), max(ends), "the news is on its way")] if ends else []


def counted(lab, life, client) -> Shown:
    """The same in numbers."""
    rows = []
    for shop, seen in requests(lab, life, client).items():
        late = [each for pod in seen.deleted for each in seen.late(pod)]
        rows.append(
            {
                "Deployment": shop,
                "requests answered": len(seen.answered),
                "failed": len(seen.failed),
                "answered by deleted Pods": len(late),
                "the last of these after, s": f"{max(0.0, *late):.1f}" if late else "",
                "EndpointSlice updated after, s": f"{max(0.0, *seen.told.values()):.1f}",
            }
        )
    return Shown(frame_of(rows), "; ".join(map(_lost, rows)))


def _lost(row: dict) -> str:
    """Which part of its requests a Deployment lost, in words."""
    if not row["failed"]:
        return f"{row['Deployment']} lost no request"
    few = row["failed"] < row["requests answered"]
    return f"{row['Deployment']} lost {'some' if few else 'at least half'} of its requests"


# --- A lost node ----------------------------------------------------------------------------------

WAIT_SECONDS = 90
TOLERANCE_SECONDS = 2.0
SILENT_SECONDS = 3.5  # a request is sent each second, and given up after one more


def wait_for_deletion(lab, pod) -> None:
    """Waits until a Pod is marked for deletion, for at most 90 s."""
    pod.wait_until(
        lambda now: now.raw["metadata"].get("deletionTimestamp") is not None,
        timeout_seconds=WAIT_SECONDS,
    )


def d5(lab, life, watcher) -> Shown:
    """When a node is lost, its Pods' phase stays Running, and Ready turns False. After the
    toleration a Pod is marked for deletion. It hangs in Terminating until the kubelet is back."""
    unknown, back = _node_lost(life)
    unready = life.when({"lost: Ready": "False"})
    marked, gone = _marked(life, "lost"), _gone(life, "lost")
    tolerated = _tolerated(life)
    words = []
    if unknown is None or not unready or unready[0][0] > back:
        words.append("the Pod stayed Ready")
    else:
        words.append("the node's Ready turned Unknown within a minute, and the Pod's Ready False")
    words.append(f"the phase was {listed(_phases(life, back))} all the time")
    if marked is None or unknown is None:
        words.append("the Pod was never marked for deletion")
    else:
        late = marked - unknown - tolerated
        as_told = "after its toleration" if abs(late) < TOLERANCE_SECONDS else "at another time"
        until = "it hung until the kubelet was back" if gone > back else "it was gone before"
        words.append(f"the Pod was marked for deletion {as_told}, and {until}")
    lanes = [_node_lane(life), _phase_lane(life, back), "lost: Ready", _marked_lane(life)]
    lanes += [_object_lane(life), "lost: app", "forced: app", _watched(lab, life, watcher)]
    title = "The node is lost. What does the API say, and what's true?"
    notes = [(unknown, back, "the API has lost the node")] if unknown is not None else []
    due = [(unknown + tolerated, f"{tolerated:g} s tolerated")] if unknown is not None else []
    picture = life.chart(title, lanes, ["lost: app", "forced: app"], notes=notes, predicted=due)
    return Shown(picture, "; ".join([*words, _forced(lab, life, watcher)]))


def _node(life) -> str:
    return life.versions_of("Node")[-1].name


def _node_lost(life) -> tuple[float | None, float]:
    """When the node's Ready turned Unknown, and when it was True again, in seconds."""
    rows = [row for row in records(life.intervals) if row["lane"] == f"{_node(life)}: Ready"]
    unknown = [row for row in rows if row["state"] == "Unknown"]
    if not unknown:
        return None, float("inf")
    return unknown[0]["start"], unknown[-1]["end"]


def _tolerated(life) -> float:
    spec = next(each.obj["spec"] for each in life.versions if each.name == "lost")
    keys = {each.get("key"): each.get("tolerationSeconds") for each in spec["tolerations"]}
    return float(keys["node.kubernetes.io/unreachable"])


def _gone(life, name: str) -> float:
    """When the API had a Pod no more, in seconds; infinite if it still has it."""
    ended = (v.seconds for v in life.versions if v.name == name and v.event == "DELETED")
    return next(ended, float("inf"))


def _phases(life, back: float) -> list[str]:
    """The phases of the Pod while its node was away."""
    own = [v for v in life.versions if v.name == "lost" and v.seconds < back]
    return list(dict.fromkeys(v.obj["status"].get("phase", "") for v in own))


def _node_lane(life) -> Lane:
    rows = [row for row in records(life.intervals) if row["lane"] == f"{_node(life)}: Ready"]
    spans = [(row["start"], row["end"], row["state"]) for row in rows]
    return Lane("node: Ready", "the API reports", spans=spans)


def _phase_lane(life, back: float) -> Lane:
    """The phase, until the node was back."""
    own = [each for each in life.versions if each.name == "lost" and each.seconds < back]
    said = spans_of(own, lambda pod: pod["status"].get("phase"), back)
    return Lane("lost: phase", "the API reports", said)


def _marked_lane(life) -> Lane:
    marked, gone = _marked(life, "lost"), _gone(life, "lost")
    spans = [] if marked is None else [(marked, gone, "Terminating")]
    return Lane("lost: deletion", "the API reports", spans=spans)


def _object_lane(life) -> Lane:
    gone = _gone(life, "forced")
    return Lane("forced: object", "the API reports", spans=[(0.0, gone, "is there")])


def _answers(lab, life, watcher) -> list[float]:
    """When the force-deleted Pod answered, in seconds since the recording began."""
    lines = stamped_lines(lab.node, lab.namespace, watcher.name, watcher.uid, "app")
    began = -life.seconds_of(0.0)  # by the node's clock, as the lines are
    return [at - began for at, text in lines if text == "forced"]


def _watched(lab, life, watcher) -> Lane:
    """From when to when the force-deleted Pod answered, once a second."""
    end, spans = float(life.intervals["end"].max()), []
    for at in _answers(lab, life, watcher):
        if not 0 <= at <= end:
            continue
        if spans and at - spans[-1][1] < SILENT_SECONDS:
            spans[-1] = (spans[-1][0], at, "answers")
        else:
            spans.append((at, at, "answers"))
    return Lane("forced: requests", "the watcher's log", spans=spans)


def _forced(lab, life, watcher) -> str:
    """What became of the Pod that was deleted by force while its node was away. Nobody could look
    at the node then: that its process ran, its answers tell."""
    gone, (_, back) = _gone(life, "forced"), _node_lost(life)
    answered = [at for at in _answers(lab, life, watcher) if gone + 1 < at]
    ran_on = bool(answered) and answered[-1] > back - SILENT_SECONDS
    api = "was gone from the API before the node was back" if gone < back else "stayed in the API"
    process = "its process ran on" if ran_on else "its process ended"
    return f"forced {api}, but {process} and {'answered' if answered else 'gave no answer'}"


def phase_of_a_lost_pod(lab, life) -> str:
    """The phase of the Pod just before its node was back: a choice of "phase"."""
    return _phases(life, _node_lost(life)[1])[-1]


def what_force_does(lab, life, watcher) -> str:
    """What became of the process: a choice of "forced"."""
    if "ran on" in _forced(lab, life, watcher):
        return "runs on until the kubelet is back"
    return "is killed by the container runtime"
