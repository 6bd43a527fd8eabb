"""Whether one machine carries a room: a cluster and a Jupyter for each participant. Pure."""

from collections.abc import Sequence

from labhelpers.cluster.finding import Finding
from labhelpers.cluster.machine import MachineFacts

__all__ = ["judge", "verdict"]

GB = 1000**3
# `python -m benchmarks --only room`, four participants on two processors: up to 0.62 GB for a
# cluster in a lab, and 0.36 GB for its kernel. A JupyterLab server took 0.12 GB. Rounded up.
CLUSTER_GB, JUPYTER_GB = 0.8, 0.5
# of a processor: 0.12 to 0.13 was measured while nothing happens, and 0.3 in a lab without the
# work of its kernel, which is a guess
IDLE_CPUS, LAB_CPUS = 0.13, 0.5
# what a cluster unpacks and writes, beside the image that all share
DISK_GB = 1.0
# of the machine itself, its engine and the teacher's board
OWN_GB, IMAGE_GB, OWN_INSTANCES = 2, 2, 64
# systemd, containerd, the kubelet and each Pod's processes: 29 were counted in a lab
INSTANCES = 32


def judge(facts: MachineFacts, people: int) -> list[Finding]:
    """Judges whether a machine carries so many participants, each with a cluster.

    >>> facts = MachineFacts(docker_info={"ServerVersion": "29", "MemTotal": 64 * GB, "NCPU": 16})
    >>> [(each.name, each.ok) for each in judge(facts, 30)][:2]
    [('room: memory', True), ('room: processors', True)]
    """
    info = facts.docker_info
    return [
        _memory(int(info.get("MemTotal", 0)), people),
        _processors(int(info.get("NCPU", 0)), people),
        _disk(facts, people),
        _instances(facts, people),
    ]


def _memory(size: int, people: int) -> Finding:
    name, each = "room: memory", CLUSTER_GB + JUPYTER_GB
    wanted = OWN_GB + people * each
    needs = f"{people} participants take {wanted:.0f} GB, {each:.1f} GB each"
    if not size:
        return Finding(name, None, f"not known before an engine answers; {needs}")
    fits = max(0, int((size / GB - OWN_GB) // each))
    seen = f"{size / GB:.0f} GB; {needs}"
    if people <= fits:
        return Finding(name, True, seen)
    return Finding(name, False, seen, f"It's enough for {fits}. Give it {wanted:.0f} GB.")


def _processors(count: int, people: int) -> Finding:
    """Fewer than a lab in each cluster needs make all labs slower, and their measurements noisy;
    fewer than the clusters need while nothing happens make them fail."""
    name = "room: processors"
    busy, idle = people * LAB_CPUS, people * IDLE_CPUS
    needs = f"{people} clusters take {idle:.0f} while idle, {busy:.0f} with a lab in each"
    if not count:
        return Finding(name, None, f"not known before an engine answers; {needs}")
    seen = f"{count}; {needs}"
    if count >= busy:
        return Finding(name, True, seen)
    if count >= 2 * idle:
        fits = int(count // LAB_CPUS)
        return Finding(name, None, seen, f"It's enough for {fits} at once; more have to wait.")
    return Finding(name, False, seen, f"It's enough for {int(count // (2 * IDLE_CPUS))}.")


def _disk(facts: MachineFacts, people: int) -> Finding:
    name, wanted = "room: disk", IMAGE_GB + people * DISK_GB
    needs = f"{people} participants take {wanted:.0f} GB"
    if not facts.same_files or facts.free_bytes is None:
        return Finding(name, None, f"Docker's own, not checked; {needs}")
    seen = f"{facts.free_bytes / GB:.0f} GB free; {needs}"
    if facts.free_bytes >= wanted * GB:
        return Finding(name, True, seen)
    return Finding(name, False, seen, f"Free {wanted - facts.free_bytes / GB:.0f} GB more.")


def _instances(facts: MachineFacts, people: int) -> Finding:
    """All clusters' processes are root's, so they share one limit. kind calls this "too many open
    files": https://kind.sigs.k8s.io/docs/user/known-issues/#pod-errors-due-to-too-many-open-files
    """
    name, wanted = "room: inotify", OWN_INSTANCES + people * INSTANCES
    if not facts.same_kernel or facts.inotify_instances is None:
        return Finding(name, None, f"not checked; {people} clusters take {wanted} instances")
    seen = f"{facts.inotify_instances} instances; {people} clusters take {wanted}"
    if facts.inotify_instances >= wanted:
        return Finding(name, True, seen)
    return Finding(name, False, seen, f"sysctl -w fs.inotify.max_user_instances={2 * wanted}")


def verdict(findings: Sequence[Finding], people: int) -> str:
    """The last line.

    >>> verdict([Finding("room: disk", False, "8 GB")], 30)
    'This machine is too small for a room of 30: disk.'
    """
    short = [each.name.removeprefix("room: ") for each in findings if each.ok is False]
    if short:
        return f"This machine is too small for a room of {people}: {', '.join(short)}."
    if any(each.ok is None for each in findings):
        return f"This machine carries a room of {people}, with the notes above."
    return f"This machine carries a room of {people}."
