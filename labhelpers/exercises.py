"""Exercises: a starter that fails its check, a check that says what it saw, hints in steps, a
solution, a reset.

The files of exercise ``a`` of a lab, below ``notebooks/``: ``exercises/<lab>/a.yaml`` (the starter,
never edited), ``exercises/<lab>/a.py`` (question, hints, check, debriefing),
``solutions/<lab>/a.yaml``. The reader's own copy is ``mine/<lab>/a.yaml``, which git ignores.
"""

import html
import importlib.util
import itertools
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from labhelpers import paths
from labhelpers.debrief import Debrief
from labhelpers.errors import LabError, NotOurCluster, Refused, Unreachable
from labhelpers.kube.manifests import Manifest
from labhelpers.kube.waiting import wait_until
from labhelpers.outcomes import Text
from labhelpers.patience import patient

__all__ = ["Exercise", "NotYet", "Verdict", "expected_pod", "first_log"]

FIRST_LOG_SECONDS, FIRST_LOG_PAUSE_SECONDS = 20.0, 0.1


class NotYet(LabError):
    """What a check raises if the exercise isn't solved yet.

    Args:
        saw: what was seen in the cluster, in words that name the mistake.
        hint: what to do; without it, the verdict points to ``lab.hint``.
    """

    def __init__(self, saw: str, hint: str = ""):
        super().__init__("Not yet.", saw, hint or "Ask for a hint.")
        self.hint = hint


def expected_pod(lab, name: str):
    """Returns the handle on the Pod that an exercise is about.

    Raises:
        NotYet: the reader's manifest hasn't created a Pod with this name.
    """
    pod = lab.pod(name)
    try:
        pod.now()
    except Refused as refused:
        raise NotYet(
            f"there is no Pod named {name}", "Keep the name: the check looks for it."
        ) from refused
    return pod


def first_log(pod, container: str) -> str:
    """Reads what a container has written, as soon as there is something. It waits up to 20 seconds,
    because a container that has just started may not have written anything yet."""
    deadline = time.monotonic() + patient(FIRST_LOG_SECONDS)
    while not (log := pod.logs(container).strip()) and time.monotonic() < deadline:
        time.sleep(FIRST_LOG_PAUSE_SECONDS)
    return log


@dataclass(frozen=True, repr=False)
class Verdict:
    """What a check found.

    Attributes:
        passed: whether the exercise is solved.
        text: why, or what was seen instead.
        debrief: what there is to say once it's solved; None until then.
    """

    passed: bool
    text: str
    debrief: Debrief | None = None

    @property
    def line(self) -> str:
        """The verdict alone."""
        return f"{'passed' if self.passed else 'not yet'}: {self.text}"

    def __repr__(self) -> str:
        return f"{self.line}\n\n{self.debrief}" if self.debrief else self.line

    def _repr_html_(self) -> str | None:
        """None shows the text, so what is stored of a starter has no HTML."""
        if self.debrief is None:
            return None
        return f"<p><b>{html.escape(self.line)}</b></p>{self.debrief.html()}"


