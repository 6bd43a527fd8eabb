"""Lab 16: which file outlives what, how a change reaches a volume, and what a full one does."""

import base64
import contextlib
import json
import shlex
import time
from collections.abc import Iterator

from labhelpers.charts.values import values
from labhelpers.charts.verdicts import Mark, verdicts
from labhelpers.errors import LabError, TimedOut
from labhelpers.kube.events import wait_for_event
from labhelpers.node import logs
from labhelpers.outcomes import Shown, frame_of, listed
from labhelpers.patience import patient
from labhelpers.polling import poll

# Where the Pod keeper has a file, and what the reader calls the place.
PLACES = {
    "container's own files": "/mark",
    "emptyDir on disk": "/disk/mark",
    "emptyDir in memory": "/memory/mark",
    "hostPath": "/host/mark",
    "PersistentVolumeClaim": "/album/mark",
    "ConfigMap": "/settings/color",
    "Secret": "/password/word",
    "projected token": "/joined/token",
}
TOKEN = "projected token"
SAME, COPY, NEW_TOKEN, OTHER, GONE = "same file", "new copy", "new token", "other content", "gone"
EMPTY_DIRS = ("emptyDir on disk", "emptyDir in memory")
MARKS = {
    SAME: Mark(0, SAME),
    GONE: Mark(1, GONE),
    **{each: Mark(None, each) for each in (COPY, NEW_TOKEN, OTHER)},
}
# The kubelet measures volumes every minute and a random part of another one, and evicts in rounds
# of ten seconds: pkg/kubelet/server/stats/volume_stat_calculator.go.
EVICTION_SECONDS = 60 + 60 + 10 + 20
EVICTED_BY_SECONDS = 180  # from when the cell runs, and not from the Pod's start
UPDATE_SECONDS, AT_ONCE_SECONDS, MOUNT_SECONDS = 120, 10, 60
SHOWN_SECONDS = 5.0  # for each version at least, so that the chart's bar is wide enough
MEBIBYTE = 1 << 20
DEFAULT_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"


# --- What outlives what ---------------------------------------------------------------------------


class Fates:
    """What became of a file in each of keeper's volumes: ``with fates("Pod deletion"): …``.

    Attributes:
        by_event: event to place to what became of the place's file there.
    """

    def __init__(self, pod):
        self._pod = pod
        self.by_event: dict[str, dict[str, str]] = {}

    @contextlib.contextmanager
    def __call__(self, event: str) -> Iterator[None]:
        """Writes a file to each place that takes one, and looks at all of them after the block."""
        self._write(event)
        before = self._files()
        yield
        after = self._files()
        self.by_event[event] = {
            place: _fate(place, before.get(place), after.get(place)) for place in PLACES
        }

    def of(self, place: str) -> dict[str, str]:
        """What became of one place's file, event by event."""
        return {event: fates[place] for event, fates in self.by_event.items()}

    def _write(self, event: str) -> None:
        own = [path for path in PLACES.values() if path.endswith("/mark")]
        lines = [f"echo {shlex.quote(event)} > {path}" for path in own]
        done = self._pod.exec("app", " && ".join(lines))
        if done.returncode:
            raise LabError(
                "A file couldn't be written.", done.stderr.strip(), "Is the Pod keeper Ready?"
            )

    def _files(self) -> dict[str, tuple[str, str]]:
        """Which file is in each place: its identity (device, inode and time of its last change of
        status), and what's in it."""
        found = {}
        for place, path in PLACES.items():
            look = f"stat -L -c '%d:%i:%Z' {path} && md5sum {path}"
            words = self._pod.exec("app", look).stdout.split()
            if len(words) > 1:
                found[place] = (words[0], words[1])
        return found


def fates(lab, pod) -> Fates:
    """A record of what becomes of the files in the volumes of the Pod keeper."""
    return Fates(pod)


def _fate(place: str, before: tuple | None, after: tuple | None) -> str:
    if before is None:
        return "not seen"
    if after is None:
        return GONE
    if before == after:
        return SAME
    if before[1] == after[1]:
        return COPY
    return NEW_TOKEN if place == TOKEN else OTHER


