"""Lab 20: seven attacks on the reader's Deployment, and what its customers notice of each."""

import copy
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from labhelpers.charts import timeline
from labhelpers.charts.chart import Chart, records
from labhelpers.charts.lanes import Lane
from labhelpers.errors import LabError
from labhelpers.exercises import NotYet
from labhelpers.kube import fields
from labhelpers.node.logs import seconds, stamped_lines
from labhelpers.outcomes import Shown, frame_of, listed
from labhelpers.patience import patient
from labhelpers.polling import poll

SHOP, GIVEN = "shop", ("programs.yaml", "services.yaml", "db.yaml", "client.yaml")
PROGRAMS = {"app": "/shop/cgi-bin/serve", "ship": "/shop/cgi-bin/ship"}
READY_SECONDS, LEAD_SECONDS, CUSTOMERS = 60.0, 1.5, 4
# What the lab promises its customers. Four of them get six answers a second, so 2 s without
# any are no chance.
SILENCE_SECONDS, GONE_SECONDS, SLOW_SECONDS = 2.0, 10.0, 12.0
# A Pod that is Ready because it can answer does so within a second. The starter's Pods are Ready
# after 3 s, and need more than 8 s until they answer.
DEAF_SECONDS = 2.0
WARN = "pod-security.kubernetes.io/warn"
ANSWERED, FAILED = "answered", "request failed"
ANSWER, NO_ANSWER = " orders, says ", ": failed: "  # what the client's log says of a request

PROMISES = {
    "restricted": ("the level restricted admits its Pods", "17"),
    "start": ("starts beside a database that's slow to start; no restart, ship first", "09, 10"),
    "kill": (f"app is killed: never {SILENCE_SECONDS:g} s without an answer", "02, 11"),
    "oom": ("ship leaks memory: ship alone is restarted, no request fails", "10, 13"),
    "slow": ("a slow database: no restart, no request fails", "11"),
    "replace": ("all Pods are replaced: no request fails", "08, 11"),
    "end": (f"a deleted Pod is gone in {GONE_SECONDS:g} s, all exit codes are 0", "08"),
}
TITLES = {
    "start": "Shop and database start together. Who comes when?",
    "kill": "app is killed. Who answers?",
    "oom": "ship is out of memory. Who notices?",
    "slow": "The database is slow. What comes of it?",
    "replace": "All Pods are replaced. Which requests fail?",
    "end": "A Pod is deleted. How does it end?",
}


# --- What the reader calls ------------------------------------------------------------------------


class Requests(NamedTuple):
    """What the customers got during a recording.

    Attributes:
        answered, failed: when each request ended, in seconds since the recording began.
        began, ended: the part of the recording that counts, in seconds.
        by: the answered ones with the Pod that answered.
    """

    answered: list[float]
    failed: list[float]
    began: float
    ended: float
    by: list[tuple[float, str]]

    @property
    def silence(self) -> tuple[float, float]:
        """The longest time without an answer: from when to when."""
        moments = [self.began, *self.answered, self.ended]
        return max(itertools.pairwise(moments), key=lambda gap: gap[1] - gap[0])

    def spans(self) -> list[tuple[float, float, str]]:
        """From when to when customers got answers, none of them later than what is promised."""
        found: list[tuple[float, float, str]] = []
        for at in self.answered:
            goes_on = found and at - found[-1][1] < SILENCE_SECONDS
            start = found.pop()[0] if goes_on else at
            found.append((start, at, ANSWERED))
        return found


class Report(Shown):
    """What an attack came to: a picture, and a sentence with the verdict.

    Attributes:
        name: of the attack.
        passed: whether the promise was kept.
        saw: what was seen, in words.
        life, requests, pods: what was measured; None for what takes no time.
    """

    def __init__(self, name, what, passed, saw, life=None, requests=None, pods=None):
        super().__init__(what, f"{name} {'passed' if passed else 'failed'}: {saw}")
        self.name, self.passed, self.saw = name, passed, saw
        self.life, self.requests, self.pods = life, requests, pods


