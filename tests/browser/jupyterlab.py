"""JupyterLab as a reader uses it: by menus, keys and clicks. It waits for what the page shows,
never for a time."""

import re
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Locator, Page, expect

PAGE_SECONDS, CELL_SECONDS = 60, 120
# a click goes to the kernel and back, beside others that fill both CPUs
expect.set_options(timeout=PAGE_SECONDS * 1000)
NOTEBOOK = ".jp-NotebookPanel:not(.lm-mod-hidden)"
# What JupyterLab and ipywidgets put in the place of a widget that they do not find.
BROKEN = re.compile(
    r"model not found|Error displaying widget|Error creating widget|Loading widget", re.IGNORECASE
)
# Without it JupyterLab asks for a kernel, in a dialog over the page.
KERNEL = {
    "kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
}


class JupyterLab:
    """One browser window.

    Args:
        page: the window.
        address, token: of the server.
        notebooks: the folder that the server serves.
        pictures: the folder for screenshots.
    """

    def __init__(self, page: Page, address: str, token: str, notebooks: Path, pictures: Path):
        self.page, self.address, self.token = page, address, token
        self.notebooks, self.pictures = notebooks, pictures
        self.name = ""

    # --- Opening, saving, ending

    def open(self, name: str, interface: str = "lab") -> None:
        """Opens a notebook, and waits until each of its cells is on the page and its kernel is
        idle. The interface "doc" is JupyterLab's simple one: a single document, no folders."""
        self.name = name
        self.page.goto(f"{self.address}/{interface}/tree/{name}?token={self.token}&reset")
        count = "([selector, cells]) => document.querySelectorAll(selector).length === cells"
        self.page.wait_for_function(
            count, arg=[f"{NOTEBOOK} .jp-Cell", len(self.file().cells)], timeout=PAGE_SECONDS * 1000
        )
        self.wait_until_idle()

    def open_cells(self, name: str, *sources: str) -> Path:
        """Writes a notebook of these code cells, and opens it. Returns its path."""
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        path = self.notebooks / name
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), path)
        self.open(name)
        return path

    def wait_until_idle(self) -> None:
        expect(self.page.locator("#jp-bottom-panel, .jp-StatusBar-Widget").last).to_contain_text(
            "| Idle"
        )

    def file(self) -> nbformat.NotebookNode:
        """The notebook as it lies on the disk."""
        return nbformat.read(self.notebooks / self.name, as_version=4)

    def save(self) -> None:
        """Ctrl-S, and waits until JupyterLab has taken the mark of unsaved changes off the tab."""
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Control+s")
        expect(self.page.locator(".lm-TabBar-tab.lm-mod-current.jp-mod-dirty")).to_have_count(0)

    def shut_kernels_down(self) -> None:
        """By the server itself, as the reader's panel of running kernels does."""
        headers = {"Authorization": f"token {self.token}"}
        for session in self.page.request.get(
            f"{self.address}/api/sessions", headers=headers
        ).json():
            answer = self.page.request.delete(
                f"{self.address}/api/sessions/{session['id']}", headers=headers
            )
            assert answer.ok, answer.text()

    def choose(self, *menu: str) -> None:
        """A menu's entry: ``choose("Run", "Run All Cells")``."""
        self.page.locator(".lm-MenuBar-item", has_text=menu[0]).first.click()
        for entry in menu[1:]:
            self.page.locator(
                ".lm-Menu-itemLabel", has_text=re.compile(f"^{re.escape(entry)}$")
            ).last.click()

    def use_theme(self, name: str) -> None:
        """ "Light" or "Dark"."""
        self.choose("Settings", "Theme", f"JupyterLab {name}")
        expect(self.page.locator(f"body[data-jp-theme-name='JupyterLab {name}']")).to_have_count(1)

    def picture(self, name: str, cell: Locator | None = None) -> Path:
        """A screenshot, with ``cell`` in its middle."""
        if cell is not None:
            cell.evaluate("node => node.scrollIntoView({block: 'center'})")
        path = self.pictures / f"{self.name.removesuffix('.ipynb')}-{name}.png"
        self.page.screenshot(path=path)
        return path

    # --- Cells

    def code(self) -> Locator:
        """The code cells."""
        return self.page.locator(f"{NOTEBOOK} .jp-CodeCell")

    def prompts(self) -> list[str]:
        """What stands left of each code cell: a count, a star while it waits or runs, nothing when
        it has not run."""
        return [
            text.strip("[]: \n")
            for text in (
                self.code()
                .locator(".jp-InputPrompt")
                .evaluate_all("all => all.map(e => e.textContent)")
            )
        ]

    def run_all(self) -> None:
        """Run All, and waits until no cell waits any more."""
        self.choose("Run", "Run All Cells")
        prompts = (
            f"[...document.querySelectorAll('{NOTEBOOK} .jp-CodeCell .jp-InputPrompt')].map(e =>"
            " e.textContent)"
        )
        # The stored counts stand there until it begins.
        self.page.wait_for_function(
            f"() => {prompts}.at(-1) === '[*]:'", timeout=PAGE_SECONDS * 1000
        )
        # Each cell has its limit: so long as one after the other ends, the notebook may take
        # longer.
        waiting = f"{prompts}.filter(text => text === '[*]:').length"
        while left := self.page.evaluate(waiting):
            self.page.wait_for_function(
                f"left => {waiting} < left", arg=left, timeout=CELL_SECONDS * 1000
            )

    def run(self, number: int, count: int) -> Locator:
        """Shift-Enter in a code cell, and waits until its count is the one that it has to get.
        Returns the cell."""
        cell = self.code().nth(number)
        cell.locator(".jp-InputPrompt").click()
        self.page.keyboard.press("Shift+Enter")
        expect(cell.locator(".jp-InputPrompt")).to_have_text(
            f"[{count}]:", timeout=CELL_SECONDS * 1000
        )
        assert not (errors := self.errors()), f"code cell {number}: {errors}"
        return cell

    def broken_widgets(self) -> list[str]:
        """What stands in the place of widgets that are not found."""
        text = self.page.locator(NOTEBOOK).evaluate("node => node.textContent")
        return BROKEN.findall(text)

    def notices(self) -> list[str]:
        """What lies over the page in a corner."""
        return self.page.locator(".Toastify__toast").all_inner_texts()

    def errors(self) -> list[str]:
        """What cells show that failed, or that wrote to stderr."""
        return (
            self.code()
            .locator(
                '[data-mime-type="application/vnd.jupyter.stderr"],'
                ' [data-mime-type="application/vnd.jupyter.error"]'
            )
            .all_text_contents()
        )

    def missing_pictures(self, cells: list[int]) -> list[int]:
        """Which of these code cells show no picture, or one that has not been drawn."""
        images = "[...node.querySelectorAll('.jp-OutputArea-output img')]"
        # One that cannot be drawn is complete as well, and 0 wide.
        loaded = f"cells => cells.every(node => {images}.every(image => image.complete))"
        nodes = [self.code().nth(number).element_handle() for number in cells]
        self.page.wait_for_function(loaded, arg=nodes, timeout=PAGE_SECONDS * 1000)
        drawn = f"node => {images}.some(image => image.naturalWidth > 0)"
        return [number for number in cells if not self.code().nth(number).evaluate(drawn)]


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def pictured(notebook: Any) -> list[int]:
    """The numbers of the code cells that store a picture."""
    return [
        n
        for n, cell in enumerate(code_cells(notebook))
        if any("image/png" in output.get("data", {}) for output in cell.outputs)
    ]


def predicted(notebook: Any) -> list[int]:
    """The numbers of the code cells that ask for a prediction."""
    return [n for n, cell in enumerate(code_cells(notebook)) if "lab.predict(" in cell.source]


def revealed(notebook: Any) -> list[int]:
    """The numbers of the code cells that reveal one."""
    return [n for n, cell in enumerate(code_cells(notebook)) if "lab.reveal(" in cell.source]
