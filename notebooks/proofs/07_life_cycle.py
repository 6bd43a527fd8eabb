"""Lab 07: what a Pod goes through from Pending to gone, and who says so."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise

from labhelpers.charts import timeline as charts
from labhelpers.charts.lanes import Lane
from labhelpers.charts.states import COLUMNS, states
from labhelpers.charts.windows import COLUMNS as WINDOW
from labhelpers.charts.windows import windows
from labhelpers.errors import TimedOut
from labhelpers.kube import fields
from labhelpers.kube.pod_status import CONDITIONS, PHASES, kubectl_status
from labhelpers.live import Live
from labhelpers.measure.changes import spans_of
from labhelpers.outcomes import Shown, frame_of, listed
from labhelpers.polling import poll
from labhelpers.snapshots import PodSnapshot

IMAGE = ("ErrImagePull", "ImagePullBackOff")
ENDS = ("Succeeded", "Failed")
LOOP = "CrashLoopBackOff"
SEEN_SECONDS = 0.8  # what is waited for should be seen in the picture
STRANGE = (LOOP, "Terminating")
EXCEEDED = "DeadlineExceeded"
SANDBOX = "PodReadyToStartContainers"


# --- Reading a Pod --------------------------------------------------------------------------------


def state_of(raw: dict) -> str:
    """Where a Pod stands in the picture of all states: one of ``charts.states.STATES``."""
    status = raw.get("status", {})
    phase = status.get("phase", "Pending")
    if phase in ENDS:
        return phase
    if phase == "Pending":
        waits = {
            "PodScheduled": "waits for a node",
            SANDBOX: "waits for a sandbox",
            "Initialized": "runs init containers",
        }
        missing = [words for name, words in waits.items() if not fields.is_true(raw, name)]
        return missing[0] if missing else "creates containers"
    if raw["metadata"].get("deletionTimestamp"):
        return "being deleted"
    if not any("running" in _state(each) for each in status.get("containerStatuses") or []):
        return "no container runs"
    return "Ready" if fields.is_true(raw, "Ready") else "runs, not Ready"


def _state(status: dict) -> dict:
    return status.get("state") or {}


def _ended(status: dict) -> dict | None:
    """How a container's last run ended; None where it runs, or has never run."""
    state = _state(status)
    if "running" in state:
        return None
    return state.get("terminated") or (status.get("lastState") or {}).get("terminated")


def _steps(life) -> list[tuple[str, str, float]]:
    """Pod, state and second of each step, in order."""
    steps: list[tuple[str, str, float]] = []
    now: dict[str, str] = {}
    for version in list(life.versions):
        state = "gone" if version.event == "DELETED" else state_of(version.obj)
        if now.get(version.name) != state:
            steps.append((version.name, state, version.seconds))
            now[version.name] = state
    return steps


def _machine(life, title: str):
    return states(frame_of(_steps(life), COLUMNS), title)


def live_states(lab, title: str, *names: str) -> Live:
    """Records Pods, while a picture of all states lights up where they are."""
    life = lab.recording(*names)
    return Live(lambda: _machine(life, title), life)


# --- One Pod, three words -------------------------------------------------------------------------


def wait_between_runs(lab, pod) -> None:
    """Waits until a container has been restarted and has ended again, for at most 60 s."""

    def is_so(now) -> bool:
        status = (now.raw["status"].get("containerStatuses") or [{}])[0]
        return status.get("restartCount", 0) >= 1 and "running" not in _state(status)

    pod.wait_until(is_so, timeout_seconds=60)


def wait_for_status(lab, pod, status: str) -> None:
    """Waits until kubectl's STATUS says this, for at most 60 s. A container that was started again
    meanwhile ends in a new back-off, in which the kubelet has to be made to look once more."""
    again = _Nudge(lab)

    def says() -> bool:
        if pod.kubectl_status == status:
            return True
        again.look_at(pod.name)
        return False

    with lab.transcript.quietly():
        found = poll(says, timeout_seconds=60, every_seconds=0.3)
    time.sleep(SEEN_SECONDS)
    if not found:
        raise TimedOut(
            f"kubectl's STATUS of {pod.name} hasn't become {status}.",
            f"after 60 s it says {pod.kubectl_status}",
            "Run the cell again.",
        )


