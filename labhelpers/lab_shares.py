"""What a participant of a workshop shares with the teacher's board. Nothing is shared before they
join."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from labhelpers import contents, paths
from labhelpers.arguments import checked
from labhelpers.board.seat import Seat
from labhelpers.board.sender import Sender
from labhelpers.errors import LabError, Unreachable
from labhelpers.exercises import Verdict
from labhelpers.outcomes import Text
from labhelpers.predictions import Prediction

__all__ = ["LabShares", "join", "leave", "sections"]

WHAT = (
    "what you predict and what you measured, whether a check of an exercise passes and what it saw,"
    " which section you're in, and whether your cluster answers"
)
# One for all labs of this process: what waits for the board survives the next `start`.
_sender: Sender | None = None
_cell_hooks: dict[str, Callable[[Any], None]] = {}


def join(address: str, name: str) -> Text:
    """Takes a seat at a board, and stores it for the labs of this session. What ``podlab join`` and
    ``lab.join`` do.

    Raises:
        LabError: not a board's address, or it doesn't answer, or it knows no such room.
    """
    global _sender
    seat, before = Seat(address, name), Seat.stored()
    if before and before.address == seat.address:
        seat.secret = before.secret  # Joining again isn't somebody else.
    sender = Sender(seat)
    given = sender.join()
    if _sender is not None:
        _sender.stop()
    _sender = sender
    lines = [f"You're {given} on the board {seat.address}."]
    if given != seat.name:
        lines[0] = f"You're {given} on the board {seat.address}, because the name was taken."
    lines.append(f"Shared from now on: {WHAT}. Nothing else.")
    lines.append("lab.shared() shows what was sent. lab.leave() ends it, and so does the teacher.")
    try:
        seat.store()
    except OSError as error:
        lines.append(f"It couldn't be stored ({error.strerror}): join again in the next lab.")
    return Text("\n".join(lines))


def leave() -> Text:
    """Leaves the board. What ``podlab leave`` and ``lab.leave`` do."""
    global _sender
    sender, seat = _sender, Seat.stored()
    if sender is None and seat is not None:
        sender = Sender(seat)
    if sender is None:
        return Text("You haven't joined a board.")
    _sender = None
    told = sender.leave()
    sender.seat.give_up()
    if not told:
        return Text("You've left. The board isn't there to be told: it sees that you're silent.")
    return Text(
        "You've left. The board has forgotten your exercises and where you were; your votes stay"
        " in its counts, without a name."
    )


@checked
class LabShares:
    """The part of ``Lab`` that shares with the board."""

    name: str
    _section: dict[str, Any] | None = None
    _answers: bool | None = None

    def join(self, address: str, name: str) -> Text:
        """Joins the teacher's board for this session, under a name that you choose.

        From then on it's told what you predict and what you measured, whether your exercises pass
        and what their checks saw, which section you're in, and whether your cluster answers.
        ``lab.shared()`` shows all of it.

        Args:
            address: what the teacher's wall shows, such as "http://192.168.1.5:8765/K7QMTX".
            name: any.

        Raises:
            LabError: not a board's address, or it doesn't answer, or it knows no such room.

        Example::

            lab.join("http://192.168.1.5:8765/K7QMTX", name="Ada")
        """
        said = join(address, name)
        self._watch_cells()
        return said

    def leave(self) -> Text:
        """Leaves the board. Nothing is shared any more."""
        return leave()

    def shared(self) -> Text:
        """Shows everything that this kernel has shared with the board."""
        sender = _sender
        if sender is None:
            return Text("Nothing is shared: you haven't joined a board.")
        lines = [f"as {sender.name}, with the board {sender.seat.address}:"]
        for each in sender.shared():
            when = time.strftime("%H:%M:%S", time.localtime(each.at))
            lines.append(f"{when}  {each.state:<7}  {_words(each.event)}")
        if len(lines) == 1:
            lines.append("nothing yet")
        if sender.ended:
            lines.append("The session is over: nothing is shared any more.")
        elif sender.trouble:
            lines.append(
                f"The board doesn't answer ({sender.trouble}). It's tried again and again."
            )
        return Text("\n".join(lines))

    # --- What the other parts of Lab call. Nothing of it may ever fail, or take time.

    def _resume_sharing(self) -> None:
        """Takes the seat that's stored, when a lab starts, and says so."""
        global _sender
        with contextlib.suppress(Exception):
            seat = Seat.stored()
            if seat is None:
                if _sender is not None:
                    _sender.stop(0)
                    _sender = None
                return
            if _sender is None or _sender.seat.secret != seat.secret or _sender.ended:
                _sender = Sender(seat)
            _sender.start()
            self._watch_cells()
            print(
                f"Shared with the board {seat.address}, as {_sender.name}: lab.shared() shows what,"
                " lab.leave() ends it."
            )

    def _share_vote(self, prediction: Prediction) -> None:
        self._share("vote", question=_asked(prediction), choice=prediction.choice)

    def _share_reveal(self, prediction: Prediction, measured: str) -> None:
        self._share("reveal", question=_asked(prediction), measured=measured)

    @contextlib.contextmanager
    def _sharing_check(self, key: str, own: bool) -> Iterator[list[Verdict]]:
        """Shares the verdict that the block puts into the list, or the error that kept it from one.

        Args:
            key: the exercise.
            own: whether it's the reader's file, and not a test's or the author's.
        """
        verdicts: list[Verdict] = []
        try:
            yield verdicts
        except Exception as error:
            if own:
                words = error.args[0] if isinstance(error, LabError) else f"{error}"
                self._share("check", key=key, passed=False, saw=f"the check failed: {words}")
            raise
        if own and verdicts:
            saw = verdicts[0].text.partition(" · hint: ")[0]
            self._share("check", key=key, passed=verdicts[0].passed, saw=saw)

    def _share(self, kind: str, **more: Any) -> None:
        with contextlib.suppress(Exception):
            if _sender is not None:
                _sender.send({"kind": kind, "lab": self.name, **more})

    def _watch_cells(self) -> None:
        """Follows which section of the notebook is run, and whether the cluster answers. Outside of
        IPython it does nothing."""
        ipython = sys.modules.get("IPython")
        shell = ipython.get_ipython() if ipython else None
        if shell is None:
            return
        where = sections(self.name)

        def begins(info: Any) -> None:
            with contextlib.suppress(Exception):
                section = where.get(info.cell_id) or where.get(info.raw_cell.strip())
                if _sender is not None and section and section != self._section:
                    self._section = section
                    self._share("section", **section)

        def has_run(result: Any) -> None:
            with contextlib.suppress(Exception):
                answers = not isinstance(result.error_in_exec, Unreachable)
                # A cell that fails otherwise, or isn't the lab's, may not have asked the cluster.
                own = result.info.cell_id in where or result.info.raw_cell.strip() in where
                known = not answers or (own and result.success)
                if _sender is not None and known and answers != self._answers:
                    self._answers = answers
                    self._share("cluster", answers=answers)

        for name, hook in {"pre_run_cell": begins, "post_run_cell": has_run}.items():
            if name in _cell_hooks:
                with contextlib.suppress(ValueError):
                    shell.events.unregister(name, _cell_hooks[name])
            shell.events.register(name, hook)
            _cell_hooks[name] = hook


