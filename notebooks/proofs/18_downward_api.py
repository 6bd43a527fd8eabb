"""Lab 18: what the Downward API tells a container, and what follows a change."""

import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence

from labhelpers import formulas, kubectl
from labhelpers.charts.strips import Scale, strips
from labhelpers.charts.values import values
from labhelpers.charts.verdicts import Mark, verdicts
from labhelpers.errors import Refused
from labhelpers.node import logs
from labhelpers.outcomes import Shown, frame_of, listed
from labhelpers.patience import patient
from labhelpers.polling import poll

IMAGE = "busybox:1.35.0"
MIB = 1 << 20
READY_SECONDS, ARRIVAL_SECONDS, SHOWN_SECONDS = 60.0, 150.0, 3.0
AT_ONCE_SECONDS, LATE_SECONDS = 10.0, 120.0

VARIABLE, FILE, ARRIVES = "variable", "file", "what arrives"
EQUAL, MORE, REJECTED, DIFFERENT = "equal", "more", "rejected", "different"
MARKS = {
    EQUAL: Mark(0, EQUAL),
    MORE: Mark(2, MORE),
    REJECTED: Mark(1, REJECTED),
    DIFFERENT: Mark(None, DIFFERENT),
}
# The fields that the API knows, and a few that somebody may want.
FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.labels['color']",
    "metadata.annotations['note']",
    "metadata.labels",
    "metadata.annotations",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.podIP",
    "status.podIPs",
    "status.hostIP",
    "status.hostIPs",
    "status.phase",
    "spec.containers[0].image",
    "metadata.creationTimestamp",
)
ADDED_BY_THE_KUBELET = ("kubernetes.io/config.seen", "kubernetes.io/config.source")

# What the Pod sizes is given, and which value is asked for in which unit.
SIZES = {
    "requests": {"cpu": "50m", "memory": "30M", "ephemeral-storage": "10Mi"},
    "limits": {"cpu": "250m", "memory": "100M", "ephemeral-storage": "1Gi"},
}
ASKED = (
    ("limits.cpu", ""),
    ("limits.cpu", "1m"),
    ("requests.cpu", ""),
    ("requests.cpu", "1m"),
    ("limits.memory", ""),
    ("limits.memory", "1M"),
    ("limits.memory", "1Mi"),
    ("limits.memory", "1Gi"),
    ("requests.memory", "1Mi"),
    ("limits.ephemeral-storage", "1Mi"),
    ("requests.ephemeral-storage", "1Ki"),
)


# --- Who am I? ------------------------------------------------------------------------------------


def variables(pod, container: str = "app") -> dict[str, str]:
    """The environment that a container was started with."""
    lines = pod.exec(container, ["env"]).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def m1(lab, card) -> Shown:
    """The Pod's name, namespace, IP address and node arrive as environment variables, and equal
    the API's values."""
    raw = card.raw
    found = variables(card)
    own = raw["spec"]["containers"][0]["env"]
    refs = {each["name"]: each["valueFrom"]["fieldRef"]["fieldPath"] for each in own
            if "valueFrom" in each}  # fmt: skip
    rows = [
        (name, field, found.get(name, ""), in_the_api(raw, field)) for name, field in refs.items()
    ]
    same = [field for _, field, seen, there in rows if seen == there]
    other = [field for _, field, seen, there in rows if seen != there]
    words = [f"equal to the API's value: {listed(same) or 'none'}"]
    words += [f"different: {listed(other)}"] if other else []
    return Shown(
        frame_of(rows, ("variable", "field", "in the container", "in the API")), "; ".join(words)
    )


def in_the_api(raw: Mapping, field: str) -> str:
    """A field's value as the Downward API writes it, taken from the API's own object.

    >>> in_the_api({"metadata": {"labels": {"b": "2", "a": "1"}}}, "metadata.labels")
    'a="1"\\nb="2"'
    >>> in_the_api({"status": {"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}}, "status.podIPs")
    '10.0.0.1,fd00::1'
    """
    part, _, rest = field.partition(".")
    name, _, key = rest.partition("['")
    value = raw[part].get(name)
    if key:
        return value[key.removesuffix("']")]
    if isinstance(value, Mapping):
        return "\n".join(f'{key}="{each}"' for key, each in sorted(value.items()))
    if isinstance(value, list):
        return ",".join(each["ip"] for each in value)
    return value or ""


# --- Which fields? --------------------------------------------------------------------------------


