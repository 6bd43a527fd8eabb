"""Lab 10: when a sidecar starts, what it waits for, and until when it runs."""

import re
import time
from collections.abc import Iterable
from itertools import pairwise
from types import SimpleNamespace
from typing import NamedTuple

from labhelpers import kubectl
from labhelpers.charts import timeline
from labhelpers.charts.chart import Chart, records, times
from labhelpers.charts.lanes import Lane, ending
from labhelpers.errors import LabError
from labhelpers.kube.pod_status import kubectl_status
from labhelpers.measure.log_follower import LogFollower, LogLine
from labhelpers.node.logs import stamped_lines
from labhelpers.outcomes import Shown, as_printed, frame_of, listed, shown_only
from labhelpers.patience import patient
from labhelpers.polling import poll

# Lines that the containers write.
TERM, HOOK, ENDS, LAST_WORDS = "SIGTERM", "preStop", "ends", "last words"
TOGETHER_SECONDS = 0.3  # for the eye: SIGTERMs that are drawn as one
ORDINARY, NATIVE = "report-ordinary", "report-native"
QUIET_SECONDS = 1.0  # before a container is killed
LATER_SECONDS = 3.0  # so long a Job has to stay as it is after its app has ended


def on_node(lab, command: str) -> None:
    """Runs a command on the node and shows what it prints. It's never compared."""
    shown_only(as_printed(f"node$ {command}\n{lab.node.run(command).rstrip()}"))


# --- Who wrote what, and when ---------------------------------------------------------------------


class Line(NamedTuple):
    """A line of a log: whose, when by the node's clock, in seconds since 1970, and its words."""

    container: str
    seconds: float
    text: str


class Said(list):
    """Lines of a Pod's containers, in the order in which they were written.

    >>> said = Said([Line("app", 1.0, "starts"), Line("app", 3.0, "ends")])
    >>> said.at("app", "ends")
    3.0
    """

    def at(self, container: str, text: str) -> float:
        """When a container first wrote these words.

        Raises:
            LabError: it never did. The error has what it wrote.
        """
        own = [line for line in self if line.container == container]
        found = next((line.seconds for line in own if line.text == text), None)
        if found is None:
            raise LabError(
                f"{container} never wrote {text!r}.",
                f"it wrote: {'; '.join(line.text for line in own) or 'nothing'}",
                "Run the cells of this section again.",
            )
        return found

    def first(self, container: str) -> Line:
        """A container's first line."""
        return next(line for line in self if line.container == container)

    def has(self, container: str, text: str) -> bool:
        """Whether a container wrote these words."""
        return any((line.container, line.text) == (container, text) for line in self)

    def who(self, text: str) -> list[str]:
        """The containers that wrote these words, the earliest first."""
        return list(dict.fromkeys(line.container for line in self if line.text == text))


def log_of(lab, pod, *containers: str) -> Said:
    """What containers of a Pod have written, as the runtime keeps it on the node."""
    lines = [
        Line(name, at, text)
        for name in containers
        for at, text in stamped_lines(lab.node, lab.namespace, pod.name, pod.uid, name)
    ]
    return Said(sorted(lines, key=lambda line: line.seconds))


class Following(LogFollower):
    """Follows the logs of all containers of a Pod until the last of them has ended.

    Attributes:
        said: what they wrote, once the block has ended.
    """

    @property
    def said(self) -> Said:
        return _said(self.lines)

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        super().__exit__(kind, error, traceback)
        if kind is None:
            # By container: the order across containers differs a little from run to run.
            _show([*self.command, "|", "sort"], sorted(self.printed.splitlines()))


def _said(lines: Iterable[LogLine]) -> Said:
    return Said(Line(each.container, each.seconds, each.text) for each in lines)


def _show(command: list[str], lines: list[str]) -> None:
    shown_only(as_printed("\n".join([f"$ {' '.join(command)}", *lines])))


