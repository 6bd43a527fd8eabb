"""What a room has told the board: votes, exercises, and where everybody is. It's a plain model:
events go in, views come out. It knows no sockets, no files and no clock, so that a journal can be
played back, and tests can drive it."""

import contextlib
import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["MOST_PEOPLE", "STAGES", "BadEvent", "Room", "person_key", "plain"]

MOST_PEOPLE, MOST_QUESTIONS, MOST_IDS = 200, 500, 2000
NAME_LETTERS, TEXT_LETTERS, SAW_LETTERS, MOST_CHOICES = 32, 400, 600, 12
GONE_SECONDS, LONG_SECONDS = 60, 600
# What the wall shows of a question: its choices, then the votes, then the measured one.
STAGES = ("voting", "votes", "measured")
# What a participant may send.
KINDS = ("vote", "reveal", "check", "section", "cluster")


class BadEvent(ValueError):
    """An event that isn't one, or that a full room can't take. It changes nothing."""


def plain(text: object, most: int = TEXT_LETTERS) -> str:
    """A text as one line without control characters and direction marks, not longer than ``most``.

    >>> plain("  Ada \\u202e\\n<b>  ")
    'Ada <b>'
    >>> plain("a" * 9, 5)
    'aaaa…'
    """
    if not isinstance(text, str):
        raise BadEvent(f"a text is needed, not {type(text).__name__}")
    # NFC, or a letter with an accent may be two and be cut in the middle.
    text = unicodedata.normalize("NFC", text[: 4 * most])
    kept = "".join(
        " " if letter.isspace() else letter
        for letter in text
        if letter.isspace() or unicodedata.category(letter)[0] != "C"
    )
    kept = " ".join(kept.split())
    return kept if len(kept) <= most else kept[: most - 1].rstrip() + "…"


def person_key(secret: str) -> str:
    """Who somebody is, from the secret of their seat. Neither memory nor journal has the secret.

    >>> person_key("a secret")[:8]
    '984ca516'
    """
    return hashlib.sha256(secret.encode()).hexdigest()[:32]


@dataclass
class Person:
    """Somebody who joined.

    Attributes:
        name: the name on the board; ``asked`` is the one that they chose.
        seen: when there was the last word from them.
        section: where they are, as (lab, number, of how many, title), ``since`` when.
        checks: per exercise (lab, key): passed, and what was seen last.
        answers: whether their cluster answered the last cell that asked it.
        ids: of the events that have arrived, so that one which is sent twice counts once.
    """

    key: str
    asked: str
    name: str
    seen: float
    left: float | None = None
    section: tuple[str, int, int, str] | None = None
    since: float = 0.0
    checks: dict[tuple[str, str], tuple[bool, str]] = field(default_factory=dict)
    answers: bool = True
    ids: dict[str, None] = field(default_factory=dict)

    def state(self, now: float) -> str:
        if self.left is not None:
            return "left"
        return "gone" if now - self.seen > GONE_SECONDS else "here"


