"""The proofs of lab 15: each says one sentence where its claim is true, another where it isn't."""

from contextlib import nullcontext
from decimal import Decimal
from types import SimpleNamespace

import pytest

from labhelpers.errors import Refused
from labhelpers.formulas import Count
from labhelpers.proofs import Proofs

PROOFS = Proofs("15-extended-resources")
TOOLS = PROOFS.module
GPU = "nvidia.com/gpu"


def prove(claim, lab, *measured):
    return PROOFS.of(claim)(lab, *measured).sentence


def count(offered, has=(), waits=()):
    one = Decimal(1)
    return Count(Decimal(offered), dict.fromkeys(has, one), dict.fromkeys(waits, one))


def refusal(message):
    return Refused("Refused.", message, "", reason="Invalid", message=message)


# --- J1: a number on the node ---------------------------------------------------------------------

BOOK = {
    "none advertised": count(0, waits=["first"]),
    "one advertised": count(1, has=["first"]),
    "the second is created": count(1, has=["first"], waits=["second"]),
    "the first is deleted": count(1, has=["second"]),
}


def test_j1_one_has_the_unit_and_the_next_waits():
    assert prove("J1", None, BOOK) == (
        "none advertised, first waits; one advertised, first has 1; the second is created, first "
        "has 1 and second waits; the first is deleted, second has 1"
    )


def test_j1_otherwise():
    shared = {**BOOK, "the second is created": count(1, has=["first", "second"])}
    assert "the second is created, first has 1 and second has 1;" in prove("J1", None, shared)
    assert "nobody has or wants any" in prove("J1", None, {**BOOK, "one advertised": count(1)})


@pytest.mark.parametrize(
    ("phase", "number", "second"),
    [
        ("Running", "runs", "runs, and shares it"),
        ("Pending", "stays Pending: there is no GPU", "is Pending"),
        ("Failed", "starts, and fails", "starts, and fails"),
    ],
)
def test_what_becomes_of_a_pod_is_a_choice(phase, number, second):
    pod = SimpleNamespace(phase=phase, wait_until=lambda goal, timeout_seconds: None)
    assert TOOLS.what_a_number_does(None, pod) == number
    assert TOOLS.what_the_second_does(None, pod) == second


def with_devices(name, *devices):
    done = SimpleNamespace(stdout="\n".join(devices))
    return SimpleNamespace(name=name, exec=lambda container, command: done)


@pytest.mark.parametrize(
    ("devices", "words"), [(["null"], "nothing"), (["null", "nvidia0"], "nvidia0")]
)
def test_the_devices_are_compared(devices, words):
    second, plain = with_devices("second", *devices), with_devices("plain", "null")
    assert TOOLS.devices(None, second, plain).sentence == (
        f"in /dev second has {words} that plain doesn't have"
    )


@pytest.mark.parametrize(
    ("offered", "words"), [(0, "0 advertised, 1 allocated, and -1 free"), (1, "and 0 free")]
)
def test_the_count_after_the_number_is_gone(offered, words):
    lab = SimpleNamespace(count=lambda name: count(offered, has=["second"]))
    pod = SimpleNamespace(name="second", phase="Running")
    assert words in TOOLS.overdrawn(lab, pod).sentence


# --- J3: whole units ------------------------------------------------------------------------------


class Admission:
    """An API server that takes limits above requests, or halves, or neither."""

    namespace = "lab"

    def __init__(self, takes=()):
        self.connection, self._takes = self, takes

    def apply(self, body, dry_run):
        assert dry_run
        resources = body["spec"]["containers"][0]["resources"]
        requests, limits = (resources.get(kind, {}).get(GPU) for kind in ("requests", "limits"))
        kinds = {
            "halves": limits == "500m",
            "stretched": requests and limits and requests != limits,
            "alone": not limits,
        }
        if any(broken and kind not in self._takes for kind, broken in kinds.items()):
            raise refusal('Pod "asks" is invalid: spec.x: Invalid value: "1": not so')
        body["spec"]["containers"][0]["resources"] = {
            kind: {GPU: amount}
            for kind, amount in (("requests", requests or limits), ("limits", limits))
            if amount
        }
        return body


