"""The proofs of lab 18: each says one sentence where its claim is true, another where it isn't."""

import shlex
from types import SimpleNamespace

import pytest

from labhelpers.errors import Refused
from labhelpers.proofs import Proofs

PROOFS = Proofs("18-downward-api")
MODULE = PROOFS.module
MIB = 1 << 20


def prove(claim, lab, *measured):
    return PROOFS.of(claim)(lab, *measured).sentence


def said(stdout):
    return SimpleNamespace(stdout=stdout)


# --- Who am I? ------------------------------------------------------------------------------------

RAW = {
    "metadata": {
        "name": "card",
        "namespace": "n",
        "labels": {"color": "blue"},
        "annotations": {"note": "old"},
    },
    "spec": {"nodeName": "a-node"},
    "status": {"podIP": "10.0.0.7", "podIPs": [{"ip": "10.0.0.7"}]},
}
REFS = {"POD_NAME": "metadata.name", "POD_IP": "status.podIP"}


def card(env):
    refs = [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": field}}}
            for name, field in REFS.items()]  # fmt: skip
    spec = {**RAW["spec"], "containers": [{"env": [*refs, {"name": "LISTEN", "value": "x"}]}]}
    return SimpleNamespace(raw={**RAW, "spec": spec}, exec=lambda *_: said(env))


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        ("POD_NAME=card\nPOD_IP=10.0.0.7\n", "equal to the API's value: metadata.name and status"),
        ("POD_NAME=card\nPOD_IP=10.0.0.8\n", "different: status.podIP"),
        ("POD_IP=10.0.0.7\n", "different: metadata.name"),
    ],
)
def test_m1(env, wanted):
    assert wanted in prove("M1", None, card(env))


# --- Which fields? --------------------------------------------------------------------------------

VARIABLES = {
    "metadata.name": "card",
    "metadata.labels['color']": "blue",
    "status.podIP": "10.0.0.7",
}
FILES = {
    "metadata.name": "card",
    "metadata.labels": 'color="blue"',
    "metadata.annotations": 'kubernetes.io/config.seen="1"\nkubernetes.io/config.source="api"\n'
    'note="old"',
}


class Api:
    """An API that takes the fields of these two, and a Pod that has these values."""

    def __init__(self, variables, files, reason="Invalid"):
        self.namespace, self.reason = "n", reason
        self.variables = {MODULE._name(field): text for field, text in variables.items()}
        self.files = {MODULE._name(field): text for field, text in files.items()}
        self.connection = self

    def apply(self, body, dry_run=False):
        spec = body["spec"]
        env = {each["name"] for each in spec["containers"][0]["env"]}
        items = {each["path"] for each in spec["volumes"][0]["downwardAPI"]["items"]}
        if not (env <= set(self.variables) and items <= set(self.files)):
            raise Refused("No.", "", "", reason=self.reason, message="no")

    def pod(self, name):
        def run(_, command):
            words = shlex.split(command) if isinstance(command, str) else command
            if words == ["env"]:
                return said("\n".join(f"{name}={text}" for name, text in self.variables.items()))
            return said(self.files[words[-1].removeprefix("/about/")])

        pod = SimpleNamespace(raw=RAW, exec=run)
        pod.wait_until = lambda *_, **__: pod
        return pod


@pytest.mark.parametrize(
    ("variables", "files", "wanted"),
    [
        (VARIABLES, FILES, "both ways: metadata.name;"),
        (VARIABLES, FILES, "only as a variable: metadata.labels['color'] and status.podIP;"),
        (VARIABLES, FILES, "only as a file: metadata.labels and metadata.annotations;"),
        (VARIABLES, FILES, "what arrives equals the API's value; the kubelet adds two lines to "
                           "metadata.annotations"),
        ({**VARIABLES, "status.podIP": "10.0.0.8"}, FILES, "not all that arrives equals"),
        (VARIABLES, {**FILES, "metadata.annotations": 'note="old"\na="b"'}, "not all that arrives"),
        (VARIABLES, {**FILES, "status.podIPs": "10.0.0.7"}, "only as a file: metadata.labels, "
                                                            "metadata.annotations and status.podI"),
    ],
)  # fmt: skip
def test_m5(variables, files, wanted):
    sentence = prove("M5", Api(variables, files))
    assert wanted in sentence
    assert "rejected: " in sentence


def test_only_a_field_that_is_invalid_counts_as_rejected():
    with pytest.raises(Refused):
        prove("M5", Api({}, {}, reason="Forbidden"))


# --- Sizes ----------------------------------------------------------------------------------------


