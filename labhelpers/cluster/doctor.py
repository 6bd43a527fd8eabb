"""Checks within a second or two whether this machine has what a cluster needs."""

from collections.abc import Sequence

from labhelpers import paths
from labhelpers.cluster import image, room
from labhelpers.cluster.finding import Finding
from labhelpers.cluster.findings import judge
from labhelpers.cluster.machine import gather
from labhelpers.errors import LabError
from labhelpers.kube.connect import connect
from labhelpers.node import edits, record
from labhelpers.node.node import Node
from labhelpers.paths import ClusterFiles

__all__ = ["examine", "put_back", "render", "report", "require"]


def examine(files: ClusterFiles, people: int = 0) -> list[Finding]:
    """Examines this machine. Takes up to two seconds, and up to five more to ask a registry.

    Args:
        files: the cluster that is to be brought up.
        people: how many participants it is to carry, each with a cluster; 0 asks for no room.

    Returns:
        One finding for each thing; ``podlab up`` will work if none has ``ok`` False.

    >>> all(finding.name and finding.seen for finding in examine(ClusterFiles("podlab")))
    True
    """
    registry_image = image.asked_name(image.pins()["node_image"])
    facts = gather(files, node_images=image.known_images(), registry_image=registry_image)
    return [*judge(facts), *(room.judge(facts, people) if people else ())]


def report(cluster: str | None = None, people: int = 0) -> tuple[str, bool]:
    """Returns one line for each thing that a cluster needs, and whether ``up`` will work. Also puts
    back what kernels that have ended left changed on the node.

    Args:
        cluster: its name.
        people: as for ``examine``; the last line is then about the room.
    """
    files = ClusterFiles(cluster or paths.cluster_name())
    findings = [*examine(files, people), put_back(files)]
    return render(findings, people), all(finding.ok is not False for finding in findings)


def put_back(files: ClusterFiles) -> Finding:
    """Puts back what kernels that have ended left changed on the node. If there is nothing, this
    costs a look at a file.

    >>> put_back(ClusterFiles("a-cluster-that-nobody-made")).seen
    'none that a lab has left'
    """
    name = "changes of the node"
    try:
        found = record.left(files.name)
    except LabError as error:
        return Finding(name, None, f"{error.happened} {error.seen}", error.do)
    except OSError as error:
        refusal = paths.cannot_use(error, "can't be read")
        return Finding(name, None, f"{refusal.happened}: {refusal.seen}", refusal.do)
    if not found:
        return Finding(name, True, "none that a lab has left")
    undone = "; ".join(change.put_back for change in found)
    try:
        connection = connect(files.kubeconfig)
        try:
            edits.Edits(connection, Node(connection), files.name).mend()
        finally:
            connection.close()
    except LabError as error:
        fix = "`podlab up`, then `podlab doctor` again."
        return Finding(
            name, None, f"still to be done: {undone}. {error.happened} {error.seen}", fix
        )
    return Finding(name, True, f"a kernel that has ended had left some; put back: {undone}")


def require(findings: Sequence[Finding]) -> None:
    """Raises if something is missing, before a long build begins.

    Raises:
        LabError: about the first thing that is missing; the others are named.

    >>> require([Finding("memory", None, "2.0 GB")])
    """
    missing = [finding for finding in findings if finding.ok is False]
    if missing:
        others = (
            f" (and: {', '.join(finding.name for finding in missing[1:])})" if missing[1:] else ""
        )
        first = missing[0]
        raise LabError(
            f"This machine lacks what a cluster needs: {first.name}{others}.",
            first.seen,
            first.fix or "Run `podlab doctor` for the whole list.",
        )


def render(findings: Sequence[Finding], people: int = 0) -> str:
    """Renders the findings as lines, with the fix beside what is missing. The last line says
    whether ``podlab up`` will work, or whether the machine carries a room of so many people.

    >>> swap = Finding("swap", None, "2 GB", "Turn it off.")
    >>> print(render([Finding("disk", True, "70 GB free"), swap, Finding("port", False, "none")]))
    ok    disk  70 GB free
    note  swap  2 GB → Turn it off.
    NO    port  none
    `podlab up` will not work: port.
    """
    width = max(len(finding.name) for finding in findings)
    signs = {True: "ok  ", None: "note", False: "NO  "}
    lines = [
        f"{signs[finding.ok]}  {finding.name:<{width}} "
        f" {finding.seen}{f' → {finding.fix}' if finding.fix else ''}"
        for finding in findings
    ]
    missing = [finding.name for finding in findings if finding.ok is False]
    if people:
        return "\n".join([*lines, room.verdict(findings, people)])
    lines.append(
        f"`podlab up` will not work: {', '.join(missing)}." if missing else "`podlab up` will work."
    )
    return "\n".join(lines)