def logs_by_time(lab, pod) -> None:
    """Shows the logs of all containers of a Pod, by their stamps. It's never compared."""
    command = ["logs", pod.name, "--all-containers", "--prefix", "--timestamps"]
    printed = kubectl.run(command, check=True).stdout
    lines = sorted(printed.splitlines(), key=lambda line: line.split()[1])
    _show(["kubectl", *command, "|", "sort", "-k", "2"], lines)


def following(lab, pod: str) -> Following:
    """Follows the logs of all containers of a Pod while the ``with`` block runs."""
    return Following(pod, "--all-containers")


# --- But it says initContainers -------------------------------------------------------------------


def status_of(lab, pod) -> str:
    """A Pod as kubectl's columns READY and STATUS show it."""
    raw = pod.raw
    statuses = raw["status"].get("containerStatuses") or []
    always = {
        each["name"]
        for each in raw["spec"].get("initContainers") or []
        if each.get("restartPolicy") == "Always"
    }
    statuses += [
        each for each in raw["status"].get("initContainerStatuses") or [] if each["name"] in always
    ]
    ready = sum(each["ready"] for each in statuses)
    return f"{ready}/{len(statuses)} {pod.kubectl_status}"


def f1(lab, pod) -> Shown:
    """A collector reads the app's log through a volume that it mounts read-only."""
    collected = [text for text in pod.logs("logs").splitlines() if text.startswith("order")]
    written = pod.exec("app", ["cat", "/log/app.log"]).stdout.splitlines()
    same = bool(collected) and written[: len(collected)] == collected
    rows = []
    for name in ("app", "logs"):
        options = pod.exec(name, ["grep", " /log ", "/proc/mounts"]).stdout.split()[3]
        tried = pod.exec(name, "echo x >> /log/x")
        what = tried.stderr.strip().rpartition(": ")[2] or "done"
        rows.append((name, options.split(",")[0], "done" if tried.returncode == 0 else what))
    table = frame_of(rows, ["container", "/log is mounted", "writing to /log"])
    app, logs = (
        f"{name} {'can' if said == 'done' else 'cannot'} write there"
        + ("" if said == "done" else f": {said}")
        for name, _, said in rows
    )
    return Shown(
        table,
        f"logs printed {'the lines that app wrote' if same else 'other lines than app wrote'}; "
        f"{app}, and {logs}",
    )


# --- Who waits at the start -----------------------------------------------------------------------


def f4(lab, pod, life) -> Shown:
    """A sidecar starts after the init containers before it, and the app starts after the sidecar's
    startup probe has passed."""
    said = log_of(lab, pod, "setup", "proxy", "app")
    first = said.first("app")
    after_setup = said.at("setup", "page written") < said.at("proxy", "starts")
    listens = said.at("proxy", "listens") < first.seconds
    passed = all(_has_started(each.obj, "proxy") for each in life.versions if _app_runs(each.obj))
    words = [
        f"proxy started {'after' if after_setup else 'before'} setup had ended",
        f"app started {'after' if listens and passed else 'before'} proxy's startup probe had "
        "passed",
        f"app's first line: {first.text}",
    ]
    begin, listens, runs = (
        life.seconds_of(at)
        for at in (said.at("proxy", "starts"), said.at("proxy", "listens"), first.seconds)
    )
    port = Lane("proxy's port", "its log", points=[(listens, "proxy listens", True)])
    chart = life.chart(
        "The app can't do without proxy. Who waits for whom?",
        ["setup", "proxy", port, "app", "Initialized", "Ready"],
        ["setup", "proxy", "app"],
        notes=[(begin, runs, "proxy runs, app waits")] if begin < runs else [],
    )
    return Shown(chart, "; ".join(words))


def _has_started(pod: dict, name: str) -> bool:
    """Whether the API says that a container has passed its startup probe."""
    statuses = pod["status"].get("initContainerStatuses") or []
    return any(each["name"] == name and each.get("started") for each in statuses)


def _app_runs(pod: dict) -> bool:
    """Whether the API says that an app container runs."""
    return any("running" in each["state"] for each in pod["status"].get("containerStatuses") or [])