def test_j3_only_whole_units_and_equal():
    assert prove("J3", Admission()) == (
        "the API server rejects half a unit, a limit above the request and a request without a "
        "limit; a limit without a request becomes the request"
    )
    shown = PROOFS.of("J3")(None or Admission()).what
    assert list(shown["API server"]) == ["not so", "not so", "not so", "request 1, limit 1"]


@pytest.mark.parametrize(
    ("takes", "says"),
    [
        (("stretched",), "rejects half a unit and a request without a limit;"),
        (("halves", "stretched", "alone"), "rejects none of them;"),
    ],
)
def test_j3_otherwise(takes, says):
    assert says in prove("J3", Admission(takes))


@pytest.mark.parametrize(
    ("message", "choice"),
    [
        ("must be equal to nvidia.com/gpu limit of 2", "is rejected"),
        ("", "is accepted: 1 for sure, 2 at most"),
    ],
)
def test_what_a_stretched_request_is_is_a_choice(message, choice):
    assert TOOLS.what_stretched_is(None, SimpleNamespace(error=message)) == choice


# --- J4: DRA --------------------------------------------------------------------------------------

WARNING = "Failed to prepare dynamic resources: DRA driver card.example.com is not registered"
CLAIM = {
    "metadata": {"name": "by-dra-x"},
    "status": {"allocation": {"devices": {"results": [{"device": "card-0"}]}}},
}


class Dra:
    """A cluster and a Pod: with a number on the node or without, with a claim or without, with the
    kubelet's warning or without."""

    uid = "u"

    def __init__(self, *, number=None, claim=CLAIM, warning=WARNING, scheduled="True", state=""):
        self.connection = self
        allocatable = {"example.com/card": number} if number else {}
        events = [{"message": warning}] if warning else []
        self._lists = {
            "Node": [{"status": {"allocatable": allocatable}}],
            "ResourceClaim": [claim] if claim else [],
            "Event": events,
        }
        name = {"resourceClaimName": "by-dra-x"} if claim else {}
        self.raw = {"status": {"extendedResourceClaimStatus": name}}
        self.state = state or "waiting"
        ready = "True" if self.state == "running" else "False"
        self.conditions = {"PodScheduled": scheduled, "Ready": ready}

    def list(self, kind, **_):
        return {"items": self._lists[kind]}

    def now(self):
        return self

    def container(self, name):
        return SimpleNamespace(state=self.state)


def test_j4_the_same_line_without_a_number():
    dra = Dra()
    assert prove("J4", dra, dra) == (
        "the node's status has no number for example.com/card; the scheduler made a ResourceClaim "
        "with a device; the container is waiting, because the driver is not registered"
    )


@pytest.mark.parametrize(
    ("dra", "says"),
    [
        (Dra(number="1"), "has the number for example.com/card"),
        (Dra(claim=None), "made no ResourceClaim with a device"),
        (Dra(state="running"), "; the container is running"),
        (Dra(scheduled="False"), "; the container is waiting"),
    ],
)
def test_j4_otherwise(dra, says):
    words = prove("J4", dra, dra)
    assert says in words
    assert words.endswith("registered") == (dra.state != "running" and "False" not in
                                            dra.conditions["PodScheduled"])  # fmt: skip


@pytest.mark.parametrize(
    ("dra", "choice"),
    [
        (Dra(), "is scheduled, but doesn't start"),
        (Dra(state="running"), "runs, without a device"),
        (Dra(scheduled="False"), "stays Pending: the node has no such number"),
    ],
)
def test_what_dra_does_is_a_choice(dra, choice):
    assert TOOLS.what_dra_does(dra, dra) == choice


# --- J2: huge pages -------------------------------------------------------------------------------


def moment(total, free, advertised, allocated):
    return TOOLS.Pages("hugepages-2Mi", 2 << 20, total, free, advertised, allocated)


MOMENTS = {
    "at first": moment(0, 0, 0, 0),
    "four set aside": moment(4, 4, 4, 0),
    "allocated, unused": moment(4, 4, 4, 2),
    "used": moment(4, 2, 4, 2),
}