class _Nudge:
    """Makes the kubelet look at a Pod again, by an annotation, but not more often than it needs."""

    EVERY_SECONDS = 6.0

    def __init__(self, lab):
        self.lab, self.asked = lab, time.monotonic()

    def look_at(self, *names: str) -> None:
        if time.monotonic() - self.asked > self.EVERY_SECONDS:
            self.asked = time.monotonic()
            body = {"metadata": {"annotations": {"look": f"{self.asked:.0f}"}}}
            for name in names:
                self.lab.connection.patch("Pod", name, body)


def d6(lab, life) -> Shown:
    """Phase, container state and kubectl's STATUS are three different things."""
    lanes, words, notes = [], [], []
    for name in dict.fromkeys(each.name for each in life.versions):
        own = [each for each in life.versions if each.name == name]
        lanes += [
            f"{name}: app",
            _lane(life, f"{name}: phase", own, lambda raw: raw["status"]["phase"]),
            _lane(life, f"{name}: STATUS", own, kubectl_status),
        ]
        known = {each.obj["status"]["phase"] for each in own}
        said = [kubectl_status(each.obj) for each in own]
        strange = [each for each in dict.fromkeys(said) if each in STRANGE]
        told = f"said {listed(strange)}" if strange else f"never said {LOOP} or Terminating"
        words.append(f"{name}: STATUS {told}, and the phase was {listed(sorted(known))}")
        notes += [
            (start, end, f"{said}: no phase")
            for start, end, said in lanes[-1].spans
            if said in STRANGE
        ]
    strangers = set(PHASES) & set(STRANGE)
    words.append(f"{LOOP} and Terminating are {'phases' if strangers else 'none of the phases'}")
    chart = life.chart("One Pod, three words. Who says what?", lanes, (), notes)
    return Shown(chart, "; ".join(words))


def _lane(life, name: str, versions: Sequence, words: Callable[[dict], str]) -> Lane:
    """What is said of a Pod, from one version to the next."""
    source = "kubectl" if name.endswith("STATUS") else "the API reports"
    return Lane(name, source, spans_of(versions, words, float(life.intervals["end"].max())))


# --- From Pending to gone -------------------------------------------------------------------------


def wait_for_ends(lab, *names: str) -> None:
    """Waits until each of these Pods is Succeeded or Failed, for at most 60 s."""
    for name in names:
        lab.pod(name).wait_until(lambda now: now.phase in ENDS, timeout_seconds=60)


def d3(lab, life) -> Shown:
    """Succeeded: every container exited with 0, and none will restart."""
    last = {each.name: each.obj for each in life.versions}
    good = {name: raw for name, raw in last.items() if raw["status"]["phase"] == "Succeeded"}
    ends = [_ended(status) for raw in good.values() for status in fields.statuses(raw)]
    all_zero = bool(ends) and all(end and end["exitCode"] == 0 for end in ends)
    retried = [
        name
        for name, raw in good.items()
        if any(status["restartCount"] for status in fields.statuses(raw))
    ]
    again = [name for name in good if _ran_after_its_end(life, name)]
    there = {each.name for each in life.versions} - {
        each.name for each in life.versions if each.event == "DELETED"
    }
    failed = [name for name in sorted(there) if last[name]["status"]["phase"] == "Failed"]
    words = [
        f"{listed(sorted(good)) or 'none'} Succeeded: "
        f"{'every' if all_zero else 'not every'} container's last exit code is 0, and "
        f"{listed(again) or 'none'} ran again afterwards",
        f"{listed(retried) or 'none'} had failed before",
        f"{listed(failed) or 'none'} Failed",
    ]
    return Shown(_machine(life, "One state machine, four Pods. Which way did each take?"),
                 "; ".join(words))  # fmt: skip