def k1(lab, fates: Fates) -> Shown:
    """emptyDir outlives a container restart and dies with the Pod; beside all other places."""
    import pandas

    frame = pandas.DataFrame(fates.by_event, index=list(PLACES))
    alike: dict[str, list[str]] = {}
    for place in PLACES:
        alike.setdefault(_end(fates.of(place)), []).append(place)
    words = [f"{end}: {listed(places)}" for end, places in alike.items()]
    lost: dict[str, list[str]] = {event: [] for event in fates.by_event}
    for place in PLACES:
        first = next((event for event, fate in fates.of(place).items() if fate == GONE), None)
        if first:
            lost[first].append(place)
    finding = " · ".join(
        f"{event}: {listed(places) or 'nothing more'} gone" for event, places in lost.items()
    )
    return Shown(verdicts(frame, "Which file outlives what?", finding, MARKS), "; ".join(words))


ENDS = {
    "container restart": "ends with the container",
    "sandbox restart": "ends with the sandbox",
    "Pod deletion": "ends with the Pod",
    "claim deletion": "ends with the claim",
}


def _end(row: dict[str, str]) -> str:
    """When a file ended, in words, from what became of it event by event.

    >>> _end({"container restart": "same file", "Pod deletion": "gone", "claim deletion": "gone"})
    'ends with the Pod'
    >>> _end({"container restart": "same file", "Pod deletion": "new copy"})
    'same file after container restart, new copy after Pod deletion'
    """
    seen = list(row.values())
    kept = seen.count(SAME)
    if seen == [SAME] * kept + [GONE] * (len(seen) - kept):
        return ENDS[list(row)[kept]] if kept < len(seen) else "outlives everything"
    events: dict[str, list[str]] = {}
    for event, fate in row.items():
        events.setdefault(fate, []).append(event)
    return ", ".join(f"{fate} after {listed(each)}" for fate, each in events.items())


def memory_fate(lab, fates: Fates) -> str:
    """Which of the choices of "memory" happened."""
    row = fates.of("emptyDir in memory")
    if row.get("container restart") != SAME:
        return "the crash empties it"
    if row.get("sandbox restart") != SAME:
        return "a new sandbox empties it"
    return "both leave it as it is"


# --- The claim ------------------------------------------------------------------------------------


def k6(lab, unused, keeper, fates: Fates, second) -> Shown:
    """A PVC is bound when first used, its data outlives the Pod, and ReadWriteOncePod keeps a
    second Pod out.

    Args:
        unused: the claim as it was before a Pod used it, frozen.
        keeper: the Pod that uses it now.
        second: another Pod that wants it.
    """
    claim = lab.connection.get("PersistentVolumeClaim", unused.raw["metadata"]["name"])
    before, now = unused.raw["status"]["phase"], claim["status"]["phase"]
    kept = fates.of("PersistentVolumeClaim")
    asked = claim["spec"]["resources"]["requests"]["storage"]
    filled = keeper.exec("app", ["dd", "if=/dev/zero", "of=/album/large", "bs=1M", "count=2"])
    fits = filled.returncode == 0
    conditions = {each["type"]: each for each in second.raw["status"].get("conditions", ())}
    why = conditions.get("PodScheduled", {}).get("message", "")
    out = second.phase == "Pending" and "ReadWriteOncePod" in why
    rows = [
        ("the claim, before a Pod used it", before),
        ("the claim, with the Pod keeper", now),
        ("its file, after Pod deletion", kept.get("Pod deletion", "not seen")),
        (f"2 MiB into a claim of {asked}", "fit" if fits else filled.stderr.strip()),
        ("the Pod second", f"{second.phase}: {why.partition(' preemption:')[0]}"),
    ]
    outlives = "outlived" if kept.get("Pod deletion") == SAME else "didn't outlive"
    return Shown(
        frame_of(rows, ("what", "was seen")),
        f"the claim was {before} before a Pod used it, and {now} afterwards; its file {outlives} "
        f"the Pod; the Pod second is {second.phase}, and the scheduler "
        f"{'names ReadWriteOncePod' if out else 'does not name ReadWriteOncePod'}; 2 MiB "
        f"{'fit' if fits else 'do not fit'} into a claim of {asked}",
    )


