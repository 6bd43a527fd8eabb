"""The rule of debriefings: three lines after an exercise that is passed, short enough to stay."""

from collections.abc import Iterator
from types import ModuleType

from labhelpers.debrief import TITLES
from tests import prose

MOST_WORDS = 25


def complaints(exercise: ModuleType) -> Iterator[str]:
    """What is wrong with the DEBRIEF of an exercise's module."""
    lines = getattr(exercise, "DEBRIEF", ())
    if isinstance(lines, str) or len(lines) != len(TITLES):
        yield f"DEBRIEF has to be {len(TITLES)} lines: {', '.join(TITLES).lower()}"
        return
    for title, line in zip(TITLES, lines, strict=True):
        if (count := len(line.split())) > MOST_WORDS:
            yield f"{title}: {count} words; at most {MOST_WORDS}"
        if not line.endswith((".", "?", "!")) or line != line.strip():
            yield f"{title}: not a whole sentence: {line!r}"
        for word in prose.stiff_words(prose.Section(title, [line])):
            yield f"{title}: {word}"
