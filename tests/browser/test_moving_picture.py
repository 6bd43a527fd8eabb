"""The moving picture of README.md: lab 12 in a real JupyterLab, from a prediction to its answer.

Somebody commits to the answer that people believe in, the slider moves the limit, and the kernel's
counts grow into a cliff. The frames are screenshots; nothing is drawn by hand. By default the
picture lands in the test's own folder. ``make picture`` puts it into docs/.
"""

import io
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, expect

from labhelpers import paths
from tests.browser.jupyterlab import NOTEBOOK, JupyterLab, code_cells

# The lab loads the node, and others' load would be part of the picture.
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.alone,
    pytest.mark.rota(group="browser"),
    pytest.mark.timeout(600),
]

NAME = "12_cpu.ipynb"
WRONG, RIGHT = "30 %", "100 %"
WIDTH, HEIGHT, COLOURS = 860, 600, 48
# How long a frame stands, in milliseconds: to read a question or an answer, to see a dot appear.
READ, GLANCE, LAST = 1500, 350, 3000
SWEEP_SECONDS = 120
# Only the page of the notebook: no menus, no tabs, no folders, and no marks of the mouse.
BARE = """
#jp-top-panel, #jp-menu-panel, #jp-bottom-panel, .jp-SideBar, .jp-NotebookPanel-toolbar,
.jp-Toolbar, .lm-TabBar, .jp-cell-menu, #jp-left-stack, .jp-Notebook-footer,
.jp-CellFooter, .jp-OutputCollapser, .jp-InputCollapser {display: none !important}
"""


class Film:
    """Frames and how long each stands."""

    def __init__(self, lab: JupyterLab):
        self.lab = lab
        self.frames: list[Image.Image] = []
        self.milliseconds: list[int] = []

    def take(self, milliseconds: int) -> None:
        """A screenshot. One that looks like the last makes the last stand longer."""
        shot = Image.open(io.BytesIO(self.lab.page.screenshot())).convert("RGB")
        if self.frames and shot.tobytes() == self.frames[-1].tobytes():
            self.milliseconds[-1] = max(self.milliseconds[-1], milliseconds)
        else:
            self.frames.append(shot)
            self.milliseconds.append(milliseconds)

    def save(self, path: Path, comment: str) -> None:
        """One palette for all frames, so that no colour flickers."""
        few = self.frames[-1].quantize(COLOURS, dither=Image.Dither.NONE)
        frames = [
            frame.quantize(palette=few, dither=Image.Dither.NONE) for frame in self.frames
        ]
        frames[0].save(
            path,
            save_all=True,
            append_images=frames[1:],
            duration=self.milliseconds,
            loop=0,
            comment=comment.encode(),
        )


def number_of(lab: JupyterLab, text: str) -> int:
    """The code cell with this text."""
    return next(n for n, cell in enumerate(code_cells(lab.file())) if text in cell.source)


def show(cell: Locator) -> None:
    cell.evaluate("node => node.scrollIntoView({block: 'start'})")


def test_the_moving_picture(jupyterlab: JupyterLab, tmp_path: Path):
    lab = jupyterlab
    lab.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    lab.open(NAME)
    film = Film(lab)
    parts = ["bursts.yaml", "spinner.yaml", 'predict("periods"', "lab.tools.sweep()"]
    start, bursts, spinner, question, sweep, answer = (
        number_of(lab, text) for text in ["start(", *parts, 'reveal("periods"']
    )
    for count, number in enumerate([start, bursts, spinner, question], 1):
        asked = lab.run(number, count)
    lab.page.add_style_tag(content=BARE)

    show(asked)
    film.take(READ)
    asked.locator(".widget-radio-box label", has_text=WRONG).click()
    film.take(READ)
    asked.get_by_role("button", name="Commit").click()
    expect(asked).to_contain_text("Committed, and locked.")
    film.take(READ)

    moving = lab.run(sweep, 5)
    show(moving)
    ends = time.monotonic() + SWEEP_SECONDS
    while "At 1500m." not in moving.inner_text():
        assert time.monotonic() < ends, moving.inner_text()
        film.take(GLANCE)
    for _ in range(8):
        film.take(GLANCE)
        lab.page.wait_for_timeout(GLANCE)
    for n, frame in enumerate(film.frames):
        frame.save(f"/work/tmp-front/frames/{n:03}.png")
    lab.run(answer, 6)
    show(lab.code().nth(answer))
    film.take(LAST)
    for n, frame in enumerate(film.frames):
        frame.save(f"/work/tmp-front/frames/{n:03}.png")
    film.save(Path("/work/tmp-front/picture.gif"), "x")
    print(len(film.frames), film.milliseconds)