def m5(lab) -> Shown:
    """Some fields arrive both ways, some as an environment variable only, all labels or all
    annotations as a file only. Everything else is rejected.

    The API is asked about each field and each way in a dry run, which stores nothing. What it takes
    goes into one Pod, and its values are compared with the API's.
    """
    import pandas

    taken = {way: [field for field in FIELDS if _is_taken(lab, field, way)]
             for way in (VARIABLE, FILE)}  # fmt: skip
    lab.connection.apply(_field_pod("every-field", taken[VARIABLE], taken[FILE]))
    pod = lab.pod("every-field").wait_until("Ready", timeout_seconds=READY_SECONDS)
    raw, environment = pod.raw, variables(pod)
    seen = {(field, VARIABLE): environment.get(_name(field), "") for field in taken[VARIABLE]}
    for field in taken[FILE]:
        seen[field, FILE] = pod.exec("app", ["cat", f"/about/{_name(field)}"]).stdout
    cells = {
        way: [_verdict(seen.get((field, way)), raw, field) for field in FIELDS]
        for way in (VARIABLE, FILE)
    }
    frame = pandas.DataFrame(cells, index=list(FIELDS))
    sentence = _ways(frame)
    frame[ARRIVES] = [_first(seen, field) for field in FIELDS]
    counts = {way: sum(cell != REJECTED for cell in cells[way]) for way in cells}
    finding = (
        f"{counts[VARIABLE]} fields as a variable · {counts[FILE]} as a file · "
        f"{sum((frame[list(cells)] == REJECTED).all(axis=1))} of those asked for in neither way"
    )
    chart = verdicts(frame, "Which field of its Pod can a container have?", finding, MARKS, ARRIVES)
    return Shown(chart, sentence)


def _first(seen: Mapping[tuple[str, str], str], field: str) -> str:
    """The beginning of what arrived of a field, in either way."""
    text = seen.get((field, FILE), seen.get((field, VARIABLE), ""))
    *others, line = sorted(text.split("\n"))
    return f"{line} and {len(others)} more" if others else line


def _ways(frame) -> str:
    groups: dict[str, list[str]] = {}
    for field, row in frame.iterrows():
        ways = [way for way in (VARIABLE, FILE) if row[way] != REJECTED]
        words = {2: "both ways", 1: f"only as a {ways[0] if ways else ''}", 0: "rejected"}
        groups.setdefault(words[len(ways)], []).append(str(field))
    words = [f"{way}: {listed(fields)}" for way, fields in groups.items()]
    arrived = [cell for way in (VARIABLE, FILE) for cell in frame[way] if cell != REJECTED]
    if all(cell in (EQUAL, MORE) for cell in arrived):
        words.append("what arrives equals the API's value")
    else:
        words.append("not all that arrives equals the API's value")
    more = [str(field) for field, row in frame.iterrows() if MORE in set(row)]
    if more:
        words.append(f"the kubelet adds two lines to {listed(more)}")
    return "; ".join(words)


def _is_taken(lab, field: str, way: str) -> bool:
    """Whether the API takes a Pod that asks for this field in this way."""
    asks = ([field], []) if way == VARIABLE else ([], [field])
    try:
        lab.connection.apply(_field_pod("asks", *asks), dry_run=True)
    except Refused as refused:
        if refused.reason != "Invalid":
            raise
        return False
    return True


def _field_pod(name: str, as_variables: Sequence[str], as_files: Sequence[str]) -> dict:
    env = [{"name": _name(field), "valueFrom": {"fieldRef": {"fieldPath": field}}}
           for field in as_variables]  # fmt: skip
    items = [{"path": _name(field), "fieldRef": {"fieldPath": field}} for field in as_files]
    body = _pod(name, env, items)
    body["metadata"].update(labels={"color": "blue"}, annotations={"note": "old"})
    return body


def _pod(name: str, env: list, items: list, resources: Mapping | None = None) -> dict:
    """A Pod with these variables, and these files in /about."""
    container = {
        "name": "app",
        "image": IMAGE,
        "command": ["sleep", "3600"],
        "env": env,
        "resources": dict(resources or {}),
        "volumeMounts": [{"name": "about", "mountPath": "/about"}],
    }
    volume = {"name": "about", "downwardAPI": {"items": items}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "volumes": [volume],
            "containers": [container],
        },
    }


def _name(field: str) -> str:
    """A name for a field that's valid for a variable and a file.

    >>> _name("metadata.labels['color']"), _name("spec.containers[0].image")
    ('metadata_labels_color', 'spec_containers_0_image')
    """
    return "_".join("".join(c if c.isalnum() else " " for c in field).split())


