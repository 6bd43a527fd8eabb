"""Lab 11: what each probe does when it fails, and when."""

import copy
import time
from dataclasses import replace
from typing import NamedTuple

from labhelpers import paths
from labhelpers.charts.lanes import Lane
from labhelpers.charts.windows import windows
from labhelpers.errors import LabError
from labhelpers.kube.manifests import Manifest
from labhelpers.measure.verdicts import Verdicts
from labhelpers.node.logs import stamped_lines
from labhelpers.node.processes import Clock
from labhelpers.outcomes import Shown, listed
from labhelpers.patience import patient
from labhelpers.polling import poll
from labhelpers.probe_times import ProbeTimes, Window

PROBES = ("startup", "liveness", "readiness")
# The kubelet is a little late: it has to get CPU time, start the probe and count its verdict.
TOLERANCE_SECONDS = 0.5
# kube-proxy learns of an endpoint's change a moment after the API.
PROXY_SECONDS = 1.5
TRAFFIC_SECONDS = 15.0
RESTART_SECONDS = 90
ILL, GATE_OPENS = "it falls ill", "we set the condition"


# --- Tools ----------------------------------------------------------------------------------------


def counts(lab) -> Verdicts:
    """Records what the kubelet makes of each probe: passed or failed."""
    return Verdicts(lab.connection)


def wait_while_ready(lab, pod, seconds: float) -> None:
    """Waits until the Pod is Ready, and then so many seconds more."""
    pod.wait_until("Ready", timeout_seconds=30)
    time.sleep(seconds)


def wait_while_unready(lab, pod, seconds: float) -> None:
    """Waits until the Pod's condition Ready is False, and then so many seconds more."""
    pod.wait_until(lambda now: now.conditions.get("Ready") == "False", timeout_seconds=30)
    time.sleep(seconds)


def look_on(lab, seconds: float) -> None:
    """Lets so many seconds go by."""
    time.sleep(seconds)


def numbers(lab, pod, probe: str) -> ProbeTimes:
    """The numbers of a Pod's probe, as the API has them."""
    return ProbeTimes.of(pod.raw["spec"]["containers"][0][f"{probe}Probe"])


def wait_for_probe(lab, verdicts, pod, probe: str) -> None:
    """Waits until a probe of this kind has been sent to a Pod, for at most 30 s."""
    poll(lambda: verdicts.of(pod.name, probe), timeout_seconds=30, every_seconds=0.1)


def wait_for_restarts(lab, pod, count: int) -> None:
    """Waits until a Pod's container has been restarted so often, for at most 90 s."""
    pod.wait_until(
        lambda now: now.container("app").restarts >= count, timeout_seconds=RESTART_SECONDS
    )


def wait_for_a_restart(lab, *pods) -> None:
    """Waits until the container of one of the Pods has been restarted, for at most 90 s."""
    first = [pod.container("app").restarts for pod in pods]
    poll(
        lambda: [pod.container("app").restarts for pod in pods] != first,
        timeout_seconds=patient(RESTART_SECONDS),
    )


class NodeClock(NamedTuple):
    """The node's clock against ours: what its time is ahead, and when it booted by our clock."""

    ahead: float
    booted: float


def _node_clock(lab) -> NodeClock:
    looks = []
    for _ in range(3):
        sent = time.time()
        said = lab.node.run("echo $(date +%s.%N) $(cut -d ' ' -f 1 /proc/uptime)").split()
        now, uptime = map(float, said)
        looks.append((sent, now, time.time()))
    ahead = Clock.between(looks).offset_seconds
    return NodeClock(ahead, now - ahead - uptime)


def _log(lab, pod, container: str = "app", run: int = 0) -> list[tuple[float, str]]:
    """A container's log, dated by our clock."""
    ahead = _node_clock(lab).ahead
    lines = stamped_lines(lab.node, lab.namespace, pod.name, pod.uid, container, run)
    return [(at - ahead, text) for at, text in lines]


def _runs(lab, pod) -> list[tuple[float, str]]:
    """The log of the container's last two runs, as one."""
    now = pod.container("app").restarts
    return [line for run in range(max(now - 1, 0), now + 1) for line in _log(lab, pod, run=run)]