class Alone:
    """An API server that takes huge pages alone, or doesn't."""

    namespace = "lab"

    def __init__(self, takes=False):
        self.connection, self._takes = self, takes

    def apply(self, body, dry_run):
        if not self._takes:
            raise refusal("Forbidden: HugePages require cpu or memory")


def test_j2_a_page_is_free_until_it_is_used():
    assert prove("J2", Alone(), MOMENTS) == (
        "the kernel and the node's status agree on the number of pages; 2 pages are allocated "
        "while 4 are free; once they are used, 2 are free; huge pages without CPU and memory are "
        "rejected"
    )


@pytest.mark.parametrize(
    ("change", "takes", "says"),
    [
        ({"four set aside": moment(4, 4, 0, 0)}, False, "disagree on the number"),
        ({"allocated, unused": moment(4, 2, 4, 2)}, False, "while 2 are free"),
        ({"used": moment(4, 4, 4, 2)}, False, "once they are used, 4 are free"),
        ({}, True, "are admitted"),
    ],
)
def test_j2_otherwise(change, takes, says):
    assert says in prove("J2", Alone(takes), {**MOMENTS, **change})


def test_pages_of_the_machine_itself_are_left_out():
    more = {name: moment(each.total + 3, each.free + 3, each.advertised + 3, each.allocated)
            for name, each in MOMENTS.items()}  # fmt: skip
    assert "2 pages are allocated while 4 are free" in prove("J2", Alone(), more)
    assert TOOLS.free_pages(None, more) == "2: two are reserved for the Pod"


@pytest.mark.parametrize(
    ("free", "choice"),
    [
        (4, "4: a request is nothing to the kernel"),
        (2, "2: two are reserved for the Pod"),
        (0, "0: a page that's set aside isn't free"),
        (3, "3"),
    ],
)
def test_the_free_pages_are_a_choice(free, choice):
    moments = {"at first": MOMENTS["at first"], "allocated, unused": moment(4, free, 4, 2)}
    assert TOOLS.free_pages(None, moments) == choice


def test_pages_are_read_from_the_kernel_and_the_api():
    text = "HugePages_Total:       4\nHugePages_Free:        3\nHugepagesize:       2048 kB\n"
    there = {"hugepages-1Gi": "0", "hugepages-2Mi": "8Mi", "cpu": "2"}
    lab = SimpleNamespace(
        transcript=SimpleNamespace(quietly=nullcontext),
        node=SimpleNamespace(run=lambda script: text),
        connection=SimpleNamespace(
            list=lambda kind: {"items": [{"status": {"allocatable": there}}]}
        ),
        count=lambda name: Count(Decimal(8 << 20), {"huge": Decimal(4 << 20)}, {}),
    )
    assert TOOLS.pages(lab) == moment(4, 3, 4, 2)


@pytest.mark.parametrize(
    ("limit", "given", "says"),
    [
        ({}, True, "exactly where the cgroup has the limit"),
        ({2 << 20: 4 << 20}, False, "exactly where the cgroup has the limit"),
        ({2 << 20: 4 << 20}, True, "doesn't do what the cgroup's limit says"),
    ],
)
def test_a_third_page(monkeypatch, limit, given, says):
    monkeypatch.setattr(TOOLS, "pages", lambda lab: moment(4, 2, 4, 2))
    cgroup = SimpleNamespace(hugetlb_limit_bytes=limit)
    done = SimpleNamespace(returncode=0 if given else 1)
    pod = SimpleNamespace(
        container=lambda name: SimpleNamespace(cgroup=cgroup), exec=lambda *_: done
    )
    assert says in TOOLS.third_page(None, pod).sentence


# --- J5: the kubelet starts again -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (
            {"phase": "Failed", "reason": f"OutOf{GPU}"},
            "second is Failed, with the reason OutOfnvidia.com/gpu",
        ),
        ({"phase": "Running"}, "second is Running"),
    ],
)
def test_j5_a_pod_without_its_resource_fails(monkeypatch, status, says):
    monkeypatch.setattr(TOOLS, "REJECTED_SECONDS", 0.0)
    pod = SimpleNamespace(name="second", phase=status["phase"], raw={"status": status})
    assert prove("J5", None, pod) == f"after the restart of the kubelet {says}"