def proxy_when_app_starts(lab, pod) -> str:
    """How far proxy was when app started: a choice of "first"."""
    said = log_of(lab, pod, "proxy", "app")
    if said.first("app").seconds < said.at("proxy", "starts"):
        return "it hasn't been started yet"
    listens = said.first("app").seconds > said.at("proxy", "listens")
    return "it listens: it's first in the list" if listens else "it runs, but doesn't listen yet"


def look_on(lab, seconds: float) -> None:
    """Lets so many seconds go by."""
    time.sleep(seconds)


def f9(lab, pod) -> Shown:
    """Ordinary containers start in the order of the spec. Readiness holds nobody up, a postStart
    hook does."""
    names = [each["name"] for each in pod.raw["spec"]["containers"]]
    said = log_of(lab, pod, *names)
    firsts = [said.first(name) for name in names]
    in_order = firsts == sorted(firsts, key=lambda line: line.seconds)
    waited = firsts[1].seconds > said.at("proxy", "listens")
    late = firsts[2].seconds > said.at("app", "hook done")
    rows = [(line.container, line.text, f"{line.seconds - said[0].seconds:.1f}") for line in said]
    table = frame_of(rows, ["container", "its line", "after the first line, s"])
    answers = "an answer" if said.has("app", "proxy is there") else "no answer"
    return Shown(
        table,
        f"{listed(names)} started in {'this' if in_order else 'another'} order; app started "
        f"{'after' if waited else 'before'} proxy listened, and got {answers}; late started "
        f"{'after' if late else 'before'} app's postStart hook was done",
    )


def has_written(lab, pod, container: str, text: str):
    """Waits until a container has written these words, for at most 30 s, and returns the Pod."""
    poll(
        lambda: pod.container(container).state != "waiting" and text in pod.logs(container),
        timeout_seconds=patient(30),
        every_seconds=0.2,
    )
    return pod


# --- On localhost ---------------------------------------------------------------------------------


def f2(lab, pod, client) -> Shown:
    """A proxy sidecar answers for the app, which listens on localhost: one network namespace."""
    ports = {"proxy": 8080, "app": 8081}
    answers = [_asked(client, f"http://{pod.address}:{port}/") for port in ports.values()]
    said, network = log_of(lab, pod, *ports), pod.namespaces()["net"]
    who = {client.address: f"the Pod {client.name}", "127.0.0.1": "localhost"}
    peers = [who.get(peer, peer) for peer in (_last_peer(said, name) for name in ports)]
    table = frame_of(
        {
            "container": list(ports),
            "port": [str(port) for port in ports.values()],
            f"{client.name} gets": answers,
            "the last request came from": peers,
        }
    )
    one = network["proxy"] == network["app"]
    return Shown(
        table,
        f"{client.name} gets {answers[0]} from port 8080, and {answers[1]} from port 8081; the "
        f"last request came to proxy from {peers[0]}, and to app from {peers[1]}; they share "
        f"{'one network namespace' if one else 'no network namespace'}",
    )


def _asked(client, url: str) -> str:
    done = client.exec("app", ["wget", "-qO-", url])
    found = done.stdout.strip() or done.stderr.strip().rpartition(": ")[2]
    return f'"{found}"' if done.stdout.strip() else found.lower()


def _last_peer(said: Said, container: str) -> str:
    """Who sent a server's last request, by its log."""
    lines = [line.text for line in said if line.container == container]
    found = [re.match(r"\[?(?:::ffff:)?([\d.]+)\]?:\d+: url:", text) for text in lines]
    return next((each[1] for each in reversed(found) if each), "nobody")


# --- Who waits at the end -------------------------------------------------------------------------


