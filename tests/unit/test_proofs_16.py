"""The proofs of lab 16: each says one sentence where its claim is true, another where it isn't."""

import base64
import json
from types import SimpleNamespace

import pytest

from labhelpers.proofs import Proofs

PROOFS = Proofs("16-volumes")
MODULE = PROOFS.module
EVENTS = ("container restart", "sandbox restart", "Pod deletion", "claim deletion")


def prove(claim, lab, *measured):
    return PROOFS.of(claim)(lab, *measured).sentence


def said(stdout="", stderr="", returncode=0):
    return SimpleNamespace(stdout=stdout, stderr=stderr, returncode=returncode)


def pod(name="a", says=None, spec=None, logs="", restarts=0, **status):
    """A Pod that answers commands by their last word, and has this spec and status."""

    def run(_, command):
        words = command if isinstance(command, str) else " ".join(command)
        found = (says or {}).get(words.split()[-1], "")
        return found if isinstance(found, SimpleNamespace) else said(found)

    raw = {"metadata": {"creationTimestamp": "1970-01-01T00:00:10Z"}, "spec": spec or {}}
    return SimpleNamespace(
        name=name,
        uid="u",
        raw={**raw, "status": status},
        phase=status.get("phase"),
        kubectl_status=status.get("shown"),
        exec=run,
        logs=lambda _: logs,
        container=lambda _: SimpleNamespace(restarts=restarts, wait_until=lambda *_, **__: None),
    )


def lab(run="", events=(), **connection):
    """A lab whose node prints this, and whose API has these events."""
    return SimpleNamespace(
        namespace="n",
        node=SimpleNamespace(
            run=lambda _: run,
            kill=lambda _: None,
            processes=lambda _: [SimpleNamespace(command=each) for each in ("pause", "sleep")],
        ),
        connection=SimpleNamespace(
            list=lambda *_, **__: {"items": list(events)},
            **{name: lambda *_, answer=answer: answer for name, answer in connection.items()},
        ),
    )


# --- What outlives what ---------------------------------------------------------------------------

TRUE = {
    "container's own files": "gone gone gone gone",
    "emptyDir on disk": "same same gone gone",
    "emptyDir in memory": "same same gone gone",
    "hostPath": "same same same same",
    "PersistentVolumeClaim": "same same same gone",
    "ConfigMap": "same same copy copy",
    "Secret": "same same copy copy",
    "projected token": "same same token token",
}
WORDS = {"same": "same file", "gone": "gone", "copy": "new copy", "token": "new token"}


def fates(**other):
    """What became of the files; other: places that differ from what is true."""
    record = MODULE.Fates(None)
    rows = {**TRUE, **{name.replace("_", " "): row for name, row in other.items()}}
    for number, event in enumerate(EVENTS):
        record.by_event[event] = {place: WORDS[row.split()[number]] for place, row in rows.items()}
    return record


@pytest.mark.parametrize(
    ("other", "wanted"),
    [
        ({}, "ends with the Pod: emptyDir on disk and emptyDir in memory; outlives everything: "),
        ({}, "ends with the claim: PersistentVolumeClaim"),
        ({}, "ends with the container: container's own files"),
        ({}, "new token after Pod deletion and claim deletion: projected token"),
        (
            {"emptyDir_in_memory": "gone gone gone gone"},
            "ends with the container: container's own files and emptyDir in memory",
        ),
        ({"emptyDir_on_disk": "same same same gone"}, "ends with the Pod: emptyDir in memory"),
        ({"hostPath": "same gone same same"}, "gone after sandbox restart: hostPath"),
    ],
)
def test_k1(other, wanted):
    assert wanted in prove("K1", lab(), fates(**other))


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ("same same gone gone", "both leave it as it is"),
        ("gone gone gone gone", "the crash empties it"),
        ("same gone gone gone", "a new sandbox empties it"),
    ],
)
def test_the_fate_of_the_memory(row, wanted):
    assert MODULE.memory_fate(lab(), fates(emptyDir_in_memory=row)) == wanted


@pytest.mark.parametrize(
    ("place", "after", "wanted"),
    [
        ("hostPath", ("1:2:3", "m"), "same file"),
        ("ConfigMap", ("1:9:3", "m"), "new copy"),
        ("ConfigMap", ("1:9:3", "x"), "other content"),
        ("projected token", ("1:9:3", "x"), "new token"),
        ("hostPath", None, "gone"),
    ],
)
def test_what_became_of_one_file(place, after, wanted):
    assert MODULE._fate(place, ("1:2:3", "m"), after) == wanted


