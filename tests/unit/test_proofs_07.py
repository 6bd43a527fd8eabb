"""The proofs of lab 07: each says one sentence where its claim is true, another where it isn't."""

from contextlib import nullcontext
from types import SimpleNamespace

import pandas
import pytest

from labhelpers.charts.timeline import COLUMNS
from labhelpers.errors import TimedOut
from labhelpers.measure.changes import Version
from labhelpers.measure.life import Life
from labhelpers.outcomes import Shown
from labhelpers.proofs import Proofs
from labhelpers.snapshots import PodSnapshot

PROOFS = Proofs("07-life-cycle")
TOOLS = PROOFS.module
SANDBOX = "PodReadyToStartContainers"
RUNNING = {"running": {"startedAt": "1970-01-01T00:00:01Z"}}


def prove(claim, *measured, lab=None):
    return PROOFS.of(claim)(lab, *measured).sentence


def waiting(reason="ContainerCreating"):
    return {"waiting": {"reason": reason}}


def ended(code=0, id_="c", at=2):
    stamp = f"1970-01-01T00:00:{at:02d}Z"
    reason = "Error" if code else "Completed"
    how = {"exitCode": code, "reason": reason, "startedAt": "1970-01-01T00:00:01Z"}
    return {"terminated": {**how, "finishedAt": stamp, "containerID": f"containerd://{id_}"}}


def status(name="app", state=None, *, last=None, restarts=0, id_="c"):
    held = {"state": state or RUNNING, "lastState": last or {}}
    return {"name": name, "restartCount": restarts, "containerID": id_ and f"cri://{id_}", **held}


def raw(name="web", phase="Running", *statuses, true=(), inits=(), policy="Always", **more):
    """A Pod: ``true`` are its conditions that are True. ``more``: of its status, its metadata, or
    its spec."""
    metadata = {"name": name, "uid": name, "resourceVersion": "1", "generation": 1}
    for key in ("deletionTimestamp", "labels", "generation"):
        if key in more:
            metadata[key] = more.pop(key)
    spec = {"restartPolicy": policy, "nodeName": more.pop("nodeName", "node")}
    spec["containers"] = [{"name": each["name"]} for each in statuses or [{"name": "app"}]]
    spec["initContainers"] = [{"name": each["name"]} for each in inits]
    if deadline := more.pop("deadline", None):
        spec["activeDeadlineSeconds"] = deadline
    conditions = [{"type": each, "status": "True"} for each in true]
    told = {"phase": phase, "conditions": conditions, "containerStatuses": list(statuses), **more}
    told["initContainerStatuses"] = list(inits)
    return {"metadata": metadata, "spec": spec, "status": told}


def pod(body, **more):
    """A handle that always gives the same answer."""
    now = PodSnapshot(body)
    return SimpleNamespace(
        name=body["metadata"]["name"], uid=body["metadata"]["uid"], raw=body, phase=now.phase,
        conditions=now.conditions, container=now.container, now=lambda: now,
        kubectl_status=now.kubectl_status, wait_until=lambda goal, **_: goal(now), **more,
    )  # fmt: skip


def life(*steps, facts=None, prefixed=True):
    """A recording that began in 1970: (second, Pod), or (second, Pod, event)."""
    versions = []
    for number, (at, body, *event) in enumerate(steps):
        body["metadata"]["resourceVersion"] = str(number)
        versions.append(Version(float(at), (event or ["MODIFIED"])[0], body))
    rows = []
    for name in dict.fromkeys(each.name for each in versions):
        own = [each for each in versions if each.name == name]
        for row in Life(own, [], 0.0, 20.0).rows():
            rows.append({**row, "lane": f"{name}: {row['lane']}" if prefixed else row["lane"]})
    frame = pandas.DataFrame(rows, columns=list(COLUMNS))
    return SimpleNamespace(
        versions=versions, intervals=frame, began_seconds=0.0, facts=facts,
        chart=lambda *_, **__: "a picture",
    )  # fmt: skip


# --- where a Pod stands

