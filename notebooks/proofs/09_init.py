"""Lab 09: what init containers do before the app, in which order, and what they don't promise."""

import copy
import json
import subprocess
import time
from base64 import b64decode
from itertools import pairwise

from labhelpers import formulas
from labhelpers.errors import Refused
from labhelpers.kube.manifests import Manifest
from labhelpers.node import logs
from labhelpers.outcomes import Shown, listed

INITS = ("wait-for-db", "db-migrate", "download-config")
# One round of wait-for-db is at most nc's limit and the sleep, 1 s each; 1 s more to start both.
ROUND_SECONDS = 1 + 1 + 1
ANSWER_SECONDS = 10.0  # the app asks the database in its first second


def stamps(lab, pod, container: str, run: int = 0) -> list[tuple[float, str]]:
    """A container's log lines with the runtime's time of each, in seconds since 1970."""
    return logs.stamped_lines(lab.node, lab.namespace, pod.name, pod.uid, container, run)


def _ended(raw: dict) -> dict[str, dict]:
    """How each init container ended, by name; {} for one that hasn't."""
    said = raw["status"].get("initContainerStatuses") or []
    return {each["name"]: each["state"].get("terminated") or {} for each in said}


def stored(lab, pod) -> dict:
    """What the database itself says about the key: its value, and how often it was written."""
    answer = pod.exec("app", 'wget -qO- --post-data "$GET" $URL/range').stdout
    return _key(answer)


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
    lanes = [*ended, "app", "Initialized", "Ready"]
    chart = life.chart("Who runs when?", lanes, ["app"])
    words = (
        f"{listed(overlaps)} started before the one before had finished"
        if overlaps or len(ended) < 2
        else f"{listed(list(ended))} ran in this order, each after the one before had finished"
    )
    return Shown(chart, words)


def e2(lab, pod) -> Shown:
    """The app starts only when all init containers have succeeded."""
    import pandas

    ended = _ended(pod.raw)
    app = pod.raw["status"]["containerStatuses"][0]["state"].get("running", {})
    last = max(each.get("finishedAt", "~") for each in ended.values())
    first_line = stamps(lab, pod, "app")[0][0]
    last_line = max(stamps(lab, pod, name)[-1][0] for name in ended)
    codes = {name: each.get("exitCode") for name, each in ended.items()}
    table = pandas.DataFrame(
        {
            "container": [*ended, "app"],
            "exit code": [*codes.values(), None],
            "started": [*(e.get("startedAt") for e in ended.values()), app.get("startedAt")],
            "finished": [*(e.get("finishedAt") for e in ended.values()), None],
        }
    )
    after = app.get("startedAt", "") >= last and first_line > last_line
    good = all(code == 0 for code in codes.values())
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
    table = pandas.DataFrame({"try": range(2, len(tries) + 1), "seconds after the last": waits})
    return Shown(
        table,
        f"the failing init container is retried after {'longer and longer' if grows else 'other'} "
        f"waits; with restartPolicy Never it ran {'once' if once else 'again'}, and the Pod is "
        f"{never.phase}",
    )