def is_unschedulable(lab, now) -> bool:
    """Whether the scheduler has said that no node fits."""
    return now.conditions.get("PodScheduled") == "False"


# --- hostPath -------------------------------------------------------------------------------------


def k3(lab, made, missing, fates: Fates, spy, victim) -> Shown:
    """hostPath and its types: DirectoryOrCreate creates the directory, Directory rejects a missing
    one. What it holds outlives the Pod, and any file of the node can be read through it.

    Args:
        made, missing: Pods with the types DirectoryOrCreate and Directory.
        spy: a Pod with the node's root directory.
        victim: another Pod, whose Secret spy reads.
    """
    path = made.raw["spec"]["volumes"][0]["hostPath"]["path"]
    changed = float(lab.node.run(f"stat -c %Z {shlex.quote(path)}"))
    created = logs.seconds(made.raw["metadata"]["creationTimestamp"])
    new = changed >= created
    why = failed_mount(lab, missing)
    started = _has_started(missing)
    kept = fates.of("hostPath")
    stays = kept.get("Pod deletion") == SAME
    stolen = {
        "the CA's private key": "/node/etc/kubernetes/pki/ca.key",
        "the Secret of another Pod": "/node/var/lib/kubelet/pods/"
        f"{victim.uid}/volumes/kubernetes.io~secret/password/word",
    }
    first = {what: _first_line(spy, file) for what, file in stolen.items()}
    read = [what for what, line in first.items() if line]
    privileged = (spy.raw["spec"]["containers"][0].get("securityContext") or {}).get("privileged")
    rows = [
        ("type DirectoryOrCreate", f"{path} is {'new' if new else 'old'}"),
        ("type Directory, nothing there", why or "no FailedMount"),
        ("its file, after Pod deletion", kept.get("Pod deletion", "not seen")),
        *((f"spy reads {what}", line or "nothing") for what, line in first.items()),
    ]
    return Shown(
        frame_of(rows, ("hostPath", "was seen")),
        f"DirectoryOrCreate {'created' if new else 'did not create'} the directory; Directory "
        f"{'started the Pod' if started else 'kept the Pod from starting'}: "
        f"{'type check failed' if 'type check failed' in why else why or 'no FailedMount'}; the "
        f"file {'outlived' if stays else 'did not outlive'} the Pod; spy is "
        f"{'' if privileged else 'not '}privileged, and reads {listed(read) or 'nothing'}",
    )


def _first_line(pod, path: str) -> str:
    return pod.exec("app", ["head", "-n", "1", path]).stdout.strip()


# --- A change, and a Secret -----------------------------------------------------------------------

VIEWS = ("file in the volume", "file by subPath", "environment variable")


def moment(lab) -> float:
    """This moment by the node's clock, in seconds since 1970."""
    return float(lab.node.run("date +%s.%N"))


def wait_for_version(lab, watcher, version: str, timeout_seconds: float = UPDATE_SECONDS) -> None:
    """Waits until the watcher's volume shows a version, and a little longer. It isn't an error when
    it never does: then the proof says so."""
    if poll(
        lambda: watcher.exec("app", ["cat", "/volume/version"]).stdout.strip() == version,
        timeout_seconds=timeout_seconds,
        every_seconds=0.5,
    ):
        time.sleep(SHOWN_SECONDS)