@dataclass
class Question:
    """A prediction, with everybody's votes by their keys.

    ``first`` and ``second`` are the numbers of choices. A vote after somebody has measured counts
    for neither, because they know the answer by then.
    """

    lab: str
    name: str
    text: str
    choices: list[str]
    first: dict[str, int] = field(default_factory=dict)
    second: dict[str, int] = field(default_factory=dict)
    measured: dict[str, int] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Two labs of different age may ask differently, so the words are a part of it."""
        words = "\n".join([self.lab, self.name, self.text, *self.choices])
        return hashlib.sha256(words.encode()).hexdigest()[:12]

    def vote(self, who: str, choice: int) -> None:
        if who not in self.measured:
            (self.second if who in self.first else self.first)[who] = choice

    @property
    def answer(self) -> int | None:
        """What most of them measured."""
        return most_common(self.measured.values())

    def view(self, stage: str = "measured") -> dict[str, Any]:
        """What may be seen of it at a stage."""
        first, second = Counter(self.first.values()), Counter(self.second.values())
        measured, choices = Counter(self.measured.values()), []
        for number, text in enumerate(self.choices):
            choice: dict[str, Any] = {"text": text}
            if stage != "voting":
                choice |= {"first": first[number], "second": second[number]}
            if stage == "measured":
                choice["measured"] = measured[number]
            choices.append(choice)
        return {
            "text": self.text,
            "lab": self.lab,
            "choices": choices,
            "voted": len(self.first),
            "again": len(self.second),
            "answer": self.answer if stage == "measured" else None,
        }


def most_common(numbers: Iterable[int]) -> int | None:
    """
    >>> most_common([2, 1, 2]), most_common([])
    (2, None)
    """
    return next((number for number, _ in Counter(numbers).most_common(1)), None)


class Room:
    """Everything that the board knows of one session.

    Example::

        room = Room()
        room.take(key, {"kind": "join", "name": "Ada"}, at=0.0)
        room.teachers_view(now=1.0)
    """

    def __init__(self) -> None:
        self.people: dict[str, Person] = {}
        self.questions: dict[str, Question] = {}
        self.on_the_wall, self.stage = "", STAGES[0]

    # --- Events

    def take(self, who: str, event: Any, at: float) -> bool:
        """Takes one event.

        Args:
            who: the person's key; "" for what the teacher does.
            event: a dict with its ``kind``; what participants send has an ``id`` as well.
            at: when it happened, in seconds.

        Returns:
            Whether it changed something that has to be kept. One that arrives twice doesn't.

        Raises:
            BadEvent: it isn't one. Nothing has changed.
        """
        if not isinstance(event, dict):
            raise BadEvent("an event is an object")
        kind = event.get("kind")
        if not who:
            return self._wall(event)
        if kind == "join":
            return self._join(who, plain(event.get("name"), NAME_LETTERS), at)
        if (person := self.people.get(who)) is None:
            raise BadEvent("nobody has joined with this key")
        if kind == "leave":
            person.left, person.section, person.answers = at, None, True
            person.checks.clear()
            return True
        if person.left is not None:
            raise BadEvent("they have left")
        if kind not in KINDS:
            raise BadEvent("there is no such kind of event")
        id_ = plain(event.get("id"), 64)
        if id_ in person.ids:
            return False
        {
            "vote": self._vote,
            "reveal": self._vote,
            "check": self._check,
            "section": self._section,
            "cluster": self._cluster,
        }[kind](person, event, at)
        person.ids[id_] = None
        if len(person.ids) > MOST_IDS:
            del person.ids[next(iter(person.ids))]
        person.seen = max(person.seen, at)
        return True

    def hear(self, who: str, at: float) -> None:
        """There was a word from somebody. It isn't kept: the next one comes soon."""
        with contextlib.suppress(KeyError):
            self.people[who].seen = max(self.people[who].seen, at)

    def _join(self, who: str, asked: str, at: float) -> bool:
        asked = asked or "somebody"
        person = self.people.get(who)
        if person and person.asked == asked:
            was_gone, person.left, person.seen = person.left is not None, None, at
            return was_gone
        if person is None and len(self.people) >= MOST_PEOPLE:
            raise BadEvent("the room is full")
        name = self._free_name(who, asked)
        if person is None:
            self.people[who] = Person(who, asked, name, at)
        else:
            person.asked, person.name, person.left, person.seen = asked, name, None, at
        return True

    def _free_name(self, who: str, asked: str) -> str:
        taken = {each.name.casefold() for each in self.people.values() if each.key != who}
        names = [asked, *(f"{asked} {number}" for number in range(2, MOST_PEOPLE + 2))]
        return next(name for name in names if name.casefold() not in taken)

    def _vote(self, person: Person, event: dict, at: float) -> None:
        question = _question(event)
        kind = event["kind"]
        choice = plain(event.get("choice" if kind == "vote" else "measured"))
        if choice not in question.choices:
            raise BadEvent("no such choice")
        if question.id not in self.questions and len(self.questions) >= MOST_QUESTIONS:
            raise BadEvent("there are too many questions")
        question = self.questions.setdefault(question.id, question)
        number = question.choices.index(choice)
        if kind == "vote":
            question.vote(person.key, number)
        else:
            question.measured[person.key] = number

    def _check(self, person: Person, event: dict, at: float) -> None:
        exercise = (_word(event, "lab"), _word(event, "key", 8))
        passed, saw = event.get("passed") is True, plain(event.get("saw", ""), SAW_LETTERS)
        if exercise not in person.checks and len(person.checks) >= MOST_QUESTIONS:
            raise BadEvent("there are too many exercises")
        if not person.checks.get(exercise, (False, ""))[0]:  # Passed once is passed.
            person.checks[exercise] = (passed, saw)

    def _section(self, person: Person, event: dict, at: float) -> None:
        number, of = (_number(event.get(name)) for name in ("number", "of"))
        section = (_word(event, "lab"), number, of, plain(event.get("title"), 120))
        if section != person.section:
            person.section, person.since = section, at

    def _cluster(self, person: Person, event: dict, at: float) -> None:
        if not isinstance(answers := event.get("answers"), bool):
            raise BadEvent("a cluster answers or doesn't")
        person.answers = answers

    def _wall(self, event: dict) -> bool:
        question, stage = event.get("question"), event.get("stage")
        known = question == "" or (isinstance(question, str) and question in self.questions)
        if event.get("kind") != "wall" or not known or stage not in STAGES:
            raise BadEvent("there is no such question or stage")
        changed = (question, stage) != (self.on_the_wall, self.stage)
        self.on_the_wall, self.stage = question, stage
        return changed

    # --- Views

    def count(self, now: float) -> dict[str, int]:
        """How many are here, gone without a word, and have left."""
        states = Counter(person.state(now) for person in self.people.values())
        return {state: states[state] for state in ("here", "gone", "left")}

    def wall_view(self, now: float) -> dict[str, Any]:
        """What everybody may see: no names, and of votes only what the teacher has shown."""
        question = self.questions.get(self.on_the_wall)
        return {
            "here": self.count(now)["here"],
            "stage": self.stage,
            "question": question.view(self.stage) if question else None,
        }

    def teachers_view(self, now: float) -> dict[str, Any]:
        """What the teacher sees: all of it."""
        return {
            "count": self.count(now),
            "wall": {"question": self.on_the_wall, "stage": self.stage},
            "questions": [{"id": id_, **each.view()} for id_, each in self.questions.items()],
            "exercises": self._exercises(),
            "people": [
                _where(person, now)
                for person in sorted(self.people.values(), key=lambda each: each.name.casefold())
            ],
        }

    def _exercises(self) -> list[dict[str, Any]]:
        people = sorted(self.people.values(), key=lambda each: each.name.casefold())
        tried = sorted({exercise for person in people for exercise in person.checks})
        return [
            {
                "lab": exercise[0],
                "key": exercise[1],
                "passed": [p.name for p in people if p.checks.get(exercise, (False,))[0]],
                "others": [
                    {"name": p.name, "saw": p.checks[exercise][1]}
                    for p in people
                    if not p.checks.get(exercise, (True,))[0]
                ],
            }
            for exercise in tried
        ]


