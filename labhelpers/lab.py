"""The object every notebook works with: ``lab = start("02-pause")``. It wires the other modules
together and delegates to them."""

import os
import re
import shlex
import sys
import threading
import time
import traceback
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from labhelpers import card, formulas, kubectl, namespaces, paths
from labhelpers.arguments import checked
from labhelpers.cells import after_each_cell, on_next_cell
from labhelpers.charts import canvas
from labhelpers.claims import Claims
from labhelpers.errors import LabError, Unreachable
from labhelpers.exercises import Exercise
from labhelpers.first_uses import FirstUses
from labhelpers.kube import cluster_scoped, fields, leases
from labhelpers.kube.client import MARK, Connection
from labhelpers.kube.connect import connect
from labhelpers.kube.manifests import Manifest
from labhelpers.lab_changes import LabChanges
from labhelpers.lab_measures import LabMeasures
from labhelpers.lab_questions import LabQuestions
from labhelpers.live import end_all
from labhelpers.node import oom
from labhelpers.node.edits import Edits
from labhelpers.node.node import Node
from labhelpers.outcomes import (
    Attempt,
    ClaimTable,
    Refusal,
    Remains,
    Shown,
    Text,
    as_printed,
    shown_only,
)
from labhelpers.pods import Pod
from labhelpers.predictions import Prediction
from labhelpers.proofs import Proofs, Tools
from labhelpers.record import Clock, Record
from labhelpers.resources import Resource
from labhelpers.transcript import told
from labhelpers.widgets import CardView

__all__ = ["Lab", "start"]

THREADS = f"{MARK}-"
# What comes together in less is saved with the next cell.
SAVED_SECONDS = 30
# They need no cluster, or look by themselves.
FREE_HELPERS = ("Lab.finish", "Lab.exercise", "Lab.hint", "Lab.reset")


@checked
def start(name: str, *, exclusive: bool = False, take_over: bool = False) -> "Lab":
    """Begins a lab, or starts it over: creates its own empty namespace, and removes what an earlier
    run left there.

    Sets KUBECONFIG (the lab's own, with its namespace in it) and PATH (the project's kubectl
    first), so that ``!kubectl get pods`` works.

    Args:
        name: the lab, such as "02-pause"; its namespace is "lab-02-pause".
        exclusive: the lab changes, fills or loads the node, so it has the node to itself until
            ``lab.finish()``, or until its kernel ends.
        take_over: begin even though another kernel seems to hold the lab, or the node.

    Raises:
        LabError: another live kernel holds the lab, or the node; or what an earlier run left cannot
            be removed; or the node takes no Pods.
        NotOurCluster: the kubeconfig points to a cluster that the labs did not create.

    Example::

        from labhelpers import start
        lab = start("02-pause")
    """
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,57}[a-z0-9])?", name):
        raise LabError(
            f"{name!r} isn't a valid lab name.",
            "use lowercase letters, digits and dashes",
            'For example: start("02-pause").',
        )
    end_all()
    namespace = f"lab-{name}"
    connection = connect(namespace=namespace)
    if exclusive:
        leases.take_node(connection, name, take_over=take_over)
    else:
        leases.give_node(connection)  # It may be this kernel's from the lab before.
    try:
        # With the kubelet stopped, for one, no Pod would ever go.
        for sentence in Edits(connection, Node(connection)).mend(first=True):
            print(sentence)
        namespaces.take(connection, namespace, take_over)
    except BaseException:
        leases.give_node(connection)
        raise
    namespaces.wait_until_usable(connection, namespace)
    _refuse_a_cordoned_node(connection)
    _go_to_the_notebooks()
    os.environ["KUBECONFIG"] = str(namespaces.kubeconfig(name, namespace))
    tools, path = str(paths.tools()), os.environ.get("PATH", "").split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join([tools, *(folder for folder in path if folder != tools)])
    lab = Lab(name, connection)
    for sentence in lab._edits.mend():
        print(sentence)
    held = partial(lab._check_held, kubeconfig_then=_read(connection.kubeconfig))
    connection.transcript.checks.append(held)
    kubectl.register(held)
    on_next_cell(lab._cell_begins)
    after_each_cell(partial(lab._cell_has_run, FirstUses(lab.transcript)))
    canvas.set_provenance(lab._provenance)
    lab._resume_sharing()
    return lab


