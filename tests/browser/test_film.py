"""The film at the top of README.md: two labs in a real JupyterLab, in its simple interface.

In lab 02 somebody commits to what most people believe, and the cluster disagrees. In lab 17 each
click asks the API server again. The frames are screenshots, closer set than JupyterLab would, and
without the cells above and below. The cell that asks hides its input, and the toggles the sentence
below their table: both would say a second time what is seen. A ring shows where a click was, as a
headless browser has no pointer. A box marks the answer.

The film lands in the test's own folder, in JupyterLab's light theme and in the dark one. With
PODLAB_FILM it lands where README.md takes it from:

    PODLAB_FILM=docs/film python -m pytest -q tests/browser/test_film.py
"""

import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, expect

from tests.browser.jupyterlab import NOTEBOOK, JupyterLab, code_cells
from tests.browser.test_slider import kubectl

pytestmark = [pytest.mark.cluster, pytest.mark.rota(group="browser"), pytest.mark.timeout(600)]

# In JupyterLab's pixels, of which README.md shows a film of some 830 without scaling it.
WIDTH, HEIGHT, ZOOM = 700, 496, 1.18
BESIDE, ABOVE_AND_BELOW = 66, 112  # JupyterLab's bars
BORDER = {"light": "#d1d9e0", "dark": "#3d444d"}  # as GitHub's
MOST_BYTES = 1_500_000
COMMITTED = "docs/film"  # where README.md takes it from
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
# How long a frame stands, in milliseconds.
READ, LOOK, THINK = 1800, 1100, 3000
BELIEVED = "the app dies and is restarted"
CLICKS = [("hostUsers: false", True, "admits"), ("capabilities drop: [ALL]", False, "rejects")]
# The cell that asks says the same as its question, and the text below would tell the answer.
STYLE = f"""
{NOTEBOOK} .film-asks .jp-Cell-inputWrapper, {NOTEBOOK} .film-out, .jp-cell-toolbar, .jp-Collapser,
.jp-Notebook-footer {{display: none !important}}
{NOTEBOOK} .jp-OutputArea pre {{margin: 0 0 4px}}
{NOTEBOOK} .jp-OutputArea-output {{padding-top: 0; padding-bottom: 0}}
{NOTEBOOK} .widget-checkbox {{margin-top: 0; margin-bottom: 0}}
{NOTEBOOK} table ~ p {{display: none}}
.film-answer {{outline: 2px solid #d55e00; outline-offset: -2px; border-radius: 2px;
  padding: 4px 8px !important}}
#film-ring {{position: fixed; z-index: 99; width: 22px; height: 22px; margin: -13px;
  border: 2px solid #d55e00; border-radius: 50%; background: #d55e0033; pointer-events: none}}
"""
RING = """([x, y]) => {
  const ring = document.getElementById("film-ring") || document.createElement("div");
  ring.id = "film-ring";
  ring.style.left = `${x}px`;
  ring.style.top = `${y}px`;
  document.body.append(ring);
}"""
ONLY = """(first, last) => {
  const cells = [...first.parentElement.children];
  const [from, to] = [cells.indexOf(first), cells.indexOf(last)];
  cells.forEach((cell, n) => cell.classList.toggle("film-out", n < from || n > to));
}"""
TO_THE_TOP = "node => node.scrollTo(0, 0)"
AS_IT_WAS = """() => {
  document.querySelectorAll(".film-out").forEach(cell => cell.classList.remove("film-out"));
  document.getElementById("film-ring")?.remove();
}"""