def _verdict(seen: str | None, raw: Mapping, field: str) -> str:
    """What became of one field in one way; None is a rejected one."""
    if seen is None:
        return REJECTED
    wanted = in_the_api(raw, field)
    if seen == wanted:
        return EQUAL
    rest = set(seen.split("\n")) - set(wanted.split("\n"))
    kept = set(wanted.split("\n")) <= set(seen.split("\n"))
    known = {line.partition("=")[0] for line in rest} == set(ADDED_BY_THE_KUBELET)
    return MORE if kept and known else DIFFERENT


# --- Sizes ----------------------------------------------------------------------------------------


def threads(lab, pod) -> str:
    """How many threads the Pod quarter starts, by its log."""
    return pod.exec("app", "echo $THREADS").stdout.strip()


def arrives(quantity: str, divisor: str) -> int:
    """What a container is told of a quantity: divided by the divisor, and rounded up.

    convertResourceCPUToString in staging/src/k8s.io/component-helpers/resource/helpers.go, and the
    functions after it.

    >>> arrives("250m", ""), arrives("250m", "1m"), arrives("100M", "1Mi")
    (1, 250, 96)
    """
    return math.ceil(formulas.quantity(quantity) / formulas.quantity(divisor or "1"))


def m2(lab) -> Shown:
    """resourceFieldRef gives requests and limits in units of divisor, rounded up."""
    lab.connection.apply(_size_pod())
    pod = lab.pod("sizes").wait_until("Ready", timeout_seconds=READY_SECONDS)
    environment = variables(pod)
    rows, told = [], {}
    for number, (field, divisor) in enumerate(ASKED):
        kind, _, resource = field.partition(".")
        given = SIZES[kind][resource]
        file = pod.exec("app", ["cat", f"/about/V{number}"]).stdout
        exact = formulas.quantity(given) / formulas.quantity(divisor or "1")
        found = (environment.get(f"V{number}", ""), file)
        told[field, divisor] = found
        rows.append(
            (field, given, divisor or "1, by default", f"{exact:,.2f}".removesuffix(".00"), *found)
        )
    wrong = [
        f"{field} in {divisor or '1'} is {listed(dict.fromkeys(found))}"
        for (field, divisor), found in told.items()
        if set(found) != {str(arrives(_given(field), divisor))}
    ]
    cpu, milli = told["limits.cpu", ""][0], told["limits.cpu", "1m"][0]
    mebi = told["limits.memory", "1Mi"][0]
    above = formulas.quantity(f"{mebi}Mi") > formulas.quantity(SIZES["limits"]["memory"])
    words = (
        f"not rounded up: {listed(wrong)}"
        if wrong
        else "variables and files have the value in units of the divisor, rounded up"
    )
    columns = ("field", "in the manifest", "divisor", "exactly", "variable", "file")
    return Shown(
        frame_of(rows, columns),
        f"{words}; a CPU limit of 250m arrives as {cpu}, with the divisor 1m as {milli}; a memory "
        f"limit of 100M arrives as {mebi} with the divisor 1Mi, which is "
        f"{'more' if above else 'no more'} than the limit",
    )


def _given(field: str) -> str:
    kind, _, resource = field.partition(".")
    return SIZES[kind][resource]


def _size_pod() -> dict:
    def ref(field: str, divisor: str) -> dict:
        return {"resource": field, "containerName": "app", "divisor": divisor or "0"}

    asked = [(f"V{number}", ref(*each)) for number, each in enumerate(ASKED)]
    env = [{"name": name, "valueFrom": {"resourceFieldRef": each}} for name, each in asked]
    items = [{"path": name, "resourceFieldRef": each} for name, each in asked]
    return _pod("sizes", env, items, SIZES)


# --- No limit -------------------------------------------------------------------------------------

DESCRIBED_NODE = "node allocatable"
NODE, POD, OWN = "the node's allocatable memory", "the Pod's whole limit", "its own limit"


def _allocatable(lab) -> int:
    [node, *_] = lab.connection.list("Node")["items"]
    return int(formulas.quantity(node["status"]["allocatable"]["memory"]))


