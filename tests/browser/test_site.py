"""The site as a reader has it, in a headless Chromium: links, pictures, contrast, keyboard, phone
and print. It's built from the notebooks as they're stored, so it needs no cluster."""

import functools
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from labhelpers import contents, paths

pytestmark = pytest.mark.timeout(300)

# One page of each kind: axe takes seconds on each.
LOOKED_AT = ["index.html", "claims.html", "glossary.html", "search.html?q=sandbox"]
LOOKED_AT += ["notebooks/02_pause.html", "notebooks/17_pod_security.html", "docs/running.html"]
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}
LINKS = "[...document.querySelectorAll('a[href]')].map(link => link.href)"
IDS = "[...document.querySelectorAll('[id]')].map(one => one.id)"
PICTURES = (
    """[...document.images].map(one => [one.getAttribute('src'), one.alt, one.naturalWidth])"""
)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "docs.site.build", made]
    done = subprocess.run(command, cwd=paths.repository(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.fixture(scope="session")
def address(folder: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="the site")
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(reduced_motion="reduce")
    yield context.new_page()
    context.close()


def pages(folder: Path) -> list[str]:
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.html"))
    return [name for name in found if not name.startswith(("_static", "genindex"))]


def test_nothing_is_missing_and_nothing_comes_from_elsewhere(
    folder: Path, address: str, page: Page
):
    wrong, links, anchors = [], {}, {}
    page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    own = (address, "data:", "blob:")
    page.on("request", lambda asked: asked.url.startswith(own) or wrong.append(asked.url))
    for name in pages(folder):
        page.goto(address + name)
        anchors[name], links[name] = {"", *page.evaluate(IDS)}, page.evaluate(LINKS)
        for source, alternative, width in page.evaluate(PICTURES):
            if not alternative.strip() or not width:
                wrong.append(f"{name}: picture {source}, {width} px, says '{alternative}'")
    for name, targets in links.items():
        for link in targets:
            parts = urlsplit(link)
            if not link.startswith(address):
                if parts.scheme not in ("https", "http") or not parts.hostname:
                    wrong.append(f"{name}: {link}")
                continue
            target = unquote(parts.path[1:]) or "index.html"
            known = anchors.get(target)
            if not (folder / target).is_file() or (known and unquote(parts.fragment) not in known):
                wrong.append(f"{name}: {link}")
    assert len(links) > 20
    assert not wrong, "\n".join(wrong)


def test_each_proved_claim_has_its_anchor(folder: Path):
    for claim in contents.claims():
        notebook = contents.labs()[claim["lab"]].get("notebook")
        if "proof" in claim and notebook:
            lab = (folder / "notebooks" / notebook).with_suffix(".html").read_text("utf-8")
            assert lab.count(f'id="claim-{claim["id"]}"') == 1, claim


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_roles_and_names(chromium: Browser, address: str, scheme: str):
    context = chromium.new_context(color_scheme=scheme, reduced_motion="reduce")
    page, wrong = context.new_page(), []
    for name in LOOKED_AT:
        page.goto(address + name)
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        page.wait_for_load_state("networkidle")
        for rule in Axe().run(page, options=WCAG).response["violations"]:
            places = [f"{one['html'][:200]} {one['failureSummary']}" for one in rule["nodes"][:3]]
            wrong.append(f"{name}: {rule['id']}, {len(rule['nodes'])} times\n" + "\n".join(places))
    context.close()
    assert not wrong, "\n".join(wrong)


def test_a_link_to_a_measurement_opens_its_answer(address: str, page: Page):
    page.goto(address + "notebooks/02_pause.html")
    answer = page.locator(".claim-anchors:has(#claim-B3) + .cell img")
    assert not answer.is_visible()
    page.goto(address + "claims.html")
    page.locator("#B3").get_by_text("See it measured").click()
    page.wait_for_url("**/02_pause.html#claim-B3")
    assert answer.is_visible()


def test_the_first_use_of_a_term_leads_to_the_glossary(address: str, page: Page):
    page.goto(address + "notebooks/02_pause.html")
    term = page.locator("article a.term", has_text="cgroup")
    assert term.count() == 1
    assert term.get_attribute("title").startswith("A group of processes")
    term.click()
    page.wait_for_url("**/glossary.html#term-cgroup")


def test_the_search_finds_words_of_outputs(address: str, page: Page):
    page.goto(address + "search.html?q=SandboxChanged")
    page.locator("#search-results li a", has_text="Who keeps the Pod together?").first.wait_for()


def test_the_keyboard_reaches_search_navigation_and_content(address: str, page: Page):
    page.goto(address + "notebooks/02_pause.html")
    focused = """() => { const one = document.activeElement, style = getComputedStyle(one)
        return [one.closest('.skip-to-content') ? 'skip' : one.closest('.sidebar-search-container')
            ? 'search' : one.closest('.sidebar-tree') ? 'navigation'
            : one.closest('article') ? 'content' : '', style.outlineStyle] }"""
    seen = []
    for _ in range(80):
        page.keyboard.press("Tab")
        seen.append(tuple(page.evaluate(focused)))
    assert {"skip", "search", "navigation", "content"} <= {place for place, _ in seen}
    assert all(outline != "none" for place, outline in seen if place in ("navigation", "content"))
    page.reload()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert urlsplit(page.url).fragment


def test_no_page_is_wider_than_a_phone(chromium: Browser, folder: Path, address: str):
    context = chromium.new_context(viewport={"width": 360, "height": 780})
    page, wide = context.new_page(), []
    for name in pages(folder):
        page.goto(address + name)
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        if (width := page.evaluate("document.documentElement.scrollWidth")) > 360:
            wide.append(f"{name}: {width}")
    context.close()
    assert not wide


def test_print_has_no_navigation_and_all_answers(address: str, page: Page):
    page.goto(address + "notebooks/02_pause.html")
    page.emulate_media(media="print")
    for part in (".sidebar-drawer", ".toc-drawer", ".related-pages", ".mobile-header"):
        assert not page.locator(part).first.is_visible(), part
    assert page.locator(".claim-anchors:has(#claim-B3) + .cell img").is_visible()