@dataclass
class Film:
    """What was seen, and how long each frame stands.

    Args:
        lab: the window.

    Attributes:
        frames: for each theme, the screenshots.
        milliseconds: for each frame.
        told: what README.md says of it, and the sources of the cells that are seen.
    """

    lab: JupyterLab
    frames: dict[str, list[Image.Image]] = field(default_factory=lambda: {"light": [], "dark": []})
    milliseconds: list[int] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=lambda: {"cells": {}})

    def open(self, name: str) -> None:
        self.lab.open(name, interface="doc")
        self.lab.page.add_style_tag(content=STYLE)

    def take(self, milliseconds: int, answer: Locator | None = None) -> None:
        """One frame in each theme, with its answer marked."""
        page = self.lab.page
        page.mouse.move(0, 0)
        panel = page.locator(f"{NOTEBOOK} .jp-WindowedPanel-outer")
        panel.evaluate(TO_THE_TOP)
        if answer is not None:
            answer.evaluate("node => node.classList.add('film-answer')")
        title, notebook = (part.bounding_box() for part in (page.locator("#jp-top-panel"), panel))
        title["width"] = notebook["width"]
        for theme, name in THEMES.items():
            page.emulate_media(color_scheme=theme)
            expect(page.locator(f"body[data-jp-theme-name='{name}']")).to_have_count(1)
            parts = [
                Image.open(io.BytesIO(page.screenshot(clip=clip, animations="disabled")))
                for clip in (title, notebook)
            ]
            frame = stacked(parts, BORDER[theme])
            frame.save(self.lab.pictures / f"film-{theme}-{len(self.frames[theme])}.png")
            self.frames[theme].append(frame)
        if answer is not None:
            answer.evaluate("node => node.classList.remove('film-answer')")
        self.milliseconds.append(milliseconds)

    def show(self, first: Locator, last: Locator) -> None:
        """These two cells and what is between, so that there's nothing to scroll to."""
        first.evaluate(ONLY, last.element_handle())

    def click(self, target: Locator) -> None:
        """Clicks, and leaves a ring there."""
        self.lab.page.locator(f"{NOTEBOOK} .jp-WindowedPanel-outer").evaluate(TO_THE_TOP)
        target.click()
        box = target.bounding_box()
        self.lab.page.evaluate(RING, [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])

    def save(self, folder: Path) -> None:
        """A film and a still for each theme. One palette for a film, so that no colour flickers."""
        version = json.loads(kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
        comment = json.dumps({"kubernetes": version, **self.told}).encode()
        folder.mkdir(parents=True, exist_ok=True)
        for theme, frames in self.frames.items():
            few = in_one_palette(frames)
            few[0].save(
                folder / f"{theme}.gif",
                save_all=True,
                append_images=few[1:],
                duration=self.milliseconds,
                loop=0,
                comment=comment,
            )
            few[self.milliseconds.index(max(self.milliseconds))].save(
                folder / f"{theme}.png", optimize=True
            )


def stacked(parts: list[Image.Image], border: str) -> Image.Image:
    """Title above notebook, with a line between and around them."""
    height = sum(part.height + 1 for part in parts) + 1
    frame = Image.new("RGB", (parts[0].width + 2, height), border)
    top = 1
    for part in parts:
        frame.paste(part, (1, top))
        top += part.height + 1
    return frame


def in_one_palette(frames: list[Image.Image]) -> list[Image.Image]:
    """The commonest colours as they are, so that white stays white, then some that are spread over
    the rest, so that what's small and bright isn't lost."""
    width, height = frames[0].size
    strip = Image.new("RGB", (width, height * len(frames)))
    for number, frame in enumerate(frames):
        strip.paste(frame, (0, number * height))
    counted = sorted(strip.getcolors(strip.width * strip.height), reverse=True)
    few = strip.quantize(128, dither=Image.Dither.NONE).getpalette()[: 3 * 128]
    chosen: list[tuple[int, ...]] = []
    for colour in [colour for _, colour in counted[:127]] + list(
        zip(few[::3], few[1::3], few[2::3], strict=True)
    ):
        # Pillow looks for the nearest colour in steps of 8, and might take almost white for white.
        if all(max(abs(a - b) for a, b in zip(colour, other, strict=True)) > 8 for other in chosen):
            chosen.append(colour)
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for colour in chosen for part in colour])
    return [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]


@pytest.fixture
def film(chromium: Browser, jupyterlab: JupyterLab) -> Iterator[Film]:
    """A window as small as the film, that follows the theme of the system."""
    size = {"width": WIDTH + BESIDE, "height": HEIGHT + ABOVE_AND_BELOW}
    page = chromium.new_page(viewport=size, device_scale_factor=ZOOM, color_scheme="light")
    jupyterlab.page, before = page, jupyterlab.page
    yield Film(jupyterlab)
    jupyterlab.page = before
    page.close()