def _ran_after_its_end(life, name: str) -> bool:
    phases = [each.obj["status"].get("phase") for each in life.versions if each.name == name]
    return any(before == "Succeeded" and after != "Succeeded" for before, after in pairwise(phases))


def d7(lab, life) -> Shown:
    """The conditions turn true in an order that you can watch."""
    web = _turned_true(life, "web")
    steps: dict[float, list[str]] = {}
    for condition, seconds in web.items():
        steps.setdefault(seconds, []).append(condition)
    order = [listed(sorted(each)) + (" together" if len(each) > 1 else "")
             for _, each in sorted(steps.items())]  # fmt: skip
    first = [SANDBOX, "Initialized"]
    if _is_first("Initialized", SANDBOX, [_turned_true(life, name) for name in PLAIN]):
        first.reverse()
    words = [
        f"with an init container: {', then '.join(order)}",
        f"without one {first[0]} turned True before {first[1]}",
    ]
    own = life.intervals[life.intervals["lane"].str.startswith("web: ")]
    own = own.assign(lane=own["lane"].str.removeprefix("web: "))
    lanes = ["PodScheduled", SANDBOX, "prepare", "Initialized", "app", "ContainersReady", "Ready"]
    title = "A Pod with an init container. What turns True when?"
    bounds = [web.get(SANDBOX), web.get("Initialized")]
    notes = [(*bounds, "a sandbox, and not Initialized")] if None not in bounds else []
    chart = charts.timeline(own, title, lanes, ("containers",), (), notes)
    return Shown(chart, "; ".join(words))


PLAIN = ("report", "broken", "flaky")  # without an init container


def _is_first(one: str, other: str, pods: list[dict[str, float]]) -> bool:
    """Whether a condition turned True before another: in some Pod, and in none the other way round.
    A busy kubelet may report both in one update."""
    pairs = [(each[one], each[other]) for each in pods if one in each and other in each]
    return any(a < b for a, b in pairs) and all(a <= b for a, b in pairs)


def _turned_true(life, name: str) -> dict[str, float]:
    """When each condition of a Pod was first True."""
    found: dict[str, float] = {}
    for version in life.versions:
        if version.name == name:
            for condition, status in version.conditions.items():
                if status == "True" and condition in CONDITIONS:
                    found.setdefault(condition, version.seconds)
    return found


def when_sandbox_is_ready(lab, life) -> str:
    """When PodReadyToStartContainers turned True: a choice of "sandbox"."""
    turned = _turned_true(life, "web")
    over = next(
        (
            version.seconds
            for version in life.versions
            if version.name == "web"
            and any(
                "terminated" in _state(each)
                for each in version.obj["status"].get("initContainerStatuses") or []
            )
        ),
        float("inf"),
    )
    at = turned.get(SANDBOX, float("inf"))
    if at == turned.get("Ready"):
        return "together with Ready"
    return "before the init container runs" if at < over else "once the init container has finished"


# --- A dozen Pods side by side --------------------------------------------------------------------


def _waits_for(now, container: str, *reasons: str) -> bool:
    found = now.container(container)
    return found.state == "waiting" and found.reason in reasons


# Where each stays. Of two words that come in turn, it's the one that lasts longer.
SETTLED: dict[str, Callable] = {
    "nowhere": lambda now: now.conditions.get("PodScheduled") == "False",
    "no-image": lambda now: _waits_for(now, "app", IMAGE[1]),
    "preparing": lambda now: now.container("prepare").state == "running",
    "no-config": lambda now: _waits_for(now, "app", "CreateContainerConfigError"),
    "half": lambda now: (
        now.container("app").state == "running" and _waits_for(now, "proxy", IMAGE[1])
    ),
    "sick": lambda now: now.container("app").state == "running",
    "one-down": lambda now: (
        now.container("app").state == "running" and now.container("proxy").state == "terminated"
    ),
    "crash": lambda now: _waits_for(now, "app", LOOP),
    "rejected": lambda now: bool(now.raw["status"].get("reason")),
    "hungry": lambda now: bool(now.raw["status"].get("reason")),
    "broken": lambda now: now.phase in ENDS,
}
IN_TURN = ("no-image", "half", "crash")  # these the kubelet has to look at once more
SETTLE_SECONDS = 150


