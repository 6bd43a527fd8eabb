"""What a diagnosis says: evidence, each with the line of kubectl that shows it, the verdict, what
to do, and the lab that explains it."""

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass

from labhelpers import contents
from labhelpers.diagnosis.seen import Box, Seen

__all__ = ["Diagnosis", "Evidence", "Finding", "event", "logs", "matching", "status", "steady"]

LONGEST = 400
# What differs from one run to the next, in the words of the API and of programs.
UNSTEADY = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "…"),
    (r"\b[0-9a-f]{32,64}\b", "…"),
    (r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?", "…"),
    (r"(?<![\d.])(\d{1,3}\.){3}\d{1,3}(?![\d.])(:\d{5})?", "ADDRESS"),
    (r"\bback-off \d\w* ", "back-off "),
)
# The kubelet writes these in lower case.
KINDS = {"secret": "Secret", "configmap": "ConfigMap"}
# What the kubelet answers instead of a log that's already gone.
NO_LOG = "failed to try resolving symlinks|unable to retrieve container logs"


def steady(text: str) -> str:
    """A text without uids, times, addresses and waits, on one line.

    >>> steady("back-off 40s restarting app in web_shop(761cb1c0-90d2-40cf-a2c8-2d5d23407417)")
    'back-off restarting app in web_shop(…)'
    >>> steady('Get "http://10.244.0.7:8080/": dial tcp 10.244.0.7:8080: refused')
    'Get "http://ADDRESS:8080/": dial tcp ADDRESS:8080: refused'
    """
    for pattern, instead in UNSTEADY:
        text = re.sub(pattern, instead, text)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[:LONGEST].rstrip() + " …"


@dataclass(frozen=True)
class Evidence:
    """Something that was seen, and the line of kubectl that shows it."""

    says: str
    line: str


@dataclass(frozen=True)
class Finding:
    """What a rule has found.

    Attributes:
        verdict: one plain sentence.
        next: what to do now.
        lab: the number of the lab that explains it; "" if none does.
    """

    evidence: tuple[Evidence, ...]
    verdict: str
    next: str
    lab: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with an object, or that nothing is.

    Attributes:
        about: the object: "Pod web".
        kind: "fault", "healthy", or "unknown" if there isn't enough evidence.
        evidence: what was seen.
        verdict: one plain sentence. next: what to do.
        lab: the number of the lab that explains it, or "".

    A diagnosis is true if there's something to say, and printed as text it has no times, ages or
    random ids in it, so the same fault gives the same text::

        lab.diagnose("web").verdict
    """

    about: str
    kind: str
    evidence: tuple[Evidence, ...]
    verdict: str
    next: str = ""
    lab: str = ""

    def __bool__(self) -> bool:
        return self.kind != "healthy"

    @property
    def lab_title(self) -> str:
        """Such as "lab 13: The second in which the memory runs out"; "" if there's no lab."""
        title = contents.labs().get(self.lab, {}).get("title", "")
        return f"lab {self.lab}: {title}" if title else ""

    def __str__(self) -> str:
        if not self:
            return f"{self.about}: {self.verdict}"
        lines = [self.about, "", "Evidence"]
        for each in self.evidence:
            lines += [f"  - {each.says}", f"    {each.line}"]
        lines += ["", "Verdict", f"  {self.verdict}", "", "Next", f"  {self.next}"]
        if self.lab_title:
            lines += ["", "Read", f"  {self.lab_title[0].upper()}{self.lab_title[1:]}"]
        return "\n".join(lines)

    __repr__ = __str__

    def _ipython_display_(self) -> None:
        """People see all of it. What is compared is the verdict."""
        from IPython.display import display

        compared = self.verdict if not self.lab_title else f"{self.verdict} ({self.lab_title})"
        display({"text/html": self.html, "text/plain": compared}, raw=True)

    @property
    def html(self) -> str:
        """The diagnosis as people see it in a notebook."""
        escaped = html.escape
        if not self:
            return f"<p>{escaped(str(self))}</p>"
        seen = "".join(
            f"<li>{escaped(each.says)}<br><small><code>{escaped(each.line)}</code></small></li>"
            for each in self.evidence
        )
        title = self.lab_title
        read = f"<p><b>Read</b> {escaped(title)}</p>" if title else ""
        return (
            f"<p><b>{escaped(self.about)}</b></p><ul>{seen}</ul>"
            f"<p><b>Verdict</b> {escaped(self.verdict)}</p>"
            f"<p><b>Next</b> {escaped(self.next)}</p>{read}"
        )


def matching(
    rules: Iterable[tuple[str, str, str, str]], message: str
) -> tuple[list[str], ...] | None:
    """The first rule whose pattern is in a message: what its groups say, and the rest of the rule.

    Args:
        rules: (pattern, verdict, what to do, lab).

    >>> rules = [(r'(secret|configmap) "([^"]+)" not found', "no {0} {1}", "Create it.", "05")]
    >>> matching(rules, 'secret "db" not found')
    (['Secret', 'db'], 'no {0} {1}', 'Create it.', '05')
    """
    for pattern, verdict, next_, lab in rules:
        if found := re.search(pattern, message):
            return [KINDS.get(each, each) for each in found.groups()], verdict, next_, lab
    return None


def status(seen: Seen, says: str, path: str = "") -> Evidence:
    """Evidence from the object itself.

    Args:
        path: the field that has it, such as ".spec.replicas"; default: what describe shows.
    """
    what = f"{seen.kind.lower()} {seen.name}"
    line = f"get {what} -o jsonpath='{{{path}}}'" if path else f"describe {what}"
    return Evidence(steady(says), f"{seen.kubectl} {line}")


def event(seen: Seen, found: dict) -> Evidence:
    """Evidence from an event about the object."""
    line = f"{seen.kubectl} events --for {seen.kind.lower()}/{seen.name}"
    return Evidence(steady(f"event {found['reason']}: {found.get('message', '')}"), line)


def logs(box: Box) -> tuple[Evidence, ...]:
    """The last lines that a container has written, if there are any."""
    text = box.seen.logs.get(box.name, "").strip()
    if not text or re.match(NO_LOG, text):
        return ()
    previous = " --previous" if box.running else ""
    line = f"{box.seen.kubectl} logs {box.seen.name} -c {box.name}{previous}"
    return (Evidence(steady(f"its last words: {' / '.join(text.splitlines())}"), line),)