def test_a_prediction_is_wrong_and_a_click_changes_a_verdict(film: Film, tmp_path: Path):
    film.open("02_pause.ipynb")
    film.lab.choose("Settings", "Theme", "Synchronize with System Settings")
    film.told["asked"] = predicted(film)
    film.open("17_pod_security.ipynb")
    film.told["clicks"] = toggled(film)
    for theme, frames in film.frames.items():
        assert all(one.tobytes() != other.tobytes() for one, other in pairwise(frames)), theme
    film.save(folder := Path(os.environ.get("PODLAB_FILM") or tmp_path / "film"))
    for theme in THEMES:
        assert (folder / f"{theme}.gif").stat().st_size <= MOST_BYTES


def run(film: Film, *texts: str, after: int = 0) -> Locator:
    """Runs the code cells with these texts, shown or not, and returns the last one.

    Args:
        after: how many cells have run before.
    """
    film.lab.page.evaluate(AS_IT_WAS)
    sources = [cell.source for cell in code_cells(film.lab.file())]
    for count, text in enumerate(texts, after + 1):
        number = next(n for n, source in enumerate(sources) if text in source)
        cell = film.lab.run(number, count)
    return cell


def is_seen(film: Film, text: str) -> None:
    """The film is out of date once this cell has another source."""
    sources = [cell.source for cell in code_cells(film.lab.file())]
    film.told["cells"][text] = next(source for source in sources if text in source)


def predicted(film: Film) -> dict[str, str]:
    """A wrong answer in lab 02: chosen, committed, measured."""
    cells = ['start("', "one-app.yaml", "pause = pod.pause", 'predict("inside"']
    asked, reveal = run(film, *cells), 'reveal("inside"'
    asked.evaluate("node => node.classList.add('film-asks')")
    film.show(asked, asked.page.locator(f"{NOTEBOOK} .jp-CodeCell", has_text=reveal))
    film.take(READ)
    choice = asked.locator(".widget-radio-box label").first
    expect(choice).to_have_text(BELIEVED)
    film.click(choice.locator("input"))
    film.take(LOOK)
    film.click(asked.get_by_role("button", name="Commit"))
    expect(asked).to_contain_text("Committed, and locked.")
    film.take(LOOK)
    revealed = run(film, reveal, after=len(cells))
    expect(revealed).to_contain_text(f"You said: {BELIEVED}. The cluster disagrees.")
    answer = revealed.locator(".jp-OutputArea-output").filter(has_text="measured: ")
    film.show(asked, revealed)
    film.take(THINK, answer)
    told = {
        "question": asked.locator(".widget-html", has_text="?").first.inner_text().strip(),
        "committed": BELIEVED,
        "measured": re.search("measured: (.+)", answer.inner_text())[1].strip(),
    }
    is_seen(film, cells[-1])
    is_seen(film, reveal)
    run(film, "lab.finish()", after=len(cells) + 1)
    return told


def toggled(film: Film) -> list[tuple[str, bool, str]]:
    """Two clicks in lab 17: each changes what restricted says."""
    cells = ['start("', 'for level in ["privileged"', "lab.toggles("]
    cell, told = run(film, *cells), []
    verdict = cell.locator("table tr").last
    expect(verdict).to_contain_text("runAsNonRoot != true")
    # From the line above the cell.
    film.show(cell.locator("xpath=preceding-sibling::*[1]"), cell)
    film.take(READ, verdict)
    for line, is_on, says in CLICKS:
        box = cell.get_by_label(line)
        expect(box).to_be_checked(checked=not is_on)
        film.click(box)
        expect(verdict).to_contain_text(says)
        film.take(READ, verdict)
        level, answer, rules = verdict.locator("td").all_inner_texts()
        assert level == "restricted"
        told.append((line, is_on, f"{answer}: {rules}" if rules else answer))
    is_seen(film, cells[-1])
    run(film, "lab.finish()", after=len(cells))
    return told
