"""Makes slides from a lab's core: one HTML file with everything in it, so it needs no network.

nbconvert renders the cells; the deck around them is a few lines of our own. nbconvert's own slides
load reveal.js, require.js and MathJax from the network.
"""

import html
import re
from pathlib import Path
from string import Template
from typing import Any

from labhelpers import paths, teaching
from labhelpers.files import write_atomically

__all__ = ["slides", "write"]

DECK = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
$highlight
@media (prefers-color-scheme: dark) {
$dark
}
:root { color-scheme: light dark; --back: light-dark(#fff, #16191d); --line: light-dark(#ddd, #444);
  --text: light-dark(#1b1b1b, #e6e6e6); --small: light-dark(#5b5b5b, #a9b0b8);
  --code: light-dark(#f9f9f9, #22272e) }
html { scroll-snap-type: y mandatory; font: clamp(16px, 1.9vw, 30px)/1.4 system-ui, sans-serif }
body { margin: 0; background: var(--back); color: var(--text) }
section { box-sizing: border-box; height: 100vh; padding: 4vh 6vw 7vh; scroll-snap-align: start;
  display: flex; flex-direction: column; justify-content: center; position: relative }
.what { color: var(--small); font-size: .8em; margin: 0 }
section > footer { position: absolute; right: 2vw; bottom: 2vh; color: var(--small);
  font-size: .6em }
h1, h2 { line-height: 1.15; margin: .3em 0 .6em } h1 { font-size: 2em } h2 { font-size: 1.4em }
pre { font-size: .72em; line-height: 1.35; margin: .4em 0; white-space: pre-wrap }
.highlight { background: var(--code); border: 1px solid var(--line); border-radius: 6px;
  padding: .2em .8em; margin: .3em 0 }
.jp-InputPrompt, .jp-OutputPrompt, .jp-Collapser, .anchor-link { display: none }
.jp-OutputArea-child + .jp-OutputArea-child { margin-top: .4em }
img, svg { max-width: 100%; height: 60vh; object-fit: contain; object-position: left }
table { border-collapse: collapse; font-size: .7em }
td, th { padding: .15em .7em; border-bottom: 1px solid var(--line); text-align: left }
blockquote { border-left: .25em solid var(--line); margin: .5em 0; padding-left: .8em }
details { font-size: .6em }
.question li { list-style: none; margin: .5em 0 } .question li::before { content: "○  " }
@media print { section { break-after: page } }
</style>
$slides
<script>
const all = [...document.querySelectorAll("section")];
// What is taller than its slide is made smaller, until it fits.
function fit() {
  for (const slide of all) {
    const {paddingTop, paddingBottom} = getComputedStyle(slide), [content] = slide.children;
    const room = slide.clientHeight - parseFloat(paddingTop) - parseFloat(paddingBottom);
    content.style.zoom = 1;
    for (let tries = 0; tries < 3; tries++) {
      const {height} = content.getBoundingClientRect();
      if (height > room) content.style.zoom *= room / height;
    }
  }
}
for (const name of ["load", "resize", "toggle"]) addEventListener(name, fit, true);
const here = () => all.findIndex(s => s.getBoundingClientRect().bottom > innerHeight / 2);
const steps = {ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1};
Object.assign(steps, {ArrowLeft: -1, ArrowUp: -1, PageUp: -1});
addEventListener("keydown", event => {
  const step = steps[event.key];
  if (!step || event.target.closest("summary")) return;
  event.preventDefault();
  all[Math.min(all.length - 1, Math.max(0, here() + step))].scrollIntoView();
});
</script>
</html>
""")
PROMPTS = {"exclude_input_prompt": True, "exclude_output_prompt": True}
CORE = re.compile(r"core|reveal|claim:.*")


def write(lab: teaching.Lab, target: Path) -> int:
    """Writes a deck and says how many slides it has.

    Args:
        lab: with its core sections.
        target: the HTML file.
    """
    import nbformat

    made = slides(lab, nbformat.read(notebook_of(lab), as_version=4))
    end = f"of {len(made)}</footer></section>"
    numbered = [
        f'<section id="{number}"><div>{each}</div><footer>{lab.number} · {number} {end}'
        for number, each in enumerate(made, 1)
    ]
    deck = DECK.substitute(
        title=html.escape(f"{lab.number} · {lab.title}"),
        highlight=_colours("default"),
        dark=_colours("github-dark"),
        slides="\n".join(numbered),
    )
    write_atomically(target, deck)
    return len(made)


def slides(lab: teaching.Lab, notebook: Any) -> list[str]:
    """The slides as HTML: the problem; of each core section its questions, and its cells that prove
    or reveal; what to remember; what to discuss."""
    made = [f"<h1>{html.escape(lab.title)}</h1>{_markdown(_problem(notebook), lab)}"]
    heading = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading = (re.findall(r"(?m)^## (.+)$", cell.source) or [heading])[-1].strip()
            picture = re.search(r"!\[[^\]]*\]\(pictures/[^)]*\)", cell.source)
            if picture:
                made.append(_markdown(picture[0], lab))
        elif heading in lab.core and "lab.predict(" in cell.source:
            made.append(_head(heading) + _question(cell))
        elif heading in lab.core and any(map(CORE.fullmatch, cell.metadata.get("tags", []))):
            made.append(_head(heading) + _rendered([_shown(cell)], lab))
    if remember := re.search(
        r"\*\*Remember\.\*\*(.*?)(?=\n\n\*\*|\Z)",
        "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown"),
        re.DOTALL,
    ):
        made.append("<h2>Remember</h2>" + _markdown(remember[1].strip(), lab))
    made.append(
        "<h2>Discuss</h2><ul>"
        + "".join(f"<li>{html.escape(each)}</li>" for each in lab.discuss)
        + "</ul>"
    )
    return made


def _colours(style: str) -> str:
    """Of code, without the background, which is the deck's."""
    from pygments.formatters import HtmlFormatter

    return HtmlFormatter(style=style, nobackground=True).get_style_defs(".highlight")


def notebook_of(lab: teaching.Lab) -> Path:
    from labhelpers import contents

    return paths.notebooks() / contents.labs()[lab.number]["notebook"]


def _problem(notebook: Any) -> str:
    return "\n".join(line for line in notebook.cells[0].source.splitlines() if line.startswith(">"))


def _head(heading: str) -> str:
    return f'<p class="what">{html.escape(heading)}</p>'


def _question(cell: Any) -> str:
    """A prediction with its choices, as the notebook stores them: a line each."""
    text = "\n".join(
        output.get("text", "") or output.get("data", {}).get("text/plain", "")
        for output in cell.outputs
    )
    asked, *choices = re.split(r"(?m)^\( \) ", text)
    choices = "".join(f"<li>{html.escape(each.strip())}</li>" for each in choices)
    lines = asked.strip().splitlines()
    above = html.escape("\n".join(lines[:-1]))
    manifest = f"<pre class='highlight'>{above}</pre>" if above.strip() else ""
    head = f"<h2>{html.escape(lines[-1]) if lines else ''}</h2>"
    return f'<div class="question">{manifest}{head}<ul>{choices}</ul></div>'


def _shown(cell: Any) -> Any:
    """The cell without the empty output that folds it in JupyterLab, and without the lines to type
    by hand, which nobody reads from the back of a room."""
    import copy

    cell = copy.deepcopy(cell)
    cell.outputs = [
        output
        for output in cell.outputs
        if output.get("data") != {}
        and "by hand: <code>" not in output.get("data", {}).get("text/html", "")
    ]
    cell.metadata = {}
    return cell


def _markdown(text: str, lab: teaching.Lab) -> str:
    from nbformat.v4 import new_markdown_cell

    return _rendered([new_markdown_cell(text)], lab)


def _rendered(cells: list[Any], lab: teaching.Lab) -> str:
    from nbconvert import HTMLExporter
    from nbformat.v4 import new_notebook

    exporter = HTMLExporter(template_name="basic", embed_images=True, **PROMPTS)
    where = {"metadata": {"path": str(notebook_of(lab).parent)}}
    body, _ = exporter.from_notebook_node(new_notebook(cells=cells), resources=where)
    return body