def settle(lab) -> dict[str, dict]:
    """Waits until the Pods of the lab are where they stay, all at one moment: each as it is
    then."""
    again, seen = _Nudge(lab), {}

    def is_so() -> bool:
        there = {each["metadata"]["name"]: each for each in lab.connection.list("Pod")["items"]}
        seen.update({name: there[name] for name in sorted(SETTLED) if name in there})
        early = [
            name
            for name, so in SETTLED.items()
            if name not in there or not so(PodSnapshot(there[name]))
        ]
        seen["early"] = early
        if early and set(early) <= set(IN_TURN):
            again.look_at(*early)
        return not early

    found = poll(is_so, timeout_seconds=SETTLE_SECONDS, every_seconds=0.3)
    early = seen.pop("early")
    if not found:
        raise TimedOut(
            "The Pods haven't come to where they stay.",
            f"after {SETTLE_SECONDS} s not yet: {', '.join(early)}",
            "Look at them: kubectl get pods. Then run the cell again.",
        )
    return seen


def phase_of(lab, pods: dict[str, dict], name: str) -> str:
    """The phase of one of the Pods."""
    return pods[name]["status"]["phase"]


def _table(pods: dict[str, dict]):
    """Phase, STATUS, containers and conditions side by side."""
    short = {"PodScheduled": "scheduled", SANDBOX: "sandbox", "Initialized": "initialized",
             "ContainersReady": "containers", "Ready": "Ready"}  # fmt: skip
    rows = []
    for name, raw in pods.items():
        true = [words for each, words in short.items() if fields.is_true(raw, each)]
        rows.append(
            {
                "Pod": name,
                "phase": raw["status"]["phase"],
                "STATUS": kubectl_status(raw),
                "containers": ", ".join(map(_container_words, fields.statuses(raw))) or "none",
                "conditions that are True": ", ".join(true) or "none",
            }
        )
    return frame_of(rows)


def _container_words(status: dict) -> str:
    state = _state(status) or {"waiting": {}}
    [(word, more)] = state.items()
    reason = (more or {}).get("reason", "")
    return f"{status['name']} {word}" + (f" ({reason})" if reason else "")


def _of_phase(pods: dict[str, dict], phase: str) -> dict[str, dict]:
    return {name: raw for name, raw in pods.items() if raw["status"]["phase"] == phase}


def d1(lab, pods) -> Shown:
    """Pending has many causes; five are shown."""
    wanted = ("nowhere", "no-image", "preparing", "no-config", "half")
    pending = _of_phase(pods, "Pending")
    said = [f"{name} ({_why_pending(pods[name])})" for name in wanted if name in pending]
    words = [f"Pending are {listed(said) or 'none'}"]
    words += [f"{name} is {pods[name]['status']['phase']}" for name in wanted
              if name not in pending]  # fmt: skip
    return Shown(_table(pending), "; ".join(words))


def _why_pending(raw: dict) -> str:
    if not fields.is_true(raw, "PodScheduled"):
        return "not scheduled"
    waiting = [_state(each).get("waiting", {}).get("reason") for each in fields.statuses(raw)]
    runs = any("running" in _state(each) for each in raw["status"]["containerStatuses"])
    if any("running" in _state(each) for each in raw["status"].get("initContainerStatuses", [])):
        return "its init container runs"
    if runs:
        return "one container runs, the other can't start"
    if set(waiting) & set(IMAGE):
        return "image not pulled"
    if "CreateContainerConfigError" in waiting:
        return "configuration missing"
    return "something else"