def attack(lab, name: str) -> Report:
    """Attacks the Deployment shop as it is now. Each attack but the first two begins with
    answered requests, and without Pods that an attack before had restarted.

    Args:
        name: restricted, start, kill, oom, slow, replace or end.

    Raises:
        NotYet: shop can't be attacked yet: it isn't there, or not Ready.
    """
    if name not in PROMISES:
        raise LabError(
            f"There's no attack {name!r}.", f"there are {listed(PROMISES)}", "Use one of these."
        )
    with lab.transcript.quietly():
        _set_up(lab)
        report = ATTACKS[name](lab)
    return report


def wait_until_calm(lab, pods: Sequence[str] = (), timeout_seconds: float = 60.0) -> None:
    """Waits until each customer has got two answers in a row since now. So every request that
    began before has ended, and none that hung is forgotten or put down to the next attack.

    Args:
        pods: each of these has to have answered somebody, too. A Pod without a readiness probe is
            Ready before its app listens, and the customers may all have met others by chance.

    Raises:
        NotYet: it didn't come to that within the limit.
    """
    lab.pod("client").wait_until("Ready", timeout_seconds=60)
    path = f"/api/v1/namespaces/{lab.namespace}/pods/client/log?timestamps=true&tailLines=120"
    since: list[float] = []
    silent = set(pods)

    def is_calm() -> bool:
        said = [line.split(" ", 1) for line in str(lab.connection.raw(path)).splitlines()]
        said = [each for each in said if len(each) == 2]
        since.extend(seconds(at) for at, _ in said[-1:])
        told = [text for at, text in said if seconds(at) > since[0]]
        silent.difference_update(_who_answered(told))
        return _are_calm(told) and not silent

    if not poll(is_calm, timeout_seconds=patient(timeout_seconds), every_seconds=0.5):
        saw = f"{listed(sorted(silent))} answered nobody" if silent else "some requests failed"
        raise NotYet(f"{saw}, for {timeout_seconds:g} s")


def run(lab, names: Sequence[str]) -> list[Report]:
    """Runs several attacks, up to the first one that fails.

    Raises:
        NotYet: one failed; the error says which, and what was seen.
    """
    reports = []
    for name in names:
        report = attack(lab, name)
        if not report.passed:
            raise NotYet(str(report))
        reports.append(report)
    return reports


def scoreboard(lab, *reports: Report) -> Shown:
    """The attacks with their verdicts, and the labs that have the answer."""
    rows = [
        {
            "attack": each.name,
            "what has to hold": PROMISES[each.name][0],
            "": "passed" if each.passed else "failed",
            "what was seen": each.saw,
            "see lab": PROMISES[each.name][1],
        }
        for each in reports
    ]
    passed = [each.name for each in reports if each.passed]
    which = f": {listed(passed)}" if passed else ""
    return Shown(frame_of(rows), f"{len(passed)} of {len(reports)} attacks passed{which}")


# --- Before an attack -----------------------------------------------------------------------------


def _set_up(lab) -> None:
    """Applies what is given, unless it's there; then looks at the reader's Deployment."""
    if not lab.connection.list("Pod", field_selector="metadata.name=client")["items"]:
        for manifest in GIVEN:
            lab.apply(manifest)
    found = lab.connection.list("Deployment", field_selector=f"metadata.name={SHOP}")["items"]
    if not found:
        raise NotYet("there's no Deployment shop", "Keep the name: customers ask for it.")
    spec = found[0]["spec"]["template"]["spec"]
    for name, program in PROGRAMS.items():
        own = [each for each in _containers(spec) if each["name"] == name]
        if not own:
            raise NotYet(f"shop has no container {name}", "Keep both containers' names.")
        words = " ".join([*(own[0].get("command") or []), *(own[0].get("args") or [])])
        if program not in words:
            raise NotYet(f"container {name} doesn't run {program}", "Keep both programs.")


def _containers(spec: dict) -> list[dict]:
    return [*(spec.get("initContainers") or []), *spec["containers"]]


def _pods(lab) -> list[dict]:
    return lab.connection.list("Pod", label_selector=f"app={SHOP}")["items"]


