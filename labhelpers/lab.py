"""What a notebook holds in its hand: ``lab = start("02-pause")``. Ties the modules together, and
only here; each method delegates."""

import html
import os
import re
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from labhelpers import formulas, paths
from labhelpers.charts import chart as charts
from labhelpers.errors import LabError, Refused, TimedOut
from labhelpers.exercises import Exercise, Text, Verdict
from labhelpers.files import write_atomically
from labhelpers.kube import fields, leases
from labhelpers.kube.client import MARK, Connection, connect
from labhelpers.kube.manifests import Manifest
from labhelpers.kube.waiting import wait_until
from labhelpers.measure.recording import Recording
from labhelpers.measure.samples import Samples
from labhelpers.node.cgroups import Cgroup
from labhelpers.node.node import Node, killed_beyond
from labhelpers.node.undo import Changes
from labhelpers.pods import Pod, PodNow, Resource
from labhelpers.predictions import Prediction, Scores
from labhelpers.widgets import (
    Live,
    PredictionView,
    RevealView,
    Slider,
    SliderView,
    end_all,
    on_next_cell,
)

__all__ = ["Attempt", "Facts", "Lab", "Refusal", "Remains", "start"]

THREADS = f"{MARK}-"
EMPTY_SECONDS = 60


def start(name: str, *, exclusive: bool = False, take_over: bool = False) -> "Lab":
    """Begins a lab, or begins it anew: its own empty namespace, whatever an earlier run left there.

    Sets KUBECONFIG (the lab's own, with its namespace in it) and PATH (the project's kubectl
    first), so that ``!kubectl get pods`` works.

    Args:
        name: the lab, such as "02-pause"; its namespace is "lab-02-pause".
        exclusive: the lab changes, fills or loads the node, so it has the node to itself until
            ``lab.finish()``, or until its kernel ends.
        take_over: begin even though another kernel seems to hold the lab, or the node.

    Raises:
        LabError: another live kernel holds the lab, or the node; or what an earlier run left cannot
            be removed.
        NotOurCluster: the kubeconfig points to a cluster that the labs did not create.

    Example::

        from labhelpers import start
        lab = start("02-pause")
    """
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,57}[a-z0-9])?", name):
        raise LabError(
            f"{name!r} is no name of a lab.",
            "a lab is named in small letters, digits and dashes",
            'Such as start("02-pause").',
        )
    end_all()
    namespace = f"lab-{name}"
    connection = connect(namespace=namespace)
    if exclusive:
        leases.take_node(connection, name, take_over=take_over)
    else:
        leases.give_node(connection)  # It may be this kernel's from the lab before.
    try:
        _take(connection, namespace, take_over)
    except BaseException:
        leases.give_node(connection)
        raise
    for kind, given in (("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")):
        # A Pod that is made before these two exist is refused, or waits for its token volume.
        wait_until(
            connection,
            kind,
            given,
            lambda found: found is not None,
            what="there",
            timeout_seconds=30,
        )
    os.environ["KUBECONFIG"] = str(_own_kubeconfig(name, namespace))
    tools, path = str(paths.tools()), os.environ.get("PATH", "").split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join([tools, *(folder for folder in path if folder != tools)])
    lab = Lab(name, connection)
    for sentence in lab._changes.mend():
        print(sentence)
    on_next_cell(lab._close_predictions)
    return lab


