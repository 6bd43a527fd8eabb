"""The film at the top of README.md: two labs in a real JupyterLab.

In lab 02 somebody commits to what most people believe, and the cluster disagrees. In lab 17 each
click asks the API server again. The frames are screenshots; only the ring around the pointer is
ours, because a headless browser has no pointer. By default the film lands in the test's own folder:

    PODLAB_FILM=docs/film.gif python -m pytest -q tests/browser/test_film.py
"""

import io
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Locator, expect

from tests.browser.jupyterlab import NOTEBOOK, JupyterLab, code_cells
from tests.browser.test_slider import kubectl

pytestmark = [pytest.mark.cluster, pytest.mark.rota(group="browser"), pytest.mark.timeout(600)]

WIDTH, HEIGHT, ZOOM, COLOURS = 690, 500, 1.2, 128
MOST_BYTES = 1_500_000
# How long a frame stands, in milliseconds.
READ, LOOK, LAST = 2000, 1600, 2600
BELIEVED = "the app dies and is restarted"
# One page of a notebook: no folders, no menus, and nothing that says where the mouse was before.
BARE = f"""
{NOTEBOOK} {{position: fixed !important; inset: 0 !important; z-index: 9;
  width: 100vw !important; height: 100vh !important}}
{NOTEBOOK} .jp-NotebookPanel-notebook {{position: absolute !important; inset: 0 !important;
  width: 100% !important; height: 100% !important; overflow: hidden}}
.jp-NotebookPanel-toolbar, .jp-cell-toolbar, .jp-Notebook-footer, .jp-CellHeader,
.jp-Collapser {{display: none !important}}
#film-ring {{position: fixed; z-index: 99; width: 26px; height: 26px; margin: -15px;
  border: 2px solid #d55e00; border-radius: 50%; background: #d55e0033; pointer-events: none}}
"""
RING = """([x, y]) => {
  document.getElementById("film-ring")?.remove();
  const ring = document.createElement("div");
  ring.id = "film-ring";
  ring.style.left = `${x}px`;
  ring.style.top = `${y}px`;
  document.body.append(ring);
}"""


@dataclass
class Film:
    """Frames, how long each stands, and what was measured in them."""

    lab: JupyterLab
    frames: list[Image.Image] = field(default_factory=list)
    milliseconds: list[int] = field(default_factory=list)
    shots: list[dict[str, str]] = field(default_factory=list)

    def take(self, milliseconds: int) -> None:
        shot = self.lab.page.screenshot(animations="disabled", caret="hide")
        self.frames.append(Image.open(io.BytesIO(shot)).convert("RGB"))
        self.milliseconds.append(milliseconds)

    def click(self, target: Locator) -> None:
        """Clicks, and leaves a ring there."""
        box = target.bounding_box()
        target.click()
        self.lab.page.evaluate(RING, [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])

    def save(self, path: Path) -> None:
        """One palette for all frames, so that no colour flickers."""
        height = sum(frame.height for frame in self.frames)
        strip = Image.new("RGB", (self.frames[0].width, height))
        for number, frame in enumerate(self.frames):
            strip.paste(frame, (0, number * frame.height))
        palette = strip.quantize(COLOURS, dither=Image.Dither.NONE)
        few = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in self.frames]
        version = json.loads(kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
        comment = json.dumps({"kubernetes": version, "shots": self.shots})
        few[0].save(
            path,
            save_all=True,
            append_images=few[1:],
            duration=self.milliseconds,
            loop=0,
            comment=comment.encode(),
        )


def test_a_prediction_is_wrong_and_a_click_changes_a_verdict(
    jupyterlab: JupyterLab, tmp_path: Path
):
    film = Film(jupyterlab)
    jupyterlab.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    predicted(film)
    toggled(film)
    for number, frame in enumerate(film.frames):
        frame.save(tmp_path / f"{number}.png")
    path = Path(os.environ.get("PODLAB_FILM") or tmp_path / "film.gif")
    film.save(path)


def number_of(lab: JupyterLab, text: str) -> int:
    """The code cell with this text."""
    return next(n for n, cell in enumerate(code_cells(lab.file())) if text in cell.source)


def run(lab: JupyterLab, *texts: str) -> Locator:
    """Runs the code cells with these texts, and returns the last one."""
    for count, text in enumerate(texts, 1):
        cell = lab.run(number_of(lab, text), count)
    return cell


def show(top: Locator) -> None:
    top.evaluate("node => node.scrollIntoView({block: 'start'})")


def predicted(film: Film) -> None:
    lab = film.lab
    lab.open("02_pause.ipynb")
    asked = run(lab, 'start("', "one-app.yaml", "pause = pod.pause", 'predict("inside"')
    lab.page.add_style_tag(content=BARE)
    show(asked)
    film.take(READ)
    film.click(asked.locator(".widget-radio-box label", has_text=BELIEVED))
    film.take(LOOK)
    film.click(asked.get_by_role("button", name="Commit"))
    expect(asked).to_contain_text("Committed, and locked.")
    film.take(LOOK)
    answer = lab.run(number_of(lab, 'reveal("inside"'), 5)
    expect(answer).to_contain_text("The cluster disagrees.")
    film.take(LAST)


def toggled(film: Film) -> None:
    lab = film.lab
    lab.open("17_pod_security.ipynb")
    cell = run(lab, 'start("', 'for level in ["privileged"', "lab.toggles(")
    lab.page.add_style_tag(content=BARE)
    show(cell)
    film.take(READ)
    film.click(cell.get_by_label("hostUsers: false"))
    lab.page.wait_for_timeout(2000)
    film.take(READ)
    film.click(cell.get_by_label("capabilities drop: [ALL]"))
    lab.page.wait_for_timeout(2000)
    film.take(LAST)