def _names(lab) -> list[str]:
    return [each["metadata"]["name"] for each in _pods(lab)]


def _are_ready(lab) -> bool:
    """Whether the Deployment has exactly the Pods that it wants, and all of them are Ready."""
    shop = lab.connection.get("Deployment", SHOP)
    status, wanted = shop["status"], shop["spec"]["replicas"]
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")]
    known = status.get("observedGeneration") == shop["metadata"]["generation"]
    # The Deployment's numbers lag its Pods by a moment.
    pods = _pods(lab)
    ready = all(fields.conditions(pod).get("Ready", {}).get("status") == "True" for pod in pods)
    return known and counts == [wanted] * 3 and len(pods) == wanted and ready


def _wait_until_ready(lab) -> None:
    if not poll(lambda: _are_ready(lab), timeout_seconds=patient(READY_SECONDS), every_seconds=0.3):
        raise NotYet(f"after {READY_SECONDS:g} s the Pods of shop still aren't all Ready")


def _are_calm(said: Sequence[str]) -> bool:
    """Whether the last two requests of each customer were answered.

    >>> told = [f"customer {number}: 7 orders, says shop-a" for number in range(1, 5)]
    >>> _are_calm(told * 2), _are_calm(told), _are_calm(told * 2 + ["customer 1: failed: no"])
    (True, False, False)
    """
    last: dict[str, list[bool]] = {}
    for text in said:
        customer, found, words = text.partition(": ")
        if found:  # The shell has a line of its own for each request that timed out.
            last.setdefault(customer, []).append(ANSWER in words)
    return len(last) == CUSTOMERS and all(
        len(each) > 1 and all(each[-2:]) for each in last.values()
    )


def _who_answered(said: Sequence[str]) -> set[str]:
    """The Pods that answered.

    >>> _who_answered(["customer 1: 7 orders, says shop-a", "customer 2: failed: no answer in 3 s"])
    {'shop-a'}
    """
    return {text.rpartition(" ")[2] for text in said if ANSWER in text}


def _fresh(lab) -> list[str]:
    """Waits until all Pods are Ready and each answers, and returns their names. Those that suffered
    from an attack before, and were restarted, are replaced first."""
    _quick(lab)
    if _restarts(lab):
        old = _names(lab)
        for pod in old:
            lab.connection.delete("Pod", pod, grace_seconds=1)
        poll(lambda: not _still(lab, old), timeout_seconds=patient(30), every_seconds=0.2)
    _wait_until_ready(lab)
    pods = _names(lab)
    wait_until_calm(lab, pods)
    return pods


def _db(lab, timeout_seconds: float = 60.0) -> str:
    """The database's Pod. Its controller may still have to create it."""
    found = poll(
        lambda: [
            each["metadata"]["name"]
            for each in lab.connection.list("Pod", label_selector="app=db")["items"]
            if "deletionTimestamp" not in each["metadata"]
        ],
        timeout_seconds=patient(timeout_seconds),
        every_seconds=0.3,
    )
    if not found:
        saw = f"none within {timeout_seconds:g} s"
        raise LabError("There's no Pod of the database.", saw, "Apply db.yaml.")
    return found[0]


def _quick(lab) -> None:
    """The database answers quickly."""
    lab.pod(_db(lab)).wait_until("Ready", timeout_seconds=60)
    lab.connection.exec(_db(lab), "app", ["rm", "-f", "/tmp/slow"])


# --- The attacks ----------------------------------------------------------------------------------


