"""Lab 09: what init containers do before the app, in which order, and what they don't promise."""

import copy
import json
import re
import time
from base64 import b64decode
from itertools import pairwise

from labhelpers import formulas, kubectl, paths
from labhelpers.charts.lanes import Lane
from labhelpers.errors import Refused, TimedOut
from labhelpers.kube.manifests import Manifest
from labhelpers.node import logs
from labhelpers.outcomes import Shown, as_printed, listed, shown_only

# One round of wait-for-db is at most nc's limit and the sleep, 1 s each; 1 s more to start both.
ROUND_SECONDS = 1 + 1 + 1
TRIES = 4  # in vain, before shop is looked at
QUIET_SECONDS = {"app": 4.0, "pause": 1.0}  # before each is killed
ANSWER_SECONDS = 10.0  # the app asks the database in its first second
BACK_OFF_SECONDS = (0, 10, 20, 40, 80, 160, 300)  # before the second try, the third, …


def stamps(lab, pod, container: str, run: int = 0) -> list[tuple[float, str]]:
    """A container's log lines with the runtime's time of each, in seconds since 1970."""
    return logs.stamped_lines(lab.node, lab.namespace, pod.name, pod.uid, container, run)


def _ended(raw: dict) -> dict[str, dict]:
    """How each init container ended, by name; {} for one that hasn't."""
    said = raw["status"].get("initContainerStatuses") or []
    return {each["name"]: each["state"].get("terminated") or {} for each in said}


def stored(lab, pod) -> dict:
    """What the database itself says about the key: its value, and how often it was written. And how
    often each init container has been restarted by then."""
    answer = pod.exec("app", 'wget -qO- --post-data "$GET" $URL/range').stdout
    inits = pod.raw["status"]["initContainerStatuses"]
    return {**_key(answer), "restarts": {each["name"]: each["restartCount"] for each in inits}}


def _key(answer: str) -> dict:
    """
    >>> _key('{"kvs": [{"value": "Mg==", "version": "1"}]}')
    {'schema': '2', 'writes': 1}
    """
    # etcd ends its answer without a line break: in a log, the next one may follow at once.
    said, _ = json.JSONDecoder().raw_decode(answer or "{}")
    found = (said.get("kvs") or [{}])[0]
    return {
        "schema": b64decode(found.get("value", "")).decode() or "none",
        "writes": int(found.get("version", 0)),
    }


def e1(lab, pod, life) -> Shown:
    """Init containers run one after another, by the API's whole seconds and by the log's times."""
    ended = _ended(pod.raw)
    api = [(each.get("startedAt", "?"), each.get("finishedAt", "?")) for each in ended.values()]
    logs = [stamps(lab, pod, name) for name in ended]
    overlaps = [
        name
        for name, before, after, log, later in zip(
            list(ended)[1:], api, api[1:], logs, logs[1:], strict=False
        )
        if after[0] < before[1] or later[0][0] <= log[-1][0]
    ]
    chart = _start_chart(life, list(ended), dict(zip(ended, logs, strict=True)))
    words = (
        f"{listed(overlaps)} started before the one before had finished"
        if overlaps or len(ended) < 2
        else f"{listed(list(ended))} ran in this order, each after the one before had finished"
    )
    return Shown(chart, words)


def _start_chart(life, names: list[str], logs: dict[str, list]):
    """Who runs when, with the tries of wait-for-db, and when its next one was due: after the last
    failed one it sleeps for a second."""
    told = [(at - life.began_seconds, text) for at, text in logs["wait-for-db"]]
    tries = [
        (at, text, text == "it answers") for at, text in told if text in ("no answer", "it answers")
    ]
    failed = [at for at, _, good in tries if not good]
    due = [(failed[-1] + 1, "next try due")] if failed else []
    lanes = [Lane("tries", "its log", points=tries), *names, "app", "Initialized", "Ready"]
    return life.chart("Who runs when?", lanes, ["containers"], predicted=due)


