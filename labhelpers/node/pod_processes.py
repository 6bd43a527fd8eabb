"""Shows which of the node's processes belong to which container of a Pod: as a table, as a tree,
and by their namespaces."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labhelpers.kube import fields
from labhelpers.node.processes import Process
from labhelpers.outcomes import Text, listed

if TYPE_CHECKING:
    import pandas

    from labhelpers.tables import Table

__all__ = ["Rows", "namespaces", "pause_id", "rows", "table", "tree"]

NAMESPACES = ("net", "ipc", "uts", "pid", "mnt", "user")
Rows = Sequence[tuple[str, Process]]  # container and process, pause first, then as in the spec


def rows(raw: dict, processes: Sequence[Process]) -> Rows:
    """Each process with its container: pause first, then the containers in the order of the spec.

    Args:
        raw: the Pod, as the API returns it.
        processes: the Pod's processes, as the node sees them.
    """
    names = [container["name"] for container in fields.containers(raw)]
    by_id = {
        fields.bare(status.get("containerID", "")): status["name"]
        for status in fields.statuses(raw)
    }
    by_id[pause_id(raw, processes)] = "pause"
    # A container that hasn't been created has no id. A process that is dying has no cgroup.
    by_id.pop("", None)
    found = [(by_id.get(process.container_id, "?"), process) for process in processes]
    order = {name: number for number, name in enumerate(["pause", *names, "?"])}
    return sorted(found, key=lambda row: (order[row[0]], row[1].started_ticks, row[1].pid))


def pause_id(raw: dict, processes: Sequence[Process]) -> str:
    """The sandbox's id: that of a container on the node which isn't in the status, and has a
    process named pause."""
    known = {id_ for status in fields.statuses(raw) for id_ in fields.ids(status)}
    return next(
        (
            process.container_id
            for process in processes
            if process.command == "pause" and process.container_id not in known
        ),
        "",
    )


def table(found: Rows) -> "Table":
    """A table of processes: container, command, parent (the parent's command), and a column for
    each kind of namespace. Equal letters in a column mean the same namespace."""
    from labhelpers.tables import Table

    shown = Table(
        {
            "container": [container for container, _ in found],
            "command": [process.command for _, process in found],
            "parent": [process.parent_command for _, process in found],
        }
    )
    for namespace in NAMESPACES:
        shown[namespace] = _letters([process.namespaces.get(namespace) for _, process in found])
    return shown.saying(_about)


def namespaces(found: Rows) -> "pandas.DataFrame":
    """A table of the inode of each namespace (columns) of each container (rows). A container's
    namespaces are those of its first process; one that isn't running has no row."""
    import pandas

    first = {}
    for name, process in found:
        if process.namespaces:
            first.setdefault(name, process.namespaces)
    return pandas.DataFrame(
        first.values(), index=pandas.Index(first, name="container"), columns=list(NAMESPACES)
    )


def tree(found: Rows) -> Text:
    """Draws every process below its parent, with its command line and its container. At the root is
    the parent of the Pod's first processes: the runtime's shim."""
    inside = {process.pid for _, process in found}

    def below(parent_pid: int, indent: str) -> list[str]:
        children = [row for row in found if row[1].parent_pid == parent_pid]
        lines = []
        for number, (container, process) in enumerate(children, 1):
            branch, deeper = ("└─ ", "   ") if number == len(children) else ("├─ ", "│  ")
            words = (
                process.command
                if container == "pause"
                else f"{process.command_line or process.command} ({container})"
            )
            lines += [f"{indent}{branch}{words}", *below(process.pid, indent + deeper)]
        return lines

    roots = {
        process.parent_pid: process.parent_command
        for _, process in found
        if process.parent_pid not in inside
    }
    return Text(
        "\n".join(line for pid, command in roots.items() for line in [command, *below(pid, "")])
    )


def _about(frame: Any) -> str:
    """The sentence about a table of processes, from the columns that are left in it.

    >>> from labhelpers.tables import Table
    >>> _about(Table({"command": ["pause", "sleep"], "net": ["a", "a"], "mnt": ["a", "b"]}))
    'the node runs 2 processes for this Pod: pause and sleep; all of them share net, not mnt'
    """
    words = []
    if "command" in frame:
        some = "1 process" if len(frame) == 1 else f"{len(frame)} processes"
        words.append(f"the node runs {some} for this Pod: {listed(frame['command'])}")
    kinds = [name for name in NAMESPACES if name in frame]
    one = [name for name in kinds if frame[name].nunique() == 1]
    several = [name for name in kinds if name not in one]
    if kinds:
        shared = f"all of them share {listed(one)}" if one else "they share no namespace"
        words.append(shared + (f", not {listed(several)}" if one and several else ""))
    return "; ".join(words) or f"{len(frame)} rows"


def _letters(inodes: list[int | None]) -> list[str]:
    """Equal inodes get equal letters, by first appearance. A dead process has none.

    >>> _letters([4026, 4026, 4030])
    ['● a', '● a', '● b']
    """
    first = {inode: number for number, inode in enumerate(dict.fromkeys(filter(None, inodes)))}
    return [f"● {chr(ord('a') + first[inode])}" if inode else "" for inode in inodes]