def e4(lab, shop, db) -> Shown:
    """wait-for-db keeps the Pod in Init until the database answers, and then lets it go."""
    import pandas

    lines = stamps(lab, shop, "wait-for-db")
    vain = [at for at, text in lines if text == "no answer"]
    answers = [at for at, text in lines if text == "it answers"]
    conditions = {each["type"]: each for each in db.raw["status"]["conditions"]}
    ready = logs.seconds(conditions["Ready"]["lastTransitionTime"])
    created = logs.seconds(db.raw["metadata"]["creationTimestamp"])
    early = [at for at in vain if at < created]
    next_one = stamps(lab, shop, "db-migrate")[0][0]
    # By the node's clock: the try that found the database is the next one after the last vain one.
    let_go = bool(answers and vain) and answers[0] < next_one
    waited = round(answers[0] - vain[-1], 1) if let_go else None
    at_once = let_go and waited <= ROUND_SECONDS
    table = pandas.DataFrame(
        {
            "tries in vain": [len(vain)],
            "seconds from the last one to the answer": [waited],
            "from the database's Ready to the answer": [round(answers[0] - ready, 1)]
            if answers
            else [None],
        }
    )
    return Shown(
        table,
        f"wait-for-db {'waited' if early else 'did not wait'} while there was no database, and "
        f"{'let the Pod go' if at_once else 'did not let the Pod go'} at its next try",
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
    schemas = [before["schema"], now["schema"], app["schema"]]
    table = pandas.DataFrame({"seen by": ["db-migrate, before", "the database", "the app"]})
    table["schema"] = schemas
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


def e7(lab, pod, huge) -> Shown:
    """The effective request is the larger of two sums; what the cluster counts is beside it."""
    import pandas

    spec = pod.raw["spec"]
    mebibytes = {
        each["name"]: int(formulas.quantity(each["resources"]["requests"]["memory"]) / 2**20)
        for each in [*spec["initContainers"], *spec["containers"]]
    }
    sidecars, peaks = 0, []
    for each in spec["initContainers"]:
        if each.get("restartPolicy") == "Always":
            sidecars += mebibytes[each["name"]]
        else:
            peaks.append(sidecars + mebibytes[each["name"]])
    running = sidecars + sum(mebibytes[each["name"]] for each in spec["containers"])
    ours = max(running, *peaks)
    counted = counted_mebibytes(lab, pod)
    scheduled = {e["type"]: e for e in huge.raw["status"]["conditions"]}["PodScheduled"]
    refused = "Insufficient memory" in scheduled.get("message", "")
    table = pandas.DataFrame(
        {
            "sum": ["apps and sidecars", "biggest init", "larger of the two", "kubectl counts"],
            "MiB": [running, max(peaks), ours, counted],
        }
    )
    return Shown(
        table,
        f"the larger sum is {ours} MiB, and kubectl counts {counted} MiB for the Pod; "
        f"the scheduler {'counts' if refused else 'ignores'} an init container that is too big for "
        "the node",
    )


def counted_mebibytes(lab, pod) -> int:
    """The memory request that ``kubectl describe node`` gives for a Pod, in MiB."""
    # The lab's start has put the labs' own kubectl on the path.
    command = ["kubectl", "describe", "node", pod.raw["spec"]["nodeName"]]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    line = next(line for line in text.splitlines() if line.split()[:2] == [lab.namespace, pod.name])
    return int(formulas.quantity(line.split()[6]) / 2**20)


def e8(lab, manifest: str = "probed.yaml") -> Shown:
    """The API rejects probes and hooks on ordinary init containers, and takes them on sidecars."""
    import pandas

    from labhelpers import paths

    path = paths.repository() / "notebooks" / "manifests" / lab.name / manifest
    body = copy.deepcopy(Manifest.read(path).documents[0])
    body["metadata"]["namespace"] = lab.namespace
    first = body["spec"]["initContainers"][0]
    probe = first.pop("readinessProbe")
    fields = {name: probe for name in ("readinessProbe", "livenessProbe", "startupProbe")}
    fields["lifecycle"] = {"postStart": probe}
    rows = []
    for name, value in fields.items():
        for kind, more in (("ordinary", {}), ("sidecar", {"restartPolicy": "Always"})):
            body["spec"]["initContainers"] = [{**first, **more, name: value}]
            try:
                lab.connection.apply(body, dry_run=True)
                said = "accepted"
            except Refused as refused:
                said = refused.reason
            rows.append({"field": name, "init container": kind, "the API says": said})
    table = pandas.DataFrame(rows)
    words = [
        f"on {kind} init containers the API says "
        + listed(sorted(set(table.loc[table["init container"] == kind, "the API says"])))
        for kind in ("ordinary", "sidecar")
    ]
    return Shown(table, f"probes and hooks: {'; '.join(words)}")


def e9(lab, pod, before: dict) -> Shown:
    """A new sandbox runs the init containers again; the database counts the second write."""
    import pandas

    now = stored(lab, pod)
    again = {
        each["name"]: each["restartCount"] for each in pod.raw["status"]["initContainerStatuses"]
    }
    all_again = all(count == 1 for count in again.values())
    table = pandas.DataFrame({"init container": list(again), "restarts": list(again.values())})
    return Shown(
        table,
        f"{'all' if all_again else 'not all'} init containers ran a second time; the database was "
        f"written {before['writes']} time before and {now['writes']} times now, and the schema is "
        f"{now['schema']}",
    )


# --- Tools ----------------------------------------------------------------------------------------


def status_after(lab, pod, seconds: float) -> str:
    """The Pod's STATUS, as kubectl prints it, after so many seconds of looking on."""
    time.sleep(seconds)
    return pod.kubectl_status


def wait_for_tries(lab, pod, count: int) -> None:
    """Waits until the init container has been tried so often, for at most 90 s."""

    def is_so(now) -> bool:
        said = now.raw["status"].get("initContainerStatuses") or [{}]
        return said[0].get("restartCount", 0) >= count - 1

    pod.wait_until(is_so, timeout_seconds=90)


def is_unschedulable(lab, now) -> bool:
    """Whether the scheduler has said that no node fits."""
    return now.conditions.get("PodScheduled") == "False"


def ran_again(lab, pod) -> int:
    """How many init containers have been restarted."""
    return sum(each["restartCount"] > 0 for each in pod.raw["status"]["initContainerStatuses"])


def without_database(lab, pod) -> str:
    """What Kubernetes says about the app, and what the app gets from its database."""
    failed = pod.exec("app", "nc -w 1 db 2379 </dev/null").returncode != 0
    ready = "Ready" if pod.conditions.get("Ready") == "True" else "not Ready"
    return f"the database {'is gone' if failed else 'answers'}, and the Pod shop is {ready}"