SCHEDULED, READY = ("PodScheduled",), ("ContainersReady", "Ready")
STARTED = ("PodScheduled", SANDBOX, "Initialized")


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (raw(phase="Pending"), "waits for a node"),
        (raw(phase="Pending", true=SCHEDULED), "waits for a sandbox"),
        (raw(phase="Pending", true=(*SCHEDULED, "Initialized")), "waits for a sandbox"),
        (raw(phase="Pending", true=STARTED[:2]), "runs init containers"),
        (raw("web", "Pending", status(state=waiting()), true=STARTED), "creates containers"),
        (raw("web", "Running", status(), true=STARTED), "runs, not Ready"),
        (raw("web", "Running", status(), true=(*STARTED, *READY)), "Ready"),
        (raw("web", "Running", status(state=ended(1)), true=STARTED), "no container runs"),
        (raw("web", "Running", status(), deletionTimestamp="now"), "being deleted"),
        (raw("web", "Failed", status(state=ended(1)), deletionTimestamp="now"), "Failed"),
        (raw("web", "Succeeded", status(state=ended())), "Succeeded"),
    ],
)
def test_where_a_pod_stands(body, state):
    assert TOOLS.state_of(body) == state


def test_a_live_picture_shows_what_is_known_so_far():
    recorded = life((1, raw(phase="Pending")), (2, raw("web", "Running", status())))
    lab = SimpleNamespace(recording=lambda *names: recorded)
    view = TOOLS.live_states(lab, "Where are they?", "web")
    view.view()
    view.draw()
    assert (view.error, str(view.chart)) == ("", "web: Pending → Running")


# --- one Pod, three words


def three_words(crash=waiting("CrashLoopBackOff"), leaving="now", phase="Running"):  # noqa: B008
    gone = {"deletionTimestamp": leaving} if leaving else {}
    return life(
        (0, raw("crash", "Running", status(state=ended(1), restarts=1)), "FOUND"),
        (0, raw("leaving", "Running", status()), "FOUND"),
        (2, raw("crash", phase, status(state=crash, last=ended(1), restarts=1))),
        (3, raw("leaving", "Running", status(), **gone)),
    )


@pytest.mark.parametrize(
    ("measured", "says"),
    [
        (three_words(), "crash: STATUS said CrashLoopBackOff, and the phase was Running; leaving: "
         "STATUS said Terminating, and the phase was Running; CrashLoopBackOff and Terminating are "
         "none of the phases"),
        (three_words(phase="Pending"), "the phase was Pending and Running; leaving"),
        (three_words(crash=ended(1)), "crash: STATUS never said CrashLoopBackOff or Terminating"),
        (three_words(leaving=""), "leaving: STATUS never said"),
    ],
)  # fmt: skip
def test_d6(measured, says):
    assert says in prove("D6", measured)


@pytest.mark.parametrize(
    ("own", "so"),
    [
        (status(state=ended(1), restarts=1), True),
        (status(state=waiting("CrashLoopBackOff"), restarts=2), True),
        (status(state=ended(1)), False),
        (status(restarts=1), False),
    ],
)
def test_what_is_between_two_runs(own, so):
    asked = []
    crash = pod(raw("crash", "Running", own))
    crash.wait_until = lambda goal, **_: asked.append(goal(crash.now()))
    TOOLS.wait_between_runs(None, crash)
    assert asked == [so]


def test_a_status_that_does_not_come_is_an_error(monkeypatch):
    monkeypatch.setattr(TOOLS, "poll", lambda ask, **_: ask())
    monkeypatch.setattr(TOOLS, "SEEN_SECONDS", 0)
    lab = SimpleNamespace(transcript=SimpleNamespace(quietly=nullcontext))
    crash = pod(raw("crash", "Running", status(state=ended(1), restarts=1)))
    TOOLS.wait_for_status(lab, crash, "Error")
    with pytest.raises(TimedOut, match="hasn't become CrashLoopBackOff"):
        TOOLS.wait_for_status(lab, crash, "CrashLoopBackOff")


# --- from Pending to gone


def four(flaky=0, again="Succeeded", retried=1):
    done, failed = status(state=ended()), status(state=ended(1))
    last = status(state=ended(flaky), restarts=retried)
    return life(
        (1, raw("report", "Running", status())),
        (2, raw("report", "Succeeded", done)),
        (3, raw("report", again, done)),
        (4, raw("broken", "Failed", failed)),
        (5, raw("flaky", "Succeeded", last)),
        (6, raw("web", "Failed", failed)),
        (7, raw("web", "Failed", failed), "DELETED"),
    )