def k4(lab, watcher, alone: float, nudged: float) -> Shown:
    """A ConfigMap volume has a defaultMode, and updates without a restart by an atomic link swap,
    up to about two minutes late. subPath and env never update.

    The watcher's log has a line every 0.2 s: the version by volume, by subPath and by environment
    variable, and the directory that the volume's link ..data points to. At the end its container is
    restarted.

    Args:
        alone: when the ConfigMap was changed and the Pod left alone, in seconds.
        nudged: when it was changed again, and the Pod got an annotation.
    """
    mode = watcher.exec("app", ["stat", "-L", "-c", "%a", "/volume/version"]).stdout.strip()
    restarts = watcher.container("app").restarts
    first = _lines(lab, watcher, 0)
    app = watcher.container("app")
    lab.node.kill(app)
    app.wait_until("restarted", timeout_seconds=60)
    time.sleep(SHOWN_SECONDS)
    last = _lines(lab, watcher, 1)
    versions = list(dict.fromkeys(words[0] for _, words in first))
    links = list(dict.fromkeys(words[3] for _, words in first))
    begin = {version: _when(first, 0, version) for version in versions}
    later = [
        (begin[version] - moment if version in begin else None)
        for version, moment in zip(("two", "three"), (alone, nudged), strict=True)
    ]
    never = [name for n, name in enumerate(VIEWS) if {words[n] for _, words in first} == {"one"}]
    after = [name for n, name in enumerate(VIEWS) if {words[n] for _, words in last} == {"three"}]
    swapped = len(links) == len(versions) == 3
    late = f"after {later[0]:.0f} s" if later[0] is not None else "never"
    quick = f"after {later[1]:.1f} s" if later[1] is not None else "never"
    finding = (
        f"Pod left alone: the volume shows two {late} · Pod annotated: three {quick} · no change "
        f"before the restart: {listed(never) or 'nowhere'}"
    )
    marks = [
        (0.0, "the ConfigMap says two"),
        (nudged - alone, "it says three, and the Pod gets an annotation"),
        (last[0][0] - alone, "the container is restarted"),
    ]
    frame = _bars([*first, *last], alone)
    chart = values(frame, "Who shows the new version, and when?", finding, marks)
    return Shown(
        chart,
        f"files have mode {mode}; with {restarts or 'no'} restarts the volume showed the change "
        f"{_within(later[0], UPDATE_SECONDS, 'two minutes')}, and "
        f"{_within(later[1], AT_ONCE_SECONDS, 'ten seconds')} once the Pod got an annotation; each "
        f"change {'swapped' if swapped else 'did not swap'} the link ..data; "
        f"{listed(never) or 'nothing'} never changed before the restart; after it "
        f"{listed(after) or 'nothing'} showed three",
    )


def _lines(lab, pod, run: int) -> list[tuple[float, list[str]]]:
    stamped = logs.stamped_lines(lab.node, lab.namespace, pod.name, pod.uid, "app", run)
    return [(at, text.split()) for at, text in stamped if len(text.split()) == 4]


def _when(lines: list, column: int, version: str) -> float:
    return next(at for at, words in lines if words[column] == version)


def _bars(lines: list, zero: float):
    """For each view, from when to when it showed which version, in seconds after a moment."""
    rows = []
    for column, name in enumerate(VIEWS):
        begin, shown = lines[0][0], lines[0][1][column]
        for at, words in lines:
            if words[column] != shown:
                rows.append((name, shown, begin - zero, at - zero))
                begin, shown = at, words[column]
        rows.append((name, shown, begin - zero, lines[-1][0] - zero))
    return frame_of(rows, ("place", "value", "start", "end"))


def _within(seconds: float | None, bound: float, words: str) -> str:
    """
    >>> _within(0.4, 10, "ten seconds"), _within(11, 10, "ten seconds")
    ('within ten seconds', 'not within ten seconds')
    """
    return f"{'' if seconds is not None and seconds <= bound else 'not '}within {words}"


def who_changed(lab, shown: Shown) -> str:
    """Which of the choices of "change" happened, from the sentence of the proof."""
    words = shown.sentence
    volume = "volume showed the change within" in words
    sub = "file by subPath" not in words.partition("never changed")[0]
    env = "environment variable" not in words.partition("never changed")[0]
    return {
        (True, False, False): "the volume only",
        (True, True, False): "the volume and subPath",
        (True, True, True): "all three",
    }.get((volume, sub, env), "none of them")