class Lab:
    """A lab that has begun; made by ``start``. All else hangs on it.

    Attributes:
        name: such as "02-pause".
        connection: to the lab's own namespace.
        formulas: the module ``arithmetic``: ``lab.formulas.burst_seconds(0.05, 0.2)``.
    """

    formulas = formulas

    def __init__(self, name: str, connection: Connection):
        self.name, self.connection = name, connection
        self.namespace = connection.namespace
        self._node = Node(connection)
        self._changes = Changes(connection, self._node)
        self.scores = Scores(paths.state() / "scores.json")
        self._predictions: dict[str, Prediction] = {}
        self._exercises: dict[str, Exercise] = {}
        self._facts: dict[str, str] = {}
        self._pod_uids: set[str] = set()
        self._began_seconds = time.time()

    def __repr__(self) -> str:
        return f"{self.name} is ready: an empty namespace on a cluster of your own."

    @property
    def node(self) -> Node:
        """The node from inside. What it does is what the last helper did."""
        self.connection.sent.clear()
        return self._node

    # --- Objects

    def apply(self, manifest: str | Path) -> Pod | Resource | list[Pod | Resource]:
        """Applies a manifest in the lab's namespace, as ``kubectl apply`` does.

        Args:
            manifest: the name of a file in ``manifests/<lab>/``, or the path of another.

        Returns:
            A handle; a list of them for a file with several documents.

        Raises:
            LabError: it is no manifest that the labs can use; the error names the line.
            Refused: the API server does not take it.
        """
        path = Path(manifest)
        if path.parent == Path("."):
            path = paths.repository() / "notebooks" / "manifests" / self.name / path
        self.connection.sent.clear()
        applied = Manifest.read(path).apply(self.connection, self._node.images)
        for body in applied:
            if body["kind"] == "Pod":
                self._pod_uids.add(body["metadata"]["uid"])
        handles = [self._handle(body["kind"], body["metadata"]["name"]) for body in applied]
        return handles[0] if len(handles) == 1 else handles

    def cluster(self):
        """Whether the cluster has what the labs need, as a DataFrame: "yes", or what was found
        instead. What differs between two good clusters is not in it.

        Example::

            lab.cluster()
        """
        import kubernetes
        import pandas

        nodes = self.connection.list("Node")["items"]
        ready = [node for node in nodes if fields.is_true(node, "Ready")]
        version, known = (
            self.connection.raw("/version"),
            int(kubernetes.__version__.partition(".")[0]),
        )
        kubectl = shutil.which("kubectl") or "none"
        found = {
            "one node, and it is Ready": (
                len(nodes) == len(ready) == 1,
                f"{len(nodes)} nodes, {len(ready)} Ready",
            ),
            # As kubectl and the API server may lie one minor version apart, so may the client:
            # https://kubernetes.io/releases/version-skew-policy/
            "a Kubernetes that the labs know": (
                abs(int(version["minor"].rstrip("+")) - known) <= 1,
                version["gitVersion"],
            ),
            "the node can be seen from inside": (
                self._node.cgroup_version in (1, 2),
                f"cgroups of version {self._node.cgroup_version}",
            ),
            "kubectl is the labs' own": (Path(kubectl).parent == paths.tools(), kubectl),
        }
        return pandas.DataFrame(
            {"is it so?": ["yes" if so else f"no: {seen}" for so, seen in found.values()]},
            index=list(found),
        )

    def free(self, resource: str) -> Decimal:
        """What the scheduler counts as free on the node: what can be allocated, less what the Pods
        there request, used or not.

        Args:
            resource: such as "cpu" (the answer is in CPUs), "memory" (in bytes), "nvidia.com/gpu".

        Example::

            lab.free("cpu")
        """
        return self.count(resource).free

    def count(self, resource: str) -> formulas.Count:
        """How the scheduler's account of a resource stands now: what is offered, who has how much,
        who waits. See ``arithmetic.count``.

        Pods of this lab go by their name, others with their namespace before it.

        Example::

            lab.count("nvidia.com/gpu").waits
        """
        nodes, pods = (
            self.connection.list("Node")["items"],
            self.connection.list("Pod", namespace="")["items"],
        )
        for pod in pods:
            if pod["metadata"]["namespace"] == self.namespace:
                del pod["metadata"]["namespace"]
        names = " ".join(node["metadata"]["name"] for node in nodes)
        self.connection.sent[:] = [
            f"kubectl describe node {names} | sed -n '/^Allocatable/,/^System/p;"
            " /^Allocated/,/^Events/p'"
        ]
        return formulas.count(resource, nodes, pods)

    def ledger(self, title: str, moments: Mapping[str, formulas.Count]) -> charts.Chart:
        """The account of a counted resource at several moments, as a picture with its finding.

        Args:
            title: the question that the picture answers.
            moments: by name, top to bottom, the account as it stood:
                ``lab.count("nvidia.com/gpu")``.

        Example::

            lab.ledger("Who has it?", {"before": before, "after": after})
        """
        import pandas

        rows = []
        for moment, found in moments.items():
            rows.append((moment, "offered", "", int(found.offered)))
            rows += [(moment, "has", who, int(pieces)) for who, pieces in sorted(found.has.items())]
            rows += [
                (moment, "waits", who, int(pieces)) for who, pieces in sorted(found.waits.items())
            ]
        return charts.ledger(
            pandas.DataFrame(rows, columns=["moment", "state", "who", "pieces"]), title
        )

    def offer(self, resource: str, count: int) -> str:
        """Puts a resource that is only counted on the node's status. ``withdraw``, ``finish`` and
        the next ``start`` take it off again.

        Args:
            resource: its name, with a domain, such as "nvidia.com/gpu".
            count: how many pieces there are; a later offer of the same replaces it.

        Returns:
            The resource's name.

        Raises:
            LabError: it is no name of such a resource; or another live kernel has offered it.

        Example::

            lab.offer("nvidia.com/gpu", 1)
        """
        self.connection.sent.clear()
        return self._changes.offer(resource, count)

    def offer_hugepages(self, count: int) -> str:
        """Sets huge pages of the node's default size aside, beside those that the machine has
        already, and waits for the kubelet to count them, which it does only at its start: it is
        started again. ``withdraw``, ``finish`` and the next ``start`` give them back.

        Args:
            count: how many pages; a later offer replaces it.

        Returns:
            The resource's name on this node, such as "hugepages-2Mi".

        Raises:
            LabError: the node has no huge pages; or not so many to give, and then it is as it was.
            TimedOut: the kubelet did not come back.

        Example::

            huge = lab.offer_hugepages(4)
        """
        self.connection.sent.clear()
        return self._changes.offer_hugepages(count)

    def withdraw(self, resource: str) -> None:
        """Takes off the node what was offered. Its Pods are not asked; but huge pages in use stay,
        and that is an error.

        Args:
            resource: the resource's name.

        Raises:
            LabError: huge pages that are in use; or a resource that no lab has offered.
        """
        self.connection.sent.clear()
        self._changes.withdraw(resource)

    def pod(self, name: str) -> Pod:
        """A handle on a Pod that something else makes: kubectl, a controller. It need not exist
        yet."""
        return Pod(self.connection, name, self._node)

    def _handle(self, kind: str, name: str) -> Pod | Resource:
        return self.pod(name) if kind == "Pod" else Resource(self.connection, kind, name)

    def recording(self, name: str) -> Recording:
        """Records the life of a Pod, which need not exist yet: ``with lab.recording("one-app") as
        life: …``."""
        self.connection.sent.clear()
        return Recording(self.connection, self._node, self.namespace, name)

    def samples(self, name: str, container: str, *, limit_seconds: float = 600) -> Samples:
        """Samples a container's memory and CPU accounting in the node, some fifty times a second,
        and records its Pod's life beside it.

        Args:
            name, container: of the Pod, which need not exist yet, and of its container.
            limit_seconds: the longest time that it may take, in seconds.

        Example::

            with lab.samples("hog", "app") as memory:
                lab.apply("hog.yaml").container("app").wait_until("restarted", timeout_seconds=60)
            memory.chart("What happens at the limit?")
        """
        self.connection.sent.clear()
        return Samples(
            self._node,
            self.connection,
            self.namespace,
            name,
            container,
            limit_seconds=limit_seconds,
        )

    def live(self, samples: Samples, title: str, **how: Any) -> Live:
        """A picture that moves while the ``with`` block samples; it gives the samples. What is
        stored is the chart that comes after it.

        Args:
            samples: as ``lab.samples`` gives them.
            title: the question that the picture answers.
            how: more for ``Samples.chart``, such as ``show``.

        Example::

            with lab.live(lab.samples("hog", "app"), "How far does it get?") as memory:
                lab.apply("hog.yaml").container("app").wait_until("restarted", timeout_seconds=60)
            memory.chart("How far does it get?")
        """
        return Live(
            lambda: samples.chart(title, **how), samples, limit_seconds=samples.limit_seconds
        )

    def slider(
        self,
        title: str,
        name: str,
        container: str,
        cpu_limits: Sequence[str],
        *,
        sequence: Sequence[str] = (),
        dwell_seconds: float = 3,
        predict: Callable[[str], float] | None = None,
    ) -> SliderView:
        """A slider that resizes a running container in place, with a live picture of what follows.
        Its cell returns at once.

        Untouched, and under Run All, it goes through its sequence; the first touch ends that.
        ``.chart(title)`` in a later cell ends it, and gives the picture to be stored; ``.steps``
        has what was measured at each value.

        Args:
            title: the question that the live picture answers.
            name, container: of the Pod, which runs, and of its container.
            cpu_limits: the CPU limits to choose from, as in a manifest. None below the request, for
                the QoS class may not change.
            sequence: the limits to go through; all, where it is left out.
            dwell_seconds: how long each of the sequence stays, in seconds.
            predict: from a limit to the share of throttled periods that is expected.

        Example::

            throttle = lab.slider("How often is it throttled?", "spinner", "app", ["100m", "200m",
            "500m"]) throttle
        """
        end_all()  # Its cell may run twice, and two sliders would pull at one container.
        # A name that does not exist is told here, not in the view.
        self.pod(name).container(container)
        # It moves in a thread of its own, while the reader goes on: what it sends is not what the
        # last helper did.
        aside = self.connection.within(self.namespace)
        aside.sent = []
        pod = Pod(aside, name, Node(aside))
        samples = self.samples(name, container)
        model = Slider(
            cpu_limits,
            lambda limit: _resize(pod, container, limit),
            samples,
            sequence=sequence or cpu_limits,
            dwell_seconds=dwell_seconds,
            predict=predict,
        )
        return SliderView(model, "CPU limit", title).start()

    def matrix(
        self, title: str, *pods: Pod, pause: bool = False, node: bool = False
    ) -> charts.Chart:
        """Which containers share which namespaces, now, as a picture with its finding; ``.table``
        holds the inode numbers.

        Rows are named by the container; with several Pods, by ``pod/container``. A container that
        does not run has no row.

        Args:
            title: the question that the picture answers.
            pods: the Pods, top to bottom.
            pause: draw each Pod's pause as well.
            node: put a row for the node's own namespaces above the Pods.

        Example::

            lab.matrix("Which namespaces do two containers of one Pod share?", pod)
        """
        import pandas

        frames, sent = [], []
        for pod in pods:
            frame = pod.namespaces()
            sent += self.connection.sent  # each Pod's look replaces the lines of the one before
            frame = frame if pause else frame.drop(index="pause", errors="ignore")
            if not frame.empty:
                frames.append(frame.rename(f"{pod.name}/{{}}".format) if len(pods) > 1 else frame)
        self.connection.sent.clear()
        if node:
            frames.insert(0, pandas.DataFrame([self._node.node_namespaces()], index=["node"]))
        self.connection.sent += sent
        return charts.matrix(
            pandas.concat(frames, join="inner") if frames else pandas.DataFrame(), title
        )

    def table(self, title: str, frame: Any, finding: str) -> charts.Chart:
        """A table as a picture, for values that differ from node to node; what is compared is the
        finding: see ``charts.table``.

        Example::

            verdict = pod.as_predicted()
            lab.table("Is it as predicted?", verdict.table, verdict)
        """
        import pandas

        return charts.table(pandas.DataFrame(frame), title, finding)

    def division(self, title: str, *samples: Samples, weights: Mapping[str, int]) -> charts.Chart:
        """How CPU time divided among containers while all of them wanted it, beside what shares or
        weights say: see ``charts.division``.

        Args:
            title: the question that the picture answers.
            samples: of each container, taken at the same time.
            weights: by container, the shares or the weight that the node has.

        Example::

            lab.division("Who gets how much?", small, big, weights={"small": 102, "big": 307})
        """
        first = samples[0].life.began_seconds
        frames = {}
        for each in samples:
            later = each.life.began_seconds - first
            frames[each.container] = each.frame.assign(
                time_seconds=lambda frame, later=later: frame["time_seconds"] + later
            )
        return charts.division(frames, title, formulas.contention_split(weights, cpus=1))

    def latencies(
        self,
        title: str,
        seconds: Mapping[str, Sequence[float]],
        predicted: Mapping[str, tuple],
        **how: Any,
    ) -> charts.Chart:
        """How long each of many equal pieces of work took, beside what was predicted: see
        ``charts.latencies``."""
        return charts.latencies(seconds, title, predicted, **how)

    def memory_parts(self, title: str, moments: Mapping[str, Cgroup]) -> charts.Chart:
        """What memory was used for, at several moments, against the limit: as a picture with its
        finding.

        Args:
            title: the question that the picture answers.
            moments: by name, top to bottom, the cgroup as it was: ``pod.cgroup`` or
                ``pod.container("app").cgroup``.

        Example::

            lab.memory_parts("Who gives way?", {"at rest": before, "with a file": after})
        """
        import pandas

        limit = max((each.memory_limit_bytes or 0 for each in moments.values()), default=0)
        rows = [
            (
                each.memory_anonymous_bytes,
                max(0, each.memory_cache_bytes - each.memory_shared_bytes),
                each.memory_shared_bytes,
            )
            for each in moments.values()
        ]
        frame = pandas.DataFrame(
            rows, columns=["programs", "files", "memory volumes"], index=list(moments)
        )
        return charts.parts(frame, title, limit or None)

    def harm(self) -> Text:
        """What the lab has done to the node, in a sentence: whether it stayed Ready since
        ``start``, and whether the kernel has killed a process for want of memory that was not of
        this lab's Pods (those that ``lab.apply`` and ``lab.check`` made, and those that are there
        now).
        """
        self._remember_pods()
        others = killed_beyond(
            self._node.oom_kills(time.time() - self._began_seconds), self._pod_uids
        )
        ready = [fields.conditions(node)["Ready"] for node in self.connection.list("Node")["items"]]
        since = [
            datetime.fromisoformat(each["lastTransitionTime"]).timestamp()
            for each in ready
            if each["status"] == "True"
        ]
        stayed = bool(ready) and len(since) == len(ready) and max(since) < self._began_seconds + 1
        words = "the node stayed Ready" if stayed else "the node did not stay Ready"
        return Text(
            f"{words} · processes killed for want of memory outside of this lab's Pods:"
            f" {len(others) or 'none'}"
        )

    def _remember_pods(self) -> None:
        """Pods that are there now are this lab's, also when they will be gone."""
        self._pod_uids.update(
            pod["metadata"]["uid"] for pod in self.connection.list("Pod")["items"]
        )

    def attempt(self) -> "Attempt":
        """What is in the ``with`` block need not work on every node. See ``Attempt``."""
        return Attempt()

    def refused(self, reason: str, *, says: str = "") -> "Refusal":
        """What is in the ``with`` block has to be refused, for this reason. See ``Refusal``."""
        return Refusal(reason, says)

    # --- The reader's part

    def predict(self, name: str, question: str, choices: list) -> PredictionView:
        """Asks the reader for an answer, which locks when the next cell runs. Run again, it is a
        later attempt."""
        before = self._predictions.get(name)
        if before and (before.question, before.choices) == (
            question,
            [str(choice) for choice in choices],
        ):
            before.reopen()
        else:
            self._predictions[name] = Prediction(name, question, choices)
        return PredictionView(self._predictions[name])

    def reveal(self, name: str, measured: object) -> RevealView:
        """What was measured, and what that makes of the prediction of this name.

        Raises:
            LabError: there is no such prediction, or the measured value is none of its choices.
        """
        if name not in self._predictions:
            asked = ", ".join(self._predictions) or "none"
            raise LabError(
                f"There is no prediction {name!r} to reveal.",
                f"asked so far: {asked}",
                "Run the cell that asks it first.",
            )
        prediction = self._predictions[name]
        reveal = prediction.reveal(measured)
        self.scores.add(f"{self.name}/{name}", prediction.take_attempts(), reveal.measured)
        return RevealView(reveal, self.scores.notice)

    def _close_predictions(self) -> None:
        for prediction in self._predictions.values():
            prediction.close()

    def exercise(self, key: str) -> Text:
        """The question of an exercise, and the file to edit: a copy of the starter, made if there
        is none yet."""
        return self._exercise(key).start()

    def check(self, key: str, path: Path | None = None) -> Verdict:
        """Applies the reader's manifest anew, and says what the cluster makes of it. ``.passed`` is
        the verdict."""
        verdict = self._exercise(key).check(path)
        self._remember_pods()
        return verdict

    def hint(self, key: str) -> Text:
        """The next hint."""
        return self._exercise(key).hint()

    def solution(self, key: str) -> Text:
        """Applies the solution, and shows it."""
        return self._exercise(key).solution()

    def reset(self, key: str) -> Text:
        """Puts the starter back, and keeps what was written as ``.bak``."""
        return self._exercise(key).reset()

    def _exercise(self, key: str) -> Exercise:
        self.connection.sent.clear()
        if key not in self._exercises:
            self._exercises[key] = Exercise(self.name, key, self)
        return self._exercises[key]

    # --- What was done, and what was shown

    def sent(self) -> Text:
        """What the last helper did, as lines of kubectl or shell that run when pasted."""
        return Text("\n".join(self.connection.sent))

    def traceback(self) -> Text:
        """All of the last error, of which a notebook shows three lines."""
        error = getattr(sys, "last_value", None)
        return Text(
            "".join(traceback.format_exception(error)).rstrip() if error else "No cell has failed."
        )

    def fact(self, claim: str, measured: object) -> object:
        """Keeps what this run measured for a claim, for the table at the end, and returns it.

        Args:
            claim: the claim's id in ``claims.yaml``, one of this lab's.
            measured: a text, or a measured value.

        Raises:
            LabError: no such claim in this lab; or nothing was measured (None, False or an empty
                text).
        """
        claims = self._claims()
        if claim not in claims:
            raise LabError(
                f"{self.name} has no claim {claim}.",
                f"its claims: {', '.join(claims) or 'none'}",
                "Look at claims.yaml.",
            )
        if measured is None or measured is False or measured == "":
            raise LabError(
                f"The claim {claim} was not shown.",
                f"measured: {measured!r}",
                "Look at the cells before this one.",
            )
        self._facts[claim] = str(measured)
        return measured

    def facts(self) -> "Facts":
        """The claims of this lab, with what this run measured; as a ``list`` of (id, claim,
        measured) it goes into a DataFrame."""
        return Facts(
            (id_, claim, self._facts.get(id_, "not in this run"))
            for id_, claim in self._claims().items()
        )

    def _claims(self) -> dict[str, str]:
        listed = yaml.safe_load(
            (paths.repository() / "notebooks" / "claims.yaml").read_text(encoding="utf-8")
        )["claims"]
        return {
            claim["id"]: claim["claim"]
            for claim in listed
            if claim.get("lab") == self.name.partition("-")[0]
        }

    # --- The end

    def finish(self) -> "Remains":
        """Deletes the lab's namespace with all that is in it, and takes off the node what was
        offered; then looks whether anything is left: here, in the API, on the node."""
        self._close_predictions()
        end_all()
        self._remember_pods()
        # With a grace of 1 s a Pod stays in the API until the kubelet says that its processes have
        # ended.
        _remove(self.connection, self.namespace, grace_seconds=1)
        self._changes.put_back()
        leases.give_node(self.connection)
        self.connection.sent[:] = [f"kubectl delete namespace {self.namespace} --ignore-not-found"]
        return Remains(
            _found(self.connection, self.namespace) is not None,
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
        )