def test_files_are_written_before_an_event_and_looked_at_on_both_sides():
    files, commands = {"/album/mark": "1:2:3 m"}, []

    def run(_, command):
        commands.append(command)
        return said(files.get(command.split()[-1], ""))

    record = MODULE.Fates(SimpleNamespace(exec=run))
    with record("Pod deletion"):
        assert commands[0].startswith("echo 'Pod deletion' > /mark && ")
        files.clear()
    assert record.of("PersistentVolumeClaim") == {"Pod deletion": "gone"}
    assert record.of("ConfigMap") == {"Pod deletion": "not seen"}


# --- The claim, and hostPath ----------------------------------------------------------------------

ALBUM = {
    "metadata": {"name": "album"},
    "status": {"phase": "Bound"},
    "spec": {"resources": {"requests": {"storage": "1Mi"}}},
}


def waiting(message):
    condition = {"type": "PodScheduled", "status": "False", "message": message}
    return pod("second", phase="Pending", conditions=[condition])


@pytest.mark.parametrize(
    ("before", "second", "row", "dd", "wanted"),
    [
        ("Pending", waiting("1 ReadWriteOncePod"), "same same same gone", 0, "was Pending before"),
        ("Pending", waiting("1 ReadWriteOncePod"), "same same same gone", 0, "outlived the Pod"),
        ("Pending", waiting("1 ReadWriteOncePod"), "same same same gone", 0, "MiB fit into"),
        ("Bound", waiting("1 ReadWriteOncePod"), "same same same gone", 0, "was Bound before"),
        ("Pending", waiting("1 ReadWriteOncePod"), "same same gone gone", 0, "didn't outlive"),
        ("Pending", waiting("no CPU"), "same same same gone", 0, "does not name ReadWriteOncePod"),
        ("Pending", pod(phase="Running"), "same same same gone", 0, "second is Running"),
        ("Pending", waiting("1 ReadWriteOncePod"), "same same same gone", 1, "do not fit into"),
    ],
)
def test_k6(before, second, row, dd, wanted):
    unused = SimpleNamespace(raw={**ALBUM, "status": {"phase": before}})
    keeper = pod(says={"count=2": said(stderr="full", returncode=dd)})
    there = lab(get=ALBUM)
    assert wanted in prove("K6", there, unused, keeper, fates(PersistentVolumeClaim=row), second)


HOST = {"volumes": [{"hostPath": {"path": "/var/lib/podlab-16-volumes/made"}}]}
REJECTED = [{"message": 'SetUp failed for volume "host" : hostPath type check failed'}]
STOLEN = {
    "/node/etc/kubernetes/pki/ca.key": "-----BEGIN KEY-----",
    "/node/var/lib/kubelet/pods/u/volumes/kubernetes.io~secret/password/word": "open sesame",
}
READS = "reads the CA's private key and the Secret of another Pod"


@pytest.mark.parametrize(
    ("born", "events", "row", "privileged", "stolen", "wanted"),
    [
        ("12", REJECTED, "same same same same", False, STOLEN, "DirectoryOrCreate created"),
        ("12", REJECTED, "same same same same", False, STOLEN, "outlived the Pod; spy is not p"),
        ("12", REJECTED, "same same same same", False, STOLEN, READS),
        ("9", REJECTED, "same same same same", False, STOLEN, "did not create the directory"),
        ("12", [], "same same same same", False, STOLEN, "no FailedMount"),
        ("12", REJECTED, "same same gone gone", False, STOLEN, "did not outlive the Pod"),
        ("12", REJECTED, "same same same same", True, STOLEN, "spy is privileged"),
        ("12", REJECTED, "same same same same", False, {}, "reads nothing"),
    ],
)
def test_k3(monkeypatch, born, events, row, privileged, stolen, wanted):
    monkeypatch.setattr(MODULE, "MOUNT_SECONDS", 0)
    spec = {"containers": [{"securityContext": {"privileged": True}} if privileged else {}]}
    spy = pod("spy", says=stolen, spec=spec)
    there = lab(run=born, events=events)
    assert wanted in prove("K3", there, pod(spec=HOST), pod(), fates(hostPath=row), spy, pod())


# --- A change, and a Secret -----------------------------------------------------------------------


def log(*shown):
    """Lines of the watcher's log: (second, by volume, by subPath, by environment, link)."""
    return [(at, f"{' '.join(words)} {link}") for at, *words, link in shown]


FIRST = log(
    (0.0, "one", "one", "one", "..a"),
    (60.0, "two", "one", "one", "..b"),
    (70.2, "three", "one", "one", "..c"),
)
LAST = log((80.0, "three", "three", "three", "..c"))
LATE = log((0.0, "one", "one", "one", "..a"), (150.0, "two", "one", "one", "..b"))
SUB = log((0.0, "one", "one", "one", "..a"), (9.0, "two", "two", "one", "..b"))
SLOW = [*FIRST[:2], (95.0, FIRST[2][1])]


