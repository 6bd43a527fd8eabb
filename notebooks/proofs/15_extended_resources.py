"""Lab 15: how an extended resource is counted, who may stand behind the number, and huge pages."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import yaml

from labhelpers import formulas, paths
from labhelpers.charts import ledger as charts
from labhelpers.charts.chart import Chart
from labhelpers.errors import Refused
from labhelpers.outcomes import Shown, frame_of, listed
from labhelpers.polling import poll

MANIFESTS = paths.notebooks() / "manifests" / "15-extended-resources"
GPU, CARD = "nvidia.com/gpu", "example.com/card"
NOT_PREPARED = "FailedPrepareDynamicResources"
DECIDED_SECONDS, REJECTED_SECONDS = 30.0, 30.0
PENDING, FAILS, RUNS = "stays Pending: there is no GPU", "starts, and fails", "runs"
NO_NUMBER = "stays Pending: the node has no such number"
NO_DEVICE, NO_START = "runs, without a device", "is scheduled, but doesn't start"
PAGES = 2  # of huge pages: what the Pod huge requests
PAGES_SET_ASIDE = 4


def decided(lab, pod):
    """The Pod, once the scheduler has said something about it."""
    return pod.wait_until(
        lambda now: "PodScheduled" in now.conditions, timeout_seconds=DECIDED_SECONDS
    )


@contextmanager
def advertised(lab, resource: str, count: int) -> Iterator[None]:
    """The node advertises a resource as long as the ``with`` block runs."""
    lab.offer(resource, count)
    try:
        yield
    finally:
        lab.withdraw(resource)


# --- A number on the node -------------------------------------------------------------------------


def ledger(lab, title: str, moments: Mapping[str, formulas.Count]) -> Chart:
    """How a counted resource is allocated at several moments, as a picture with its finding.

    Args:
        title: the question that the picture answers.
        moments: by name, top to bottom, the count as it stood: ``lab.count("nvidia.com/gpu")``.

    Example::

        lab.tools.ledger("Who has it?", {"before": before, "after": after})
    """
    rows = []
    for moment, found in moments.items():
        rows.append((moment, "offered", "", int(found.offered)))
        rows += [(moment, "has", who, int(pieces)) for who, pieces in sorted(found.has.items())]
        rows += [(moment, "waits", who, int(pieces)) for who, pieces in sorted(found.waits.items())]
    return charts.ledger(frame_of(rows, ["moment", "state", "who", "pieces"]), title)


def what_a_number_does(lab, pod) -> str:
    """What becomes of a Pod whose resource is only a number: a choice of "number"."""
    poll(lambda: pod.phase != "Pending", timeout_seconds=DECIDED_SECONDS)
    if pod.phase == "Failed":
        return FAILS
    return RUNS if pod.phase == "Running" else PENDING


def what_the_second_does(lab, pod) -> str:
    """What became of a Pod that wants what another Pod has: a choice of "second"."""
    pod.wait_until(
        lambda now: now.conditions.get("PodScheduled") == "False" or now.phase != "Pending",
        timeout_seconds=DECIDED_SECONDS,
    )
    said = {"Running": "runs, and shares it", "Pending": "is Pending"}
    return said.get(pod.phase, "starts, and fails")


def j1(lab, moments) -> Shown:
    """An extended resource is a counted integer: Pending with none, running with one, the next
    Pending again."""
    said = []
    for moment, found in moments.items():
        words = [f"{who} has {int(count)}" for who, count in sorted(found.has.items())]
        words += [f"{who} waits" for who in sorted(found.waits)]
        said.append(f"{moment}, {listed(words) or 'nobody has or wants any'}")
    return Shown(ledger(lab, "Who has the one unit?", moments), "; ".join(said))


def devices(lab, with_it, without) -> Shown:
    """Which device files a container with the resource has that another one hasn't."""
    pods = {pod.name: pod.exec("app", ["ls", "/dev"]).stdout.split() for pod in (with_it, without)}
    names = sorted(set().union(*pods.values()))
    rows = [
        {"in /dev": name, **{pod: "yes" if name in found else "no" for pod, found in pods.items()}}
        for name in names
    ]
    more = [name for name in pods[with_it.name] if name not in pods[without.name]]
    return Shown(
        frame_of(rows),
        f"in /dev {with_it.name} has {listed(more) or 'nothing'} that {without.name} doesn't have",
    )


def overdrawn(lab, pod) -> Shown:
    """How the count stands after the number has been taken away, and what became of its Pod."""
    found = lab.count(GPU)
    has = int(sum(found.has.values()))
    row = {"advertised": int(found.offered), "allocated": has, "free": int(found.free)}
    return Shown(
        frame_of([{"Pod": pod.name, "phase": pod.phase, **row}]),
        f"{pod.name} is {pod.phase}, with {row['advertised']} advertised, {has} allocated, and "
        f"{row['free']} free",
    )