class Facts(list):
    """The claims of a lab with what a run has measured: an (id, claim, measured) for each. A
    notebook shows two lines for each.

    >>> Facts([("B2", "pause holds the namespaces.", "net, ipc: one for all")])
    B2   pause holds the namespaces.
         measured: net, ipc: one for all
    """

    def __repr__(self) -> str:
        return (
            "This lab claims nothing."
            if not self
            else "\n".join(
                f"{id_:4} {claim}\n     measured: {measured}" for id_, claim, measured in self
            )
        )

    def _repr_html_(self) -> str:
        if not self:
            return f"<p>{self}</p>"
        rows = ((id_, *map(html.escape, (claim, measured))) for id_, claim, measured in self)
        # Not a list of definitions: JupyterLab puts the two halves of one beside each other, and
        # they slip.
        return "".join(
            f"<p><b>{id_}</b> {claim}<br>measured: {measured}</p>" for id_, claim, measured in rows
        )


@dataclass(frozen=True, repr=False)
class Remains:
    """What a lab has left behind.

    Attributes:
        namespace: whether its namespace is still there.
        processes: names of processes of its Pods on the node.
        threads: names of threads of the helpers in this kernel.

    >>> Remains(False, [], [])
    nothing is left: no namespace, no processes, no threads
    >>> Remains(False, ["sleep"], [])
    still there: processes (sleep)
    """

    namespace: bool
    processes: list[str]
    threads: list[str]

    def __repr__(self) -> str:
        left = ["namespace"] if self.namespace else []
        left += [
            f"{what} ({', '.join(sorted(names))})"
            for what, names in (("processes", self.processes), ("threads", self.threads))
            if names
        ]
        return (
            f"still there: {', '.join(left)}"
            if left
            else "nothing is left: no namespace, no processes, no threads"
        )