def e2(lab, pod) -> Shown:
    """The app starts only when all init containers have succeeded."""
    import pandas

    ended, created = _ended(pod.raw), logs.seconds(pod.raw["metadata"]["creationTimestamp"])
    app = pod.raw["status"]["containerStatuses"][0]["state"].get("running", {})
    last = max(each.get("finishedAt", "~") for each in ended.values())
    rows = []
    for name, each in {**ended, "app": app}.items():
        log = [f"{at - created:.1f}" for at, _ in stamps(lab, pod, name)]
        told = [each.get(key) for key in ("startedAt", "finishedAt")]
        whole = [int(logs.seconds(at) - created) if at else None for at in told]
        rows.append((name, each.get("exitCode"), *whole, log[0], log[-1]))
    names = ["container", "exit code", "started, s", "finished, s"]
    names += ["first log line, s", "last log line, s"]
    table = pandas.DataFrame(rows, columns=names).astype({"exit code": object})
    first_line = stamps(lab, pod, "app")[0][0]
    last_line = max(stamps(lab, pod, name)[-1][0] for name in ended)
    after = app.get("startedAt", "") >= last and first_line > last_line
    good = all(each.get("exitCode") == 0 for each in ended.values())
    return Shown(
        table,
        f"the app started {'after' if after else 'before'} the last init container had finished; "
        f"{'all' if good else 'not all'} of them had exit code 0",
    )


def e3(lab, retry, never) -> Shown:
    """A failing init container is retried with back-off, or fails the Pod."""
    import pandas

    folder = f"/var/lib/kubelet/pods/{retry.uid}/volumes/kubernetes.io~empty-dir/tries"
    tries = [int(line) for line in lab.node.read(f"{folder}/at").split()]
    waits = [after - before for before, after in pairwise(tries)]
    grows = len(waits) >= 3 and waits[0] < waits[1] < waits[2]
    once = never.container("broken").restarts == 0
    table = pandas.DataFrame({"try": range(2, len(tries) + 1), "after the one before, s": waits})
    table["the back-off, s"] = BACK_OFF_SECONDS[: len(waits)]
    return Shown(
        table,
        f"the failing init container is retried after {'longer and longer' if grows else 'other'} "
        f"waits; with restartPolicy Never it ran {'once' if once else 'again'}, and the Pod is "
        f"{never.phase}",
    )


def e4(lab, shop, seen, db) -> Shown:
    """wait-for-db keeps the Pod in Init until the database answers, and then lets it go on."""
    import pandas

    lines = stamps(lab, shop, "wait-for-db")
    vain = [at for at, text in lines if text == "no answer"]
    answers = [at for at, text in lines if text == "it answers"]
    created = logs.seconds(db.raw["metadata"]["creationTimestamp"])
    # The API knows the database's creation to the second.
    early = len([at for at in vain if int(at) <= created]) >= TRIES
    still = early and what_shop_did(lab, seen) == WAITS
    next_one = stamps(lab, shop, "db-migrate")[0][0]
    # By the node's clock: the try that found the database is the next one after the last vain one.
    let_go = bool(answers and vain) and answers[0] < next_one
    waited = round(answers[0] - vain[-1], 1) if let_go else None
    at_once = let_go and waited <= ROUND_SECONDS
    table = pandas.DataFrame(
        {
            "failed tries": [len(vain)],
            "from the last failed try to the first answer, s": [waited and f"{waited:.1f}"],
        }
    )
    return Shown(
        table,
        f"without a database shop {'stayed' if still else 'did not stay'} in Init, with no restart "
        f"after {TRIES} failed tries; wait-for-db "
        f"{'ended' if at_once else 'did not end'} one try after the last failed one",
    )