def _window(verdict, zero: Window) -> Window:
    """How long after a moment a verdict came: both are known to a window."""
    least = verdict.seconds - verdict.resolution_seconds - zero.latest
    most = verdict.seconds + verdict.resolution_seconds - zero.earliest
    return Window(least, most)


def _probe_lane(life, verdicts, pod: str, probe: str, name: str = "") -> Lane:
    points = [
        (each.seconds - life.began_seconds, each.result, each.result == "passed")
        for each in verdicts.of(pod, probe)
    ]
    return Lane(name or f"{probe} probe", "the kubelet counts", points=points)


def _answers_lane(life, lines: list[tuple[float, str]]) -> Lane:
    """What the server answered, from one request to the next, by its own log."""
    end, spans = float(life.intervals["end"].max()), []
    for at, text in lines:
        seconds, answer = at - life.began_seconds, text.partition(" ")[2]
        if not answer or not 0 <= seconds <= end:
            continue
        if spans and spans[-1][2] == answer:
            spans[-1] = (spans[-1][0], seconds, answer)
        else:
            spans.append((seconds, seconds, answer))
    return Lane("server answers", "its own log", spans=spans, order=("200", "503"))


def _requests_lane(life, name: str, lines: list[tuple[float, str]]) -> Lane:
    """The client's requests that reached a server, by the server's own log."""
    end = float(life.intervals["end"].max())
    points = [
        (at - life.began_seconds, f"answered {text.split()[1]}", text == "client 200")
        for at, text in lines
        if text.startswith("client ") and 0 <= at - life.began_seconds <= end
    ]
    return Lane(f"requests at {name}", "the server's log", points=points)


def _sick_at(life) -> float:
    """When the app was told to be ill, in seconds since the recording began."""
    return next(seconds for seconds, words in life.annotations if words == ILL)


def _fell_ill(life, lines: list[tuple[float, str]]) -> Window:
    """Between our command and the first 503 in the server's log, by our clock."""
    told = life.began_seconds + _sick_at(life)
    seen = [at for at, text in lines if text.endswith("503") and at >= told]
    return Window(told, min(seen, default=told))


# --- What each probe does -------------------------------------------------------------------------


def g1(lab, life, verdicts, hasty) -> Shown:
    """Until the startup probe has passed no other probe runs; one that never passes gives up within
    the window that its numbers give."""
    passed = verdicts.of("web", "startup", "passed")
    end = passed[0].seconds if passed else float("inf")
    others = [each for name in PROBES[1:] for each in verdicts.of("web", name)]
    early = [name for name in PROBES if name in {o.probe for o in others if o.seconds < end}]
    late = [name for name in PROBES if name in {o.probe for o in others if o.seconds >= end}]
    words = [
        f"web's {listed(early)} probe ran before its startup probe had passed"
        if early
        else "no other probe ran until web's startup probe had passed",
        f"then {listed(late) or 'no other'} probes ran",
        _hasty(lab, life, verdicts, hasty),
    ]
    lanes = [_probe_lane(life, verdicts, "web", name, f"web: {name}") for name in PROBES]
    lanes = ["web: app", *lanes, "web: Ready", "hasty: app"]
    lanes.append(_probe_lane(life, verdicts, "hasty", "startup", "hasty: startup"))
    window = numbers(lab, hasty, "startup").start_budget.later(_hasty_began(life))
    marks = [(window.earliest, "hasty given up: earliest"), (window.latest, "latest")]
    title = "Which probes run while the app starts?"
    chart = life.chart(title, lanes, ["web: app", "hasty: app"], predicted=marks)
    return Shown(chart, "; ".join(words))


def _hasty_began(life) -> float:
    """When hasty's container started, in seconds since the recording began."""
    rows = life.intervals
    runs = rows[(rows["lane"] == "hasty: app") & (rows["state"] == "running")]
    return float(runs["start"].min())


def _hasty(lab, life, verdicts, hasty) -> str:
    times = numbers(lab, hasty, "startup")
    failed = verdicts.of("hasty", "startup", "failed")
    if len(failed) < times.failure_threshold:
        return "hasty was not given up"
    began = life.began_seconds + _hasty_began(life)
    took = _window(failed[times.failure_threshold - 1], Window(began, began))
    inside = times.start_budget.meets(took, TOLERANCE_SECONDS)
    return (
        f"hasty was given up {'as' if inside else 'unlike'} predicted, {times.start_budget} after "
        f"its start, and {'restarted' if hasty.container('app').restarts else 'not restarted'}"
    )