def j5(lab, pod) -> Shown:
    """A starting kubelet checks its Pods again: one whose extended resource is 0 by then fails."""
    poll(lambda: pod.phase == "Failed", timeout_seconds=REJECTED_SECONDS)
    status = pod.raw["status"]
    phase, reason = status["phase"], status.get("reason", "")
    row = {"Pod": pod.name, "phase": phase, "reason": reason or "none"}
    return Shown(
        frame_of([{**row, "message": status.get("message", "none")}]),
        f"after the restart of the kubelet {pod.name} is {phase}"
        + (f", with the reason {reason}" if reason else ""),
    )


# --- Whole units ----------------------------------------------------------------------------------


def what_stretched_is(lab, tried) -> str:
    """What the API server does with a limit above the request: a choice of "stretched"."""
    rejects = "must be equal" in str(tried.error)
    return "is rejected" if rejects else "is accepted: 1 for sure, 2 at most"


def j3(lab) -> Shown:
    """Extended resources come in whole units, and request and limit have to be equal."""
    asked = {
        "half a unit": {"limits": {GPU: "500m"}},
        "a limit above the request": {"requests": {GPU: "1"}, "limits": {GPU: "2"}},
        "a request without a limit": {"requests": {GPU: "1"}},
        "a limit without a request": {"limits": {GPU: "1"}},
    }
    rows = [{"asked for": what, **_admission(lab, each)} for what, each in asked.items()]
    rejected = [row["asked for"] for row in rows if row["admitted"] == "no"]
    filled = rows[-1]["API server"] == "request 1, limit 1"
    return Shown(
        frame_of(rows),
        f"the API server rejects {listed(rejected) or 'none of them'}; a limit without a request "
        f"{'becomes the request' if filled else 'stays alone'}",
    )


def _admission(lab, resources: dict) -> dict:
    container = {"name": "app", "image": "busybox:1.35.0", "resources": resources}
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "asks", "namespace": lab.namespace},
        "spec": {"containers": [container]},
    }
    try:
        made = lab.connection.apply(body, dry_run=True)
    except Refused as refused:
        return {"admitted": "no", "API server": _why(refused.message)}
    found = made["spec"]["containers"][0]["resources"]
    words = [f"{kind[:-1]} {found[kind][GPU]}" for kind in ("requests", "limits") if kind in found]
    return {"admitted": "yes", "API server": ", ".join(words)}


def _why(message: str) -> str:
    """The last part of what the API server says: why.

    >>> _why('Pod "a" is invalid: [spec.x: Invalid value: "1": must be an integer]')
    'must be an integer'
    """
    return re.split(r": ", message.rstrip("]"))[-1]


# --- DRA ------------------------------------------------------------------------------------------


def what_dra_does(lab, pod) -> str:
    """What became of a Pod whose resource a DeviceClass serves: a choice of "dra"."""
    _warning(lab, pod)
    if pod.container("app").state == "running":
        return NO_DEVICE
    return NO_START if pod.conditions.get("PodScheduled") == "True" else NO_NUMBER


def j4(lab, pod) -> Shown:
    """DRA can serve the same line: the scheduler makes a ResourceClaim, the node's status has no
    number, and without the driver the Pod doesn't start."""
    warning = _warning(lab, pod)
    [node, *_] = lab.connection.list("Node")["items"]
    number = node["status"]["allocatable"].get(CARD, "none")
    claim = pod.raw["status"].get("extendedResourceClaimStatus", {}).get("resourceClaimName")
    claims = [each for each in lab.connection.list("ResourceClaim")["items"] if claim]
    mine = [each for each in claims if each["metadata"]["name"] == claim]
    got = [
        result["device"]
        for each in mine
        for result in each.get("status", {}).get("allocation", {})["devices"]["results"]
    ]
    state = pod.container("app").state
    rows = [
        (f"{CARD} in the node's status", number),
        ("scheduled", pod.conditions.get("PodScheduled", "not yet")),
        ("ResourceClaim of the Pod", claim or "none"),
        ("device allocated in it", listed(got) or "none"),
        ("the container is", state),
        ("event", warning or "none"),
    ]
    words = [
        f"the node's status has {'no' if number == 'none' else 'the'} number for {CARD}",
        f"the scheduler made {'a' if got else 'no'} ResourceClaim with a device",
        f"the container is {state}"
        + (", because the driver is not registered" if "not registered" in warning else ""),
    ]
    return Shown(frame_of(rows, ["asked", "answer"]), "; ".join(words))


def _warning(lab, pod) -> str:
    """The kubelet's warning that nobody prepares the device, as soon as it's there; "" where the
    container runs or the Pod isn't scheduled."""

    def said() -> list[str]:
        now = pod.now()
        if now.conditions.get("Ready") == "True" or now.conditions.get("PodScheduled") == "False":
            return [""]
        picked = f"reason={NOT_PREPARED},involvedObject.uid={now.uid}"
        events = lab.connection.list("Event", field_selector=picked)["items"]
        return [each["message"] for each in events]

    return (poll(said, timeout_seconds=DECIDED_SECONDS) or [""])[0]


