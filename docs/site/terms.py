"""A Sphinx extension: in each lab the first use of a term leads to the glossary, and its definition
shows when the mouse rests on it. Headings, code, outputs and links are left alone."""

import re
from functools import cache
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

__all__ = ["setup"]

GLOSSARY = "glossary"
APART = (nodes.title, nodes.reference, nodes.literal, nodes.literal_block, nodes.container)


@cache
def glossary(env: BuildEnvironment) -> dict[str, tuple[str, str]]:
    """The anchor and the definition of each term. Terms of one definition have one anchor."""
    found = {}
    for item in env.get_doctree(GLOSSARY).findall(nodes.definition_list_item):
        text = next(item.findall(nodes.definition)).astext()
        definition = " ".join(text.rpartition(" Lab")[0].split()) or text
        terms = [*item.findall(nodes.term)]
        found |= {term.astext(): (terms[0]["ids"][0], definition) for term in terms}
    return found


def pattern(terms: list[str]) -> re.Pattern[str]:
    """Finds a term as a word of its own, or as its plural; a capital may begin it.

    >>> found = pattern(["Pod", "cgroup", "Pod sandbox"])
    >>> [match[0] for match in found.finditer("Cgroups of the Pods, PodSpec, Pod sandbox, pod")]
    ['Cgroups', 'Pods', 'Pod sandbox']
    """
    forms = [
        f"[{term[0].upper()}{term[0]}]{re.escape(term[1:])}" for term in sorted(terms, key=len)
    ]
    return re.compile(rf"(?<![\w/.-])({'|'.join(reversed(forms))})(?:e?s)?(?![\w/-])")


def link_first_uses(app: Sphinx, tree: nodes.document, page: str) -> None:
    """Sphinx calls it for each page, when all pages are read."""
    if not page.startswith("notebooks/"):
        return
    terms, seen = glossary(app.env), set()
    by_form = {form: term for term in terms for form in (term, term[0].upper() + term[1:])}
    find = pattern([*terms])
    address = app.builder.get_relative_uri(page, GLOSSARY)
    for text in [*tree.findall(nodes.Text)]:
        if any(isinstance(node, APART) for node in ancestors(text)):
            continue
        pieces, at = [], 0
        for match in find.finditer(text):
            anchor, definition = terms[by_form[match[1]]]
            if anchor in seen:
                continue
            seen.add(anchor)
            pieces += [
                nodes.Text(text[at : match.start()]),
                nodes.reference(
                    "",
                    match[0],
                    internal=True,
                    refuri=f"{address}#{anchor}",
                    reftitle=definition,
                    classes=["term"],
                ),
            ]
            at = match.end()
        if pieces:
            text.parent.replace(text, [*pieces, nodes.Text(text[at:])])


def ancestors(node: Any) -> list[Any]:
    found = []
    while node.parent is not None:
        node = node.parent
        found.append(node)
    return found


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("doctree-resolved", link_first_uses)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