def _restricted(lab) -> Report:
    """Lets the API server try the Deployment's Pod at the level restricted."""
    template = lab.connection.get("Deployment", SHOP)["spec"]["template"]
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "tried", "namespace": lab.namespace},
        "spec": template["spec"],
    }
    control = copy.deepcopy(body)
    control["spec"]["hostNetwork"] = True  # which no level but privileged lets pass

    def broken(pod: dict) -> list[str]:
        lab.connection.apply(pod, dry_run=True)
        return [rule for text in lab.connection.warnings for rule in _rules(text)]

    # Nothing is rejected by a warning, so that a Pod that fails can be attacked in other ways.
    label = {"metadata": {"labels": {WARN: "restricted"}}}
    lab.connection.patch("Namespace", lab.namespace, label)
    try:
        # The API server needs a moment to see the label.
        poll(lambda: broken(control), timeout_seconds=patient(10), every_seconds=0.1)
        found = broken(body)
    finally:
        label["metadata"]["labels"][WARN] = None
        lab.connection.patch("Namespace", lab.namespace, label)
    if not found:
        rows = [{"broken rule": "none"}]
        return Report("restricted", frame_of(rows), True, "no rule is broken")
    rows = [{"broken rule": rule} for rule in found]
    return Report("restricted", frame_of(rows), False, f"its Pod breaks {listed(found)}")


def _rules(message: str) -> list[str]:
    """The rules that a warning of Pod Security names.

    >>> _rules('would violate PodSecurity "restricted:latest": runAsNonRoot != true (pod "a, b")')
    ['runAsNonRoot']
    """
    _, found, names = message.partition('violate PodSecurity "restricted:latest": ')
    if not found:
        return []
    bare, depth = "", 0
    for letter in names:
        depth += (letter == "(") - (letter == ")")
        bare += letter if depth == 0 and letter != ")" else ""
    return [" ".join(each.split()).partition(" !=")[0] for each in bare.split(", ") if each.strip()]


def _start(lab) -> Report:
    db = _db(lab)
    before = _names(lab)
    with _recording(lab) as life:
        life.annotate("both start")
        lab.connection.delete("Pod", db, grace_seconds=0)
        # Otherwise shop may ask the old address, where nobody answers, until its time is over.
        poll(lambda: db not in _behind_the_database(lab), timeout_seconds=patient(30))
        for pod in before:
            lab.connection.delete("Pod", pod, grace_seconds=0)
        poll(lambda: not _still(lab, before), timeout_seconds=patient(30))
        _wait_until_ready(lab)
        wait_until_calm(lab)
    pods = _names(lab)
    restarts = _restarts(lab)
    early = [pod for pod in _pods(lab) if not restarts and _app_was_first(lab, pod)]
    if restarts:
        saw = f"{listed(restarts)} had to be restarted: the database didn't answer yet"
    elif early:
        saw = "app started before ship was ready"
    else:
        saw = "ship was ready before app started, and nothing was restarted"
    return _reported(lab, "start", life, pods, not restarts and not early, saw)


def _behind_the_database(lab) -> list[str]:
    """The Pods to which the Service db may send a request."""
    found = lab.connection.list("EndpointSlice", label_selector="kubernetes.io/service-name=db")
    return [
        (each.get("targetRef") or {}).get("name", "")
        for piece in found["items"]
        for each in piece.get("endpoints") or []
    ]


def _app_was_first(lab, pod: dict) -> bool:
    """Whether app wrote its first line before ship wrote that it's ready."""
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
    app, ship = (stamped_lines(lab.node, lab.namespace, name, uid, each) for each in PROGRAMS)
    ready = [at for at, text in ship if text == "ready"]
    return not ready or app[0][0] < ready[0]


def _kill(lab) -> Report:
    pods = _fresh(lab)
    with _recording(lab) as life:
        time.sleep(LEAD_SECONDS)
        app = lab.pod(pods[0]).container("app")
        life.annotate("app is killed")
        lab.node.kill(app)
        app.wait_until("restarted", timeout_seconds=60)
        wait_until_calm(lab)
    requests = _requests(lab, life)
    start, end = requests.silence
    passed = end - start < SILENCE_SECONDS
    saw = "others answered while app restarted"
    if not passed:
        saw = f"for more than {SILENCE_SECONDS:g} s nobody got an answer"
    return _reported(lab, "kill", life, pods, passed, saw)


