"""What a lab changes on the node itself: written down before it is made, so that whoever comes next
can put it back.

Three kinds: a resource that is only counted, on the node's status; huge pages, which are the
machine's own, and which the kubelet counts only when it starts; and directories for hostPath
volumes. Each change stands in a file beside
the kubeconfig with the mark of the kernel that made it, and leaves it when the node is as it was.
What the file holds of a kernel that lives no more is put back by the next one.
"""

import json
import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from labhelpers.errors import LabError, Refused, TimedOut
from labhelpers.formulas import effective_requests, quantity
from labhelpers.kube import fields, leases
from labhelpers.kube.client import MARK, Connection
from labhelpers.kube.waiting import wait_until
from labhelpers.node import hugepages, record
from labhelpers.node.hugepages import Pages, mebibytes
from labhelpers.node.node import Node
from labhelpers.node.record import Change, Damaged
from labhelpers.patience import advice, patient
from labhelpers.transcript import told

__all__ = ["Changes", "put_back_pages"]

WRITE_SECONDS, RESTART_SECONDS = 60, 90
WHICH = "systemctl show kubelet --property=InvocationID --value"
# An exec runs through the kubelet, which would not live to see it through: systemd does it, a
# second later. One restart, by its name.
RESTART = (
    f"systemctl stop podlab-kubelet.timer 2>/dev/null; {WHICH}; date +%s; systemd-run --quiet"
    " --collect --unit=podlab-kubelet --on-active=1 --timer-property=AccuracySec=100ms systemctl"
    " restart kubelet"
)
# kubernetes.io, "Extended resources": a name with a domain, and not one of Kubernetes' own.
LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
DOMAIN = rf"(?!(?:[^/]*\.)?kubernetes\.io/){LABEL}(\.{LABEL})*"
EXTENDED = re.compile(
    rf"(?=[^/]{{1,253}}/.{{1,63}}$){DOMAIN}/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
)

# Only what has this name is ever removed from the node's disk.
DIRECTORY = re.compile(r"/var/lib/podlab-[a-z0-9]+(-[a-z0-9]+)*")


def put_back_pages(run: Callable[[str], str], cluster: str | None = None) -> None:
    """Puts back the machine's huge pages, whoever changed them, for a cluster that is about to be
    deleted: its status goes with it.

    Args:
        run: runs a script of shell on the node, and gives what it prints.
        cluster: the cluster's name.

    Raises:
        LabError: the script did not run; or the file cannot be read, and has been set aside.
    """
    path = record.path_of(cluster)
    if path.exists():
        with record.alone(path):
            for change in record.read(path):
                if change.of_pages:
                    run(
                        hugepages.SET.format(
                            number=change.number_now(Pages.parse(run(hugepages.LOOK)).number)
                        )
                    )
            path.unlink(missing_ok=True)