def k5(lab, locked, grouped) -> Shown:
    """A Secret volume is tmpfs with its own mode; the value in the API is encoded, not encrypted.

    Args:
        locked: a Pod with defaultMode 0400.
        grouped: the same with an fsGroup.
    """
    inside = locked.exec("app", ["cat", "/password/word"]).stdout
    mounts = [
        line.split() for line in locked.exec("app", ["cat", "/proc/mounts"]).stdout.split("\n")
    ]
    kind = next((words[2] for words in mounts if words[1:2] == ["/password"]), "not mounted")
    modes = [
        each.exec("app", ["stat", "-L", "-c", "%a %g", "/password/word"]).stdout.split()
        for each in (locked, grouped)
    ]
    body = lab.connection.get("Secret", "password")
    encoded = body["data"]["word"]
    decoded = base64.b64decode(encoded).decode()
    plain = decoded == inside
    # etcd's own files: what somebody finds who steals the disk, or a backup.
    there = lab.node.run(f"grep -rlaF {shlex.quote(inside)} /var/lib/etcd/member || true").split()
    rows = [
        ("file system of /password", kind),
        ("mode of the file, and its group", " ".join(modes[0])),
        ("the same with fsGroup 2000", " ".join(modes[1])),
        ("the value in the API", encoded),
        ("base64 -d of it", decoded),
        ("the word in etcd's files on the node", "in clear text" if there else "not found"),
    ]
    return Shown(
        frame_of(rows, ("what", "was seen")),
        f"the Secret is mounted as {kind}, with mode {modes[0][0]}, and {modes[1][0]} with an "
        f"fsGroup; base64 gives {'its value back without a key' if plain else 'another value'}, "
        f"and etcd's files {'have it in clear text' if there else 'do not show it'}",
    )


# --- Everything in one directory, and an image ----------------------------------------------------


def k7(lab, pod) -> Shown:
    """A projected volume joins ConfigMap, Secret and a service account token in one directory; the
    token's audience and lifetime are read from the token."""
    names = pod.exec("app", ["ls", "/all"]).stdout.split()
    own, default = (_claims(pod, path) for path in ("/all/token", DEFAULT_TOKEN))
    asked = [
        source["serviceAccountToken"]["expirationSeconds"]
        for volume in pod.raw["spec"]["volumes"]
        for source in volume.get("projected", {}).get("sources", ())
        if "serviceAccountToken" in source
    ]
    bound = [each["kubernetes.io"]["pod"]["name"] for each in (own, default)]
    rows = [
        ("audience", listed(own["aud"]), listed(default["aud"])),
        ("lifetime asked for, seconds", *(f"{seconds:,}" for seconds in asked)),
        ("lifetime, seconds", *(f"{each['exp'] - each['iat']:,}" for each in (own, default))),
        ("bound to the Pod", *bound),
    ]
    return Shown(
        frame_of(rows, ("what", "/all/token", "the default token")),
        f"the directory has {listed(names)}; its token is for {listed(own['aud'])}, lives "
        f"{_lifetime(own)} and is bound to the Pod {bound[0]}; the default token lives "
        f"{_lifetime(default)}",
    )


def _claims(pod, path: str) -> dict:
    """What a token says: the middle part of a JSON Web Token, which is encoded and not encrypted.

    https://www.rfc-editor.org/rfc/rfc7519
    """
    body = pod.exec("app", ["cat", path]).stdout.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def _lifetime(claims: dict) -> str:
    """
    >>> [_lifetime({"iat": 0, "exp": seconds}) for seconds in (600, 3607, 86400, 31536000)]
    ['10 minutes', '1 hour', '1 day', '1 year']
    """
    seconds = claims["exp"] - claims["iat"]
    for name, length in (("year", 365 * 86400), ("day", 86400), ("hour", 3600)):
        if seconds >= length:
            count = round(seconds / length)
            return f"{count} {name}{'s' * (count > 1)}"
    return f"{round(seconds / 60)} minutes"


def default_lifetime(lab, pod) -> str:
    """How long the token lives that a Pod gets by default."""
    return _lifetime(_claims(pod, DEFAULT_TOKEN))