def d2(lab, pods) -> Shown:
    """Running: bound to a node, every container created, at least one running or restarting."""
    running = _of_phase(pods, "Running")
    rules = {
        "is bound to a node": lambda raw: bool(raw["spec"].get("nodeName")),
        "has had all its containers created": lambda raw: all(
            each.get("containerID") for each in raw["status"]["containerStatuses"]
        ),
        "has one that runs or will run again": _runs_or_will,
    }
    kept = [words for words, rule in rules.items() if all(map(rule, running.values()))]
    broken = [words for words in rules if words not in kept]
    with_one = [
        name
        for name, raw in running.items()
        if any("running" in _state(each) for each in raw["status"]["containerStatuses"])
        and not fields.is_true(raw, "Ready")
        # crash may just be running, for a moment.
        and not any(each["restartCount"] for each in raw["status"]["containerStatuses"])
    ]
    words = [f"Running are {listed(running) or 'none'}: each {listed(kept) or 'is different'}"]
    words += [f"not each {listed(broken)}"] if broken else []
    words.append(f"a container runs, and the Pod isn't Ready: {listed(with_one) or 'none'}")
    return Shown(_table(running), "; ".join(words))


def _runs_or_will(raw: dict) -> bool:
    always = raw["spec"]["restartPolicy"] == "Always"
    return always or any("running" in _state(each) for each in raw["status"]["containerStatuses"])


def d4(lab, pods) -> Shown:
    """Failed: all containers terminated, at least one in failure, none will restart; or the kubelet
    rejected or evicted the Pod."""
    failed = _of_phase(pods, "Failed")
    words = [
        f"Failed are {listed(f'{name} ({_why_failed(raw)})' for name, raw in failed.items())}"
        if failed
        else "none is Failed"
    ]
    beside = pods["one-down"]
    codes = [(_ended(each) or {}).get("exitCode") for each in fields.statuses(beside)]
    words.append(
        f"one-down, in which one container {'failed' if any(codes) else 'did not fail'} beside a "
        f"running one, is {beside['status']['phase']}"
    )
    says = "says" if kubectl_status(pods["hungry"]) == "Evicted" else "does not say"
    words.append(f"kubectl's STATUS of hungry {says} Evicted")
    return Shown(frame_of([_end_row(*each) for each in {**failed, "one-down": beside}.items()]),
                 "; ".join(words))  # fmt: skip


def _end_row(name: str, raw: dict) -> dict:
    ends = [(each["name"], _ended(each)) for each in fields.statuses(raw)]
    codes = [f"{container} {end['exitCode']}" for container, end in ends if end]
    return {
        "Pod": name,
        "phase": raw["status"]["phase"],
        "status.reason": raw["status"].get("reason", "none"),
        "exit codes": ", ".join(codes) or "none",
    }


def _why_failed(raw: dict) -> str:
    if reason := raw["status"].get("reason"):
        created = any(each.get("containerID") for each in fields.statuses(raw))
        return reason + ("" if created or reason == "Evicted" else ", no container was created")
    codes = [(_ended(each) or {}).get("exitCode") for each in fields.statuses(raw)]
    return f"exit code {listed(codes)}"


# --- Who is restarted -----------------------------------------------------------------------------

POLICIES = ("Always", "OnFailure", "Never")


def outcomes(lab) -> Shown:
    """What became of the six Pods: a policy and an exit code each. Waits until it's known."""
    rows, said = [], {}
    for policy in POLICIES:
        for code in (0, 1):
            now = _settled(lab.pod(f"{policy.lower()}-{code}"))
            restarted = bool(now.container(now.name).restarts)
            rows.append(
                {
                    "restartPolicy": policy,
                    "exit code": code,
                    "restarted": "restarted" if restarted else "not restarted",
                    "phase": now.phase,
                }
            )
            fate = "restarted" if restarted else f"not restarted, {now.phase}"
            said.setdefault(fate, []).append(f"{policy} after {code}")
    words = [f"{fate}: {listed(which)}" for fate, which in said.items()]
    return Shown(frame_of(rows), "; ".join(words))