class Changes:
    """The changes of this kernel, and those that others have left.

    Args:
        connection: to the lab's namespace.
        node: the node from inside.
        cluster: the cluster's name, if not that of this process.
    """

    def __init__(self, connection: Connection, node: Node, cluster: str | None = None):
        self._connection, self._node = connection, node
        self.transcript = connection.transcript
        self._path = record.path_of(cluster)

    @told
    def offer(self, resource: str, count: int) -> str:
        """Puts a resource that is only counted on the node's status: as much can be allocated as is
        said here, and nothing else changes.

        Both the capacity and what can be allocated; the kubelet would follow with the second by
        itself, some seconds later.

        https://kubernetes.io/docs/tasks/administer-cluster/extended-resource-node/
        """
        if not EXTENDED.fullmatch(resource):
            do = "Name it DOMAIN/NAME, such as nvidia.com/gpu." + (
                " Huge pages: lab.offer_hugepages." if "huge" in resource else ""
            )
            raise LabError(
                f"{resource!r} is no name of a counted resource.",
                "a counted resource has a domain, not Kubernetes' own",
                do,
            )
        _must_be_a_count(count)
        with record.alone(self._path):
            body = self._node_body()
            changes = record.read(self._path)
            there = body["status"]["capacity"].get(resource)
            before = _before(changes, resource, there)
            what = f"{resource} on the node's status: {count}, not {before or 'there'}"
            change = self._change(
                resource,
                what,
                f"{resource}: {before} again" if before else f"{resource}: taken off",
                before,
                str(count),
            )
            record.write(
                self._path, [each for each in changes if each.resource != resource] + [change]
            )
            try:
                self._count(body, {resource: str(count)})
            except Refused:
                record.write(self._path, changes)
                raise
        return resource

    @told
    def offer_hugepages(self, count: int) -> str:
        """Sets huge pages of the node's default size aside, beside those that the machine has, and
        restarts the kubelet, which counts them.

        https://kubernetes.io/docs/tasks/manage-hugepages/scheduling-hugepages/
        """
        _must_be_a_count(count)
        with record.alone(self._path):
            pages = self._pages()
            changes = record.read(self._path)
            before = _before(changes, pages.resource, pages.number)
            mine = next((each for each in changes if each.resource == pages.resource), None)
            body, wanted = self._node_body(), before + count
            if pages.resource not in body["status"]["capacity"]:
                names = ", ".join(sorted(body["status"]["capacity"]))
                raise LabError(
                    f"The kubelet does not count {pages.resource}.",
                    f"on the node's status: {names}",
                    "Go on without them.",
                )
            if (
                mine
                and mine.holder == leases.this_process()
                and pages.number == wanted
                and _counted(body, pages)
                and _is_ready(body)
            ):
                return pages.resource
            if (wanted - pages.number) * pages.size_kb * 2 > pages.available_kb:
                raise LabError(
                    f"{count} huge pages of {mebibytes(pages.size_kb)} are too much for this node.",
                    f"they are taken away from the {mebibytes(pages.available_kb)} of memory that"
                    " are available; at most half of it",
                    "Offer fewer.",
                )
            self._refuse_in_use(pages, pages.number - wanted)
            what = f"{pages.resource} of the machine: {wanted} pages, not {before}"
            change = self._change(
                pages.resource, what, f"{pages.resource}: {before} pages again", before, wanted
            )
            change = replace(change, restarted=bool(mine and mine.restarted))
            others = [each for each in changes if each.resource != pages.resource]
            # Where fewer are offered than before, all of those count until they have gone.
            record.write(
                self._path, [*others, replace(change, after=max(wanted, mine.after if mine else 0))]
            )
            given = Pages.parse(self._run(hugepages.SET.format(number=wanted)))
            if given.number < wanted:
                self._run(hugepages.SET.format(number=pages.number))
                record.write(self._path, changes)
                raise LabError(
                    f"The kernel does not have {count} huge pages of {mebibytes(pages.size_kb)} to"
                    " give.",
                    f"it found {given.number - before}: each lies in one piece, and free memory is"
                    " in smaller ones; they are given back",
                    "Offer fewer, or close what takes memory, and run the cell again.",
                )
            record.write(self._path, [*others, replace(change, restarted=True)])
            self._restart(given)
        return pages.resource

    @told
    def directory(self, path: str) -> str:
        """Reserves a directory of the node's for hostPath volumes. It's removed at the end, with
        everything in it; what is there from before is removed now.

        https://kubernetes.io/docs/concepts/storage/volumes/#hostpath
        """
        if not DIRECTORY.fullmatch(path):
            raise LabError(
                f"{path!r} isn't a directory that a lab may have on the node.",
                "a lab's directory is /var/lib/podlab-NAME, in small letters",
                "For example: /var/lib/podlab-uploads.",
            )
        with record.alone(self._path):
            changes = record.read(self._path)
            _before(changes, path, None)
            change = self._change(path, f"the directory {path}", f"{path}: removed", None, "")
            others = [each for each in changes if each.resource != path]
            record.write(self._path, [*others, change])
            self._run(_remove(path))
        return path

    @told
    def withdraw(self, resource: str) -> None:
        """Puts back what was offered: a counted resource goes off the node's status, huge pages go
        back to the machine's memory."""
        with record.alone(self._path):
            changes = record.read(self._path)
            mine = [each for each in changes if each.resource == resource]
            if not mine and "/" in resource and resource in self._node_body()["status"]["capacity"]:
                offered = ", ".join(each.resource for each in changes) or "nothing"
                raise LabError(
                    f"No lab has offered {resource}: it is left alone.",
                    f"offered: {offered}",
                    "Name what you offered.",
                )
            for change in mine:
                _refuse_held(change)
            self._put_back(mine, changes, refuse_in_use=True)

    @told
    def put_back(self) -> None:
        """Puts back everything of this kernel."""
        self._put_back_those(lambda change: change.holder == leases.this_process())

    @told
    def mend(self) -> list[str]:
        """Puts back everything of kernels that live no more, and of this one.

        Returns:
            A sentence for each change that a kernel has left; and for a file that could not be
            read.
        """
        try:
            done = self._put_back_those(
                lambda change: change.is_left or change.holder == leases.this_process()
            )
        except Damaged as error:
            return [str(error)]
        ended = "A kernel that has ended had left the node changed. Put back:"
        return [
            f"{ended} {change.put_back}."
            for change in done
            if change.holder != leases.this_process()
        ]

    def _put_back_those(self, which: Callable[[Change], bool]) -> list[Change]:
        if not any(map(which, record.read(self._path))):
            return []
        with record.alone(self._path):
            changes = record.read(self._path)
            found = list(filter(which, changes))
            if any(change.of_pages for change in found):
                # Who made the change may have been on the way of restarting it.
                self._wait_for_kubelet()
            for change in found:
                self._end_pods(change)
            self._put_back(found, changes)
            return found

    def _put_back(
        self, found: Sequence[Change], changes: Sequence[Change], refuse_in_use: bool = False
    ) -> None:
        """Puts back, and takes out of the file what is as it was. Cut short anywhere, the rest
        stands in the file, and is done again."""
        remain = [change for change in changes if change not in found]
        counted = {
            change.resource: change.before
            for change in found
            if not (change.of_pages or change.of_directory) and change.cluster == self._cluster
        }
        if counted:
            self._count(self._node_body(), counted)
        for change in found:
            if change.of_directory and change.cluster == self._cluster:
                self._run(_remove(change.resource))
            if change.of_pages:
                pages = self._pages()
                number = change.number_now(pages.number)
                if refuse_in_use:
                    self._refuse_in_use(pages, pages.number - number)
                pages = Pages.parse(self._run(hugepages.SET_AND_WAIT.format(number=number)))
                # A cluster that came up meanwhile has counted them, too.
                if change.restarted or change.cluster != self._cluster:
                    self._restart(pages)
        if found:
            record.write(self._path, remain)

    def _end_pods(self, change: Change) -> None:
        """Of a lab whose kernel has left it: ends the Pods that still have what is to be put
        back."""
        try:
            there = self._connection.get("Namespace", change.namespace)
        except Refused:
            return
        if (
            there["metadata"].get("labels", {}).get(MARK) == "lab"
            and leases.owner_of(there) == change.holder
            and change.is_left
        ):
            for pod in self._connection.list("Pod", change.namespace)["items"]:
                if change.resource in effective_requests(pod):
                    self._connection.delete(
                        "Pod", pod["metadata"]["name"], change.namespace, grace_seconds=0
                    )

    def _restart(self, pages: Pages) -> None:
        """Restarts the kubelet, and waits until the new one is Ready with these pages, and can run
        something."""
        name = self._node_body()["metadata"]["name"]
        old, since = self._run(RESTART).split()
        self._wait_for_kubelet(old)

        def has_come_back(body: dict | None) -> bool:
            return _is_ready(body, int(since)) and _counted(body, pages)

        limit, what = f"--timeout={RESTART_SECONDS}s", "Ready after its restart"
        body = wait_until(
            self._connection,
            "Node",
            name,
            has_come_back,
            what=what,
            timeout_seconds=RESTART_SECONDS,
        )
        size = body["status"]["capacity"][pages.resource]
        self.transcript.note(
            f"kubectl wait node {name}"
            f" --for=jsonpath='{{.status.capacity.{pages.resource}}}'={size} {limit}"
        )
        self.transcript.note(f"kubectl wait node {name} --for=condition=Ready {limit}")
        self.transcript.note(
            "until kubectl exec --namespace podlab-node node -- true 2>/dev/null; do sleep 1; done"
        )

    def _wait_for_kubelet(self, old: str = "") -> None:
        """Waits until the node answers, through another kubelet than the old one. One that has just
        started does not know its Pods yet."""
        limit = patient(RESTART_SECONDS)
        deadline, seen = time.monotonic() + limit, "the old one still runs"
        while time.monotonic() < deadline:
            try:
                with self.transcript.quietly():
                    now = self._node.run(WHICH, timeout_seconds=5).strip()
                if now not in ("", old):
                    return
            except LabError as error:
                seen = error.seen
            time.sleep(0.1)
        do = "Run the cell again. If that does not help: `podlab down`, `podlab up`."
        raise TimedOut(f"The kubelet did not come back within {limit:g} s.", seen, advice(do))

    def _count(self, body: Mapping, resources: Mapping[str, str | None]) -> None:
        name = body["metadata"]["name"]
        change = {"status": {"capacity": dict(resources), "allocatable": dict(resources)}}
        self.transcript.note(
            f"kubectl patch node {name} --subresource=status --type=merge --patch"
            f" {shlex.quote(json.dumps(change))}"
        )
        self._connection.patch("Node", name, change, subresource="status")

    def _change(
        self, resource: str, what: str, put_back: str, before: str | int | None, after: str | int
    ) -> Change:
        return Change(
            resource,
            what,
            put_back,
            before,
            after,
            leases.this_process(),
            self._connection.namespace,
            self._cluster,
        )

    def _pages(self) -> Pages:
        pages = Pages.parse(self._run(hugepages.LOOK))
        if not pages.size_kb:
            raise LabError(
                "This node's kernel has no huge pages.",
                "no line Hugepagesize in /proc/meminfo",
                "Nothing: go on without them.",
            )
        return pages

    def _refuse_in_use(self, pages: Pages, fewer: int) -> None:
        if fewer > pages.free:
            raise LabError(
                f"{pages.resource} are in use, so they stay.",
                f"{pages.number} pages, {pages.free} of them free; {fewer} should go",
                "Delete the Pods that have them first.",
            )

    def _node_body(self) -> dict:
        return self._connection.list("Node")["items"][0]

    def _run(self, script: str) -> str:
        return self._node.run(script, timeout_seconds=WRITE_SECONDS)

    @property
    def _cluster(self) -> str:
        return self._connection.cluster_uid