class Sizes(Api):
    """A Pod that has these numbers, in the order of ASKED."""

    def __init__(self, numbers, files=None):
        super().__init__({}, {})
        self.variables = {f"V{n}": str(number) for n, number in enumerate(numbers)}
        self.files = {f"V{n}": str(number) for n, number in enumerate(files or numbers)}


TRUE = [MODULE.arrives(MODULE._given(field), divisor) for field, divisor in MODULE.ASKED]


@pytest.mark.parametrize(
    ("numbers", "files", "wanted"),
    [
        (TRUE, None, "variables and files have the value in units of the divisor, rounded up; a "
                     "CPU limit of 250m arrives as 1, with the divisor 1m as 250; a memory limit "
                     "of 100M arrives as 96 with the divisor 1Mi, which is more than the limit"),
        ([0, *TRUE[1:]], None, "not rounded up: limits.cpu in 1 is 0; a CPU limit of 250m arrives"),
        (TRUE, [2, *TRUE[1:]], "not rounded up: limits.cpu in 1 is 1 and 2"),
        ([*TRUE[:6], 95, *TRUE[7:]], None, "arrives as 95 with the divisor 1Mi, which is no more "),
    ],
)  # fmt: skip
def test_m2(numbers, files, wanted):
    assert wanted in prove("M2", Sizes(numbers, files))


# --- No limit -------------------------------------------------------------------------------------

NODE = SimpleNamespace(
    connection=SimpleNamespace(
        list=lambda *_: {"items": [{"status": {"allocatable": {"memory": "1000Mi"}}}]}
    )
)


def two(app, proxy, own=None, of_pod=None, name="a"):
    """A Pod whose containers are told these numbers of MiB, with these limits."""

    def limits(text):
        return {"resources": {"limits": {"memory": text}}} if text else {}

    told = {"app": app, "proxy": proxy}
    spec = {"containers": [{"name": "app", **limits(own)}, {"name": "proxy"}], **limits(of_pod)}
    lines = {name: "" if mib is None else f"LIMIT={mib * MIB}" for name, mib in told.items()}
    return SimpleNamespace(
        name=name, raw={"spec": spec}, exec=lambda container, _: said(lines[container])
    )


@pytest.mark.parametrize(
    ("pod", "wanted"),
    [
        (two(1000, 1000), "a: both containers are told the node's allocatable memory"),
        (two(0, 0), "a: both containers are told something else"),
        (two(None, None), "a: both containers are told something else"),
        (two(96, 96, of_pod="96Mi"), "a: both containers are told the Pod's whole limit"),
        (two(1000, 1000, of_pod="96Mi"), "a: both containers are told the node's allocatable"),
        (
            two(64, 96, own="64Mi", of_pod="96Mi"),
            "a: app is told its own limit and proxy is told the Pod's whole limit",
        ),
    ],
)
def test_m4(monkeypatch, pod, wanted):
    monkeypatch.setattr(MODULE, "described_limits", lambda _: {"app": "0", "proxy": "0"})
    assert wanted in prove("M4", NODE, pod)


@pytest.mark.parametrize(
    ("pod", "shown", "wanted"),
    [
        (two(1000, 1000), "node allocatable", "are told the node's allocatable memory"),
        (two(1000, 1000), "0", "; kubectl describe is wrong about 2 of 2 containers, and says 0"),
        (
            two(96, 96, of_pod="96Mi"),
            "node allocatable",
            "; kubectl describe is wrong about 2 of 2 containers, and says node allocatable",
        ),
        (two(96, 96, of_pod="96Mi"), str(96 * MIB), "are told the Pod's whole limit"),
    ],
)
def test_m4_says_where_kubectl_describe_is_wrong(monkeypatch, pod, shown, wanted):
    monkeypatch.setattr(
        MODULE, "described_limits", lambda _: dict.fromkeys(("app", "proxy"), shown)
    )
    assert prove("M4", NODE, pod).endswith(wanted)


@pytest.mark.parametrize(
    ("pod", "wanted"),
    [
        (two(1000, 1000), "the node's memory"),
        (two(0, 0), "0"),
        (two(None, None), "nothing: the variable is empty"),
        (two(96, 96, of_pod="96Mi"), "all 96Mi of it"),
        (two(48, 48, of_pod="96Mi"), "48Mi, its half"),
    ],
)
def test_whose_limit_it_is(pod, wanted):
    assert MODULE.whose(NODE, pod) == wanted


# --- What follows a change? -----------------------------------------------------------------------

LIMIT = {64: str(64 * MIB), 128: str(128 * MIB)}
BEFORE = ("blue", LIMIT[64], "old", "blue", "blue", "old", LIMIT[64])
LABELLED = ("green", LIMIT[64], "new", *BEFORE[3:])
RESIZED = ("green", LIMIT[128], "new", *BEFORE[3:])
RESTARTED = ("green", LIMIT[128], "new", "green", "green", "new", LIMIT[128])