def g2(lab, life, verdicts, web) -> Shown:
    """The failure that counts comes within the window that the arithmetic gives; then the container
    is restarted."""
    times, sick = numbers(lab, web, "liveness"), _sick_at(life)
    window = times.gives_up.later(sick)
    lines = _runs(lab, web)
    took = _given_up(life, verdicts, times, _fell_ill(life, lines))
    inside = took is not None and times.gives_up.meets(took, TOLERANCE_SECONDS)
    runs = life.intervals[life.intervals["lane"] == "app"]
    restarts = int(runs["restarts"].max() - runs["restarts"].min())
    words = (
        f"failure number {times.failure_threshold} of the liveness probe came "
        f"{'as' if inside else 'unlike'} predicted, {times.gives_up} after web fell ill; the "
        f"container was {'restarted' if restarts else 'not restarted'}, and web is "
        f"{'Ready again' if web.conditions.get('Ready') == 'True' else 'not Ready'}"
    )
    lanes = [_answers_lane(life, lines)]
    lanes += [_probe_lane(life, verdicts, "web", name) for name in PROBES]
    lanes += ["Ready", "endpoint ready", "app"]
    marks = [(window.earliest, "given up: earliest"), (window.latest, "latest")]
    title = "The app falls ill for good. What happens when?"
    return Shown(life.chart(title, lanes, ["app"], predicted=marks), words)


def _given_up(life, verdicts, times: ProbeTimes, ill: Window) -> Window | None:
    """How long after web fell ill its liveness probe gave up."""
    failed = verdicts.of("web", "liveness", "failed")
    failed = [e for e in failed if e.seconds + e.resolution_seconds >= ill.earliest]
    counts = failed[times.failure_threshold - 1 :]
    return _window(counts[0], ill) if counts else None


def when_given_up(lab, life, verdicts, web) -> str:
    """The same as one of the choices of "when"."""
    times = numbers(lab, web, "liveness")
    took = _given_up(life, verdicts, times, _fell_ill(life, _runs(lab, web)))
    if took is not None and times.gives_up.meets(took, TOLERANCE_SECONDS):
        return "between 4 and 6 s"
    if took is None or took.earliest > times.gives_up.latest:
        return "later than 6 s"
    early = took.latest > times.period_seconds
    return "between 2 and 4 s" if early else "at the first failure, within 2 s"


def g3(lab, life, verdicts, other, web) -> Shown:
    """A failing readiness probe restarts nothing. The endpoint stays in its slice, with ready:
    false, and gets no requests until the probe passes again."""
    unready = life.when({"endpoint ready": "False"})
    start, end = unready[0] if unready else (0.0, 0.0)
    before = _requests(lab, life, other, -TRAFFIC_SECONDS, _sick_at(life))
    during = _requests(lab, life, other, start + PROXY_SECONDS, end)
    after = poll(
        lambda: _requests(lab, life, other, end, float("inf")),
        timeout_seconds=TRAFFIC_SECONDS,
        every_seconds=0.5,
    )
    words = [
        f"{other.name} was {'restarted' if other.container('app').restarts else 'not restarted'}",
        f"its endpoint {endpoint_when_ill(lab, life)}",
        f"{other.name} got {'requests' if before else 'no requests'} before, "
        f"{'requests' if during or not unready else 'none'} while it was not ready, and "
        f"{'requests' if after else 'none'} again when it had recovered",
    ]
    lines = _log(lab, other)
    lanes = [_answers_lane(life, lines), _probe_lane(life, verdicts, other.name, "readiness")]
    lanes += ["Ready", "endpoint ready", _requests_lane(life, other.name, lines)]
    lanes += [_requests_lane(life, web.name, _log(lab, web)), "app"]
    title = "The app is ill for some seconds. Where do requests go?"
    return Shown(life.chart(title, lanes, ["app"]), "; ".join(words))