def _remove(path: str) -> str:
    if not DIRECTORY.fullmatch(path):  # The path may come from the file.
        raise LabError(
            f"{path!r} isn't a lab's directory, so it stays.",
            "a lab's directory is /var/lib/podlab-NAME",
            "Look at node-changes.json beside the kubeconfig.",
        )
    return f"rm -rf -- {shlex.quote(path)}"


def _must_be_a_count(count: object) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise LabError(
            "That is no count.", repr(count), "Offer a whole number of units, 1 or more."
        )


def _before(changes: Sequence[Change], resource: str, now: str | int | None) -> str | int | None:
    """What was there before the first change; refuses where another live kernel has made one."""
    for change in changes:
        if change.resource == resource:
            _refuse_held(change)
            return change.before
    return now


def _refuse_held(change: Change) -> None:
    if change.holder != leases.this_process() and not change.is_left:
        raise LabError(
            f"Another kernel has changed {change.resource} on the node.",
            f"process {change.holder['pid']} on {change.holder['host']}",
            "Run the last cell of its lab, or shut it down; then run this cell again.",
        )


def _is_ready(body: Mapping | None, since: int = 0) -> bool:
    """Whether the kubelet has said that the node is Ready, and has said so after this moment of the
    node's clock."""
    if not fields.is_true(body, "Ready"):
        return False
    return (
        datetime.fromisoformat(fields.conditions(body)["Ready"]["lastHeartbeatTime"]).timestamp()
        > since
    )


def _counted(body: Mapping, pages: Pages) -> bool:
    return quantity(body["status"]["capacity"].get(pages.resource, 0)) == quantity(pages.capacity)