def _told(lab, pod, container: str) -> tuple[str, str]:
    """What LIMIT says in a container, and whose limit that is."""
    raw = pod.raw["spec"]
    said = variables(pod, container).get("LIMIT", "")
    own = next(each for each in raw["containers"] if each["name"] == container)
    limits = {
        OWN: (own.get("resources") or {}).get("limits", {}).get("memory"),
        POD: (raw.get("resources") or {}).get("limits", {}).get("memory"),
    }
    sizes = {whose: int(formulas.quantity(text)) for whose, text in limits.items() if text}
    sizes[NODE] = _allocatable(lab)
    return said, next((whose for whose, size in sizes.items() if str(size) == said), "")


def whose(lab, pod, container: str = "app") -> str:
    """Whose limit a container is told: a choice of "none" and "shared"."""
    said, found = _told(lab, pod, container)
    if found == POD:
        return "all 96Mi of it"
    if found == NODE:
        return "the node's memory"
    if not said:
        return "nothing: the variable is empty"
    return {str(48 * MIB): "48Mi, its half"}.get(said, said)


def m4(lab, *pods) -> Shown:
    """Without a limit on the container or the Pod, limits.memory is the node's allocatable memory.
    Where only the Pod has one, each container is told all of it.

    Beside it is what kubectl describe says, which doesn't know of a Pod-level limit.

    Args:
        pods: each with the containers app and proxy, which are told their memory limit.
    """
    rows, words, wrong = [], [], []
    for pod in pods:
        spec, described = pod.raw["spec"], described_limits(pod.name)
        of_pod = (spec.get("resources") or {}).get("limits", {}).get("memory", "none")
        whose_limit = {}
        for each in spec["containers"]:
            name = each["name"]
            own = (each.get("resources") or {}).get("limits", {}).get("memory", "none")
            said, found = _told(lab, pod, name)
            mebi = round(int(said) / MIB) if said else None
            whose_limit[name] = found or "something else"
            shown = described.get(name, "")
            rows.append((pod.name, name, own, of_pod, mebi, whose_limit[name], shown))
            is_so = found == NODE if shown == DESCRIBED_NODE else shown == said
            wrong += [] if is_so else [shown]
        if len(set(whose_limit.values())) == 1:
            [found] = set(whose_limit.values())
            words.append(f"{pod.name}: both containers are told {found}")
        else:
            told = [f"{name} is told {found}" for name, found in whose_limit.items()]
            words.append(f"{pod.name}: {listed(told)}")
    if wrong:
        words.append(
            f"kubectl describe is wrong about {len(wrong)} of {len(rows)} containers, and says "
            f"{listed(dict.fromkeys(wrong))}"
        )
    columns = ("Pod", "container", "own limit", "Pod's limit", "told, MiB", "which is",
               "kubectl describe")  # fmt: skip
    return Shown(frame_of(rows, columns), "; ".join(words))


def described_limits(pod: str) -> dict[str, str]:
    """What kubectl describe says about LIMIT, container by container."""
    return limits_of(kubectl.run(["describe", "pod", pod], check=True).stdout)


def limits_of(described: str) -> dict[str, str]:
    """
    >>> limits_of("Containers:\\n  app:\\n    Image: a\\n      LIMIT:  0 (limits.memory)\\n")
    {'app': '0'}
    """
    found, container = {}, ""
    for line in described.splitlines():
        if name := re.fullmatch(r"  ([a-z0-9-]+):", line):
            container = name[1]
        elif value := re.fullmatch(r" +LIMIT: +(.*) \(limits\.memory\)", line):
            found[container] = value[1]
    return found


# --- What follows a change? -----------------------------------------------------------------------

# The words of a line in the log of the Pod watcher.
LABEL, LIMIT, NOTE, LABEL_SUB, ENV_LABEL, ENV_NOTE, ENV_LIMIT = range(7)
VIEWS = {
    LABEL: "the label's file",
    LIMIT: "the limit's file",
    NOTE: "the annotation's file",
    LABEL_SUB: "the label's file by subPath",
    ENV_LABEL: "the label's variable",
    ENV_NOTE: "the annotation's variable",
    ENV_LIMIT: "the limit's variable",
}
OLD = ("blue", str(64 * MIB), "old", "blue", "blue", "old", str(64 * MIB))
NEW = ("green", str(128 * MIB), "new", "green", "green", "new", str(128 * MIB))
LANES = (
    ("label: API", None),
    ("label: file", LABEL),
    ("label: file by subPath", LABEL_SUB),
    ("label: variable", ENV_LABEL),
    ("limit: API", None),
    ("limit: file", LIMIT),
    ("limit: variable", ENV_LIMIT),
)