@pytest.mark.parametrize(
    ("measured", "says"),
    [
        (four(), "flaky and report Succeeded: every container's last exit code is 0, and none ran "
         "again afterwards; flaky had failed before; broken Failed"),
        (four(flaky=1), "not every container's last exit code is 0"),
        (four(again="Running"), "flaky Succeeded"),
        (four(retried=0), "none had failed before"),
    ],
)  # fmt: skip
def test_d3(measured, says):
    assert says in prove("D3", measured)


def test_a_pod_that_runs_after_its_end_is_told():
    measured = four(again="Running")
    measured.versions.append(Version(8.0, "MODIFIED", raw("report", "Succeeded")))
    assert "report ran again afterwards" in prove("D3", measured)


def turning(*orders, report=("PodScheduled", "Initialized", SANDBOX)):
    """web and report: each group of conditions turns True in one update."""
    steps, true = [], []
    init = status("prepare")
    for number, group in enumerate(orders):
        true += group
        if "Initialized" in true:
            init = status("prepare", ended())
        steps.append((number, raw("web", "Pending", status(), true=tuple(true), inits=[init])))
    steps += [(9 + i, raw("report", "Pending", true=report[: i + 1])) for i in range(len(report))]
    return life(*steps)


RIGHT = (["PodScheduled"], [SANDBOX], ["Initialized"], ["ContainersReady", "Ready"])


@pytest.mark.parametrize(
    ("measured", "says"),
    [
        (turning(*RIGHT), "with an init container: PodScheduled, then PodReadyToStartContainers, "
         "then Initialized, then ContainersReady and Ready together; without one Initialized "
         "turned True before PodReadyToStartContainers"),
        (turning(RIGHT[0], RIGHT[2], RIGHT[1], RIGHT[3]), "then Initialized, then PodReady"),
        (turning(*RIGHT, report=("PodScheduled", SANDBOX, "Initialized")),
         "without one PodReadyToStartContainers turned True before Initialized"),
    ],
)  # fmt: skip
def test_d7(monkeypatch, measured, says):
    monkeypatch.setattr(TOOLS.charts, "timeline", lambda *_, **__: "a picture")
    assert says in prove("D7", measured)


@pytest.mark.parametrize(
    ("pods", "so"),
    [
        ([{"a": 1, "b": 2}], True),
        ([{"a": 1, "b": 1}, {"a": 1, "b": 2}], True),
        ([{"a": 1, "b": 1}], False),
        ([{"a": 1, "b": 2}, {"a": 2, "b": 1}], False),
        ([{"a": 1}, {}], False),
    ],
)
def test_which_condition_is_first(pods, so):
    assert TOOLS._is_first("a", "b", pods) is so


@pytest.mark.parametrize(
    ("orders", "choice"),
    [
        (RIGHT, "before the init container runs"),
        ((RIGHT[0], RIGHT[2], RIGHT[1], RIGHT[3]), "once the init container has finished"),
        ((RIGHT[0], RIGHT[2], [SANDBOX, *RIGHT[3]]), "together with Ready"),
    ],
)
def test_when_the_sandbox_is_ready(orders, choice):
    assert TOOLS.when_sandbox_is_ready(None, turning(*orders)) == choice


# --- a dozen Pods


def dozen(**other):
    no_image = status(state=waiting("ErrImagePull"), id_="")
    pods = {
        "nowhere": raw("nowhere", "Pending", nodeName=""),
        "no-image": raw("no-image", "Pending", no_image, true=SCHEDULED),
        "preparing": raw("preparing", "Pending", status(state=waiting("PodInitializing"), id_=""),
                         inits=[status("prepare")], true=SCHEDULED),
        "no-config": raw("no-config", "Pending",
                         status(state=waiting("CreateContainerConfigError"), id_=""),
                         true=SCHEDULED),
        "half": raw("half", "Pending", status(), {**no_image, "name": "proxy"}, true=SCHEDULED),
        "crash": raw("crash", "Running", status(state=ended(1), restarts=2)),
        "sick": raw("sick", "Running", status()),
        "one-down": raw("one-down", "Running", status(), status("proxy", ended(1)),
                        policy="Never"),
        "broken": raw("broken", "Failed", status(state=ended(1)), policy="Never"),
        "hungry": raw("hungry", "Failed", status(state=ended(137)), reason="Evicted"),
        "rejected": raw("rejected", "Failed", reason="SysctlForbidden"),
    }  # fmt: skip
    return {**pods, **{name.replace("_", "-"): body for name, body in other.items()}}