class Attempt:
    """``with lab.attempt() as users: …``: where the node cannot do it, the lab says so in three
    lines and goes on.

    Attributes:
        shows: what the block has measured; set it there.
        error: what ended the block; None where nothing did.

    >>> with Attempt() as users:
    ...     users.shows = "65536 ids"
    >>> users
    65536 ids
    >>> with Attempt() as users:
    ...     raise TimedOut("Pod own-users did not become Ready.", "FailedCreatePodSandBox", "Look at its events.")
    >>> users
    This node did not do it. Nothing after this needs it: go on.
    Seen: Pod own-users did not become Ready. FailedCreatePodSandBox
    Do:   Look at its events.
    """

    def __init__(self):
        self.shows: object = None
        self.error: LabError | None = None

    def __enter__(self) -> "Attempt":
        return self

    def __exit__(self, kind, error, trace) -> bool:
        self.error = error if isinstance(error, LabError) else None
        return self.error is not None

    def __repr__(self) -> str:
        if self.error is None:
            return str(self.shows)
        seen = f"{self.error.happened} {self.error.seen}"
        return str(
            LabError(
                "This node did not do it. Nothing after this needs it: go on.", seen, self.error.do
            )
        )


class Refusal:
    """``with lab.refused("Forbidden", says="runAsNonRoot") as refusal:`` fails when nothing is
    refused, or for another reason.

    Args:
        reason: Kubernetes' own word.
        says: what the server's own sentence has to contain.

    Attributes:
        message: afterwards, the server's own words.

    >>> with Refusal("Forbidden", "quota") as refusal:
    ...     raise Refused("The Pod was refused.", "", "", reason="Forbidden", message="exceeded quota: small")
    >>> refusal.message
    exceeded quota: small
    """

    def __init__(self, reason: str, says: str = ""):
        self.reason, self.says = reason, says
        self.message = Text("")

    def __enter__(self) -> "Refusal":
        return self

    def __exit__(self, kind, error, trace) -> bool:
        expected = self.reason + (f', with "{self.says}" in it' if self.says else "")
        if error is None:
            raise LabError(
                "Nothing was refused.",
                f"expected: {expected}",
                "Look at what the cell sends: it is allowed.",
            )
        if not isinstance(error, Refused):
            return False
        if error.reason != self.reason or self.says not in error.message:
            raise LabError(
                "It was refused for another reason.",
                f"{error.reason}: {error.message}",
                f"Expected: {expected}.",
            ) from error
        self.message = Text(error.message)
        return True