def f5(lab, life, said: Said) -> Shown:
    """Sidecars get SIGTERM after the app has ended, one after the other, in reverse order."""
    order = said.who(TERM)
    early = [
        f"{after} got it before {before} had ended"
        for before, after in pairwise(order)
        if said.at(after, TERM) < said.at(before, ENDS)
    ]
    words = [f"SIGTERM came to {', then '.join(order)}"]
    words += early or ["each got it after the one before had ended"]
    kept = "has" if said.has("logs", LAST_WORDS) else "doesn't have"
    words.append(f"logs {kept} the app's last words")
    hook = "before" if said.at("proxy", HOOK) < said.at("app", ENDS) else "after"
    words.append(f"proxy's preStop hook ran {hook} app had ended")
    chart = _stop_chart(life, said, "The Pod is deleted. Who stops when?")
    return Shown(chart, "; ".join(words))


def stop_order(lab, said: Said) -> str:
    """The order in which they got SIGTERM: a choice of "order"."""
    order = said.who(TERM)
    first_end = min(said.at(name, ENDS) for name in order)
    if all(said.at(name, TERM) < first_end for name in order):
        return "all three at once"
    return ", then ".join(order)


def f10(lab, life, said: Said) -> Shown:
    """Once the grace period is over, all sidecars get SIGTERM at once, and SIGKILL two seconds
    later."""
    grace, deleted = _grace(life), _deleted(life)
    words = [f"app {_end(life, 'app')}"]
    words.append(f"proxy and logs: {left_of_the_order(lab, life, said)}")
    words.append(f"then proxy {_end(life, 'proxy')}, and logs {_end(life, 'logs')}")
    marks = [(deleted + grace, f"{grace} s of grace"), (deleted + grace + 2, "2 s more")]
    chart = _stop_chart(life, said, "The app won't stop. What is left of the order?", marks)
    return Shown(chart, "; ".join(words))


TOGETHER = "both get SIGTERM at once, when the grace period is over"
IN_TURN = "they get SIGTERM one after the other, after the grace period"
AT_FIRST = "both get SIGTERM at the start, together with the app"
WITHOUT = "they are killed with the app, without SIGTERM"


def left_of_the_order(lab, life, said: Said) -> str:
    """What became of the sidecars' order when the app didn't stop: a choice of "grace"."""
    told = [said.at(name, TERM) for name in ("proxy", "logs") if said.has(name, TERM)]
    if len(told) < 2:
        return WITHOUT
    # The kubelet's timer and the app's SIGTERM are some tenths of a second apart.
    if min(told) - said.at("app", TERM) < _grace(life) / 2:
        return AT_FIRST
    ended = [said.at(name, ENDS) for name in ("proxy", "logs") if said.has(name, ENDS)]
    return TOGETHER if max(told) < min(ended, default=float("inf")) else IN_TURN


def _grace(life) -> int:
    return life.versions[0].obj["spec"]["terminationGracePeriodSeconds"]


def _deleted(life) -> float:
    """When the API said that the Pod is being deleted, in seconds since the recording began."""
    return next(
        each.seconds for each in life.versions if each.obj["metadata"].get("deletionTimestamp")
    )


def _end(life, lane: str) -> str:
    """How a container ended, in words."""
    rows = [row for row in records(life.intervals) if row["lane"] == lane]
    if rows[-1]["state"] != "terminated":
        return "is still running" if rows[-1]["state"] == "running" else f"is {rows[-1]['state']}"
    words = ending(rows[-1])
    return f"was killed {words}" if words.startswith("by") else f"ended {words}"


def _stop_chart(life, said: Said, title: str, predicted=()) -> Chart:
    """The containers, and above them who has got SIGTERM last, until all have ended."""
    order = [name for name in ("app", "proxy", "logs") if said.has(name, TERM)]
    told = [life.seconds_of(said.at(name, TERM)) for name in order]
    runs = life.intervals[life.intervals["state"] == "running"]
    last = float(runs[runs["lane"].isin(order)]["end"].max())
    spans, names, since = [], [], told[0]
    for at, name in sorted(zip(told, order, strict=True)):
        if at - since > TOGETHER_SECONDS:
            spans.append((since, at, " and ".join(names)))
            names, since = [], at
        names.append(name)
    spans.append((since, last, " and ".join(sorted(names, key=order.index))))
    lane = Lane("SIGTERM to", "their logs", spans=spans)
    return life.chart(title, [lane, *order], order, predicted=predicted)