def sections(lab_name: str) -> dict[str, dict[str, Any]]:
    """In which section each code cell of a lab is, by the cell's id and by its source. Not every
    front end tells the kernel ids.

    >>> sections("a-lab-that-nobody-wrote")
    {}
    """
    try:
        path = paths.notebooks() / f"{lab_name.replace('-', '_')}.ipynb"
        parts = contents.parts(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, LabError):
        return {}
    found: dict[str, dict[str, Any]] = {}
    for number, part in enumerate(parts):
        title = part.heading.replace("`", "") or "the beginning"
        section = {"number": number, "title": title, "of": len(parts) - 1}
        for cell in part.cells:
            found[cell.get("id", "")] = found["".join(cell["source"]).strip()] = section
    return found


def _asked(prediction: Prediction) -> dict[str, Any]:
    return {
        "name": prediction.name,
        "text": prediction.question,
        "choices": prediction.choices,
    }


def _words(event: dict[str, Any]) -> str:
    """
    >>> _words({"kind": "check", "lab": "02-pause", "key": "a", "passed": False, "saw": "no Pod"})
    '02-pause  exercise a: not yet: no Pod'
    """
    words = {
        "vote": lambda: f"prediction {event['question']['name']}: {event['choice']}",
        "reveal": lambda: f"measured {event['question']['name']}: {event['measured']}",
        "check": lambda: (
            f"exercise {event['key']}: {'passed' if event['passed'] else 'not yet'}: {event['saw']}"
        ),
        "section": lambda: f"section {event['number']} of {event['of']}: {event['title']}",
        "cluster": lambda: "your cluster " + ("answers" if event["answers"] else "doesn't answer"),
    }
    return f"{event['lab']}  {words[event['kind']]()}"
