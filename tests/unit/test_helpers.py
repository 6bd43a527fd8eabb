"""docs/helpers.md is what the docstrings say, and it has what the labs call."""

import json
import re
import subprocess
import sys

import pytest

from labhelpers import paths

SCRIPT = paths.repository() / "docs" / "write_helpers.py"
PAGE = SCRIPT.with_name("helpers.md")
LABS = sorted((paths.repository() / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def test_the_page_is_up_to_date():
    done = subprocess.run(
        [sys.executable, SCRIPT, "--check"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.name[:2])
def test_it_has_every_helper_that_the_lab_calls(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(each["source"]) for each in cells if each["cell_type"] == "code")
    called = set(re.findall(r"\blab\.(\w+)\(", code))
    listed = set(re.findall(r"`lab\.(\w+)\(", PAGE.read_text(encoding="utf-8")))
    assert called - listed == set()