class _Six:
    """A Pod of the six as it is in the end."""

    def __init__(self, name: str, now):
        self.name, self._now = name, now
        self.phase = now.phase

    def container(self, name: str):
        return self._now.container(name)


def _settled(pod) -> _Six:
    seen = []

    def is_so(now) -> bool:
        seen.append(now)
        return now.phase in ENDS or now.container(pod.name).restarts > 0

    pod.wait_until(is_so, timeout_seconds=60)
    return _Six(pod.name, seen[-1])


def o7(lab, pod) -> Shown:
    """A restart rule restarts a container on its exit code although the policy is Never."""
    pod.wait_until(lambda now: now.phase in ENDS, timeout_seconds=60)
    raw = pod.raw
    status = raw["status"]["containerStatuses"][0]
    before = (status.get("lastState") or {}).get("terminated") or {}
    last = _state(status).get("terminated") or {}
    rows = [(each.get("exitCode"), each.get("reason")) for each in (before, last) if each]
    table = frame_of(rows, ["exit code", "reason"])
    first = before.get("exitCode")
    restarts = status["restartCount"]
    words = (
        f"with restartPolicy {raw['spec']['restartPolicy']}, "
        + (f"exit code {first} was restarted" if restarts else "nothing was restarted")
        + f"; exit code {last.get('exitCode')} was "
        + ("not restarted" if raw["status"]["phase"] in ENDS else "restarted")
        + f", and the Pod is {raw['status']['phase']}"
    )
    return Shown(table, words)


def wait_for_all_again(lab, pod) -> None:
    """Waits until every container has been restarted and the Pod is Ready, for at most 60 s."""
    pod.wait_until(
        lambda now: (
            all(each["restartCount"] for each in fields.statuses(now.raw))
            and now.conditions.get("Ready") == "True"
        ),
        timeout_seconds=60,
    )


def o23(lab, life, pod) -> Shown:
    """RestartAllContainers restarts every container and runs the init containers again, in the same
    sandbox: the address stays."""
    statuses = {each["name"]: each["restartCount"] for each in fields.statuses(pod.raw)}
    inits = [each["name"] for each in pod.raw["spec"]["initContainers"]]
    apps = [name for name, count in statuses.items() if count and name not in inits]
    again = pod.exec("watcher", "cat /data/log").stdout.split().count("fetched")
    facts = life.facts
    stayed = {
        "the sandbox": facts["pause"] == "same process",
        "the address": facts["address"] == "same",
    }
    kept = [name for name, same in stayed.items() if same]
    lost = [name for name, same in stayed.items() if not same]
    words = [
        f"{listed(apps) or 'no container'} restarted, and {listed(inits)} "
        f"{'ran again' if again > 1 else 'did not run again'}",
        f"{listed(kept) or 'nothing'} stayed the same",
        *([f"{listed(lost)} changed"] if lost else []),
        f"the emptyDir {'kept what the first run had written' if again > 1 else 'lost it'}",
    ]
    lanes = [*inits, "worker", "watcher", "pause", "address"]
    title = "watcher exits with 42. What is restarted?"
    chart = life.chart(title, lanes, ("containers", "address"))
    return Shown(chart, "; ".join(words))


ALONE, ALL_BUT_INIT = "only watcher is restarted", "worker and watcher are restarted"
ALL, REPLACED = "fetch runs again, too", "the Pod is replaced, with another address"


def what_is_restarted(lab, life, pod) -> str:
    """What RestartAllContainers restarted: a choice of "rule"."""
    if life.facts["address"] != "same" or life.facts["pause"] != "same process":
        return REPLACED
    counts = {each["name"]: each["restartCount"] for each in fields.statuses(pod.raw)}
    if counts["fetch"]:
        return ALL
    return ALL_BUT_INIT if counts["worker"] else ALONE


# --- What else ends a container -------------------------------------------------------------------


