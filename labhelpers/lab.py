"""The object every notebook works with: ``lab = start("02-pause")``. It wires the other modules
together and delegates to them."""

import os
import re
import shlex
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from labhelpers import formulas, kubectl, namespaces, paths
from labhelpers.charts import canvas
from labhelpers.claims import Claims
from labhelpers.dials import Dials
from labhelpers.errors import LabError, Unreachable
from labhelpers.exercises import Exercise, Verdict
from labhelpers.first_uses import FirstUses
from labhelpers.kube import cluster_scoped, fields, leases
from labhelpers.kube.client import MARK, Connection
from labhelpers.kube.connect import connect
from labhelpers.kube.manifests import Manifest
from labhelpers.measure.recording import Recording
from labhelpers.measure.samples import Samples
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
from labhelpers.picker import Picker
from labhelpers.pods import Pod
from labhelpers.predictions import Prediction, Scores
from labhelpers.proofs import Proofs, Tools
from labhelpers.resources import Resource
from labhelpers.slider import LONGEST_RESIZE_SECONDS, Slider, resize_cpu
from labhelpers.toggles import Toggles
from labhelpers.transcript import told
from labhelpers.widgets import (
    DialsView,
    Live,
    PickerView,
    PredictionView,
    RevealView,
    SliderView,
    TogglesView,
    after_each_cell,
    end_all,
    on_next_cell,
)

__all__ = ["Lab", "start"]

THREADS = f"{MARK}-"
# They need no cluster, or look by themselves.
FREE_HELPERS = ("Lab.finish", "Lab.exercise", "Lab.hint", "Lab.reset")


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
    on_next_cell(lab._close_predictions)
    after_each_cell(FirstUses(lab.transcript).tell)
    canvas.set_provenance(lab._provenance)
    return lab