class Exercise:
    """One exercise of a lab.

    Args:
        lab_name: the lab's name, such as "02-pause".
        key: the exercise's letter.
        lab: the running lab, for ``check`` and ``solution``: its ``connection`` and ``node``.
            Everything else needs only files.

    Raises:
        LabError: the lab has no such exercise; names those that it has.
    """

    def __init__(self, lab_name: str, key: str, lab=None):
        notebooks = paths.notebooks()
        self.lab_name, self.key, self.lab = lab_name, key, lab
        self.starter = notebooks / "exercises" / lab_name / f"{key}.yaml"
        self.solution_path = notebooks / "solutions" / lab_name / f"{key}.yaml"
        self.path = paths.mine() / lab_name / f"{key}.yaml"
        self._hints_given = 0
        self._applied: list[tuple[str, str]] = []
        if not self.starter.is_file():
            there = (
                ", ".join(sorted(path.stem for path in self.starter.parent.glob("*.yaml")))
                or "none"
            )
            raise LabError(
                f"The lab {lab_name} has no exercise {key!r}.",
                f"its exercises: {there}",
                "Use one of these.",
            )

    @property
    def name(self) -> str:
        """The reader's file, as a notebook names it."""
        return f"mine/{self.lab_name}/{self.key}.yaml"

    def start(self) -> Text:
        """Copies the starter for the reader, unless there is a copy already; returns the question
        and where the file is."""
        if not self.path.exists():
            self._copy_starter()
        return Text(f"{self.module.QUESTION.strip()}\nYour file: {self.name}")

    def check(self, path: Path | None = None) -> Verdict:
        """Applies the reader's manifest again, and checks what the cluster makes of it. The text
        itself is never judged.

        Args:
            path: another file, for tests and for the solution.
        """
        path = path or self.path
        if not path.exists():
            self._copy_starter()
        try:
            self._apply(path)
            module = self.module
            said = module.check(self.lab, path)
            return Verdict(True, said, Debrief(path, self.solution_path, module.DEBRIEF))
        except NotYet as error:
            return self._not_yet(error.seen, error.hint)
        except (Unreachable, NotOurCluster):
            raise  # A cluster that doesn't answer isn't the reader's mistake.
        except LabError as error:
            return self._not_yet(f"{error.happened} {error.seen}")

    def hint(self) -> Text:
        """Returns the next hint; after the last one, the last one again."""
        hints = self.module.HINTS
        self._hints_given = min(self._hints_given + 1, len(hints))
        return Text(f"hint {self._hints_given} of {len(hints)}: {hints[self._hints_given - 1]}")

    def solution(self) -> Text:
        """Applies the solution, and returns its manifest."""
        self._apply(self.solution_path)
        return Text(self.solution_path.read_text().rstrip())

    def reset(self) -> Text:
        """Restores the starter. What the reader had written is kept as ``<key>.yaml.bak``, or with
        a number after it."""
        self._hints_given = 0
        if not self.path.exists():
            self._copy_starter()
        elif self.path.read_bytes() != self.starter.read_bytes():
            names = (f"{self.path.name}.bak{number or ''}" for number in itertools.count())
            kept = next(path for path in map(self.path.with_name, names) if not path.exists())
            self.path.replace(kept)
            self._copy_starter()
            return Text(
                f"{self.name} is the starter again; yours is kept as"
                f" {self.name.removesuffix(self.path.name)}{kept.name}"
            )
        return Text(f"{self.name} is the starter")

    def _copy_starter(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.starter, self.path)

    def _not_yet(self, saw: str, hint: str = "") -> Verdict:
        return Verdict(False, f"{saw.rstrip('.')} · hint: " + (hint or f'lab.hint("{self.key}")'))

    def _apply(self, path: Path) -> None:
        """Applies a manifest. First it deletes what an earlier check left, and what has the same
        name as an object in this manifest, so that the verdict is about this file alone."""
        manifest, connection = Manifest.read(path), self.lab.connection
        manifest.check_namespace(connection)
        if outside := manifest.cluster_scoped(connection):
            raise LabError(
                f"{path.name} contains a cluster-scoped object.",
                f"{', '.join(outside)}: it would affect the whole cluster",
                "Delete it: an exercise needs only objects in the lab's namespace.",
            )
        named = [
            (f"{body['apiVersion']}/{body['kind']}", body["metadata"]["name"])
            for body in manifest.documents
        ]
        old = list(dict.fromkeys([*self._applied, *named]))
        for kind, name in old:
            connection.delete(kind, name, grace_seconds=1)
        for kind, name in old:
            wait_until(
                connection, kind, name, lambda found: found is None, what="gone", timeout_seconds=30
            )
        self._applied = named
        manifest.apply(connection, self.lab.node.images)

    @property
    def module(self) -> ModuleType:
        """Its question, hints, check and debriefing, read again each time: an author edits them."""
        file = self.starter.with_suffix(".py")
        spec = importlib.util.spec_from_file_location(f"exercise_{self.key}", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