def o11(lab, pod) -> Shown:
    """An image volume mounts an image's files read-only without running it."""
    version = pod.exec("app", ["/etcd/usr/local/bin/etcd", "--version"])
    wrote = pod.exec("app", ["touch", "/etcd/mark"])
    commands = [each.command for each in lab.node.processes(pod.uid)]
    kept_out = "Read-only file system" in wrote.stderr
    rows = [
        ("etcd --version", version.stdout.partition("\n")[0]),
        ("touch /etcd/mark", wrote.stderr.strip() or "written"),
        ("processes of the Pod", listed(commands)),
    ]
    return Shown(
        frame_of(rows, ("what", "was seen")),
        f"etcd's program {'runs' if version.returncode == 0 else 'does not run'} in a container of "
        f"busybox; writing {'fails: Read-only file system' if kept_out else 'works'}; the Pod's "
        f"processes are {listed(commands)}",
    )


# --- Full -----------------------------------------------------------------------------------------


def k2(lab, memory, disk) -> Shown:
    """An emptyDir with medium Memory is a tmpfs of sizeLimit: writing past it gives ENOSPC. On
    disk, passing sizeLimit gets the Pod evicted within two and a half minutes."""
    rows, words = [], []
    for pod in (memory, disk):
        status = pod.raw["status"]
        evicted = status.get("phase") == "Failed" and status.get("reason") == "Evicted"
        said = _the_write(lab, pod)
        after = _evicted_after(lab, pod) if evicted else None
        rows.append(
            (
                pod.name,
                said,
                status["phase"],
                status.get("reason", ""),
                after if after is None else round(after),
                status.get("message", ""),
            )
        )
        if evicted:
            in_time = _within(after, EVICTION_SECONDS, "two and a half minutes")
            words.append(f"{pod.name}: {said}, and the Pod was evicted {in_time}")
        else:
            words.append(f"{pod.name}: {said}, and the Pod is {status['phase']}")
    columns = ("Pod", "the write", "phase", "reason", "seconds after its start", "message")
    return Shown(frame_of(rows, columns), "; ".join(words))


def _ran_out(lab, pod) -> bool:
    return "No space left on device" in _log(pod)


def _log(pod) -> str:
    """What the container wrote; "" where the log is gone."""
    try:
        return pod.logs("app")
    except LabError:
        return ""


def _the_write(lab, pod) -> str:
    """How the write of 16 MiB ended. The log of an evicted Pod may be gone: then the kubelet's
    message says that it went past the limit."""
    if _ran_out(lab, pod):
        return "No space left on device"
    past = "exceeds the limit" in pod.raw["status"].get("message", "")
    if past or "16+0 records out" in _log(pod):
        return "it went past the limit"
    return "it isn't known how it ended"


def _evicted_after(lab, pod) -> float | None:
    """Seconds from the start of the Pod to its eviction, by the API's whole seconds. An eviction
    for ephemeral storage sets no condition DisruptionTarget: only the event has its time."""
    selector = f"involvedObject.uid={pod.uid},reason=Evicted"
    events = lab.connection.list("Event", field_selector=selector)["items"]
    if not events:
        return None
    return logs.seconds(events[0]["firstTimestamp"]) - logs.seconds(pod.raw["status"]["startTime"])


def settle(lab, pod) -> None:
    """Waits until a Pod has ended, or long enough to say that it doesn't."""
    poll(
        lambda: pod.phase == "Failed",
        timeout_seconds=patient(EVICTED_BY_SECONDS),
        every_seconds=1.0,
    )


def what_happens(lab, disk) -> str:
    """Which of the choices of "full" happened to the Pod disk."""
    status = disk.raw["status"]
    if status.get("reason") == "Evicted":
        return "it works, and later the Pod is evicted"
    return "it fails: No space left on device" if _ran_out(lab, disk) else "it works, that's all"