def e5(lab, pod) -> Shown:
    """db-migrate changes the database with a URL from a Secret, and the app sees the change."""
    import pandas

    lines = [text for _, text in stamps(lab, pod, "db-migrate")]
    before = _key(next((text for text in lines[1:] if text.startswith("{")), ""))
    log = _log_with_answer(pod)
    app = _key(log[log.index("{") :] if "{" in log else "")
    now = stored(lab, pod)
    sources = [
        each for init in pod.raw["spec"]["initContainers"] for each in init.get("envFrom", [])
    ]
    secret = listed([each["secretRef"]["name"] for each in sources if "secretRef" in each])
    seen = {"db-migrate, before": before, "the database, now": now, "the app, at its start": app}
    schemas = [each["schema"] for each in seen.values()]
    table = pandas.DataFrame({"seen by": list(seen), "schema": schemas})
    table["writes"] = [each["writes"] for each in seen.values()]
    return Shown(
        table,
        f"with the URL from the Secret {secret}, the schema went from {schemas[0]} to "
        f"{schemas[1]}; the app saw {schemas[2]} at its start",
    )


def _log_with_answer(pod) -> str:
    """The app's log, once the database's answer is in it: the app is Ready a moment before. For at
    most 10 s; what is there then."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while "{" not in (log := pod.logs("app")) and time.monotonic() < deadline:
        time.sleep(0.2)
    return log


def e6(lab, pod, server) -> Shown:
    """download-config fetches a file into a shared volume, and the app reads it."""
    served = server.exec("server", ["cat", "/www/shop.conf"]).stdout.strip()
    read = next(iter(pod.logs("app").splitlines()), "")
    same = "the same" if served and served == read else "something else"
    return Shown(
        f"server: {served}\napp:    {read}",
        f"the app read {same} from the volume as the server in the cluster serves",
    )


def e7(lab, pod, fits, too_big) -> Shown:
    """The effective request is the larger of two sums. kubectl counts so, and so does the
    scheduler: its verdict on two Pods that request a little less and a little more than is free."""
    import pandas

    moments = _moments(pod.raw["spec"])
    ours = max(mebibytes for _, _, mebibytes in moments)
    counted = counted_mebibytes(lab, pod)
    rows = [*moments, ("kubectl counts", "", counted)]
    table = pandas.DataFrame(rows, columns=["while …", "sum", "MiB"])
    verdicts = [_verdict(fits), _verdict(too_big)]
    return Shown(
        table,
        f"the larger sum is {ours} MiB, and kubectl counts {counted} MiB; where {FITS_PARTS} parts "
        f"are free, the scheduler says that the Pod {verdicts[0]}; where {TOO_BIG_PARTS} are free, "
        f"that it {verdicts[1]}",
    )


def _moments(spec: dict) -> list[tuple[str, str, int]]:
    """What runs together, moment by moment: whose moment, the sum, and its result in MiB."""
    sidecars, moments = [], []
    for each in spec["initContainers"]:
        if each.get("restartPolicy") == "Always":
            sidecars.append(_mebibytes(each))
        else:
            moments.append((f"{each['name']} runs", [*sidecars, _mebibytes(each)]))
    moments.append(("the app runs", [*sidecars, *map(_mebibytes, spec["containers"])]))
    return [(name, " + ".join(map(str, parts)), sum(parts)) for name, parts in moments]


def _mebibytes(container: dict) -> int:
    return int(formulas.quantity(container["resources"]["requests"]["memory"]) / 2**20)


def _verdict(pod) -> str:
    """What the scheduler said of a Pod."""
    said = {each["type"]: each for each in pod.raw["status"]["conditions"]}["PodScheduled"]
    if said["status"] == "True":
        return "fits"
    return "doesn't fit" if f"Insufficient {DISK}" in said.get("message", "") else "has other flaws"


def e8(lab, manifest: str = "probed.yaml") -> Shown:
    """The API rejects probes and hooks on ordinary init containers, and takes them on sidecars."""
    import pandas

    path = paths.notebooks() / "manifests" / lab.name / manifest
    body = copy.deepcopy(Manifest.read(path).documents[0])
    body["metadata"]["namespace"] = lab.namespace
    first = body["spec"]["initContainers"][0]
    probe = first.pop("readinessProbe")
    fields = {name: probe for name in ("readinessProbe", "livenessProbe", "startupProbe")}
    fields["lifecycle"] = {"postStart": probe}
    rows = {"ordinary": {}, "sidecar": {}}
    for name, value in fields.items():
        for kind, more in (("ordinary", {}), ("sidecar", {"restartPolicy": "Always"})):
            body["spec"]["initContainers"] = [{**first, **more, name: value}]
            try:
                lab.connection.apply(body, dry_run=True)
                rows[kind][name] = "accepted"
            except Refused as refused:
                rows[kind][name] = f"rejected: {refused.reason}"
    table = pandas.DataFrame({"field": list(fields)})
    for kind, said in rows.items():
        table[f"{kind} init container"] = list(said.values())
    words = [f"on {kind} ones {listed(sorted(set(said.values())))}" for kind, said in rows.items()]
    return Shown(table, f"probes and hooks on init containers: {'; '.join(words)}")


def e9(lab, pod, writes: list[dict], life) -> Shown:
    """A new sandbox runs the init containers again, a new app doesn't; the database counts."""
    first, crashed, rebuilt = writes
    new_app = "all" if ran_more(first, crashed) else "none"
    new_sandbox = "all" if ran_more(crashed, rebuilt) else "none"
    chart = life.chart("What runs again?", [*rebuilt["restarts"], "app"], ["db-migrate", "app"])
    return Shown(
        chart,
        f"with a new app {new_app} of the init containers ran again, with a new sandbox "
        f"{new_sandbox}; the database was written {first['writes']} time at first, "
        f"{crashed['writes']} after the crash and {rebuilt['writes']} with the new sandbox",
    )