def version(seconds, color, mib):
    container = {"resources": {"limits": {"memory": f"{mib}Mi"}}}
    obj = {"metadata": {"labels": {"color": color}}, "spec": {"containers": [container]}}
    return SimpleNamespace(seconds=seconds, obj=obj)


LIFE = SimpleNamespace(
    versions=[version(0, "blue", 64), version(3, "green", 64), version(6, "green", 128)],
    seconds_of=lambda at: at,
)
WATCHER = SimpleNamespace(name="watcher", uid="u")


def watched(monkeypatch, *runs):
    """A lab whose watcher has logged these lines, run by run."""

    def stamped(_node, _namespace, _pod, _uid, _container, run):
        return [(at, " ".join(words)) for at, words in runs[run]]

    monkeypatch.setattr(MODULE.logs, "stamped_lines", stamped)
    return SimpleNamespace(node=None, namespace="n")


RUNS = (
    [(1.0, BEFORE), (2.0, ("blue", "torn")), (3.2, LABELLED), (6.1, RESIZED)],
    [(9.0, RESTARTED), (11.0, RESTARTED)],
)
LATE = ([(1.0, BEFORE), (63.0, LABELLED), (66.0, RESIZED)], [(70.0, RESTARTED)])
STAYS = ([(1.0, BEFORE), (8.0, BEFORE)], [(9.0, RESTARTED)])
ALL = ([(1.0, BEFORE), (7.0, RESTARTED)], [(9.0, RESTARTED)])
NEVER = (RUNS[0], [(9.0, RESIZED)])
FOLLOW = "the label's file, the limit's file and the annotation's file showed the new value"


@pytest.mark.parametrize(
    ("runs", "wanted"),
    [
        (RUNS, f"before the restart {FOLLOW}, within seconds; the label's file by subPath, the "
               "label's variable, the annotation's variable and the limit's variable stayed the "
               "same; after the restart all showed the new value"),
        (LATE, f"{FOLLOW}; the label's file by subPath"),
        (STAYS, "before the restart nothing showed the new value; the label's file, "),
        (ALL, "the annotation's variable and the limit's variable showed the new value, within "
              "seconds; nothing stayed the same"),
        (NEVER, "after the restart the label's file, the limit's file and the annotation's file "),
    ],
)  # fmt: skip
def test_m3(monkeypatch, runs, wanted):
    assert wanted in prove("M3", watched(monkeypatch, *runs), LIFE, WATCHER)


@pytest.mark.parametrize(
    ("runs", "wanted"),
    [
        (RUNS, "within seconds"),
        (LATE, "within a minute or two"),
        (STAYS, "not before a restart"),
    ],
)
def test_how_late_the_file_is(monkeypatch, runs, wanted):
    assert MODULE.how_late(watched(monkeypatch, *runs), LIFE, WATCHER) == wanted


# --- Why so quick? --------------------------------------------------------------------------------

KUBELET = SimpleNamespace(
    connection=SimpleNamespace(
        list=lambda *_: {"items": [{"metadata": {"name": "a-node"}}]},
        raw=lambda _: {"kubeletconfig": {"syncFrequency": "1m0s"}},
    )
)


@pytest.mark.parametrize(
    ("settings", "labels", "wanted"),
    [
        ([55.0, 80.0], [0.2, 0.4], "the label's file followed within seconds in all of 2 Pods; the "
                                   "ConfigMap's file took longer than that, and less than two "
                                   "minutes in all of 2"),
        ([55.0, 80.0], [0.2, 61.0], "the label's file did not follow within seconds in all of 2"),
        ([0.3, 0.4], [0.2, 0.4], "the ConfigMap's file was as quick"),
        ([55.0, 125.0], [0.2, 0.4], "took longer than that, and more than two minutes"),
    ],
)  # fmt: skip
def test_m6(settings, labels, wanted):
    assert wanted in prove("M6", KUBELET, settings, labels)


def test_delays_are_those_of_the_links_that_were_replaced_since():
    pods = [{"metadata": {"uid": each}} for each in "ab"]
    asked = []

    def run(command):
        asked.append(command)
        return "12.5\n9.0\n" if len(asked) == 1 else "12.5\n11.0\n"

    lab = SimpleNamespace(
        node=SimpleNamespace(run=run),
        connection=SimpleNamespace(list=lambda *_, **__: {"items": pods}),
    )
    assert MODULE.delays(lab, "about", 10.0) == [1.0, 2.5]
    assert "/pods/a/volumes/*/about/..data" in asked[0]