def o5(lab, tight, roomy) -> Shown:
    """ephemeral-storage limits count the writable layer, logs and emptyDir; beyond them the Pod is
    evicted and not restarted.

    Both Pods write the same. roomy's limit is higher, and the kubelet says what it counts.
    """
    wanted = {"writable layer": 6, "logs": 6, "emptyDir": 6}
    counted: dict[str, float] = {}

    def is_counted() -> bool:
        counted.update(_counted(lab, roomy))
        return all(counted[place] >= wanted[place] * 0.95 for place in wanted)

    poll(is_counted, timeout_seconds=EVICTION_SECONDS, every_seconds=2)
    total = sum(counted.values())
    status = tight.raw["status"]
    evicted = status["phase"] == "Failed" and status.get("reason") == "Evicted"
    stays = roomy.phase == "Running" and roomy.container("app").restarts == 0
    limits = {
        each.name: each.raw["spec"]["containers"][0]["resources"]["limits"]["ephemeral-storage"]
        for each in (tight, roomy)
    }
    rows = [
        *((f"the kubelet counts for roomy: {place}", f"{counted[place]:.1f} MiB")
          for place in wanted),
        ("sum", f"{total:.1f} MiB"),
        (f"roomy, limit {limits['roomy']}", roomy.phase),
        (f"tight, limit {limits['tight']}", f"{status['phase']}, {status.get('reason', '')}: "
         f"{status.get('message', '').strip()}"),
    ]  # fmt: skip
    seen = [place for place in wanted if counted[place] >= wanted[place] * 0.95]
    again = tight.raw["spec"]["restartPolicy"]
    return Shown(
        frame_of(rows, ("what", "was seen")),
        f"the kubelet counts {listed(seen) or 'nothing'}; with a limit of {limits['roomy']} the "
        f"Pod {'runs on' if stays else 'does not run on'}; with {limits['tight']} it is "
        f"{'Failed with the reason Evicted' if evicted else status['phase']}, and with "
        f"restartPolicy {again} {'stays so' if tight.phase == status['phase'] else 'changes'}",
    )


def _counted(lab, pod) -> dict[str, float]:
    """What the kubelet counts for a Pod, in MiB.

    https://kubernetes.io/docs/reference/instrumentation/node-metrics/
    """
    node = pod.raw["spec"]["nodeName"]
    summary = lab.connection.raw(f"/api/v1/nodes/{node}/proxy/stats/summary")
    mine = next((each for each in summary["pods"] if each["podRef"]["uid"] == pod.uid), {})
    containers = mine.get("containers") or []
    volumes = [
        each.get("usedBytes", 0) for each in mine.get("volume") or () if each["name"] == "cache"
    ]
    sizes = {
        "writable layer": sum(each.get("rootfs", {}).get("usedBytes", 0) for each in containers),
        "logs": sum(each.get("logs", {}).get("usedBytes", 0) for each in containers),
        "emptyDir": sum(volumes),
    }
    return {place: size / MEBIBYTE for place, size in sizes.items()}


# --- It doesn't start -----------------------------------------------------------------------------


def failed_mount(lab, pod) -> str:
    """What the first FailedMount event of a Pod says, as soon as there is one; "" for none."""
    with contextlib.suppress(TimedOut):
        event = wait_for_event(
            lab.connection, pod.name, "FailedMount", timeout_seconds=MOUNT_SECONDS
        )
        return event["message"]
    return ""


def _has_started(pod) -> bool:
    return any(
        each.get("started") or each.get("containerID")
        for each in pod.raw["status"].get("containerStatuses") or ()
    )


def k8(lab, pod) -> Shown:
    """A volume that can't be mounted leaves the Pod in ContainerCreating, with a FailedMount event
    that says why."""
    why = failed_mount(lab, pod)
    status = pod.kubectl_status
    missing = 'configmap "setings" not found' in why
    rows = [("STATUS", status), ("FailedMount", why or "no such event")]
    return Shown(
        frame_of(rows, ("what", "was seen")),
        f"the Pod is in {status}; "
        + (
            f"the event FailedMount says: {why.rpartition(' : ')[2] if missing else why}"
            if why
            else "there's no event FailedMount"
        ),
    )