@pytest.mark.parametrize(
    ("first", "last", "wanted"),
    [
        (FIRST, LAST, "mode 440; with no restarts the volume showed the change within two minutes"),
        (FIRST, LAST, "and within ten seconds once the Pod got an annotation; each change swapped"),
        (FIRST, LAST, "file by subPath and environment variable never changed before the restart"),
        (FIRST, LAST, "and environment variable showed three"),
        (LATE, LAST, "the change not within two minutes, and not within ten seconds"),
        (SLOW, LAST, "within two minutes, and not within ten seconds"),
        (SUB, LAST, "; environment variable never changed"),
        (SUB, LAST, "did not swap"),
        (FIRST, LATE[:1], "after it nothing showed three"),
    ],
)
def test_k4(monkeypatch, first, last, wanted):
    monkeypatch.setattr(MODULE, "SHOWN_SECONDS", 0)
    monkeypatch.setattr(MODULE.logs, "stamped_lines", lambda *about: (first, last)[about[-1]])
    watcher = pod("watcher", says={"/volume/version": "440\n"})
    assert wanted in prove("K4", lab(), watcher, 1.0, 70.0)


@pytest.mark.parametrize(
    ("first", "wanted"), [(FIRST, "the volume only"), (SUB, "the volume and subPath")]
)
def test_who_changed(monkeypatch, first, wanted):
    monkeypatch.setattr(MODULE, "SHOWN_SECONDS", 0)
    monkeypatch.setattr(MODULE.logs, "stamped_lines", lambda *about: (first, LAST)[about[-1]])
    shown = PROOFS.of("K4")(lab(), pod("watcher"), 1.0, 70.0)
    assert MODULE.who_changed(lab(), shown) == wanted


def secret_pod(mode, kind="tmpfs", word="open sesame"):
    def run(_, command):
        if command[0] == "stat":
            return said(f"{mode} 0\n")
        return said(f"x / ext4 rw\nx /password {kind} rw\n" if "mounts" in command[1] else word)

    return SimpleNamespace(exec=run)


@pytest.mark.parametrize(
    ("modes", "kind", "word", "found", "wanted"),
    [
        (("400", "440"), "tmpfs", "open sesame", "a-file", "as tmpfs, with mode 400, and 440 with"),
        (("400", "440"), "tmpfs", "open sesame", "a-file", "its value back without a key"),
        (("400", "440"), "tmpfs", "open sesame", "a-file", "have it in clear text"),
        (("644", "644"), "ext4", "open sesame", "a-file", "as ext4, with mode 644, and 644 with"),
        (("400", "440"), "tmpfs", "another", "a-file", "gives another value"),
        (("400", "440"), "tmpfs", "open sesame", "", "do not show it"),
    ],
)
def test_k5(modes, kind, word, found, wanted):
    body = {"data": {"word": base64.b64encode(b"open sesame").decode()}}
    pods = [secret_pod(mode, kind, word) for mode in modes]
    assert wanted in prove("K5", lab(run=found, get=body), *pods)


# --- A token, and an image ------------------------------------------------------------------------


def token(seconds, audience, name="joined"):
    claims = {
        "iat": 0,
        "exp": seconds,
        "aud": [audience],
        "kubernetes.io": {"pod": {"name": name}},
    }
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"head.{body}.signature"


SOURCES = [
    {"projected": {"sources": [{"serviceAccountToken": {"expirationSeconds": seconds}}]}}
    for seconds in (600, 3607)
]


@pytest.mark.parametrize(
    ("names", "own", "default", "wanted"),
    [
        ("color token word", token(600, "vault"), token(31536000, "api"), "is for vault, lives 10"),
        ("color token word", token(600, "vault"), token(31536000, "api"), "token lives 1 year"),
        ("color token word", token(600, "vault"), token(31536000, "api"), "has color, token and"),
        ("token", token(600, "vault"), token(3607, "api"), "has token; its token"),
        ("token", token(7200, "api"), token(3607, "api"), "is for api, lives 2 hours"),
        ("token", token(600, "a"), token(3607, "api"), "the default token lives 1 hour"),
    ],
)
def test_k7(names, own, default, wanted):
    says = {"/all": names, "/all/token": own, MODULE.DEFAULT_TOKEN: default}
    assert wanted in prove("K7", lab(), pod(says=says, spec={"volumes": SOURCES}))