def endpoint_when_ill(lab, life) -> str:
    """What the EndpointSlice said of the Pod while it was not Ready: a choice of "slice"."""
    rows = life.intervals
    seen = rows[rows["lane"] == "endpoint ready"].sort_values("start")
    gaps = [
        (before, after)
        for before, after in zip(seen["end"], seen["start"].iloc[1:], strict=False)
        if after > before
    ]
    if gaps or seen.empty or not bool(seen["ongoing"].iloc[-1]):
        return "is removed from the EndpointSlice"
    if "False" in set(seen["state"]):
        return "stays in the EndpointSlice, with ready: false"
    return "stays in the EndpointSlice, with ready: true"


def _requests(lab, life, pod, start: float, end: float) -> int:
    """How many of the client's requests reached a Pod, from and to these seconds."""
    said = [(at - life.began_seconds, text) for at, text in _log(lab, pod)]
    return sum(start <= at <= end and text.startswith("client ") for at, text in said)


# --- What counts as success -----------------------------------------------------------------------

MEETS = {"200": "", "503": "sick", "200 after 3 s": "slow"}
KINDS = {"by-http": "httpGet", "by-tcp": "tcpSocket", "by-exec": "exec"}
GRPC = {"all-of-it": "the whole server", "service-shop": "a service that it doesn't know"}


def verdict_table(lab, kinds, grpc):
    """What each kind of probe makes of each answer: probe, what it meets, verdict."""
    import pandas

    rows = []
    for answer, file in MEETS.items():
        if file:
            kinds.exec("by-http", ["touch", f"/tmp/{file}"])
        said = _verdicts_of(lab, kinds.name, KINDS)
        if file:
            kinds.exec("by-http", ["rm", f"/tmp/{file}"])
        rows += [(KINDS[name], answer, said[name]) for name in KINDS]
    said = _verdicts_of(lab, grpc.name, GRPC)
    rows += [("grpc", words, said[name]) for name, words in GRPC.items()]
    rows.sort(key=lambda row: [*KINDS.values(), "grpc"].index(row[0]))
    return pandas.DataFrame(rows, columns=["probe", "it meets", "verdict"])


def _verdicts_of(lab, pod: str, containers) -> dict[str, str]:
    """What the kubelet makes of the containers' readiness probes now. The first verdict is left
    out: it may be of a probe that was under way before."""

    def of(name: str) -> list[str]:
        return [e.result for e in seen.of(pod, "readiness") if e.container == name][1:]

    with Verdicts(lab.connection) as seen:
        poll(
            lambda: all(len(of(name)) >= 2 for name in containers),
            timeout_seconds=60,
            every_seconds=0.2,
        )
    return {name: " or ".join(dict.fromkeys(of(name)[:3])) or "none" for name in containers}


def g4(lab, table) -> Shown:
    """What each kind of probe counts as success, and what a timeout makes of a slow answer of
    those that were asked for one: grpc wasn't."""
    words = []
    for probe, rows in table.groupby("probe", sort=False):
        said = [
            f"{verdict} {'for' if probe == 'grpc' else 'with'} {listed(own['it meets'])}"
            for verdict, own in rows.groupby("verdict", sort=False)
        ]
        words.append(f"{probe}: {' and '.join(said)}")
    return Shown(table, "; ".join(words))


def of_tcp(lab, table) -> str:
    """What the tcpSocket probe makes of a 503: a choice of "tcp"."""
    rows = table[(table["probe"] == "tcpSocket") & (table["it meets"] == "503")]
    return {"passed": "it passes", "failed": "it fails"}.get(
        rows["verdict"].iloc[0], "it passes and fails in turn"
    )


# --- The two mistakes -----------------------------------------------------------------------------


def g5(lab, life) -> Shown:
    """A liveness probe on a dependency restarts an app that is well; a readiness probe doesn't."""
    restarts = {name: _restarts(life, name) for name in ("shop-live", "shop-ready")}
    unready = life.when({"shop-ready: Ready": "False"})
    rows = life.intervals
    last = rows[rows["lane"] == "shop-ready: Ready"].sort_values("start")["state"].iloc[-1]
    words = [
        f"the database's trouble restarted {listed(n for n, r in restarts.items() if r) or 'none'}",
        f"shop-ready was {'not Ready' if unready else 'Ready'} meanwhile, and "
        f"{'Ready' if last == 'True' else 'not Ready'} when the database was back",
    ]
    lanes = ["shop-live: app", "shop-live: Ready", "shop-ready: app", "shop-ready: Ready"]
    title = "The database is ill, both shops are well. Who is restarted?"
    return Shown(life.chart(title, lanes), "; ".join(words))


