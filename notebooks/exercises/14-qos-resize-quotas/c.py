"""Exercise c of lab 14: Pods are created under the reader's rules, and the API server says which of
them it takes."""

from labhelpers.errors import LabError, Refused
from labhelpers.exercises import NotYet
from labhelpers.patience import patient
from labhelpers.polling import poll

QUESTION = """
Design the rules for a team's namespace, with a LimitRange, a ResourceQuota, or both:
1. A container that says nothing requests 32Mi.
2. A container that requests 100Mi, and says nothing else, is accepted.
3. Every container has a limit, and none above 128Mi.
4. All Pods together request up to 192Mi, and not more.

The starter meets only the first. The check creates Pods, and takes them and your rules away again.
Delete the lab's own Pods first: they'd count.
"""

HINTS = [
    "Apply your rules, then try the second: kubectl apply --dry-run=server with a Pod that requests "
    "100Mi. Read what the API server says about the limit.",
    "A default limit that's smaller than somebody's request makes that request invalid. And a "
    "LimitRange knows more than defaults: max is a line of its own.",
    "default 128Mi, defaultRequest 32Mi and max 128Mi in the LimitRange; requests.memory in the "
    "quota, not limits.memory.",
]

DEBRIEF = [
    "A default limit of 64Mi made the request of 100Mi invalid. Nothing stopped larger limits, "
    "and the quota added up limits, not requests.",
    "A LimitRange fills in and checks one container at a time: default isn't a maximum, max is. "
    "A ResourceQuota adds up the namespace.",
    'A platform team adds a LimitRange, and the next rollouts fail: "must be less than or equal '
    'to memory limit". Nobody had set one.',
]

IN_FORCE_SECONDS = 20.0
MIB = 1 << 20


def check(lab, path):
    quotas = [each["metadata"]["name"] for each in lab.connection.list("ResourceQuota")["items"]]
    made: list[str] = []
    if lab.connection.list("Pod")["items"]:
        raise NotYet("there are other Pods in this namespace", "kubectl delete pods --all")
    try:
        _wait_until_in_force(lab, quotas)
        return _judge(lab, made)
    finally:
        for name in made:
            lab.connection.delete("Pod", name, grace_seconds=0)
        for kind in ("ResourceQuota", "LimitRange"):
            for each in lab.connection.list(kind)["items"]:
                lab.connection.delete(kind, each["metadata"]["name"])


def _judge(lab, made: list[str]) -> str:
    plain = _created(lab, made, "plain", {}, "a container that says nothing")
    if _amount(plain, "requests") != "32Mi":
        raise NotYet(f"a container that says nothing requests {_amount(plain, 'requests')}")
    hundred = {"requests": {"memory": "100Mi"}}
    asks = _created(lab, made, "asks", hundred, "a container that requests 100Mi")
    if "none" in (_amount(plain, "limits"), _amount(asks, "limits")):
        raise NotYet("a container without a limit got in")
    _rejected(lab, made, "large", _equal("129Mi"), "a container with a limit of 129Mi")
    fits = {"requests": {"memory": "60Mi"}, "limits": {"memory": "128Mi"}}
    _created(lab, made, "fits", fits, "with 132Mi requested, a Pod that requests 60Mi more")
    more = {"requests": {"memory": "1Mi"}, "limits": {"memory": "8Mi"}}
    _rejected(lab, made, "more", more, "with 192Mi requested, a Pod that requests 1Mi more")
    return "each Pod was accepted or rejected as the four rules say"


def _equal(amount: str) -> dict:
    return {"requests": {"memory": "1Mi"}, "limits": {"memory": amount}}


def _wait_until_in_force(lab, quotas: list[str]) -> None:
    """The API server goes by rules that it has read from its own cache, and by a quota that has
    been counted."""

    def counted() -> bool:
        found = [lab.connection.get("ResourceQuota", name) for name in quotas]
        return all(each.get("status", {}).get("hard") == each["spec"]["hard"] for each in found)

    poll(counted, timeout_seconds=patient(IN_FORCE_SECONDS), every_seconds=0.2)

    def ruled() -> bool:
        if not lab.connection.list("LimitRange")["items"]:
            return True
        name = "probe"
        try:
            found = lab.connection.create(_pod(name, {}))
        except LabError:
            return True
        lab.connection.delete("Pod", name, grace_seconds=0)
        poll(
            lambda: not lab.connection.list("Pod")["items"],
            timeout_seconds=patient(IN_FORCE_SECONDS),
            every_seconds=0.2,
        )
        return bool(found["spec"]["containers"][0].get("resources"))

    poll(ruled, timeout_seconds=patient(IN_FORCE_SECONDS), every_seconds=0.3)
    # What a deleted Pod had is given back a moment later.
    poll(
        lambda: all(_unused(lab.connection.get("ResourceQuota", name)) for name in quotas),
        timeout_seconds=patient(IN_FORCE_SECONDS),
        every_seconds=0.2,
    )


def _unused(quota: dict) -> bool:
    return set(quota.get("status", {}).get("used", {}).values()) <= {"0"}


def _pod(name: str, resources: dict) -> dict:
    container = {"name": "app", "image": "busybox:1.35.0", "command": ["sleep", "3600"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{**container, "resources": resources}],
        },
    }


def _created(lab, made: list[str], name: str, resources: dict, who: str) -> dict:
    try:
        found = lab.connection.create(_pod(name, resources))
    except Refused as refused:
        raise NotYet(f"{who} is rejected: {refused.message}") from refused
    made.append(name)
    return found


def _rejected(lab, made: list[str], name: str, resources: dict, who: str) -> None:
    try:
        lab.connection.create(_pod(name, resources))
    except Refused as refused:
        if refused.reason == "Forbidden":
            return
        raise
    made.append(name)
    raise NotYet(f"{who} is accepted")


def _amount(pod: dict, kind: str) -> str:
    resources = pod["spec"]["containers"][0].get("resources") or {}
    return (resources.get(kind) or {}).get("memory", "none")