@checked
class Lab(LabChanges, LabMeasures, LabQuestions):
    """A lab that has begun. ``start`` makes it, and everything else is reached through it.

    Attributes:
        name: such as "02-pause".
        connection: to the lab's own namespace.
        formulas: the module of that name: ``lab.formulas.burst_seconds(0.05, 0.2)``.
        tools: what only this lab needs, from ``notebooks/proofs/``.
    """

    formulas = formulas

    def __init__(self, name: str, connection: Connection):
        self.name, self.connection = name, connection
        self.namespace = connection.namespace
        self.transcript = connection.transcript
        self._node = Node(connection)
        self._edits = Edits(connection, self._node)
        self.record = Record()
        self._clock = Clock()
        self._predictions: dict[str, Prediction] = {}
        self._exercises: dict[str, Exercise] = {}
        self._claims = Claims(name)
        self._proofs = Proofs(name)
        self.tools = Tools(self, self._proofs)
        self._pod_uids: set[str] = set()
        self._began_seconds = time.time()

    def __repr__(self) -> str:
        return f"{self.name} is ready: an empty namespace on a cluster of your own."

    @property
    def node(self) -> Node:
        """The node, seen from inside."""
        return self._node

    # --- Objects

    @told
    def apply(self, manifest: str | Path) -> Pod | Resource | list[Pod | Resource]:
        """Applies a manifest in the lab's namespace, as ``kubectl apply`` does.

        Args:
            manifest: the name of a file in ``manifests/<lab>/``, or the path of another.

        Returns:
            A handle; a list of them for a file with several documents.

        Raises:
            LabError: it is no manifest that the labs can use; the error names the line.
            Refused: the API server does not take it.

        Example::

            lab.apply("one-app.yaml")
        """
        read = Manifest.read(self._manifest(manifest))
        applied = read.apply(self.connection, self._node.images)
        for body in applied:
            if body["kind"] == "Pod":
                self._pod_uids.add(body["metadata"]["uid"])
        handles = [self._handle(body["kind"], body["metadata"]["name"]) for body in applied]
        return handles[0] if len(handles) == 1 else handles

    def _manifest(self, manifest: str | Path) -> Path:
        path = Path(manifest)
        if path.parent == Path("."):
            path = paths.notebooks() / "manifests" / self.name / path
        return path

    def pod(self, name: str) -> Pod:
        """Returns a handle on a Pod that something else makes: kubectl, a controller. It needn't
        exist yet.

        Raises:
            LabError: the name isn't one that Kubernetes allows.

        Example::

            lab.pod("web")
        """
        return Pod(self.connection, name, self._node)

    def _handle(self, kind: str, name: str) -> Pod | Resource:
        return self.pod(name) if kind == "Pod" else Resource(self.connection, kind, name)

    @told
    def harm(self) -> Text:
        """Says in a sentence whether the lab has harmed the node.

        Has it stayed Ready since ``start``? And has the kernel OOM-killed a process that wasn't of
        this lab's Pods? Those are the ones that ``lab.apply`` and ``lab.check`` made, and those
        that are there now.
        """
        self._remember_pods()
        others = oom.beyond(self._node.oom_kills(time.time() - self._began_seconds), self._pod_uids)
        ready = [fields.conditions(node)["Ready"] for node in self.connection.list("Node")["items"]]
        since = [
            datetime.fromisoformat(each["lastTransitionTime"]).timestamp()
            for each in ready
            if each["status"] == "True"
        ]
        stayed = bool(ready) and len(since) == len(ready) and max(since) < self._began_seconds + 1
        words = "the node stayed Ready" if stayed else "the node did not stay Ready"
        return Text(
            f"{words} · OOM-killed processes outside of this lab's Pods: {len(others) or 'none'}"
        )

    def _check_held(self, helper: str, kubeconfig_then: bytes) -> None:
        """Checks, before each helper, that this kernel still has the lab."""
        if helper in FREE_HELPERS:
            return
        try:
            namespaces.check_held(self.connection, self.namespace)
        except Unreachable as error:
            # Otherwise what is asked next has the better words for it.
            if _read(self.connection.kubeconfig) not in (b"", kubeconfig_then):
                raise LabError(
                    f"The cluster that the lab {self.name} began on is gone.",
                    error.seen,
                    "Run the lab's first cell again: it begins on the new one.",
                ) from error

    def _remember_pods(self) -> None:
        """Remembers the Pods that are there now as this lab's, for when they're gone."""
        self._pod_uids.update(
            pod["metadata"]["uid"] for pod in self.connection.list("Pod")["items"]
        )

    def attempt(self) -> "Attempt":
        """Allows the ``with`` block to fail: it needn't work on every node. See ``Attempt``."""
        return Attempt()

    def refused(self, reason: str, *, says: str = "") -> "Refusal":
        """Expects that the ``with`` block is rejected, for this reason. See ``Refusal``."""
        return Refusal(reason, says)

    # --- The reader's part

    def _provenance(self) -> str:
        """On what this lab's pictures are made: "Kubernetes 1.37.0 · containerd 2.4 · …". A picture
        of what was measured can be drawn after the lab has ended, too."""
        with self.transcript.quietly():
            version_of_cgroups = self._node.cgroup_version
        [node, *_] = self.connection.list("Node")["items"]
        about = node["status"]["nodeInfo"]
        runtime, _, version = about["containerRuntimeVersion"].partition("://")
        return " · ".join(
            (
                f"Kubernetes {about['kubeletVersion'].removeprefix('v')}",
                f"{runtime} {_minor(version)}",
                f"cgroup v{version_of_cgroups}",
                f"Linux {_minor(about['kernelVersion'])}",
            )
        )

    def _cell_begins(self) -> None:
        self._clock.tick()
        self._close_predictions()

    def _cell_has_run(self, first_uses: FirstUses) -> None:
        self._clock.tick()
        if self._clock.seconds >= SAVED_SECONDS:
            self.record.spent(self.name, self._clock.take())
        first_uses.tell()

    def _card(self) -> str:
        """How far the reader has come. Whatever is wrong with the record is no reason for a lab
        not to end."""
        self._clock.tick()
        self.record.spent(self.name, self._clock.take())
        try:
            return card.card(self.name, card.rows(self.record), self.record.notice)
        except LabError as error:
            return as_printed(str(error))

    # --- What was done, and what was shown

    def sent(self) -> Text:
        """Shows what the last helper did, as lines of kubectl or shell that run when pasted."""
        return Text("\n".join(self.transcript.page.lines))

    def traceback(self) -> Text:
        """Shows the whole last error. A notebook shows only three lines of it."""
        error = getattr(sys, "last_value", None)
        return Text(
            "".join(traceback.format_exception(error)).rstrip() if error else "No cell has failed."
        )

    def show(self, what: Any, sentence: str) -> Shown:
        """A table or a text for people, with the sentence that CI compares.

        Args:
            what: a DataFrame, a list of dicts (one per row), a chart or a text.
            sentence: what it means, computed in the cell, with words that are the same on every
                node.

        Example::

            lab.show(frame, f"{len(frame)} processes: {', '.join(frame.command)}")
        """
        if isinstance(what, list | dict):
            import pandas

            what = pandas.DataFrame(what)
        return Shown(what, sentence)

    @told
    def prove(self, claim: str, *measured: Any, **more: Any) -> Shown:
        """Shows that a claim is true, from what the notebook has measured.

        Args:
            claim: its id in ``claims.yaml``, one of this lab's.
            measured, more: what the function of that name in ``notebooks/proofs/`` takes.

        Raises:
            LabError: this lab has no such claim, or no proof of it.

        Example::

            lab.prove("B3", life)
        """
        self._claims.check(claim)
        shown = self._proofs.of(claim)(self, *measured, **more)
        self._claims.keep(claim, shown.sentence)
        self.record.claim(self.name, claim)
        return shown

    def proof(self, claim: str) -> None:
        """Shows the function behind ``lab.prove``, for anyone who wants to check it."""
        self._claims.check(claim)
        shown_only(as_printed(self._proofs.source(claim)))

    def facts(self) -> ClaimTable:
        """The claims of this lab, what people often say instead, and what this run measured."""
        return self._claims.table()

    # --- The end

    @told
    def finish(self) -> "Remains":
        """Deletes the lab's namespace with everything in it, and puts back what the lab changed on
        the node. Then checks whether anything is left: here, in the API, on the node. In a live
        notebook, it shows the card of what you've done."""
        self._close_predictions()
        if namespaces.find(self.connection, self.namespace) is not None:
            namespaces.check_held(self.connection, self.namespace)
        end_all()
        self._remember_pods()
        beside = namespaces.added(self.connection, self.namespace)
        all_of_them = " ".join([self.namespace, *beside])
        self.transcript.note(f"kubectl delete namespace {all_of_them} --ignore-not-found")
        if outside := cluster_scoped.made(self.connection, self.namespace):
            self.transcript.note(f"kubectl delete {' '.join(outside)} --ignore-not-found")
        self._edits.put_back(first=True)
        # With a grace of 1 s a Pod stays in the API until the kubelet says that its processes have
        # ended.
        namespaces.remove(self.connection, self.namespace, grace_seconds=1)
        namespaces.remove_added(self.connection, self.namespace, grace_seconds=1)
        self._edits.put_back()
        leases.give_node(self.connection)
        CardView(self._card).show()
        return Remains(
            namespaces.find(self.connection, self.namespace) is not None
            or bool(namespaces.added(self.connection, self.namespace)),
            [
                process.command
                for uid in sorted(self._pod_uids)
                for process in self._node.look(uid).processes
            ],
            [
                thread.name
                for thread in threading.enumerate()
                if thread.name.startswith(THREADS) and thread.is_alive()
            ],
            cluster_scoped.made(self.connection, self.namespace),
        )


def _refuse_a_cordoned_node(connection: Connection) -> None:
    """No Pod of a lab would ever be scheduled."""
    for node in connection.list("Node")["items"]:
        if node.get("spec", {}).get("unschedulable"):
            name = node["metadata"]["name"]
            raise LabError(
                f"The node {name} is cordoned, so no Pod of this lab could run.",
                "spec.unschedulable is true",
                f"kubectl --kubeconfig {shlex.quote(str(connection.kubeconfig))} uncordon {name}",
            )


def _go_to_the_notebooks() -> None:
    """Cells name files as ``manifests/…`` and ``mine/…``. VS Code and papermill start a kernel in
    another folder."""
    folder = paths.notebooks()
    if "ipykernel" in sys.modules and folder.is_dir() and not Path("manifests").is_dir():
        os.chdir(folder)
        print(f"Working in {folder}: the files that cells name are there.")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _minor(version: str) -> str:
    """
    >>> _minor("v2.4.2"), _minor("6.18.5-cloud-amd64")
    ('2.4', '6.18')
    """
    return ".".join(version.removeprefix("v").split("-")[0].split(".")[:2])