def who_restarted(lab, life) -> str:
    """The same as one of the choices of "who"."""
    restarted = [name for name in ("shop-live", "shop-ready") if _restarts(life, name)]
    return {0: "neither: both apps are well", 2: "both shops"}.get(
        len(restarted), f"only {listed(restarted)}"
    )


def g6(lab, verdicts, impatient) -> Shown:
    """A slow start without a startup probe never comes to its end."""
    import pandas

    runs = impatient.container("app").restarts
    passed = verdicts.passed_ever(impatient.uid, "liveness")
    rows = [("restarts", runs), ("liveness probes that passed", passed)]
    words = (
        f"impatient was restarted {'again and again' if runs > 1 else 'at most once'}, and "
        f"its liveness probe has {'passed' if passed else 'never passed'}"
    )
    return Shown(pandas.DataFrame(rows, columns=["impatient", "so far"]), words)


def _restarts(life, name: str) -> int:
    rows = life.intervals[life.intervals["lane"] == f"{name}: app"]
    return int(rows["restarts"].max() - rows["restarts"].min())


# --- A readiness gate -----------------------------------------------------------------------------


def o9(lab, life) -> Shown:
    """A readiness gate keeps Ready False although all containers are ready, until somebody sets its
    condition."""
    rows = life.intervals
    held = life.when({"ContainersReady": "True", "Ready": "False"})
    set_at = next(seconds for seconds, words in life.annotations if words == GATE_OPENS)
    until = bool(held) and held[0][1] >= set_at
    ready = rows[rows["lane"] == "Ready"].sort_values("start")
    reason = "ReadinessGatesNotReady"
    told = f" ({reason})" if reason in set(ready["reason"]) else ""
    words = [
        f"while ContainersReady was True, Ready stayed False{told}"
        if until
        else "Ready didn't wait for the gate",
        f"after we had set the condition, Ready was {ready['state'].iloc[-1]}",
    ]
    lanes = ["app", "ContainersReady", "example.com/warm", "Ready"]
    return Shown(
        life.chart("All containers are ready. Is the Pod?", lanes, ["app"]), "; ".join(words)
    )


def ready_column(lab, life) -> str:
    """What kubectl's column READY said just before we set the condition: a choice of "gate"."""
    set_at = next(seconds for seconds, words in life.annotations if words == GATE_OPENS)
    before = [each.obj for each in life.versions if each.seconds <= set_at][-1]
    statuses = before["status"]["containerStatuses"]
    return f"{sum(each['ready'] for each in statuses)}/{len(before['spec']['containers'])}"


# --- The dials ------------------------------------------------------------------------------------

DIALS = {
    "initialDelaySeconds": [0, 2],
    "periodSeconds": [1, 2, 3],
    "timeoutSeconds": [2, 1],
    "failureThreshold": [1, 2, 3],
}
SEQUENCE = (
    {"periodSeconds": 1, "failureThreshold": 1},
    {"periodSeconds": 1, "failureThreshold": 3},
    {"periodSeconds": 2, "failureThreshold": 2, "initialDelaySeconds": 2},
)
FIRST, LAST = "first probe", "gives up"
TITLE = "The app hangs. When is it given up?"
AXIS = "seconds after the start (first probe), after the app began to hang (gives up)"
TAKES_SECONDS = 1.2  # the app of trial.yaml, for an answer
AGAIN_SECONDS = 20.0  # a measurement isn't begun again later than that
TRIES: list[int] = []  # how often each setting of the dials was measured, in order
SPARE_SECONDS = 60.0  # the kubelet starts and ends the Pod meanwhile


def predicted(lab, setting: dict) -> dict[str, Window]:
    """What the arithmetic says of a Pod with these numbers: when it's probed first, after its
    start, and when it's given up, after it began to hang. While one probe is under way there's no
    second one."""
    times = ProbeTimes.of(setting)
    spaced = replace(times, period_seconds=max(times.period_seconds, TAKES_SECONDS))
    return {FIRST: times.first, LAST: spaced.gives_up_on_silence}