class Lab:
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
        self.scores = Scores(paths.state() / "scores.json")
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
        """
        read = Manifest.read(self._manifest(manifest))
        applied = read.apply(self.connection, self._node.images)
        for body in applied:
            if body["kind"] == "Pod":
                self._pod_uids.add(body["metadata"]["uid"])
        handles = [self._handle(body["kind"], body["metadata"]["name"]) for body in applied]
        return handles[0] if len(handles) == 1 else handles

    def _manifest(self, manifest: str | Path) -> Path:
        if not isinstance(manifest, str | Path):
            raise LabError(
                "A manifest is given by the name of its file.",
                f"{manifest!r} is a {type(manifest).__name__}",
                'For example: lab.apply("one-app.yaml").',
            )
        path = Path(manifest)
        if path.parent == Path("."):
            path = paths.repository() / "notebooks" / "manifests" / self.name / path
        return path

    @told
    def free(self, resource: str) -> Decimal:
        """Returns what the scheduler counts as free on the node: allocatable, less what the Pods
        there request, used or not.

        Args:
            resource: such as "cpu" (the answer is in CPUs), "memory" (in bytes), "nvidia.com/gpu".

        Example::

            lab.free("cpu")
        """
        counted = self.count(resource)
        if "/" not in resource and not (counted.offered or counted.has or counted.waits):
            there = self.connection.list("Node")["items"][0]["status"]["allocatable"]
            raise LabError(
                f"The node has no resource {resource!r}.",
                f"it has {', '.join(there)}",
                "Use one of these names.",
            )
        return counted.free

    @told
    def count(self, resource: str) -> formulas.Count:
        """Counts a resource as the scheduler does: what the node advertises, who has how much,
        who waits. See ``formulas.count``.

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
        self.transcript.note(
            f"kubectl describe node {names} | sed -n '/^Allocatable/,/^System/p;"
            " /^Allocated/,/^Events/p'"
        )
        return formulas.count(resource, nodes, pods)

    @told
    def offer(self, resource: str, count: int) -> str:
        """Writes an extended resource into the node's status. ``withdraw``, ``finish`` and
        the next ``start`` take it off again.

        Args:
            resource: its name, with a domain, such as "nvidia.com/gpu".
            count: how many pieces there are; a later offer of the same replaces it. 0 is what the
                kubelet writes when a plugin's devices are gone.

        Returns:
            The resource's name.

        Raises:
            LabError: it is no name of such a resource; or another live kernel has offered it.

        Example::

            lab.offer("nvidia.com/gpu", 1)
        """
        return self._edits.offer(resource, count)

    @told
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
        return self._edits.offer_hugepages(count)

    @told
    def reserve_directory(self, path: str) -> str:
        """Reserves a directory on the node for hostPath volumes. It starts out missing or empty.
        ``finish`` and the next ``start`` remove it with everything in it.

        Args:
            path: /var/lib/podlab-NAME.

        Returns:
            The path.

        Raises:
            LabError: it's another path; or another live kernel has reserved it.

        Example::

            lab.reserve_directory("/var/lib/podlab-uploads")
        """
        return self._edits.directory(path)

    @told
    def label_node(self, label: str) -> str:
        """Labels the node, as ``kubectl label node`` does. ``withdraw(key)``, ``finish`` and the
        next ``start`` put it back.

        Args:
            label: "disktype=ssd". The key isn't one of Kubernetes' own, but
                topology.kubernetes.io/zone and /region are fine.

        Returns:
            The key.

        Raises:
            LabError: it isn't such a label; or another live kernel has set it.
            Refused: the API server doesn't take it.

        Example::

            lab.label_node("disktype=ssd")
        """
        return self._edits.label(label)

    @told
    def taint_node(self, taint: str) -> str:
        """Taints the node, as ``kubectl taint node`` does. ``withdraw(name)``, ``finish`` and the
        next ``start`` put it back.

        Args:
            taint: "KEY=VALUE:EFFECT". With NoExecute every Pod that doesn't tolerate it is evicted,
                the cluster's DNS as well.

        Returns:
            Its name, such as "maintenance:NoExecute".

        Raises:
            LabError: it isn't such a taint; or another live kernel has set it.

        Example::

            lab.taint_node("maintenance=true:NoSchedule")
        """
        return self._edits.taint(taint)

    @told
    def stop_kubelet(self, seconds: int) -> str:
        """Stops the kubelet for a while: the node is lost. Its start is armed on the node before.
        ``withdraw("kubelet")``, ``finish`` and the next ``start`` wait for it.

        Meanwhile nothing on the node can be asked: exec, logs and ``lab.node`` go through it.

        Args:
            seconds: 5 to 300.

        Returns:
            "kubelet", for ``withdraw``.

        Raises:
            LabError: it isn't such a number; or another live kernel has stopped it.

        Example::

            lab.stop_kubelet(seconds=60)
        """
        return self._edits.stop_kubelet(seconds)

    @told
    def add_static_pod(self, manifest: str | Path) -> Pod:
        """Writes a Pod's manifest into the kubelet's own folder on the node. ``withdraw(name)``,
        ``finish`` and the next ``start`` remove it.

        Args:
            manifest: as for ``apply``; one Pod.

        Returns:
            A handle on its mirror Pod in the API.

        Raises:
            LabError: it isn't one Pod.
            Refused: the API server wouldn't take it as an ordinary Pod.

        Example::

            lab.add_static_pod("static-web.yaml").wait_until("Ready", timeout_seconds=30)
        """
        bodies = Manifest.read(self._manifest(manifest)).rehearse(
            self.connection, self._node.images
        )
        if [body["kind"] for body in bodies] != ["Pod"]:
            raise LabError(
                f"{manifest} isn't a static Pod.",
                f"it has {', '.join(body['kind'] for body in bodies)}",
                "Write one Pod into it.",
            )
        return self.pod(self._edits.static_pod(bodies[0]))

    @told
    def withdraw(self, name: str) -> None:
        """Puts back one thing that the lab changed on the node. Pods are not asked; but huge pages
        in use stay, and that is an error.

        Args:
            name: as ``offer``, ``label_node`` and the like returned it; of a static Pod, its name
                in the manifest.

        Raises:
            LabError: huge pages that are in use; or a resource that no lab has offered.
        """
        self._edits.withdraw(name)

    @told
    def add_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> str:
        """Creates a namespace beside the lab's own, for what needs other labels. ``finish`` and the
        next ``start`` delete it.

        Args:
            name: what is added to the name of the lab's own namespace.
            labels: the new namespace's labels.

        Returns:
            Its name, such as "lab-17-pod-security-baseline".

        Raises:
            LabError: one of that name, left from before, couldn't be deleted.

        Example::

            lab.add_namespace("baseline", {"pod-security.kubernetes.io/enforce": "baseline"})
        """
        namespace = namespaces.add(self.connection, name, labels)
        said = "".join(f" {key}={value}" for key, value in (labels or {}).items())
        self.transcript.note(
            f"kubectl create namespace {namespace}",
            *([f"kubectl label namespace {namespace}{said}"] if said else []),
        )
        return namespace

    def pod(self, name: str) -> Pod:
        """Returns a handle on a Pod that something else makes: kubectl, a controller. It needn't
        exist yet.

        Raises:
            LabError: the name isn't one that Kubernetes allows.
        """
        return Pod(self.connection, name, self._node)

    def _handle(self, kind: str, name: str) -> Pod | Resource:
        return self.pod(name) if kind == "Pod" else Resource(self.connection, kind, name)

    def recording(self, *names: str, labels: str = "", also: Sequence[str] = ()) -> Recording:
        """Records Pods' lives, and what happens beside them, while the ``with`` block runs.

        Args:
            names: of the Pods, which need not exist yet.
            labels: a label selector instead of names: ``"app=web"``.
            also: other kinds to follow: ``"EndpointSlice"``, ``"Event"``, ``"Job"``.

        Example::

            with lab.recording("web", also=["EndpointSlice", "Event"]) as life:
                lab.apply("web.yaml").wait_until("Ready", timeout_seconds=30)
            life.chart("When does traffic begin?", ["web", "Ready", "endpoint ready", "events"])
        """
        return Recording(
            self.connection, self._node, self.namespace, *names, labels=labels, also=also
        )

    def samples(self, name: str, container: str, *, limit_seconds: float = 600) -> Samples:
        """Samples a container's memory and CPU counters on the node, about fifty times a second,
        and records its Pod's life beside it.

        Args:
            name, container: of the Pod, which need not exist yet, and of its container.
            limit_seconds: the longest time that it may take, in seconds.

        Example::

            with lab.samples("hog", "app") as memory:
                lab.apply("hog.yaml").container("app").wait_until("restarted", timeout_seconds=60)
            memory.chart("What happens at the limit?")
        """
        return Samples(
            self._node,
            self.connection,
            self.namespace,
            name,
            container,
            limit_seconds=limit_seconds,
        )

    def live(self, measured: Samples | Recording, title: str, **how: Any) -> Live:
        """A picture that moves while the ``with`` block measures; it gives what measures. What is
        stored is the chart that comes after it.

        Args:
            measured: as ``lab.samples`` or ``lab.recording`` gives it.
            title: the question that the picture answers.
            how: more for its ``chart``, such as ``show`` or ``lanes``.

        Example::

            with lab.live(lab.samples("hog", "app"), "How far does it get?") as memory:
                lab.apply("hog.yaml").container("app").wait_until("restarted", timeout_seconds=60)
            memory.chart("How far does it get?")
        """
        limit_seconds = measured.limit_seconds if isinstance(measured, Samples) else 600
        return Live(lambda: measured.chart(title, **how), measured, limit_seconds=limit_seconds)

    def slider(
        self,
        title: str,
        name: str,
        container: str,
        cpu_limits: Sequence[str],
        *,
        sequence: Sequence[str] = (),
        dwell_seconds: float = 3,
        demand_cpus: float = 1.0,
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
            sequence: the limits to go through; all, where it is left out. A step is begun again
                while others leave too little CPU time for its limit to show, for 60 s in all.
            dwell_seconds: how long each of the sequence stays, in seconds.
            demand_cpus: what the container would use without a limit, in CPUs: what is predicted
                follows from it.

        Example::

            throttle = lab.slider("How often is it throttled?", "spinner", "app", ["100m", "200m",
            "500m"]) throttle
        """
        end_all()  # Its cell may run twice, and two sliders would pull at one container.
        pod = self.pod(name)
        pod.container(container)  # A name that does not exist is told here, not in the view.
        samples = self.samples(name, container)
        model = Slider(
            cpu_limits,
            lambda limit: resize_cpu(pod, container, limit),
            samples,
            sequence=sequence or cpu_limits,
            dwell_seconds=dwell_seconds,
            demand_cpus=demand_cpus,
            undisturbed=pod.undisturbed,
            longest_move_seconds=LONGEST_RESIZE_SECONDS,
        )
        return SliderView(model, "CPU limit", title).start()

    def dials(
        self,
        title: str,
        dials: Mapping[str, Sequence[Any]],
        predict: Callable[[dict[str, Any]], Mapping[str, Any]],
        measure: Callable[[dict[str, Any]], Mapping[str, float]],
        **how: Any,
    ) -> DialsView:
        """Several numbers to set. What is predicted for them follows at once; a button measures it.
        Its cell returns at once.

        Under Run All nobody presses the button: ``.chart(title)`` in a later cell measures the
        stored sequence, and gives the picture to be stored. ``.table`` has what was measured.

        Args:
            title: the question that the picture answers.
            dials, predict, measure: see ``Dials``.
            how: ``sequence``, ``tolerance_seconds`` and more of ``Dials``.

        Example::

            numbers = {"periodSeconds": [1, 2], "failureThreshold": [1, 3]}
            trials = lab.dials("When is it given up?", numbers, predict, measure)
            trials
        """
        end_all()
        return DialsView(Dials(dials, predict, measure, **how), title)

    @told
    def harm(self) -> Text:
        """What the lab has done to the node, in a sentence: whether it stayed Ready since
        ``start``, and whether the kernel has killed a process for want of memory that was not of
        this lab's Pods (those that ``lab.apply`` and ``lab.check`` made, and those that are there
        now).
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
            f"{words} · processes killed for want of memory outside of this lab's Pods:"
            f" {len(others) or 'none'}"
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

    def toggles(
        self, lines: Mapping[str, bool], judge: Callable[[list[str]], Shown]
    ) -> TogglesView:
        """A check box for each line, and a verdict that follows them. Stored is the verdict of the
        lines as they are given.

        Args:
            lines: each line's text, and whether it's on at first.
            judge: from the lines that are on to a table and its sentence, within a second.

        Example::

            lab.toggles({"runAsNonRoot: true": True}, lab.tools.judge)
        """
        return TogglesView(Toggles(lines, judge))

    def pick(self, label: str, choices: Sequence[str], card: Callable[[str], Shown]) -> PickerView:
        """A list to choose from, and a card that says more about what is chosen. Stored is the
        sentence of the first one's card.

        Args:
            label: what is chosen, in a word or two.
            choices: what each is called.
            card: from the one that's chosen to a table and its sentence, within a second.

        Example::

            lab.pick("field", xray.fields, xray.card)
        """
        return PickerView(Picker(choices, card), label)

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

    def score(self) -> None:
        """Shows how many of your predictions were right at the first attempt, lab by lab. It's
        yours alone, so nothing of it is compared."""
        shown_only(as_printed(self.scores.summary()))

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

    def _close_predictions(self) -> None:
        for prediction in self._predictions.values():
            prediction.close()

    @told
    def exercise(self, key: str) -> Text:
        """Shows the question of an exercise and the file to edit, a copy of the starter."""
        return self._exercise(key).start()

    @told
    def check(self, key: str, path: Path | None = None) -> Verdict:
        """Applies the reader's manifest from scratch, and says what the cluster makes of it.
        ``.passed`` is the verdict."""
        verdict = self._exercise(key).check(path)
        self._remember_pods()
        return verdict

    @told
    def hint(self, key: str) -> Text:
        """Shows the next hint."""
        return self._exercise(key).hint()

    @told
    def solution(self, key: str) -> Text:
        """Applies the solution and shows it."""
        return self._exercise(key).solution()

    @told
    def reset(self, key: str) -> Text:
        """Restores the starter. The reader's file is saved as ``.bak``."""
        return self._exercise(key).reset()

    def _exercise(self, key: str) -> Exercise:
        if key not in self._exercises:
            self._exercises[key] = Exercise(self.name, key, self)
        return self._exercises[key]

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
        the node. Then checks whether anything is left: here, in the API, on the node."""
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
    folder = paths.repository() / "notebooks"
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