# --- Huge pages -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pages:
    """Huge pages of the node's default size at one moment.

    Attributes:
        name: of the resource: "hugepages-2Mi".
        size: of a page, in bytes.
        total, free: as the kernel counts them.
        advertised, allocated: as the node's status and the scheduler count them.
    """

    name: str
    size: int
    total: int
    free: int
    advertised: int
    allocated: int


def pages(lab) -> Pages:
    """How many huge pages of the default size there are, by the kernel and by the API."""
    with lab.transcript.quietly():
        text = lab.node.run("grep -i huge /proc/meminfo")
    total, free, size_kb = (
        int(re.search(rf"^{key}: +(\d+)", text, re.MULTILINE)[1])
        for key in ("HugePages_Total", "HugePages_Free", "Hugepagesize")
    )
    size = size_kb << 10
    [node, *_] = lab.connection.list("Node")["items"]
    there = node["status"]["allocatable"]
    sizes = {
        name: formulas.quantity(name.removeprefix("hugepages-"))
        for name in there
        if name.startswith("hugepages-")
    }
    name = next(name for name, each in sizes.items() if each == size)
    with lab.transcript.quietly():
        allocated = sum(lab.count(name).has.values())
    advertised = int(formulas.quantity(there[name]))
    return Pages(name, size, total, free, advertised // size, int(allocated) // size)


def huge_pod(lab, name: str = "huge.yaml"):
    """Applies a manifest of this lab with pages of this node's default size, two of them: its
    manifest is written for pages of 2 MiB."""
    now = pages(lab)
    body = yaml.safe_load((MANIFESTS / name).read_text(encoding="utf-8"))
    limits = body["spec"]["containers"][0]["resources"]["limits"]
    del limits["hugepages-2Mi"]
    limits[now.name] = str(PAGES * now.size)
    body["metadata"]["namespace"] = lab.namespace
    lab.connection.apply(body)
    return lab.pod(body["metadata"]["name"])


def use(lab, pod, count: int, file: str) -> bool:
    """Allocates huge pages in a file of the Pod's volume; whether the kernel gave them. (hugetlbfs
    has no write: a program would map the file.)"""
    size = count * pages(lab).size
    return pod.exec("app", ["fallocate", "-l", str(size), f"/pages/{file}"]).returncode == 0


FREE = {
    PAGES_SET_ASIDE: "4: a request is nothing to the kernel",
    PAGES_SET_ASIDE - PAGES: "2: two are reserved for the Pod",
    0: "0: a page that's set aside isn't free",
}


def free_pages(lab, moments: Mapping[str, Pages]) -> str:
    """How many of the pages that this lab has set aside are free at the last moment: a choice of
    "pages"."""
    first, *_, last = moments.values()
    free = last.free - first.free
    return FREE.get(free, f"{free}")


def j2(lab, moments: Mapping[str, Pages]) -> Shown:
    """Huge pages: the node must offer them, the Pod must also ask for CPU or memory, and the pages
    used are seen on the node."""
    rows = [
        {
            "moment": moment,
            "kernel: pages": each.total,
            "kernel: free": each.free,
            "node status: pages": each.advertised,
            "allocated to Pods": each.allocated,
        }
        for moment, each in moments.items()
    ]
    agree = all(each.total == each.advertised for each in moments.values())
    refused = _alone_is_refused(lab)
    *_, allocated, used = moments.values()
    first = next(iter(moments.values()))
    words = [
        f"the kernel and the node's status {'agree' if agree else 'disagree'} on the number of "
        "pages",
        f"{allocated.allocated} pages are allocated while {allocated.free - first.free} are free",
        f"once they are used, {used.free - first.free} are free",
        f"huge pages without CPU and memory are {'rejected' if refused else 'admitted'}",
    ]
    return Shown(frame_of(rows), "; ".join(words))


def _alone_is_refused(lab) -> bool:
    body = yaml.safe_load((MANIFESTS / "only-huge.yaml").read_text(encoding="utf-8"))
    body["metadata"]["namespace"] = lab.namespace
    try:
        lab.connection.apply(body, dry_run=True)
    except Refused as refused:
        return "HugePages require cpu or memory" in refused.message
    return False


def third_page(lab, pod) -> Shown:
    """Whether the kernel gives a Pod more huge pages than its limit: only where its cgroup has no
    limit for them."""
    size = pages(lab).size
    limit = pod.container("app").cgroup.hugetlb_limit_bytes.get(size)
    given = use(lab, pod, 1, "more")
    fits = given == (limit is None)
    rows = [
        ("with the hugetlb controller", f"{PAGES} pages", "refused"),
        ("without it", "none", "given"),
        ("your node", "none" if limit is None else f"{limit // size} pages",
         "given" if given else "refused"),
    ]  # fmt: skip
    return Shown(
        frame_of(rows, ["node", "limit in the cgroup", "a third page is"]),
        "the kernel refuses a third page exactly where the cgroup has the limit"
        if fits
        else "the kernel doesn't do what the cgroup's limit says",
    )