def _resize(pod: Pod, container: str, limit: str) -> None:
    """What a move of the slider does."""

    def is_so(now: PodNow) -> bool:
        statuses = now.raw["status"].get("containerStatuses", ())
        held = next(
            (
                each.get("resources", {}).get("limits", {})
                for each in statuses
                if each["name"] == container
            ),
            {},
        )
        return "cpu" in held and formulas.quantity(held["cpu"]) == formulas.quantity(limit)

    resized = pod.resize(container, limits={"cpu": limit}, timeout_seconds=30)
    if resized.outcome == "error":
        # The runtime stops a container for the change, and one that is throttled may not stop in
        # time ("unable to freeze"). The kubelet tries again by itself, some seconds later.
        pod.wait_until(is_so, timeout_seconds=60)
    elif resized.outcome != "done":
        raise LabError(
            f"The limit did not become {limit}.",
            f"{resized.outcome}: {resized.message}",
            "Move it elsewhere.",
        )


# --- Holding the namespace ------------------------------------------------------------------------


def _take(connection: Connection, namespace: str, take_over: bool) -> None:
    """Makes the namespace anew, with the mark of this kernel on it."""
    body = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": namespace, "labels": {MARK: "lab"}, "annotations": leases.mark()},
    }
    for _ in range(3):
        there = _found(connection, namespace)
        if there is not None:
            if holder := leases.other(there, take_over):
                raise _held(namespace, holder)
            # What is not marked as a lab's was made by somebody else.
            if there["metadata"].get("labels", {}).get(MARK) != "lab":
                raise LabError(
                    f"The namespace {namespace} was not made by a lab, so it is left alone.",
                    f"it is there, without the label {MARK}=lab",
                    f"If you need nothing in it: kubectl delete namespace {namespace}",
                )
            _remove(connection, namespace, grace_seconds=0)
        try:
            connection.create(body)
            return
        except Refused as error:
            # Another kernel was quicker: look whose it is now.
            if error.reason != "AlreadyExists":
                raise
    raise LabError(
        f"{namespace} could not be taken.",
        "other kernels took it again and again",
        "Close the other notebooks of this lab.",
    )