def _oom(lab) -> Report:
    pods = _fresh(lab)
    ship = lab.pod(pods[0]).container("ship")
    with _recording(lab) as life:
        time.sleep(LEAD_SECONDS)
        life.annotate("ship leaks")
        lab.connection.exec(pods[0], "ship", ["touch", "/tmp/leak"])
        poll(
            lambda: _leaked(lab, pods[0]) or ship.now().restarts,
            timeout_seconds=patient(30),
            every_seconds=0.3,
        )
        _wait_until_ready(lab)
        wait_until_calm(lab)
    restarts, requests = _restarts(lab), _requests(lab, life)
    if not ship.now().restarts:
        passed, saw = False, "ship leaked 100 MB, and nothing stopped it"
    elif restarts != ["ship"]:
        passed, saw = False, f"ship was OOM-killed, and {listed(restarts)} were restarted"
    elif requests.failed:
        passed, saw = False, "ship was OOM-killed, and requests failed while app was running"
    else:
        passed, saw = True, "ship was OOM-killed and restarted, and no request failed"
    return _reported(lab, "oom", life, pods, passed, saw)


def _leaked(lab, pod: str) -> bool:
    """Whether ship wrote that it has its memory."""
    return "nothing stopped it" in lab.connection.logs(pod, "ship")


def _slow(lab) -> Report:
    pods = _fresh(lab)
    with _recording(lab) as life:
        time.sleep(LEAD_SECONDS)
        life.annotate("db is slow")
        lab.connection.exec(_db(lab), "app", ["touch", "/tmp/slow"])
        time.sleep(SLOW_SECONDS)
        life.annotate("db is quick again")
        _quick(lab)
        wait_until_calm(lab)
    restarts, requests = _restarts(lab), _requests(lab, life)
    words = "requests failed" if requests.failed else "no request failed"
    words += f", and {listed(restarts)} was restarted" if restarts else ", nothing was restarted"
    passed = not requests.failed and not restarts
    return _reported(lab, "slow", life, pods, passed, words)


def _replace(lab) -> Report:
    old = _fresh(lab)
    with _recording(lab) as life:
        time.sleep(LEAD_SECONDS)
        life.annotate("kubectl rollout restart")
        stamp = {"podlab/restarted": f"{time.time():.0f}"}
        body = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
        lab.connection.patch("Deployment", SHOP, body)
        poll(
            lambda: _are_ready(lab) and not _still(lab, old),
            timeout_seconds=patient(READY_SECONDS),
            every_seconds=0.3,
        )
        wait_until_calm(lab)
    new = _names(lab)
    left = _still(lab, old)
    requests = _requests(lab, life)
    passed = not requests.failed and not left
    saw = "requests failed" if requests.failed else "no request failed"
    if left:
        saw += f", but after {READY_SECONDS:g} s there were old Pods"
    return _reported(lab, "replace", life, [*old, *new], passed, saw)


def _still(lab, names: Sequence[str]) -> list[str]:
    """Those of these Pods that are there."""
    return [name for name in _names(lab) if name in names]


def _end(lab) -> Report:
    pods = _fresh(lab)
    with _recording(lab) as life:
        time.sleep(LEAD_SECONDS)
        life.annotate("a Pod is deleted")
        lab.connection.delete("Pod", pods[0])
        gone = poll(
            lambda: not _still(lab, pods[:1]), timeout_seconds=GONE_SECONDS, every_seconds=0.1
        )
        if not gone:
            lab.connection.delete("Pod", pods[0], grace_seconds=0)
    ends = {
        row["lane"].rpartition(" ")[2]: row["exit_code"]
        for row in records(life.intervals)
        if row["lane"].startswith(f"{pods[0]}: ") and row["state"] == "terminated"
    }
    killed = [name for name in PROGRAMS if ends.get(name) != 0]
    if not gone:
        saw = f"{GONE_SECONDS:g} s after its deletion the Pod was still there"
    elif killed:
        saw = f"the Pod was gone in time, but {listed(killed)} didn't end with exit code 0"
    else:
        saw = "the Pod was gone in time, and everything in it ended with exit code 0"
    passed = bool(gone) and not killed
    return _reported(lab, "end", life, pods[:1], passed, saw)


ATTACKS: dict[str, Callable[[Any], Report]] = {
    "restricted": _restricted,
    "start": _start,
    "kill": _kill,
    "oom": _oom,
    "slow": _slow,
    "replace": _replace,
    "end": _end,
}