def measured(lab, setting: dict) -> dict[str, float]:
    """The same, measured with a Pod of these numbers. It's deleted afterwards. A kubelet that gets
    no CPU time is late, so what lies outside of its window is measured again, while there is time.
    The last try counts, and ``TRIES`` has how many there were.

    Raises:
        LabError: its probe never passes, or the kubelet was too slow.
    """
    wanted, began, count = predicted(lab, setting), time.monotonic(), 0
    found: dict[str, float] = {}
    while not count or time.monotonic() - began < AGAIN_SECONDS:
        found, count = _measured_once(lab, setting), count + 1
        if all(wanted[name].holds(found[name], TOLERANCE_SECONDS) for name in wanted):
            break
    TRIES.append(count)
    return found


def trials_chart(lab, trials):
    """What was measured with the dials, and in the title, how many tries each setting took."""
    chart = trials.chart()
    if trials.table.empty:
        return chart
    title = f"{TITLE} Tries: {listed([str(count) for count in TRIES])}"
    return windows(trials.table, title, tolerance_seconds=TOLERANCE_SECONDS, axis=AXIS)


def _measured_once(lab, setting: dict) -> dict[str, float]:
    times = ProbeTimes.of(setting)
    trial = lab.pod("trial")
    _apply_trial(lab, trial, setting)
    try:
        with Verdicts(lab.connection) as seen:
            _wait_for_a_pass(seen, times)
            told = time.time()
            # The app's first words come later than its container's start.
            started = trial.container("app").process.started_seconds
            said = trial.exec("app", "touch /tmp/slow; cat /proc/uptime").stdout
            clock = _node_clock(lab)
            hung = max(told, clock.booted + float(said.split()[0]))
            failures = _wait_for_failures(seen, times, hung)
        lines = _log(lab, trial)
    finally:
        lab.connection.delete("Pod", "trial", grace_seconds=0)
    asked = next(at for at, text in lines if text.startswith("liveness"))
    given_up = failures[times.failure_threshold - 1]
    return {FIRST: asked - (started - clock.ahead), LAST: given_up - hung}


def _apply_trial(lab, trial, setting: dict) -> None:
    path = paths.notebooks() / "manifests" / "11-probes" / "trial.yaml"
    body = copy.deepcopy(Manifest.read(path).documents[0])
    body["metadata"]["namespace"] = lab.namespace
    body["spec"]["containers"][0]["livenessProbe"].update(setting)
    lab.connection.delete("Pod", "trial", grace_seconds=0)
    trial.wait_until("gone", timeout_seconds=SPARE_SECONDS)
    lab.connection.create(body)
    trial.container("app").wait_until("running", timeout_seconds=SPARE_SECONDS)


def _wait_for_a_pass(seen, times: ProbeTimes) -> None:
    limit = times.start_budget.latest + times.failure_threshold * times.timeout_seconds

    def is_known() -> bool:
        failed = len(seen.of("trial", "liveness", "failed"))
        return bool(seen.of("trial", "liveness", "passed")) or failed >= times.failure_threshold

    poll(is_known, timeout_seconds=limit + SPARE_SECONDS, every_seconds=0.1)
    if not seen.of("trial", "liveness", "passed"):
        raise LabError(
            "The probe never passes, so this app is never well.",
            f"failed in a row: {times.failure_threshold}, passed: none",
            "Compare the numbers with what the text says about this app.",
        )


def _wait_for_failures(seen, times: ProbeTimes, since: float) -> list[float]:
    def failures() -> list[float]:
        failed = seen.of("trial", "liveness", "failed")
        return [each.seconds for each in failed if each.seconds >= since]

    limit = times.gives_up_on_silence.latest + SPARE_SECONDS
    poll(
        lambda: len(failures()) >= times.failure_threshold,
        timeout_seconds=limit,
        every_seconds=0.1,
    )
    if len(failures()) < times.failure_threshold:
        raise LabError(
            "The kubelet didn't give the app up in time.",
            f"{len(failures())} of {times.failure_threshold} failures in {limit:g} s",
            "Measure again on an idle machine.",
        )
    return failures()


def dials(lab):
    """Dials for a liveness probe's numbers: predicted at once, measured on request."""
    return lab.dials(
        TITLE,
        DIALS,
        lambda setting: predicted(lab, setting),
        lambda setting: measured(lab, setting),
        sequence=SEQUENCE,
        tolerance_seconds=TOLERANCE_SECONDS,
        axis=AXIS,
    )