# --- Jobs -----------------------------------------------------------------------------------------


def after_the_apps(lab, life, seconds: float) -> None:
    """Waits until the app has ended in each recorded Pod, for at most 60 s, and then so many
    seconds more."""

    def have_ended() -> bool:
        last = {each.name: each.obj for each in list(life.versions)}
        return bool(last) and all(_app_ended(pod) for pod in last.values())

    poll(have_ended, timeout_seconds=patient(60), every_seconds=0.2)
    time.sleep(seconds)


def _app_ended(pod: dict) -> bool:
    statuses = pod["status"].get("containerStatuses") or []
    return any(each["name"] == "app" and "terminated" in each["state"] for each in statuses)


def f3(lab, life) -> Shown:
    """An ordinary helper keeps the Job running although the app has exited with 0."""
    rows = _by_job(life)
    ends = rows[(rows["lane"] == f"{ORDINARY}: app") & (rows["state"] == "terminated")]
    after = float(rows["end"].max()) - float(ends["start"].max()) if len(ends) else 0.0
    when = "more than" if after > LATER_SECONDS else "less than"
    lanes = [
        lane
        for job in (ORDINARY, NATIVE)
        for lane in (_job_lane(life, job), f"{job}: app", f"{job}: logs")
    ]
    title = "Both reports are written. Which Job is complete?"
    written = rows[rows["lane"].str.endswith(": app") & (rows["state"] == "terminated")]["start"]
    notes = [(float(written.max()), float(rows["end"].max()), "both apps have ended")]
    tell = [f"{ORDINARY}: logs", f"{NATIVE}: logs"]
    chart = timeline.timeline(rows, title, lanes, tell, notes=notes if len(written) else ())
    return Shown(chart, f"{when} {LATER_SECONDS:g} s after its app, {_fate(life, ORDINARY)}")


def f7(lab, life) -> Shown:
    """With a native sidecar the Job completes."""
    rows = [(job, *_parts(life, job)) for job in (ORDINARY, NATIVE)]
    table = frame_of(rows, ["Job", "app", "logs", "the Job"])
    return Shown(table, _fate(life, NATIVE))


def _fate(life, job: str) -> str:
    app, logs, said = _parts(life, job)
    return f"in {job} app {app}, logs {logs}, and the Job {said}"


def _parts(life, job: str) -> tuple[str, str, str]:
    """What became of a Job's app, of its collector, and of the Job."""
    there = SimpleNamespace(intervals=_by_job(life))
    ended = _ended_jobs(life).get(job)
    said = f"is {ended[1]}" if ended else "is Running"
    return _end(there, f"{job}: app"), _end(there, f"{job}: logs"), said


def _ended_jobs(life) -> dict[str, tuple[float, str]]:
    """When each Job that has ended was said to be Complete or Failed."""
    found: dict[str, tuple[float, str]] = {}
    for each in life.versions_of("Job"):
        for condition in ("Complete", "Failed"):
            if each.conditions.get(condition) == "True":
                found.setdefault(each.name, (each.seconds, condition))
    return found


def _by_job(life):
    """The recording's table, with a Job's name in place of its Pod's, which has a random ending."""
    rows = life.intervals.copy()
    rows["lane"] = [re.sub(r"^(report-[a-z]+)-\w+: ", r"\1: ", lane) for lane in rows["lane"]]
    return rows


def _job_lane(life, job: str) -> Lane:
    last = float(life.intervals["end"].max())
    first = next(each.seconds for each in life.versions_of("Job") if each.name == job)
    ended, words = _ended_jobs(life).get(job, (last, ""))
    spans = [(first, ended, "Running"), (ended, last, words)]
    spans = [(start, end, said) for start, end, said in spans if said]
    return Lane(f"Job {job}", "the API reports", spans=spans)


# --- Never ----------------------------------------------------------------------------------------