# --- What was measured ----------------------------------------------------------------------------


@contextmanager
def _recording(lab) -> Iterator[Any]:
    """A recording of all Pods of shop."""
    with lab.recording(labels=f"app={SHOP}") as life:
        yield life


def _restarts(lab) -> list[str]:
    """The containers of shop's Pods that have been restarted."""
    found = [
        each["name"] for pod in _pods(lab) for each in fields.statuses(pod) if each["restartCount"]
    ]
    return sorted(set(found))


def _requests(lab, life) -> Requests:
    """What the customers got while the recording ran, by the client's log."""
    uid = lab.pod("client").uid
    lines = stamped_lines(lab.node, lab.namespace, "client", uid, "app")
    end = float(life.intervals["end"].max())
    said = [(life.seconds_of(at), text) for at, text in lines]
    said = [(at, text) for at, text in said if 0 <= at <= end and text.strip()]
    by = [(at, text.rpartition(" ")[2]) for at, text in said if ANSWER in text]
    answered = [at for at, _ in by]
    failed = [at for at, text in said if NO_ANSWER in text]
    last = max([*answered, *failed], default=end)
    return Requests(answered, failed, 0.0, last, by)


def _reported(lab, name: str, life, pods: Sequence[str], passed: bool, saw: str) -> Report:
    requests = _requests(lab, life)
    return Report(name, _chart(name, life, requests, pods), passed, saw, life, requests, pods)


def _chart(name: str, life, requests: Requests, pods: Sequence[str]) -> Chart:
    """The requests above the Pods that matter, whose names are replaced by short ones."""
    short = _short_names(name, pods)
    frame = life.intervals.copy()
    frame["lane"] = [_renamed(lane, short) for lane in frame["lane"]]
    there = set(frame["lane"])
    lanes: list[str | Lane] = [
        Lane(
            "requests",
            "the client's log",
            requests.spans(),
            [(at, FAILED, False) for at in requests.failed],
        )
    ]
    for each in short.values():
        parts = ("ship", "app", "Ready") if name != "replace" else ("app", "Ready")
        lanes += [lane for part in parts if (lane := f"{each}: {part}") in there]
    tell = [lane for lane in lanes if isinstance(lane, str) and not lane.endswith("Ready")]
    start, end = requests.silence
    is_long = end - start > SILENCE_SECONDS and name not in ("start", "end")
    notes = [(start, end, f"{end - start:.1f} s without an answer")] if is_long else []
    return timeline.timeline(frame, TITLES[name], lanes, tell, life.annotations, notes)


def _short_names(name: str, pods: Sequence[str]) -> dict[str, str]:
    """The Pods' names in the picture."""
    if name != "replace":
        return {pod: f"Pod {number}" for number, pod in enumerate(pods, 1)}
    half = len(pods) // 2
    short = {pod: f"old {number}" for number, pod in enumerate(pods[:half], 1)}
    return short | {pod: f"new {number}" for number, pod in enumerate(pods[half:], 1)}


def _renamed(lane: str, short: dict[str, str]) -> str:
    pod, _, part = lane.partition(": ")
    return f"{short[pod]}: {part}" if pod in short else lane


# --- The claims -----------------------------------------------------------------------------------


def z1(lab, report: Report) -> Shown:
    """A rolling update with maxUnavailable 0 keeps the old Pods until new ones are Ready. Without a
    readiness probe that's too early, and requests fail."""
    strategy = lab.connection.get("Deployment", SHOP)["spec"]["strategy"]["rollingUpdate"]
    half = len(report.pods) // 2
    ready = min(_ready_at(report.life, pod) for pod in report.pods[half:])
    marked = min(_marked_at(report.life, pod) for pod in report.pods[:half])
    failed = report.requests.failed
    first = min(failed, default=float("nan"))
    rows = [
        ("maxUnavailable", str(strategy["maxUnavailable"])),
        ("the first new Pod is Ready", f"{ready:.1f} s"),
        ("the first old Pod is deleted", f"{marked:.1f} s"),
        ("the first request fails", f"{first:.1f} s" if failed else "never"),
        ("requests that failed", str(len(failed))),
        ("requests that were answered", str(len(report.requests.answered))),
    ]
    kept = f"{'only when' if ready <= marked + 0.5 else 'before'} a new one was Ready"
    lost = "requests failed" if failed else "no request failed"
    return Shown(
        frame_of(rows, ["what", "measured"]),
        f"with maxUnavailable {strategy['maxUnavailable']} an old Pod was deleted {kept}; {lost}",
    )


