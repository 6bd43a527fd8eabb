"""The strict run of the notebooks (tests/notebooks/plugin.py): what it must let pass, what it must
stop, and how soon."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output
from nbval.plugin import get_sanitize_patterns

from labhelpers import paths, stored
from tests.notebooks import plugin


def strict_run(*notebooks: Path, options: tuple[str, ...] = ()) -> str:
    """What pytest says; its last line holds the counts."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.notebooks.plugin",
        "-v",
        "-ra",
        "--color=no",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [*command, *options, *(path.name for path in notebooks)],
        cwd=notebooks[0].parent,
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
    return done.stdout + done.stderr


def notebook(path: Path, *cells: tuple[str, str]) -> Path:
    """Each cell: its source, and the text that is stored as its result."""
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


def test_the_first_failing_cell_skips_the_rest_of_its_notebook_only(tmp_path):
    bad = notebook(tmp_path / "bad.ipynb", ("1", "1"), ("2", "3"), ("4", "4"), ("5", "5"))
    good = notebook(tmp_path / "good.ipynb", ("6", "6"))
    said = strict_run(bad, good)
    assert "1 failed, 2 passed, 2 skipped" in said
    assert "Cell 1 of bad.ipynb failed before it" in said
    assert "'3' == '2'" in said


def test_a_dead_kernel_is_found_at_once(tmp_path):
    path = notebook(tmp_path / "dead.ipynb", ("import os; os.kill(os.getpid(), 9)", ""), ("1", "1"))
    began = time.monotonic()
    said = strict_run(path)
    assert time.monotonic() - began < 60
    assert "The kernel died in this cell." in said
    assert "1 failed, 1 skipped" in said


def test_a_cell_that_hangs_comes_to_its_limit(tmp_path):
    said = strict_run(
        notebook(tmp_path / "hangs.ipynb", ("import time; time.sleep(600)", "")),
        options=("--nbval-cell-timeout=2",),
    )
    assert "Timeout of 2 seconds exceeded" in said


def test_backwards_turns_the_notebooks_and_not_their_cells(tmp_path):
    first = notebook(tmp_path / "1.ipynb", ("a = 1; a", "1"), ("a + 1", "2"))
    second = notebook(tmp_path / "2.ipynb", ("b = 3; b", "3"), ("b + 1", "4"))
    orders = [
        re.findall(
            r"^(\d)::ipynb::Cell (\d) PASSED", strict_run(first, second, options=option), re.M
        )
        for option in ((), ("--backwards",))
    ]
    assert orders == [
        [("1", "0"), ("1", "1"), ("2", "0"), ("2", "1")],
        [("2", "0"), ("2", "1"), ("1", "0"), ("1", "1")],
    ]


def test_weaker_options_are_refused(tmp_path):
    assert "compared strictly" in strict_run(
        notebook(tmp_path / "1.ipynb", ("1", "2")), options=("--nbval-lax",)
    )


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


def test_no_port_is_opened_that_others_may_have_got(tmp_path):
    """The kernel's own word for how it is spoken to; both ways of running a notebook."""
    source = (
        "import json; from ipykernel.connect import get_connection_file;"
        " json.load(open(get_connection_file()))['transport']"
    )
    path = notebook(tmp_path / "how.ipynb", (source, "'ipc'"))
    assert "1 passed" in strict_run(path)
    stored.refresh(path)
    assert nbformat.read(path, as_version=4).cells[0].outputs[0].data["text/plain"] == "'ipc'"
