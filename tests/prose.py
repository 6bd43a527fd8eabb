"""Plain English, as far as a program can see it: stiff words, long sentences, too many asides.

python -m tests.prose FILE...

docs/house-style.md describes good prose. mistune reads the Markdown, so code, tags and link targets
never count as prose. Text in double quotes may use any word: that's how a page talks about a word.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import mistune
import nbformat
import yaml

LONGEST_WORDS, MOST_ASIDES = 25, 2
STIFF = yaml.safe_load(Path(__file__).with_name("stiff_words.yaml").read_text(encoding="utf-8"))
ASIDE = re.compile(r"\((?:[^()\s]+\s+){2,}[^()]*\)")
STANDS_FOR = {"codespan": "Code", "softbreak": " ", "linebreak": "\n", "inline_html": ""}


@dataclass
class Section:
    """From one heading to the next: what to find it by, and its texts without markup."""

    name: str
    paragraphs: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)


def stiff_words(section: Section) -> Iterator[str]:
    text = re.sub(r'"[^"\n]*"|“[^”\n]*”', '""', "\n".join(section.paragraphs + section.cells))
    for pattern, plain in STIFF.items():
        for found in re.finditer(rf"\b(?:{pattern})\b", text, re.IGNORECASE):
            yield f"“{found[0]}”; plainer: {plain}"


def long_sentences(section: Section) -> Iterator[str]:
    for sentence in sentences("\n".join(section.paragraphs + section.cells)):
        count = len(re.findall(r"\S*\w\S*", sentence))
        if count > LONGEST_WORDS:
            yield f"{count} words (at most {LONGEST_WORDS}) in one sentence: {sentence[:50]}…"


def asides(section: Section) -> Iterator[str]:
    """Three words or more in brackets, but not in a table, where they interrupt no sentence."""
    found = ASIDE.findall("\n".join(section.paragraphs))
    if len(found) > MOST_ASIDES:
        yield f"{len(found)} asides in brackets (at most {MOST_ASIDES}): {', '.join(found)}"


RULES = [stiff_words, long_sentences, asides]


def complaints(path: Path) -> Iterator[str]:
    """What is wrong in a notebook's Markdown cells, a Markdown file, or claims.yaml."""
    for section in (each for source in sources(path) for each in sections(*source)):
        for rule in RULES:
            yield from (f"{section.name}: {complaint}" for complaint in rule(section))


def sources(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Markdown texts that belong together, each group with a name."""
    content = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = nbformat.reads(content, as_version=4).cells
        yield path.name, [cell.source for cell in cells if cell.cell_type == "markdown"]
    elif path.suffix == ".yaml":
        for claim in yaml.safe_load(content)["claims"]:
            for key in ("claim", "myth", "note", "versions"):
                yield f"{claim['id']} {key}", [claim.get(key, "")]
    else:
        yield path.name, [content]


def sections(name: str, texts: list[str]) -> Iterator[Section]:
    parse = mistune.create_markdown(renderer=None, plugins=["table", "strikethrough"])
    section = Section(name)
    for text in texts:
        for token in parse(re.sub(r"(?ms)^ *<svg\b.*?</svg>", "", text)):
            if token["type"] == "heading":
                yield section
                section = Section(words(token))
            collect(token, section)
    yield section


def collect(token: dict, section: Section) -> None:
    """Adds each paragraph, list item and table cell. Of HTML, only what `<details>` folds away."""
    if token["type"] in ("paragraph", "block_text", "heading"):
        section.paragraphs.append(words(token))
    elif token["type"] == "table_cell":
        section.cells.append(words(token))
    elif token["type"] == "block_html" and re.search("<details|<summary", token["raw"]):
        section.paragraphs.append(re.sub(r"(?s)<pre.*?</pre>|<[^>]*>", " ", token["raw"]))
    for child in token.get("children", []):
        collect(child, section)


def words(token: dict) -> str:
    """What a token says, without markup. Code counts as one word."""
    inner = "".join(words(child) for child in token.get("children", []))
    text = STANDS_FOR.get(token["type"], inner or token.get("raw", ""))
    return text.replace("’", "'")


def sentences(text: str) -> list[str]:
    """
    >>> sentences("It took 0.2 s, e.g. here. Why? See the docs · man 7 pipe")
    ['It took 0.2 s, e.g. here', 'Why', 'See the docs', 'man 7 pipe']
    """
    return re.split(r"(?<!e\.g)(?<!i\.e)(?<!vs)(?<!cf)[.!?…][\"”')]*\s+|\s+·\s+|\n", text)


if __name__ == "__main__":
    told = [f"{name}: {each}" for name in sys.argv[1:] for each in complaints(Path(name))]
    sys.exit("\n".join(told) or 0)