def kill(lab, life, pod, container: str, until: str = "restarted") -> None:
    """Kills a container from the node after a quiet second, which the picture shows as what was
    before, and waits until it's "restarted" or "terminated"."""
    handle = pod.container(container)
    time.sleep(QUIET_SECONDS)
    life.annotate(f"we kill {container}")
    lab.node.kill(handle)
    handle.wait_until(until, timeout_seconds=60)


def f6(lab, pod, life) -> Shown:
    """A sidecar is restarted although the Pod says Never; the app isn't."""
    policy = life.versions[0].obj["spec"]["restartPolicy"]
    words = [f"the Pod says {policy}"]
    words += [f"{name} was {_restarted(life, name)}" for name in ("logs", "app")]
    words[1:] = [f"{listed(words[1:])}, and the Pod is {pod.phase}".replace(" and app", ", app")]
    words += [_without_its_sidecar(life)]
    title = f"The Pod says {policy}. Who is restarted?"
    return Shown(life.chart(title, ["logs", "app", "Ready"], ["logs", "app"]), "; ".join(words))


def _restarted(life, name: str) -> str:
    rows = life.intervals
    count = int(rows[rows["lane"] == name]["restarts"].max())
    return f"restarted {times(count)}" if count else "not restarted"


def _without_its_sidecar(life) -> str:
    """What the API said while the app ran and the sidecar didn't."""
    seen = [
        each for each in life.versions if _app_runs(each.obj) and not _has_started(each.obj, "logs")
    ]
    if not seen:
        return "app never ran without logs"
    status = kubectl_status(seen[-1].obj)
    init = "began with Init:" if status.startswith("Init:") else f"was {status}"
    ready = seen[-1].conditions.get("Ready")
    return f"while app ran without logs, kubectl's STATUS {init} and Ready was {ready}"


def after_the_kill(lab, life) -> str:
    """What happened after the sidecar was killed: a choice of "never"."""
    rows = life.intervals[life.intervals["state"] == "running"]
    runs = {name: rows[rows["lane"] == name] for name in ("logs", "app")}
    if len(runs["logs"]) > 1:
        return "it's restarted, and the app too" if len(runs["app"]) > 1 else "it's restarted"
    killed = [seconds for seconds, words in life.annotations if words == "we kill app"]
    alone = runs["app"]["end"].max() < min(killed, default=float("inf"))
    return "the whole Pod fails" if alone else "it stays dead: Never means never"


# --- On one chart ---------------------------------------------------------------------------------


def f8(lab, pod, life) -> Shown:
    """Init containers against sidecars: when each runs, in which order, and until when."""
    inits = pod.raw["spec"]["initContainers"]
    names = [each["name"] for each in inits] + ["app"]
    said = log_of(lab, pod, *names)
    starts = [said.at(name, "starts") for name in names]
    before, beside, behind = [], [], []
    side = next(each["name"] for each in inits if each.get("restartPolicy") == "Always")
    for name in names:
        if name == side:
            continue
        runs = (said.at(name, "starts"), said.at(name, ENDS))
        if runs[1] < said.at(side, "starts"):
            before.append(name)
        elif runs[0] > said.at(side, "starts") and runs[1] < said.at(side, ENDS):
            beside.append(name)
        else:
            behind.append(name)
    in_order = "started" if starts == sorted(starts) else "didn't start"
    words = [f"they {in_order} in the order of the spec"]
    words.append(f"{side} started after {listed(before) or 'none'} had ended")
    words.append(f"it ran beside {listed(beside) or 'none'}, and ended after {_last(said, side)}")
    words += [f"{listed(behind)} ran otherwise"] if behind else []
    notes = [
        (*(life.seconds_of(said.at(name, text)) for text in ("starts", ENDS)), f"{side} and {name}")
        for name in beside
    ]
    title = "Init containers and a sidecar: who runs when?"
    return Shown(life.chart(title, names, names, notes=notes), "; ".join(words))


def _last(said: Said, side: str) -> str:
    """Who ended last before the sidecar did."""
    ended = [line.container for line in said if line.text == ENDS]
    return ended[ended.index(side) - 1] if ended.index(side) else "nobody"