@pytest.mark.parametrize(
    ("pods", "says"),
    [
        (dozen(), "Pending are nowhere (not scheduled), no-image (image not pulled), preparing (its"
         " init container runs), no-config (configuration missing) and half (one container runs,"
         " the other can't start)"),
        (dozen(half=raw("half", "Running", status())), "(configuration missing); half is Running"),
        (dozen(no_config=raw("no-config", "Pending", status(state=waiting(), id_=""),
                             true=SCHEDULED)), "no-config (something else)"),
    ],
)  # fmt: skip
def test_d1(pods, says):
    assert says in prove("D1", pods)


@pytest.mark.parametrize(
    ("pods", "says"),
    [
        (dozen(), "Running are crash, sick and one-down: each is bound to a node, has had all its "
         "containers created and has one that runs or will run again; a container runs, and the "
         "Pod isn't Ready: sick and one-down"),
        (dozen(sick=raw("sick", "Running", status(), true=("Ready",))), "isn't Ready: one-down"),
        (dozen(sick=raw("sick", "Running", status(id_=""))), "not each has had all its containers"),
        (dozen(crash=raw("crash", "Running", status(state=ended(1)), policy="Never")),
         "not each has one that runs or will run again"),
    ],
)  # fmt: skip
def test_d2(pods, says):
    assert says in prove("D2", pods)


@pytest.mark.parametrize(
    ("pods", "says"),
    [
        (dozen(), "Failed are broken (exit code 1), hungry (Evicted) and rejected (SysctlForbidden,"
         " no container was created); one-down, in which one container failed beside a running one,"
         " is Running; kubectl's STATUS of hungry does not say Evicted"),
        (dozen(hungry=raw("hungry", "Running", status())), "broken (exit code 1) and rejected"),
        (dozen(hungry=raw("hungry", "Failed", reason="Evicted")), "STATUS of hungry says Evicted"),
        (dozen(one_down=raw("one-down", "Failed", status(), status("proxy", ended(1)))),
         "beside a running one, is Failed"),
        (dozen(one_down=raw("one-down", "Running", status(), status("proxy"))), "did not fail"),
    ],
)  # fmt: skip
def test_d4(pods, says):
    assert says in prove("D4", pods)


def test_the_dozen_are_told_side_by_side():
    table = PROOFS.of("D1")(None, dozen()).what.set_index("Pod")
    assert table.loc["half", "containers"] == "app running, proxy waiting (ErrImagePull)"
    assert table.loc["nowhere", "conditions that are True"] == "none"
    assert TOOLS.phase_of(None, dozen(), "half") == "Pending"


def test_the_dozen_settle_at_one_moment(monkeypatch):
    monkeypatch.setattr(TOOLS, "poll", lambda ask, **_: ask())
    loop = status(state=waiting("CrashLoopBackOff"), restarts=2)
    back_off = status(state=waiting("ImagePullBackOff"), id_="")
    pods = dozen(
        no_image=raw("no-image", "Pending", back_off),
        half=raw("half", "Pending", status(), {**back_off, "name": "proxy"}),
        crash=raw("crash", "Running", loop),
    )
    pods["nowhere"]["status"]["conditions"] = [{"type": "PodScheduled", "status": "False"}]
    lab = SimpleNamespace(connection=SimpleNamespace(list=lambda kind: {"items": pods.values()}))
    assert list(TOOLS.settle(lab)) == sorted(TOOLS.SETTLED)
    pods["half"] = raw("half", "Running", status(), status("proxy"))
    with pytest.raises(TimedOut, match="not yet: half"):
        TOOLS.settle(lab)


# --- restarts

RESTARTED = {("Always", 0), ("Always", 1), ("OnFailure", 1)}


def six(restarted=RESTARTED):
    pods = {}
    for policy in TOOLS.POLICIES:
        for code in (0, 1):
            name, again = f"{policy.lower()}-{code}", (policy, code) in restarted
            phase = "Running" if again else "Failed" if code else "Succeeded"
            pods[name] = pod(raw(name, phase, status(name, ended(code), restarts=int(again))))
    return SimpleNamespace(pod=pods.get)


