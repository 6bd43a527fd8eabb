"""Exercise b of lab 06: the value of ndots with which three names stay within their budget."""

import yaml

from labhelpers import paths
from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
The app in the Pod lean looks up three names again and again. CoreDNS is busy, so each of them has a
budget of DNS queries:

    kube-dns.kube-system.svc.cluster.local    at most 2
    kubernetes.default.svc                    at most 6
    kube-dns.kube-system                      at most 4

The names are in the app's code, and stay as they are. Compute which value of ndots does it, and
write it into the Pod. The check copies the Pod's resolv.conf to a Pod with a DNS server that counts.
"""

HINTS = [
    "The search list is NAMESPACE.svc.cluster.local, svc.cluster.local, cluster.local. For each "
    "name: at which place of the list is it found? Every try costs two queries.",
    "If the resolver begins with the name itself, and there's no such name, these two queries come "
    "on top. Count the dots: 4, 2 and 1.",
    "A name with as many dots as ndots, or more, is tried as it is first. The first name should be, "
    "the other two shouldn't.",
]

DEBRIEF = [
    "With ndots 5, the name with four dots went through the whole search list first: eight "
    "queries for one answer.",
    "A name with at least ndots dots is tried as it is first. Any other goes through the search "
    "list first, two queries a try.",
    "Each call to api.example.com costs eight DNS queries instead of two, and CoreDNS is busy "
    "saying NXDOMAIN. A dot at the end helps.",
]

MANIFESTS = paths.notebooks() / "manifests" / "06-full-spec"
# name: its budget
BUDGET = {
    "kube-dns.kube-system.svc.cluster.local": 2,
    "kubernetes.default.svc": 6,
    "kube-dns.kube-system": 4,
}


def check(lab, path):
    pod = expected_pod(lab, "lean").wait_until("Ready", timeout_seconds=60)
    text = pod.exec("app", ["cat", "/etc/resolv.conf"]).stdout
    lines = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
    if "svc.cluster.local" not in lines.get("search", "").split():
        raise NotYet(
            "the Pod's search list has lost svc.cluster.local", "The short names have to work."
        )
    counter = _counter(lab, lines["search"].split(), lines.get("options", "").split())
    costs = {name: sum(lab.tools.queries(counter, name).values()) for name in BUDGET}
    for name, most in BUDGET.items():
        if costs[name] > most:
            raise NotYet(f"{name} costs more than {most} queries")
    return f"the three names cost {', '.join(str(cost) for cost in costs.values())} queries"


def _counter(lab, searches, options):
    """A Pod with the same resolv.conf, but with a DNS server of its own."""
    corefile = yaml.safe_load((MANIFESTS / "dns.yaml").read_text(encoding="utf-8"))
    body = yaml.safe_load((MANIFESTS / "ndots-five.yaml").read_text(encoding="utf-8"))
    body["spec"]["dnsConfig"].update(
        searches=searches,
        options=[
            {"name": name, **({"value": value} if sign else {})}
            for name, sign, value in (each.partition(":") for each in options)
        ],
    )
    body["metadata"]["name"] = "counter"
    pod = lab.pod("counter")
    pod.delete(timeout_seconds=30, grace_seconds=1)
    lab.tools.tell_dns_address()
    for each in (corefile, body):
        each["metadata"]["namespace"] = lab.namespace
        lab.connection.apply(each)
    return pod.wait_until("Ready", timeout_seconds=60)