def _found(connection: Connection, namespace: str) -> dict | None:
    try:
        return connection.get("Namespace", namespace)
    except Refused as error:
        if error.reason == "NotFound":
            return None
        raise


def _held(namespace: str, holder: dict) -> LabError:
    name = namespace.removeprefix("lab-")
    return LabError(
        f"Another kernel holds the lab {name}.",
        f"process {holder['pid']} on {holder['host']}",
        f'Shut that kernel down, or go on there. If it is yours to end: start("{name}",'
        " take_over=True).",
    )


def _remove(connection: Connection, namespace: str, grace_seconds: int) -> None:
    """Deletes a namespace and waits until it is gone. First the namespace, so that no controller
    makes a Pod anew meanwhile."""
    connection.delete("Namespace", namespace)
    for pod in connection.list("Pod", namespace)["items"]:
        connection.delete("Pod", pod["metadata"]["name"], namespace, grace_seconds=grace_seconds)
    try:
        wait_until(
            connection,
            "Namespace",
            namespace,
            lambda found: found is None,
            what="gone",
            timeout_seconds=EMPTY_SECONDS,
        )
    except TimedOut as error:
        raise LabError(
            f"What is in {namespace} could not be removed within {EMPTY_SECONDS} s.",
            "; ".join(_held_back(connection, namespace)) or error.seen,
            f"Take away what holds it: kubectl edit KIND NAME --namespace {namespace}, under"
            " metadata.finalizers. Then run the cell again.",
        ) from error


def _held_back(connection: Connection, namespace: str) -> Iterator[str]:
    """What keeps a namespace from going. While Pods are left, Kubernetes 1.37 counts nothing in the
    namespace's conditions."""
    for pod in connection.list("Pod", namespace)["items"]:
        yield (
            f"Pod {pod['metadata']['name']}:"
            f" {', '.join(pod['metadata'].get('finalizers') or ['no finalizer'])}"
        )
    for condition in (_found(connection, namespace) or {}).get("status", {}).get(
        "conditions"
    ) or []:
        if condition["status"] == "True" and condition["type"].startswith("Namespace"):
            yield condition.get("message", condition["type"])


def _own_kubeconfig(name: str, namespace: str) -> Path:
    """The cluster's kubeconfig with the lab's namespace in it, in a file of the lab's own."""
    config = yaml.safe_load(paths.kubeconfig().read_text(encoding="utf-8"))
    for context in config["contexts"]:
        context["context"]["namespace"] = namespace
    path = paths.state() / "labs" / f"{name}.kubeconfig"
    # It holds the administrator's key.
    write_atomically(path, yaml.safe_dump(config), private=True)
    return path