@pytest.mark.parametrize(
    ("lab", "says"),
    [
        (six(), "restarted: Always after 0, Always after 1 and OnFailure after 1; not restarted, "
         "Succeeded: OnFailure after 0 and Never after 0; not restarted, Failed: Never after 1"),
        (six(RESTARTED - {("Always", 0)}), "Succeeded: Always after 0, OnFailure after 0"),
        (six(RESTARTED | {("Never", 1)}), "OnFailure after 1 and Never after 1"),
    ],
)  # fmt: skip
def test_the_six_outcomes(lab, says):
    assert says in TOOLS.outcomes(lab).sentence


def with_rule(*, restarts=1, phase="Failed", last=1):
    state = ended(last) if phase == "Failed" else RUNNING
    before = ended(42) if restarts else {}
    own = status(state=state, last=before, restarts=restarts)
    return pod(raw("rule", phase, own, policy="Never"))


@pytest.mark.parametrize(
    ("measured", "says"),
    [
        (with_rule(), "with restartPolicy Never, exit code 42 was restarted; exit code 1 was not "
         "restarted, and the Pod is Failed"),
        (with_rule(restarts=0, last=42), "nothing was restarted; exit code 42 was not restarted"),
        (with_rule(phase="Running"), "was restarted, and the Pod is Running"),
    ],
)  # fmt: skip
def test_o7(measured, says):
    assert says in prove("O7", measured)


def train(fetch=1, worker=1, watcher=1, log="fetched\nfetched\n", address="same", pause=True):
    facts = {"address": address, "pause": "same process" if pause else "another process"}
    body = raw(
        "train", "Running", status("worker", restarts=worker), status("watcher", restarts=watcher),
        inits=[status("fetch", ended(), restarts=fetch)],
    )  # fmt: skip
    found = pod(body, exec=lambda *_: SimpleNamespace(stdout=log))
    return life((1, body), facts=facts), found


@pytest.mark.parametrize(
    ("measured", "says", "choice"),
    [
        (train(), "worker and watcher restarted, and fetch ran again; the sandbox and the address "
         "stayed the same; the emptyDir kept what the first run had written",
         "fetch runs again, too"),
        (train(fetch=0, log="fetched\n"), "and fetch did not run again",
         "worker and watcher are restarted"),
        (train(fetch=0, worker=0, log="fetched\n"), "watcher restarted",
         "only watcher is restarted"),
        (train(address="changed"), "the sandbox stayed the same; the address changed",
         "the Pod is replaced, with another address"),
    ],
)  # fmt: skip
def test_o23(measured, says, choice):
    assert says in prove("O23", *measured)
    assert TOOLS.what_is_restarted(None, *measured) == choice


# --- what else ends a container

EVENT = {"reason": "FailedPostStartHook", "message": "PostStartHook failed"}


def hook(*, event=EVENT, restarts=2, fixed_restarts=0, by_hand="touch: Read-only file system"):
    events = [{"involvedObject": {"name": "cache"}, **event}] if event else []
    lab = SimpleNamespace(connection=SimpleNamespace(list=lambda kind: {"items": events}))
    state = waiting("CrashLoopBackOff")
    cache = pod(raw("cache", "Running", status(state=state, last=ended(137), restarts=restarts)))
    ready = raw("cache-tmp", "Running", status(restarts=fixed_restarts), true=("Ready",))
    fixed = pod(ready, exec=lambda *_: SimpleNamespace(stderr=by_hand))
    return lab, cache, fixed


@pytest.mark.parametrize(
    ("measured", "says"),
    [
        (hook(), "cache's container was started again and again, and its exit code is 137; the "
         "event says only that the hook failed; typed by hand, touch says that the file system is "
         "read-only; cache-tmp, with an emptyDir on /tmp, is Ready"),
        (hook(restarts=1), "started again at most once"),
        (hook(event={**EVENT, "message": "touch: Read-only file system"}), "the event says why"),
        (hook(event=None), "no event tells of the hook"),
        (hook(by_hand=""), "typed by hand, touch works"),
        (hook(fixed_restarts=1), "is not well"),
    ],
)  # fmt: skip
def test_c16(measured, says):
    lab, *pods = measured
    assert says in prove("C16", *pods, lab=lab)


