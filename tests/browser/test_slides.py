"""A lab's slides in a headless Chromium, on a projector's window. They need no cluster."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from labhelpers.cli import main

pytestmark = pytest.mark.timeout(120)

HEIGHTS = """[...document.querySelectorAll("section")].map(slide =>
  [slide.getBoundingClientRect().height, slide.firstElementChild.getBoundingClientRect().height])"""
CONTRAST = {"runOnly": ["color-contrast"], "resultTypes": ["violations"]}
WINDOW = {"width": 1280, "height": 720}


# One of pictures and tables, and the one with the longest output.
@pytest.mark.parametrize("lab", ["02", "07"])
def test_each_slide_fits_its_window_and_can_be_read_in_light_and_dark(
    chromium: Browser, tmp_path: Path, lab: str
):
    deck = tmp_path / f"{lab}.html"
    assert main(["slides", lab, str(deck)]) == 0
    page = chromium.new_page(viewport=WINDOW)
    try:
        page.goto(deck.as_uri())
        backs = set()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            backs.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            seen = Axe().run(page, options=CONTRAST)
            assert seen.violations_count == 0, f"{scheme}:\n{seen.generate_report()}"
        assert len(backs) == 2, "dark is another colour than light"
        heights = page.evaluate(HEIGHTS)
        assert {slide for slide, _ in heights} == {WINDOW["height"]}
        assert max(content for _, content in heights) < WINDOW["height"], heights
        page.keyboard.press("ArrowDown")
        page.wait_for_function("document.getElementById('2').getBoundingClientRect().top === 0")
    finally:
        page.close()