# --- Tools ----------------------------------------------------------------------------------------


WAITS, FAILS, STARTS = "it stays in Init", "it fails after some tries", "the app starts anyway"


def after_failed_tries(lab, shop):
    """Waits until wait-for-db has failed so often, for at most 30 s: the Pod as it is then."""
    deadline = time.monotonic() + 30
    while shop.logs("wait-for-db").splitlines().count("no answer") < TRIES:
        if time.monotonic() > deadline:
            raise TimedOut(
                "wait-for-db has not failed often enough.",
                f"after 30 s: {shop.logs('wait-for-db')!r}",
                "Look whether the database is there already: kubectl get pod db.",
            )
        time.sleep(0.2)
    return shop.now()


def what_shop_did(lab, seen) -> str:
    """Which of the three answers it was, from the Pod as it was after the failed tries."""
    status = seen.raw["status"]
    apps = status.get("containerStatuses") or []
    if any("running" in each["state"] or each["restartCount"] for each in apps):
        return STARTS
    inits = status.get("initContainerStatuses") or []
    ended = any(each["restartCount"] or "terminated" in each["state"] for each in inits)
    return FAILS if ended or status["phase"] == "Failed" else WAITS


def between_tries(lab, pod, tries: int):
    """Waits until the init container has failed so often and waits for the next try, for at most
    90 s. Kubernetes calls that Init:Error, or Init:CrashLoopBackOff once the kubelet has looked."""

    def is_so(now) -> bool:
        said = (now.raw["status"].get("initContainerStatuses") or [{}])[0]
        state = said.get("state", {})
        waits = state.get("waiting", {}).get("reason") == "CrashLoopBackOff"
        return said.get("restartCount", 0) >= tries - 1 and (waits or "terminated" in state)

    return pod.wait_until(is_so, timeout_seconds=90)


def phases(lab, retry, never) -> str:
    """The phases of both Pods, in words."""
    if retry.phase == never.phase:
        return f"both are {never.phase}"
    return f"retry is {retry.phase}, never is {never.phase}"