def late(at=6, phase="Failed", restarts=0):
    start = {"startTime": "1970-01-01T00:00:01Z", "deadline": 5}
    state = ended(137, at=8) if phase == "Failed" else RUNNING
    reason = {"reason": "DeadlineExceeded"} if phase == "Failed" else {}
    own = status(state=state, restarts=restarts)
    first = raw("late", "Running", status(), **start)
    found = life((1, first), (8, raw("late", phase, own, **start, **reason)), prefixed=False)
    event = {"reason": "DeadlineExceeded", "firstTimestamp": f"1970-01-01T00:00:{at:02d}Z"}
    other = {"reason": "Killing", "firstTimestamp": "1970-01-01T00:00:06Z"}
    events = [SimpleNamespace(obj=each) for each in [other, *([event] if at else [])]]
    found.versions_of = lambda kind: events
    return found


@pytest.mark.parametrize(
    ("measured", "says"),
    [
        (late(), "late is Failed (DeadlineExceeded); the kubelet ended it at its deadline of 5 s, "
         "and the container's exit code is 137; with restartPolicy Always it was not restarted"),
        (late(at=3), "ended it not at its deadline"),
        (late(at=30), "ended it not at its deadline"),
        (late(at=0), "ended it not at its deadline"),
        (late(phase="Running"), "late is Running (no reason)"),
        (late(restarts=1), "it was restarted"),
    ],
)  # fmt: skip
def test_o14(monkeypatch, measured, says):
    monkeypatch.setattr(TOOLS.charts, "timeline", lambda *_, **__: "a picture")
    assert says in prove("O14", measured)


# --- the back-off

SIX = Shown("a table", "six outcomes")


def delayed(*waits):
    """A node with the starts of both Pods, so many seconds apart."""
    starts = [100.0]
    for wait in waits:
        starts.append(starts[-1] + wait)
    lines = "\n".join(map(str, starts))
    return SimpleNamespace(node=SimpleNamespace(read=lambda path: lines))


@pytest.mark.parametrize(
    ("waits", "says", "choice"),
    [
        ((1, 12, 29.6, 47, 85), "six outcomes; crash and done restarted after 0, 10, 20 and 40 s, "
         "each up to half longer", TOOLS.SERIES),
        ((1, 9, 25, 50), "crash and done restarted otherwise", TOOLS.SERIES),
        ((1, 12, 25, 70), "crash and done restarted otherwise", TOOLS.SERIES),
        ((1, 12, 25), "crash and done restarted otherwise", TOOLS.SERIES),
        ((3, 1, 2, 1), "crash and done restarted otherwise", TOOLS.AT_ONCE),
        ((11, 10, 11, 10), "crash and done restarted otherwise", TOOLS.ALIKE),
    ],
)  # fmt: skip
def test_c15(waits, says, choice):
    crash = pod(raw("crash", "Running", status(state=ended(1), restarts=4)))
    done = pod(raw("done", "Running", status(state=ended(0), restarts=4)))
    lab = delayed(*waits)
    assert says in prove("C15", SIX, crash, done, lab=lab)
    assert TOOLS.after_success(lab, done) == choice


# --- generations


def generations(*pairs, label=1):
    steps = [(0, raw("cache-tmp", "Running", status(), generation=1, observedGeneration=1))]
    labels = {"labels": {"team": "shop"}}
    first = raw("cache-tmp", "Running", status(), generation=label, observedGeneration=1, **labels)
    steps.append((1, first))
    for at, (generation, observed) in enumerate(pairs, 2):
        told = {"generation": generation, "observedGeneration": observed, **labels}
        steps.append((at, raw("cache-tmp", "Running", status(), **told)))
    return life(*steps, prefixed=False)


@pytest.mark.parametrize(
    ("measured", "says"),
    [
        (generations((2, 1), (2, 2)), "a new label left generation as it was; the new deadline made"
         " it 2; observedGeneration was still 1; then it was 2"),
        (generations((3, 1), (3, 3), label=2), "a new label changed generation"),
        (generations((2, 2)), "observedGeneration did not lag"),
        (generations((2, 1)), "then it was 1"),
    ],
)  # fmt: skip
def test_o21(measured, says):
    assert says in prove("O21", measured)