def _ready_at(life, pod: str) -> float:
    """When a Pod was first Ready."""
    return _first(life, pod, lambda obj: _condition(obj, "Ready") == "True")


def _marked_at(life, pod: str) -> float:
    """When a Pod was marked for deletion."""
    return _first(life, pod, lambda obj: "deletionTimestamp" in obj["metadata"])


def _first(life, pod: str, so: Callable[[dict], bool]) -> float:
    found = (each.seconds for each in life.versions if each.name == pod and so(each.obj))
    return next(found, float("inf"))


def _condition(obj: dict, kind: str) -> str:
    conditions = obj["status"].get("conditions") or []
    return next((each["status"] for each in conditions if each["type"] == kind), "")


def z2(lab, report: Report) -> Shown:
    """A sidecar that isn't ready makes its whole Pod not ready: the Service sends nothing to an app
    that's well."""
    pod = report.pods[0]
    ran = report.life.facts["containers"].get(f"{pod}: app", "never seen")
    ship = report.life.facts["containers"].get(f"{pod}: ship", "never seen")
    unready = [
        (row["start"], row["end"])
        for row in records(report.life.intervals)
        if row["lane"] == f"{pod}: Ready" and row["state"] == "False"
    ]
    took = sum(end - start for start, end in unready)
    failed = report.requests.failed
    rows = [
        ("ship", ship),
        ("app", ran),
        ("the Pod wasn't Ready for", f"{took:.1f} s"),
        ("requests that failed", str(len(failed))),
    ]
    app = "app ran on" if ran == "same process" else "app ended"
    words = "the Pod wasn't Ready" if unready else "the Pod stayed Ready"
    lost = "requests failed" if failed else "no request failed"
    killed = "ship was OOM-killed" if "OOMKilled" in ship else "ship wasn't OOM-killed"
    return Shown(
        frame_of(rows, ["what", "measured"]), f"{killed}; {app}; {words} for a while; {lost}"
    )


# --- The predictions ------------------------------------------------------------------------------


def how_long_silent(lab, report: Report) -> str:
    """A choice of "kill"."""
    start, end = report.requests.silence
    if end - start < 1:
        return "nobody notices: the kubelet restarts app at once"
    return "for 1 or 2 s, until app runs again" if end - start < 3 else "for 5 s or more"


def who_noticed_oom(lab, report: Report) -> str:
    """A choice of "oom"."""
    if not report.requests.failed:
        return "nothing: app runs on, and answers"
    pod = report.pods[0]
    if report.life.facts["containers"].get(f"{pod}: app") == "same process":
        return "failed requests, although app runs on"
    return "failed requests: the whole Pod is restarted"


def what_slow_did(lab, report: Report) -> str:
    """A choice of "slow"."""
    if not report.requests.failed:
        return "late answers, and that's all"
    more = "app is restarted on top" if "restarted" in _after_and(report.saw) else "app runs on"
    return f"failed requests; {more}"


def _after_and(saw: str) -> str:
    return saw.partition(", and ")[2]


def what_replacing_did(lab, report: Report) -> str:
    """A choice of "replace"."""
    if not report.requests.failed:
        return "none: the old Pod stays until the new one is Ready"
    half = len(report.pods) // 2
    ready = min(_ready_at(report.life, pod) for pod in report.pods[half:])
    first = min((at for at, pod in report.requests.by if pod in report.pods[half:]), default=ready)
    if any(ready < at < first for at in report.requests.failed) and first - ready > DEAF_SECONDS:
        return "those that the new Pod gets before it can answer"
    return "a few: those on their way when the old Pod ends"