def c16(lab, cache, fixed) -> Shown:
    """A postStart hook that fails kills the container, again and again."""
    cache.wait_until(lambda now: now.container("app").restarts >= 2, timeout_seconds=90)
    restarts = cache.container("app").restarts
    told = [
        each
        for each in lab.connection.list("Event")["items"]
        if each["involvedObject"]["name"] == cache.name and each["reason"] == "FailedPostStartHook"
    ]
    why = any("read-only" in each["message"].lower() for each in told)
    by_hand = fixed.exec("app", ["touch", "/started"]).stderr.strip().lower()
    rows = [
        (each.name, each.container("app").exit_code, each.container("app").restarts, each.phase)
        for each in (cache, fixed)
    ]
    well = fixed.conditions.get("Ready") == "True" and not fixed.container("app").restarts
    words = [
        f"cache's container was started again {'and again' if restarts > 1 else 'at most once'}, "
        f"and its exit code is {cache.container('app').exit_code}",
        f"the event {'says why' if why else 'says only that the hook failed'}"
        if told
        else "no event tells of the hook",
        "typed by hand, touch says that the file system is read-only"
        if "read-only" in by_hand
        else "typed by hand, touch works",
        f"cache-tmp, with an emptyDir on /tmp, is {'Ready' if well else 'not well'}",
    ]
    return Shown(frame_of(rows, ["Pod", "last exit code", "restarts", "phase"]), "; ".join(words))


DEADLINE_SECONDS = 3  # beyond it: the kubelet looks once a second, and is late on a busy node


def o14(lab, life) -> Shown:
    """activeDeadlineSeconds ends a Pod that never fails."""
    raw = life.versions[-1].obj
    status, deadline = raw["status"], raw["spec"]["activeDeadlineSeconds"]
    container = status["containerStatuses"][0]
    code = (_state(container).get("terminated") or {}).get("exitCode")
    began = _seconds(status["startTime"])
    told = [each.obj for each in life.versions_of("Event")]
    told = [_seconds(each["firstTimestamp"]) for each in told if each["reason"] == EXCEEDED]
    # Both are whole seconds by the kubelet's clock.
    kept = bool(told) and deadline <= min(told) - began <= deadline + DEADLINE_SECONDS
    words = [
        f"late is {status['phase']} ({status.get('reason', 'no reason')})",
        f"the kubelet ended it {'at' if kept else 'not at'} its deadline of {deadline} s, and the "
        f"container's exit code is {code}",
        f"with restartPolicy {raw['spec']['restartPolicy']} it was "
        f"{'restarted' if container['restartCount'] else 'not restarted'}",
    ]
    rows = life.intervals
    shown = rows["state"].isin((EXCEEDED, "Killing"))
    phase = _lane(life, "phase", life.versions, lambda raw: raw["status"].get("phase", "Pending"))
    chart = charts.timeline(
        rows[(rows["lane"] != "events") | shown],
        "Nothing fails. Why does it end?",
        ["app", phase, "events"],
        ("containers",),
        # The kubelet counts from the whole second that the API has.
        predicted=[(began + deadline - life.began_seconds, f"startTime + {deadline} s")],
    )
    return Shown(chart, "; ".join(words))


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


# --- How long until the next try ------------------------------------------------------------------

BACK_OFFS = (0, 10, 20, 40)  # before the second run, the third, …
LONGER = 1.5  # the kubelet adds up to half to each
LOOK_SECONDS = 2.0  # it notices an end, and looks for what is due, once a second each
START_SECONDS = 2.5  # until a container runs, on a busy node


def wait_for_runs(lab, *pods) -> None:
    """Waits until each Pod's container has been restarted four times, for at most 150 s."""
    wanted = len(BACK_OFFS)
    for pod in pods:
        pod.wait_until(lambda now: now.container("app").restarts >= wanted, timeout_seconds=150)


def delays(lab, pod) -> list[float]:
    """The seconds between one run of a container and the next, by what it has written into
    /tries/at: the node's uptime at each start. A run takes no time worth mentioning."""
    folder = f"/var/lib/kubelet/pods/{pod.uid}/volumes/kubernetes.io~empty-dir/tries"
    starts = [float(line) for line in lab.node.read(f"{folder}/at").split()]
    return [after - before for before, after in pairwise(starts)][: len(BACK_OFFS)]


