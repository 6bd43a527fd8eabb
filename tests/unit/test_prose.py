"""Every page and every claim is in plain English, as far as tests/prose.py can tell."""

import doctest
import json
import re

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, writes

from labhelpers import paths
from tests import prose

ROOT = paths.repository()
PAGES = [
    "notebooks/*.ipynb",
    "README.md",
    "CONTRIBUTING.md",
    "docs/**/*.md",
    "notebooks/claims.yaml",
]
WRITTEN = sorted(
    path.relative_to(ROOT).as_posix() for pattern in PAGES for path in ROOT.glob(pattern)
)

# What is found, where it bites, and how the same thing reads without it.
STIFF = [
    ("anew", "The container is started anew.", "The container starts again."),
    ("mend", "An emptyDir on that path would mend it.", "An emptyDir on that path fixes it."),
    ("whom", "As whom does it run?", "Which user does it run as?"),
    ("whoever", "It is there for whoever comes next.", "It's there for anyone who comes next."),
    ("forebear", "An orphan goes to its nearest forebear.", "An orphan goes to an ancestor."),
    ("want of", "It was killed for want of memory.", "It ran out of memory. You want none of it."),
    ("held against", "It is held against the formula.", "It's compared with what you held back."),
    (
        "all the same",
        "It starts, all the same.",
        "The addresses are all the same. It still starts.",
    ),
    ("for ever", "A web server doesn't loop for ever.", "A web server doesn't loop forever."),
    ("peculiar to", "Is that peculiar to our Pod?", "Is our Pod special?"),
    ("cannot be had", "Memory cannot be had later.", "Memory can't wait. It had to be now."),
    ("one sees", "Here one sees two processes.", "Here you see two. The first one sees more."),
    (
        "he",
        "Whether he asks for too much is seen here.",
        "Whether they ask for too much shows here.",
    ),
    ("wherein", "The group wherein it runs has a limit.", "Its group has a limit. Look in there."),
    ("upon", "It acts upon the Pod.", "It acts on the Pod."),
    ("says of", "That is what the API says of it.", "That's what the API says about it."),
    ("no key but a", "It has no key but a name.", "It doesn't have a key. It has a name."),
    ("is no machine", "The node is no machine.", "The node isn't a machine. There is no lock."),
    ("are no trouble", "They are no trouble.", "They are no longer a problem."),
    ("for its", "It was there, for its network is first.", "Look for its network, or for the Pod."),
    ("for in", "It slows down, for in each period it waits.", "It slows down. For instance, here."),
    ("for the loop", "It waits, for the loop is slow.", "It waits, for the first time, for good."),
    ("name server", "Its name server runs in a Pod.", "CoreDNS runs in a Pod."),
    ("memory volume", "The files lie in a memory volume.", "The files are in a tmpfs."),
    ("on offer", "Two of them are on offer.", "The node advertises two. It offers them."),
]
LONG = " ".join(["word"] * 26)
ASIDES = "A (one two three) b (one two three) c"