@pytest.mark.parametrize(
    ("runs", "touch", "wanted"),
    [
        (0, "Read-only file system", "runs in a container of busybox; writing fails"),
        (1, "Read-only file system", "does not run"),
        (0, "", "writing works"),
        (0, "Read-only file system", "processes are pause and sleep"),
    ],
)
def test_o11(runs, touch, wanted):
    says = {"--version": said("etcd Version: 3", returncode=runs), "/etcd/mark": said(stderr=touch)}
    assert wanted in prove("O11", lab(), pod(says=says))


# --- Full -----------------------------------------------------------------------------------------

NO_SPACE = "dd: error writing '/cache/file': No space left on device"
STARTED = {"startTime": "1970-01-01T00:00:00Z"}


PAST, DONE = 'Usage of EmptyDir volume "cache" exceeds the limit "8Mi".', "16+0 records out"


@pytest.mark.parametrize(
    ("log", "reason", "at", "wanted"),
    [
        (NO_SPACE, "Evicted", "0:50", "memory: No space left on device, and the Pod is Running"),
        (NO_SPACE, "Evicted", "0:50", "disk: it went past the limit, and the Pod was evicted with"),
        (NO_SPACE, "Evicted", "2:40", "the Pod was evicted not within two and a half minutes"),
        (NO_SPACE, "", "0:50", "disk: it went past the limit, and the Pod is Running"),
        (DONE, "Evicted", "0:50", "memory: it went past the limit, and the Pod is Running"),
        ("", "Evicted", "0:50", "memory: it isn't known how it ended"),
    ],
)
def test_k2(log, reason, at, wanted):
    ended = {"phase": "Failed", "message": PAST} if reason else {"phase": "Running"}
    memory = pod("memory", logs=log, phase="Running")
    disk = pod("disk", logs="" if reason else DONE, reason=reason, **ended, **STARTED)
    events = [{"firstTimestamp": f"1970-01-01T00:0{at}Z"}]
    assert wanted in prove("K2", lab(events=events), memory, disk)


@pytest.mark.parametrize(
    ("log", "reason", "wanted"),
    [
        ("", "Evicted", "it works, and later the Pod is evicted"),
        (NO_SPACE, "", "it fails: No space left on device"),
        ("", "", "it works, that's all"),
    ],
)
def test_what_happens(log, reason, wanted):
    assert MODULE.what_happens(lab(), pod(logs=log, reason=reason)) == wanted


def limited(name, limit, **status):
    limits = {"resources": {"limits": {"ephemeral-storage": limit}}}
    spec = {"containers": [limits], "nodeName": "one", "restartPolicy": "Always"}
    return pod(name, spec=spec, **status)


@pytest.mark.parametrize(
    ("log_bytes", "tight", "roomy", "wanted"),
    [
        (6 << 20, "Failed", "Running", "counts writable layer, logs and emptyDir; with a limit of"),
        (6 << 20, "Failed", "Running", "32Mi the Pod runs on; with 16Mi it is Failed with the rea"),
        (6 << 20, "Failed", "Running", "with restartPolicy Always stays so"),
        (0, "Failed", "Running", "counts writable layer and emptyDir; with"),
        (6 << 20, "Running", "Running", "with 16Mi it is Running"),
        (6 << 20, "Failed", "Failed", "does not run on"),
    ],
)
def test_o5(monkeypatch, log_bytes, tight, roomy, wanted):
    monkeypatch.setattr(MODULE, "EVICTION_SECONDS", 0)
    container = {"rootfs": {"usedBytes": 6 << 20}, "logs": {"usedBytes": log_bytes}}
    volume = {"name": "cache", "usedBytes": 6 << 20}
    stats = {"podRef": {"uid": "u"}, "containers": [container], "volume": [volume]}
    pods = (
        limited("tight", "16Mi", phase=tight, reason="Evicted"),
        limited("roomy", "32Mi", phase=roomy),
    )
    assert wanted in prove("O5", lab(raw={"pods": [stats]}), *pods)


# --- It doesn't start -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "events", "wanted"),
    [
        (
            "ContainerCreating",
            [{"message": 'SetUp failed for volume "settings" : configmap "setings" not found'}],
            'in ContainerCreating; the event FailedMount says: configmap "setings" not found',
        ),
        ("ContainerCreating", [], "there's no event FailedMount"),
        ("Running", [{"message": "timed out"}], "in Running; the event FailedMount says: timed"),
    ],
)
def test_k8(monkeypatch, status, events, wanted):
    monkeypatch.setattr(MODULE, "MOUNT_SECONDS", 0)
    assert wanted in prove("K8", lab(events=events), pod(shown=status))
