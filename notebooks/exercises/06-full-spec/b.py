"""Exercise b of lab 06: the value of ndots with which three names stay within their budget."""

from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
The app in the Pod lean looks up three names again and again. CoreDNS is busy, so each of them has a
budget of DNS queries:

    kube-dns.kube-system.svc.cluster.local    at most 2
    kubernetes.default.svc                    at most 6
    kube-dns.kube-system                      at most 4

The names are in the app's code, and stay as they are. Compute which value of ndots does it, and
write it into the Pod. The check looks the names up in your Pod, and counts the datagrams it sends.
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

# Linux's counters of UDP, of the Pod's network namespace
SENT = "cat /proc/net/snmp"
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
    costs = {name: _queries(pod, name) for name in BUDGET}
    for name, most in BUDGET.items():
        if costs[name] > most:
            raise NotYet(f"{name} costs more than {most} queries")
    return f"the three names cost {', '.join(str(cost) for cost in costs.values())} queries"


def _queries(pod, name):
    """How many UDP datagrams the Pod sends for a name: of two lookups the smaller number, because
    a query without an answer in time is sent again. An answer's code doesn't matter here: a name
    that leaves the cluster costs its queries even where nobody outside can be asked.

    https://www.rfc-editor.org/rfc/rfc2013 (udpOutDatagrams)
    """
    return min(_datagrams(pod, name) for _ in range(2))


def _datagrams(pod, name):
    before = _sent(pod.exec("app", SENT).stdout)
    pod.exec("app", f"wget -q -O /dev/null http://{name}:9153/metrics")
    return _sent(pod.exec("app", SENT).stdout) - before


def _sent(text):
    """
    >>> _sent("Udp: InDatagrams NoPorts OutDatagrams\\nUdp: 7 0 8\\nUdpLite: InDatagrams\\n")
    8
    """
    names, values = (line.split() for line in text.splitlines() if line.startswith("Udp: "))
    return int(dict(zip(names, values, strict=True))["OutDatagrams"])