def c15(lab, six, *pods) -> Shown:
    """Six outcomes; and a container is restarted at once, then after 10, 20 and 40 s, each delay up
    to half longer."""
    rows, inside = [], {}
    for pod in pods:
        code = pod.container("app").exit_code
        found = delays(lab, pod)
        for wait, seconds in zip(BACK_OFFS, found, strict=False):
            latest = wait * LONGER + LOOK_SECONDS
            rows.append((f"{pod.name}: exit code {code}", f"after {wait} s", wait, latest, seconds))
            so = wait <= seconds <= latest + START_SECONDS
            inside.setdefault(pod.name, []).append(so)
    good = [name for name, each in inside.items() if all(each) and len(each) == len(BACK_OFFS)]
    bad = [pod.name for pod in pods if pod.name not in good]
    words = [six.sentence]
    series = f"after {listed(BACK_OFFS)} s, each up to half longer"
    words += [f"{listed(good)} restarted {series}"] if good else []
    words += [f"{listed(bad)} restarted otherwise"] if bad else []
    chart = windows(
        frame_of(rows, WINDOW),
        "How long until the next try?",
        tolerance_seconds=START_SECONDS,
        axis="seconds from one run to the next",
    )
    return Shown(chart, "; ".join(words))


SERIES, AT_ONCE, ALIKE = (
    "after longer and longer waits",
    "at once, every time",
    "after the same wait, every time",
)
AT_ONCE_SECONDS = 5  # at most, with the container's start


def after_success(lab, pod) -> str:
    """When a container that ends with 0 is started again, with restartPolicy Always: a choice of
    "done"."""
    found = delays(lab, pod)
    if max(found) < AT_ONCE_SECONDS:
        return AT_ONCE
    return SERIES if all(before < after for before, after in pairwise(found)) else ALIKE


# --- Has the kubelet seen it? ---------------------------------------------------------------------


def wait_until_seen(lab, pod) -> None:
    """Waits until the kubelet has seen the Pod's spec, for at most 30 s."""
    pod.wait_until(
        lambda now: (
            now.raw["status"].get("observedGeneration") == now.raw["metadata"]["generation"]
        ),
        timeout_seconds=30,
    )


def o21(lab, life) -> Shown:
    """observedGeneration says whether the kubelet has seen a change of the spec: it lags behind
    generation, then catches up."""
    pairs = [
        (each.obj["metadata"]["generation"], each.obj["status"].get("observedGeneration", 0))
        for each in life.versions
    ]
    labelled = [
        pair
        for pair, each in zip(pairs, life.versions, strict=True)
        if "team" in (each.obj["metadata"].get("labels") or {})
    ]
    label = (
        "a new label left generation as it was"
        if labelled and labelled[0] == pairs[0]
        else ("a new label changed generation")
    )
    lag = [pair for pair in pairs if pair[1] < pair[0]]
    last = pairs[-1]
    words = [
        label,
        f"the new deadline made it {last[0]}",
        f"observedGeneration was still {lag[0][1]}" if lag else "observedGeneration did not lag",
        f"then it was {last[1]}",
    ]
    own = life.versions
    lanes = [
        _lane(life, "generation", own, lambda raw: str(raw["metadata"]["generation"])),
        _lane(life, "observedGeneration", own,
              lambda raw: str(raw["status"].get("observedGeneration", 0))),
    ]  # fmt: skip
    old = [
        (start, min(end, _since(lanes[1], number)), "the status is of the old spec")
        for start, end, number in lanes[0].spans
        if number == str(last[0])
    ]
    chart = life.chart("Has the kubelet seen the change?", lanes, (), old)
    return Shown(chart, "; ".join(words))


def _since(lane: Lane, words: str) -> float:
    """When a lane first said this; never is infinitely late."""
    return min((start for start, _, said in lane.spans if said == words), default=float("inf"))