def follow(lab, pod, file: str, value: str) -> None:
    """Goes on until a file in /about says this, and a while longer. It isn't an error when it never
    does: then the proof says so."""
    poll(
        lambda: pod.exec("app", ["cat", f"/about/{file}"]).stdout == value,
        timeout_seconds=patient(LATE_SECONDS),
        every_seconds=0.5,
    )
    time.sleep(SHOWN_SECONDS)


def crash(lab, container) -> None:
    """Kills a container from the node, and goes on until it has been restarted, and a while
    longer."""
    lab.node.kill(container)
    container.wait_until("restarted", timeout_seconds=60)
    time.sleep(SHOWN_SECONDS)


def _lines(lab, life, pod, run: int) -> list[tuple[float, list[str]]]:
    """The log of the Pod watcher, by the recording's axis. A line that was written while a file was
    being replaced is short of a word, and left out."""
    stamped = logs.stamped_lines(lab.node, lab.namespace, pod.name, pod.uid, "app", run)
    rows = [(life.seconds_of(at), text.split()) for at, text in stamped]
    return [(at, words) for at, words in rows if len(words) == len(VIEWS)]


def m3(lab, life, watcher) -> Shown:
    """Labels and annotations follow changes as files; as environment variables, and as a file by
    subPath, they don't before a restart. The same holds for a limit that is resized in place.

    The log of watcher has a line every 0.1 s, with what each file and each variable says. At the
    end its container is restarted.
    """
    first = [_lines(lab, life, watcher, 0), _lines(lab, life, watcher, 1)]
    before, after = first
    changed = _api(life)
    follows = [view for view in VIEWS if NEW[view] in {words[view] for _, words in before}]
    stays = [view for view in VIEWS if {words[view] for _, words in before} == {OLD[view]}]
    fresh = [view for view in VIEWS if {words[view] for _, words in after} == {NEW[view]}]
    late = {view: _when(before, view) - changed[view] for view in (LABEL, LIMIT) if view in follows}
    restarts = [at for at, _ in after[:1]]
    finding = [
        f"{name}: the file follows within {_tenths(late[view]):.1f} s"
        for name, view in (("label", LABEL), ("limit", LIMIT))
        if view in late
    ]
    waits = [view for view in (LABEL_SUB, ENV_LABEL, ENV_LIMIT) if view in stays and view in fresh]
    if waits == [LABEL_SUB, ENV_LABEL, ENV_LIMIT]:
        finding.append("subPath and variables wait for the restart")
    marks = [(changed[LABEL], "the label is changed"), (changed[LIMIT], "the limit is resized")]
    marks += [(at, "the container is restarted") for at in restarts]
    frame = frame_of(list(_bars([*before, *after], life)), ("place", "value", "start", "end"))
    chart = values(frame, "Who shows the new value, and when?", " · ".join(finding), marks)
    soon = [view for view, seconds in late.items() if seconds <= AT_ONCE_SECONDS]
    quick = len(soon) == len(late) and len(late) > 0
    return Shown(
        chart,
        f"before the restart {_named(follows)} showed the new value"
        f"{', within seconds' if quick else ''}; {_named(stays)} stayed the same; after the restart"
        f" {'all' if len(fresh) == len(VIEWS) else _named(fresh)} showed the new value",
    )


def _tenths(seconds: float) -> float:
    """Rounded up to the log's steps of 0.1 s.

    >>> _tenths(-0.01), _tenths(0.13)
    (0.1, 0.2)
    """
    return max(math.ceil(10 * seconds), 1) / 10


def _named(views: Sequence[int]) -> str:
    return listed(VIEWS[view] for view in views) if views else "nothing"


def _api(life) -> dict[int, float]:
    """When the API first had the new label and the new limit, by the recording's axis."""
    found: dict[int, float] = {}
    for version in life.versions:
        for view, value in ((LABEL, _label(version)), (LIMIT, _limit(version))):
            if value == NEW[view]:
                found.setdefault(view, version.seconds)
    return found


def _label(version) -> str:
    return version.obj["metadata"]["labels"]["color"]


def _limit(version) -> str:
    limits = version.obj["spec"]["containers"][0]["resources"]["limits"]
    return str(int(formulas.quantity(limits["memory"])))


def _when(lines: Sequence, view: int) -> float:
    return next(at for at, words in lines if words[view] == NEW[view])