def found(text, tmp_path, name="page.md"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return list(prose.complaints(path))


@pytest.mark.parametrize("page", WRITTEN)
def test_a_page_is_plain(page):
    complaints = "\n".join(prose.complaints(ROOT / page))
    assert not complaints, complaints


@pytest.mark.parametrize(("words", "stiff", "plain"), STIFF, ids=[words for words, *_ in STIFF])
def test_a_stiff_word_is_found(words, stiff, plain, tmp_path):
    [complaint] = found(stiff, tmp_path)
    assert complaint.startswith(f"page.md: “{words}”; plainer: ")
    assert found(plain, tmp_path) == []


def test_each_word_of_the_list_has_a_sample():
    samples = "\n".join(stiff for _, stiff, _ in STIFF)
    unused = [each for each in prose.STIFF if not re.search(rf"\b(?:{each})\b", samples, re.I)]
    assert unused == []


def test_a_page_may_quote_a_stiff_word(tmp_path):
    assert found('Don\'t write "anew" or “for want of”.', tmp_path) == []
    assert len(found('Don\'t write "again" anew.', tmp_path)) == 1


def test_a_long_sentence_is_found(tmp_path):
    [complaint] = found(f"{LONG}.", tmp_path)
    assert complaint.startswith("page.md: 26 words (at most 25) in one sentence: word word")
    assert found(f"{LONG[5:]}. Another *one*.", tmp_path) == []
    assert found(f"It took 0.2 s, e.g. {LONG}", tmp_path), "neither 0.2 nor e.g. ends a sentence"


def test_paragraphs_list_items_and_cells_are_sentences_of_their_own(tmp_path):
    half = LONG[:64]
    assert (
        found(f"{half}\n\n- {half}\n- {half}\n\n> {half}\n\n# {half}\n\n{half} · {half}", tmp_path)
        == []
    )
    assert found(f"| a | b |\n| - | - |\n| {half} | {half} |", tmp_path) == []
    assert found(f"| a | b |\n| - | - |\n| {LONG} | b |", tmp_path)
    assert found(f"{half}\n{half}", tmp_path), "a line break in the source ends nothing"


def test_a_third_aside_in_a_section_is_found(tmp_path):
    [complaint] = found(f"# One\n\n{ASIDES}\n\n(and a third)", tmp_path)
    assert complaint.startswith("One: 3 asides in brackets (at most 2): (one two three), ")
    assert found(f"# One\n\n{ASIDES}\n\n# Two\n\n{ASIDES}", tmp_path) == []
    assert found(f"{ASIDES} (OOM) (PID 1) [a link to a page](page.md) `f(a, b, c)`", tmp_path) == []
    assert found(f"{ASIDES}\n\n| a |\n| - |\n| 19 ms (of 5 rounds) |", tmp_path) == []


@pytest.mark.parametrize(
    "markup",
    [
        "Run `kubectl mend --whom`.",
        "```\nanew\n```",
        "    anew",
        "See [the page](https://example.org/anew.html).",
        "![A picture](anew.png)",
        '<img alt="anew" src="anew.png">',
        "<!-- anew -->",
        '<svg viewBox="0 0 9 9">\n<text>anew</text>\n\n<text>anew</text>\n</svg>',
        '<div class="anew"></div>',
        "<details><summary>v1</summary><pre>anew</pre></details>",
    ],
)
def test_markup_is_not_prose(markup, tmp_path):
    assert found(f"Before.\n\n{markup}\n\nAfter.", tmp_path) == []


@pytest.mark.parametrize(
    "text",
    [
        "<details>\n<summary>v1, anew</summary>\n\nInside.\n\n</details>",
        "<details>\n<summary>v1</summary>\n\nInside, *anew*.\n\n</details>",
        "<details><summary>v1</summary>Inside, anew.</details>",
        "See [the page, anew](page.md).",
        "![A picture, anew](page.png)",
        "> anew",
        "## anew",
        "1. One\n   - anew",
        "| a |\n| - |\n| anew |",
    ],
)
def test_what_people_read_is_prose(text, tmp_path):
    assert len(found(text, tmp_path)) == 1


def test_of_a_notebook_the_markdown_is_read_and_a_section_may_span_cells(tmp_path):
    cells = [f"# One\n\n{ASIDES}", "Built anew (and a third)."]
    book = new_notebook(cells=[new_code_cell("'anew'"), *map(new_markdown_cell, cells)])
    complaints = found(writes(book), tmp_path, "lab.ipynb")
    assert [each[:9] for each in complaints] == ["One: “ane", "One: 3 as"]


def test_of_the_claims_each_text_is_read_by_itself(tmp_path):
    texts = {"claim": "Fixed.", "myth": "Mended.", "note": "Anew.", "versions": "1.35: for ever."}
    claims = json.dumps({"claims": [{"id": "B3", "lab": "whom", **texts}, {"id": "B4"}]})
    complaints = found(claims, tmp_path, "claims.yaml")
    assert [each.partition(":")[0] for each in complaints] == ["B3 myth", "B3 note", "B3 versions"]


def test_the_examples_hold():
    assert doctest.testmod(prose).failed == 0