def _where(person: Person, now: float) -> dict[str, Any]:
    state = person.state(now)
    lab, number, of, title = person.section or ("", 0, 0, "")
    # Somebody whose laptop is closed doesn't sit on a section: the time stands still.
    seconds = (person.seen if state == "gone" else now) - person.since if person.section else 0
    since = {"gone": person.seen, "left": person.left}.get(state)
    return {
        "name": person.name,
        "state": state,
        "away_seconds": None if since is None else max(0, int(now - since)),
        "lab": lab,
        "number": number,
        "of": of,
        "title": title,
        "seconds": max(0, int(seconds)),
        "long": state == "here" and seconds >= LONG_SECONDS,
        "answers": person.answers,
    }


def _question(event: dict) -> Question:
    asked = event.get("question")
    if not isinstance(asked, dict) or not isinstance(asked.get("choices"), list):
        raise BadEvent("a vote is about a question with choices")
    choices = [plain(choice) for choice in asked["choices"][: MOST_CHOICES + 1]]
    if not 2 <= len(set(choices)) == len(choices) <= MOST_CHOICES:
        raise BadEvent(f"a question has 2 to {MOST_CHOICES} different choices")
    return Question(_word(event, "lab"), _word(asked, "name"), plain(asked.get("text")), choices)


def _word(event: dict, name: str, most: int = 60) -> str:
    if not (word := plain(event.get(name), most)):
        raise BadEvent(f"{name} is empty")
    return word


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 999:
        raise BadEvent("a section's number is a number")
    return value
