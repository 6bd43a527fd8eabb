"""The strict run of the notebooks (tests/notebooks/plugin.py): what it must let pass, what it must
stop, and how soon."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from nbval.plugin import get_sanitize_patterns

from labhelpers import paths, stored
from tests import outcomes
from tests.notebooks import plugin

# A shorter limit than the labs have, for the notebook that hangs.
LIMIT_SECONDS = 5
TRANSPORT = (
    "import json; from ipykernel.connect import get_connection_file;"
    " json.load(open(get_connection_file()))['transport']"
)
# Each cell: its source, and the text that is stored as its result.
NOTEBOOKS = {
    "good": [("a = 1; a", "1"), ("a + 1", "2")],
    "altered": [
        ("from types import SimpleNamespace; lab = SimpleNamespace(finish=lambda: 'done')", ""),
        ("2", "3"),
        ("4", "4"),
        ("lab.finish()", "'done'"),
    ],
    "dead": [("import os; os.kill(os.getpid(), 9)", ""), ("1", "1")],
    "hangs": [("import time; time.sleep(600)", "")],
    # The kernel's own word for how it is spoken to: at no port, which others may have got.
    "spoken_to": [(TRANSPORT, "'ipc'")],
}


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> dict[str, list[outcomes.Case]]:
    """What one strict run says of each notebook, backwards, in the order in which they came."""
    folder = tmp_path_factory.mktemp("strict")
    names = [notebook(folder / f"{name}.ipynb", *cells).name for name, cells in NOTEBOOKS.items()]
    command = [sys.executable, "-m", "pytest", "-p", "tests.notebooks.plugin"]
    command += ["-p", "no:cacheprovider", "--backwards", f"--nbval-cell-timeout={LIMIT_SECONDS}"]
    done = subprocess.run(
        [*command, "--junitxml=report.xml", "-o", "junit_family=xunit1", *names],
        cwd=folder,
        # A cluster of its own name: the run looks for what is left behind, and other tests run
        # beside this one.
        env={
            **os.environ,
            "PYTHONPATH": str(paths.repository()),
            "PODLAB_CLUSTER": f"podlab-guard-{os.getpid()}",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found: dict[str, list[outcomes.Case]] = {}
    for case in outcomes.read(folder / "report.xml"):
        found.setdefault(Path(case.file).stem, []).append(case)
    return found


def results(cases: list[outcomes.Case]) -> str:
    """A letter for each cell."""
    return "".join("F" if each.failure else "s" if each.skip else "." for each in cases)


def notebook(path: Path, *cells: tuple[str, str]) -> Path:
    made = []
    for number, (source, result) in enumerate(cells, start=1):
        outputs = (
            [new_output("execute_result", {"text/plain": result}, execution_count=number)]
            if result
            else []
        )
        made.append(new_code_cell(source, execution_count=number, outputs=outputs))
    nbformat.write(new_notebook(cells=made), path)
    return path


def test_backwards_turns_the_notebooks_and_not_their_cells(cases):
    assert list(cases) == [*reversed(NOTEBOOKS)]
    for found in cases.values():
        assert [case.name for case in found] == [f"Cell {n}" for n in range(len(found))]


def test_an_altered_output_skips_the_rest_of_its_notebook_but_for_the_clean_up(cases):
    assert results(cases["good"]) == ".."
    assert results(cases["altered"]) == ".Fs."
    assert "'3' == '2'" in cases["altered"][1].failure
    assert cases["altered"][2].skip == "Cell 1 of altered.ipynb failed before it"


def test_a_dead_kernel_is_found_at_once(cases):
    assert results(cases["dead"]) == "Fs"
    assert "The kernel died in this cell." in cases["dead"][0].failure


def test_a_cell_that_hangs_comes_to_its_limit(cases):
    assert results(cases["hangs"]) == "F"
    assert f"Timeout of {LIMIT_SECONDS} seconds exceeded" in cases["hangs"][0].failure


def test_no_port_is_opened_that_others_may_have_got(cases, tmp_path):
    """Both ways of running a notebook."""
    assert results(cases["spoken_to"]) == "."
    path = notebook(tmp_path / "how.ipynb", (TRANSPORT, ""))
    stored.refresh(path)
    assert nbformat.read(path, as_version=4).cells[0].outputs[0].data["text/plain"] == "'ipc'"


@pytest.mark.parametrize("weaker", ["nbval_lax", "nbdime", "nbval_kernel_name"])
def test_weaker_options_are_refused(weaker):
    options = {"nbval_lax": False, "nbdime": False, "nbval_kernel_name": None, weaker: "on"}
    with pytest.raises(pytest.UsageError, match="compared strictly"):
        plugin.pytest_configure(SimpleNamespace(option=SimpleNamespace(**options)))


# For each rule of the sanitizer file: samples that it must turn into one and the same text, and
# samples that it must not touch.
MUST_MATCH: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}


def test_every_sanitizer_is_tested_and_does_what_it_is_for():
    text = plugin.SANITIZERS.read_text()
    patterns = get_sanitize_patterns(text)
    assert len(patterns) == len(re.findall("^regex:", text, re.MULTILINE)), (
        "a rule without its pair is dropped silently by nbval"
    )
    assert {regex for regex, _ in patterns} == set(MUST_MATCH)
    for regex, replacement in patterns:
        same, other = MUST_MATCH[regex]
        assert len({re.sub(regex, replacement, sample) for sample in same}) == 1
        assert [sample for sample in other if re.search(regex, sample)] == []