def _bars(lines: Sequence, life) -> Iterator[tuple[str, str, float, float]]:
    """For each lane, from when to when it showed which value."""
    end = lines[-1][0]
    for place, view in LANES:
        if view is None:
            of = _label if place.startswith("label") else _limit
            seen = [(version.seconds, of(version)) for version in life.versions]
        else:
            seen = [(at, words[view]) for at, words in lines]
        shown, since = None, 0.0
        for at, value in seen:
            if value != shown:
                if shown is not None and at > 0:
                    yield place, _word(shown), since, at
                shown, since = value, max(at, 0.0)
        yield place, _word(shown), since, end


def _word(value: str) -> str:
    """
    >>> _word("blue"), _word("67108864")
    ('blue', '64 MiB')
    """
    return f"{int(value) // MIB} MiB" if value.isdigit() else value


def how_late(lab, life, watcher) -> str:
    """When the file showed the new label: a choice of "when"."""
    before = _lines(lab, life, watcher, 0)
    if NEW[LABEL] not in {words[LABEL] for _, words in before}:
        return "not before a restart"
    late = _when(before, LABEL) - _api(life)[LABEL]
    return "within seconds" if late <= AT_ONCE_SECONDS else "within a minute or two"


# --- Why so quick? --------------------------------------------------------------------------------

SETTINGS, ABOUT = "its ConfigMap", "its own label"


def moment(lab) -> float:
    """This moment by the node's clock, in seconds since 1970."""
    return float(lab.node.run("date +%s.%N"))


def delays(lab, volume: str, since: float) -> list[float]:
    """How long after a moment the kubelet replaced the files of a volume, for each of the Pods of
    the Deployment readers. Waits until it has done so in all of them.

    The kubelet writes a new directory, and then replaces the link ..data. The link's own time is
    when that happened, by the node's clock.

    Args:
        volume: its name in the Pods.
        since: the moment, in seconds since 1970.
    """
    found = lab.connection.list("Pod", label_selector="app=readers")["items"]
    folders = [f"/var/lib/kubelet/pods/{each['metadata']['uid']}/volumes" for each in found]
    links = " ".join(f"{folder}/*/{volume}/..data" for folder in folders)

    def later() -> list[float]:
        times = lab.node.run(f"stat -c %.9Z {links}").split()
        return [float(each) - since for each in times if float(each) > since]

    poll(
        lambda: len(later()) == len(found),
        timeout_seconds=patient(ARRIVAL_SECONDS),
        every_seconds=0.5,
    )
    return sorted(later())


def m6(lab, settings: Sequence[float], labels: Sequence[float]) -> Shown:
    """A change of the Pod itself reaches its files within seconds. A changed ConfigMap waits until
    the kubelet next looks at the Pod.

    Args:
        settings, labels: for each Pod, seconds from the change to its file, as ``delays`` has it.
    """
    sync = _sync_seconds(lab)
    own = {SETTINGS: settings, ABOUT: labels}
    # workerResyncIntervalJitterFactor in pkg/kubelet/pod_workers.go
    predicted = {SETTINGS: (0.0, 1.5 * sync), ABOUT: (0.0, 1.0)}
    chart = strips(
        own,
        "How long until the file shows a change?",
        predicted,
        within=(0.0, 1.0),
        scale=Scale("from the change to the file", "one Pod", "s"),
    )
    at_once = all(seconds <= AT_ONCE_SECONDS for seconds in labels)
    in_time = all(seconds <= LATE_SECONDS for seconds in settings)
    some_late = any(seconds > AT_ONCE_SECONDS for seconds in settings)
    return Shown(
        chart,
        f"the label's file {'followed' if at_once else 'did not follow'} within seconds in all of "
        f"{len(labels)} Pods; the ConfigMap's file {'took longer than that' if some_late else ''}"
        f"{'was as quick' if not some_late else ''}, and "
        f"{'less' if in_time else 'more'} than two minutes in all of {len(settings)}",
    )


def _sync_seconds(lab) -> float:
    """How often the kubelet looks at each Pod, by its own configuration: "1m0s"."""
    [node, *_] = lab.connection.list("Node")["items"]
    name = node["metadata"]["name"]
    config = lab.connection.raw(f"/api/v1/nodes/{name}/proxy/configz")["kubeletconfig"]
    return go_seconds(config["syncFrequency"])


def go_seconds(text: str) -> float:
    """
    >>> go_seconds("1m0s"), go_seconds("30s"), go_seconds("1h2m3s")
    (60.0, 30.0, 3723.0)
    """
    total, number = 0.0, ""
    for letter in text:
        if letter in "hms":
            total += float(number) * {"h": 3600, "m": 60, "s": 1}[letter]
            number = ""
        else:
            number += letter
    return total
