"""Reads what the kernel's log says about out-of-memory (OOM) kills."""

import re
from collections.abc import Iterable

__all__ = ["about_container", "beyond", "kills"]


def kills(log: str, marker: str, within_seconds: float) -> list[tuple[str, str]]:
    """The reports of OOM kills in the last seconds before a marker, oldest first: (constraint,
    cgroup). See ``Node.oom_kills``.

    Args:
        marker: a text that was written to the log just now. The log's clock drifts against all
            others, and the marker says what it shows now.

    >>> log = "[ 9.5] oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/pod1\\n[ 10.0] marker 1"
    >>> kills(log, "marker 1", 2), kills(log, "marker 1", 0.1)
    ([('CONSTRAINT_MEMCG', '/pod1')], [])
    """
    stamped = [
        (float(found[1]), line)
        for line in log.splitlines()
        if (found := re.search(r"\[\s*(\d+\.\d+)\]", line))
    ]
    now = max((stamp for stamp, line in stamped if marker in line), default=0.0)
    recent = [
        line for stamp, line in stamped if "oom-kill:" in line and stamp >= now - within_seconds
    ]
    found = [
        (re.search(r"constraint=(\w+)", line), re.search(r"task_memcg=([^,]*)", line))
        for line in recent
    ]
    return [
        (constraint[1] if constraint else "", path[1] if path else "") for constraint, path in found
    ]


def beyond(kills: Iterable[tuple[str, str]], pod_uids: Iterable[str]) -> list[str]:
    """The cgroups of OOM kills that hit something on the node other than these Pods.

    Args:
        kills: as ``Node.oom_kills`` returns them. The kernel's log covers the whole machine, so
            what other containers of the machine killed at their own limits is left out.
        pod_uids: the Pods whose OOM kills are expected.

    >>> of_pod = "/docker/1/kubelet.slice/kubelet-kubepods-pod1_2.slice/x.scope"
    >>> hit = [of_pod, "/docker/1/system.slice", "/docker/2"]
    >>> beyond([("CONSTRAINT_MEMCG", cgroup) for cgroup in hit], pod_uids=["1-2"])
    ['/docker/1/system.slice']
    """
    kills = list(kills)
    names = [name for uid in pod_uids for name in (uid, uid.replace("-", "_"))]
    ours = [path for _, path in kills if any(name in path for name in names)]
    # In a Pod's path, the part before the kubelet's is the node's own.
    nodes = {
        path.partition("/kube")[0]
        for path in ours or [path for _, path in kills]
        if "/kube" in path
    }
    beside = [
        path
        for why, path in kills
        if why == "CONSTRAINT_MEMCG" and not any(path.startswith(f"{each}/") for each in nodes)
    ]
    return [path for _, path in kills if path not in ours and path not in beside]


def about_container(log: str, container_id: str) -> list[str]:
    """The lines of a kernel log about one container.

    >>> log = '''oom-kill:oom_memcg=/pod1,task_memcg=/pod1/ab,task=tail,pid=7,uid=0
    ... Memory cgroup out of memory: Killed process 7 (tail)
    ... Memory cgroup out of memory: Killed process 8 (dd)'''
    >>> about_container(log, "ab")[1]
    'Memory cgroup out of memory: Killed process 7 (tail)'
    """
    lines, victim = [], ""
    for line in log.splitlines():
        if "oom-kill:" in line:
            about = bool(container_id) and re.search(
                rf"_memcg=[^,]*{re.escape(container_id)}", line
            )
            victim = found[1] if about and (found := re.search(r",pid=(\d+)", line)) else ""
            if about:
                lines.append(line)
        elif victim and re.search(rf"Killed process {victim}\b", line):
            lines.append(line)
    return lines