DISK = "ephemeral-storage"
# Of requests.yaml, whose rule gives 330 parts: without a sidecar in it 300, with both biggest 350.
FITS_PARTS, TOO_BIG_PARTS = 340, 315


def almost_too_big(lab, manifest: str = "requests.yaml") -> tuple:
    """Two Pods as the manifest's, scaled: for ``fits`` the node's free disk is 340 parts, for
    ``too-big`` 315; a part is what was a MiB. They request disk, so that the memory stays for
    others. Returns them once the scheduler has answered."""
    path = paths.notebooks() / "manifests" / lab.name / manifest
    free, pods = int(lab.free(DISK)), {}
    # The one that must not fit comes first: it takes nothing.
    for name, parts in (("too-big", TOO_BIG_PARTS), ("fits", FITS_PARTS)):
        body = copy.deepcopy(Manifest.read(path).documents[0])
        body["metadata"] = {"name": name, "namespace": lab.namespace}
        for each in [*body["spec"]["initContainers"], *body["spec"]["containers"]]:
            each["resources"]["requests"] = {DISK: str(_mebibytes(each) * (free // parts))}
        lab.connection.apply(body)
        pods[name] = lab.pod(name)
        pods[name].wait_until(_is_decided, timeout_seconds=30)
    return pods["fits"], pods["too-big"]


def _is_decided(now) -> bool:
    return now.conditions.get("PodScheduled") == "False" or now.phase == "Running"


def counted_mebibytes(lab, pod) -> int:
    """The memory request that ``kubectl describe node`` gives for a Pod, in MiB."""
    return int(formulas.quantity(_described(lab, pod)[-1].split()[6]) / 2**20)


def describe_node(lab, pod) -> None:
    """What ``kubectl describe node`` says of a Pod: its line with the heading, no wider than these
    two need."""
    rows = [re.split(r"  +", line.strip()) for line in _described(lab, pod)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    shown_only(as_printed("\n".join(lines)))


def _described(lab, pod) -> tuple[str, str]:
    # The lab's start has put the labs' own kubectl on the path.
    command = ["describe", "node", pod.now().raw["spec"]["nodeName"]]
    lines = kubectl.run(command, check=True).stdout.splitlines()
    heading = next(line for line in lines if line.split()[:2] == ["Namespace", "Name"])
    return heading, next(line for line in lines if line.split()[:2] == [lab.namespace, pod.name])


def stored_after_killing(lab, shop, victim, life) -> dict:
    """Kills the app or pause, waits until the app runs again, and returns what is stored then. It
    lets the Pod be for a moment first, which the picture shows as what was before."""
    app = shop.container("app")
    time.sleep(QUIET_SECONDS[victim.name])
    life.annotate(f"we kill {'the app' if victim.name == 'app' else 'pause'}")
    lab.node.kill(victim)
    app.wait_until("restarted", timeout_seconds=60)
    return stored(lab, shop)


def ran_more(before: dict, after: dict) -> bool:
    """Whether every init container ran between the two, and the database was written."""
    each_ran = all(count > before["restarts"][name] for name, count in after["restarts"].items())
    return each_ran and after["writes"] > before["writes"]


def when_they_ran_again(lab, writes: list[dict]) -> str:
    """Which of the answers it was: from the database and the restarts, at first, after the crash of
    the app, and after that of the sandbox."""
    first, crashed, rebuilt = writes
    return {
        (False, False): "not at all",
        (True, True): "both times",
        (False, True): "only when pause is killed",
    }.get((ran_more(first, crashed), ran_more(crashed, rebuilt)), "only when the app is killed")


def without_database(lab, pod) -> str:
    """What Kubernetes says about the app, and what the app gets from its database."""
    failed = pod.exec("app", "nc -w 1 db 2379 </dev/null").returncode != 0
    ready = "Ready" if pod.conditions.get("Ready") == "True" else "not Ready"
    return f"the database {'is gone' if failed else 'answers'}, and the Pod shop is {ready}"
