"""What a lab measures with: recordings, samples, live pictures, sliders and dials."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from labhelpers.arguments import checked
from labhelpers.diagnosis import Diagnosis, Reading, diagnose
from labhelpers.dials import LONGEST_SECONDS, Dials
from labhelpers.kube.client import Connection
from labhelpers.live import DialsView, Live, SliderView, end_all
from labhelpers.measure.recording import Recording
from labhelpers.measure.samples import Samples
from labhelpers.node.node import Node
from labhelpers.outcomes import Shown
from labhelpers.picker import Picker
from labhelpers.resources import Resource
from labhelpers.slider import LONGEST_RESIZE_SECONDS, Slider, resize_cpu
from labhelpers.toggles import Toggles
from labhelpers.transcript import Transcript, told
from labhelpers.widgets import PickerView, TogglesView

__all__ = ["LabMeasures"]


@checked
class LabMeasures:
    """The part of ``Lab`` that measures over time, or as the reader sets something."""

    namespace: str
    connection: Connection
    transcript: Transcript
    _node: Node

    @told
    def diagnose(self, what: Resource | str) -> Diagnosis:
        """Says why a Pod doesn't work, from what the API server knows: evidence, verdict, what to
        do next, and the lab that explains it. It only reads. ``podlab why`` does the same anywhere.

        Args:
            what: a Pod, or its name; or what should have made it, or a Service: "service/web".

        Returns:
            A Diagnosis, which is false for a healthy Pod.

        Raises:
            LabError: there is nothing of that name.

        Example::

            lab.diagnose("web").verdict
        """
        target = what if isinstance(what, str) else f"{what.kind}/{what.name}"
        reading = Reading(self.connection.raw, self.namespace)
        try:
            return diagnose(reading, target)
        finally:
            self.transcript.note(*reading.lines)

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
        *,
        sequence: Sequence[dict[str, Any]] = (),
        longest_seconds: float = LONGEST_SECONDS,
        tolerance_seconds: float = 0.0,
        axis: str = "seconds",
    ) -> DialsView:
        """Several numbers to set. What is predicted for them follows at once; a button measures it.
        Its cell returns at once.

        Under Run All nobody presses the button: ``.chart(title)`` in a later cell measures the
        stored sequence, and gives the picture to be stored. ``.table`` has what was measured.

        Args:
            title: the question that the picture answers.
            dials, predict, measure, sequence, longest_seconds, tolerance_seconds, axis: see
                ``Dials``.

        Example::

            numbers = {"periodSeconds": [1, 2], "failureThreshold": [1, 3]}
            trials = lab.dials("When is it given up?", numbers, predict, measure)
            trials
        """
        end_all()
        model = Dials(
            dials,
            predict,
            measure,
            sequence=sequence,
            longest_seconds=longest_seconds,
            tolerance_seconds=tolerance_seconds,
            axis=axis,
        )
        return DialsView(model, title)

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
