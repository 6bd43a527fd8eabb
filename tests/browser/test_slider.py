"""The slider and the live pictures in real JupyterLab: a hand moves it, and the picture and the
container's cgroup change."""

import json
import os
import re
import shlex
import subprocess
import time
from itertools import chain

import pytest
from playwright.sync_api import Page, expect

from labhelpers import paths
from tests.browser.jupyterlab import JupyterLab

# A loop that others leave no CPU time is not throttled.
pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(600)]

NAME = "99_slider.ipynb"
LAB = f"browser-{os.getpid()}"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "spinner"},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "app",
                "image": "busybox:1.35.0",
                "command": ["sh", "-c", "while :; do :; done"],
                "resources": {"requests": {"cpu": "10m"}, "limits": {"cpu": "100m"}},
            },
            # Without limits: so the Pod has none, and the container's own is the one that
            # throttles.
            {"name": "side", "image": "busybox:1.35.0", "command": ["sleep", "3600"]},
        ],
    },
}
CELLS = [
    f'from labhelpers import start\nlab = start("{LAB}")',
    (
        f"import json\nlab.connection.create(json.loads({json.dumps(json.dumps(POD))}))\n"
        'pod = lab.pod("spinner").wait_until("Ready", timeout_seconds=60)'
    ),
    (
        'throttle = lab.slider("How often is it throttled?", "spinner", "app", ["100m", "200m",'
        ' "300m", "400m"],\n    sequence=["200m", "300m"], dwell_seconds=DWELL)\n'
        "throttle"
    ),
    'throttle.chart("How often was it throttled?")',
    "print(list(throttle.steps['value']), throttle.slider.touched)",
    (
        'with lab.live(lab.samples("spinner", "app"), "How much is used?", show="cpu") as used:\n'
        '    pod.exec("side", "sleep 4")\n'
        'used.chart("How much was used?", show="cpu")'
    ),
    "lab.finish()",
]
QUOTA = (
    "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null | cut -d ' ' -f 1"
)
THUMB, PICTURE = ".widget-slider .noUi-handle, .widget-slider input[type=range]", ".widget-image"


def kubectl(*words: str) -> str:
    command = [
        str(paths.tools() / "kubectl"),
        "--kubeconfig",
        str(paths.kubeconfig()),
        "--namespace",
        f"lab-{LAB}",
        *words,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def quota() -> int:
    """The container's own word: CPU microseconds in each period."""
    return int(kubectl("exec", "spinner", "-c", "app", "--", "sh", "-c", QUOTA))


@pytest.fixture
def notebook(jupyterlab: JupyterLab):
    def write(dwell_seconds: int) -> None:
        cells = [cell.replace("DWELL", str(dwell_seconds)) for cell in CELLS]
        jupyterlab.open_cells(NAME, *cells)

    yield write
    # A test that broke off leaves its namespace.
    kubectl("delete", "namespace", f"lab-{LAB}", "--ignore-not-found")
    (jupyterlab.notebooks / NAME).unlink(missing_ok=True)


def source(page: Page) -> str:
    return page.locator(PICTURE).first.get_attribute("src")


def test_a_hand_moves_the_slider_and_the_picture_and_the_cgroup_follow(
    jupyterlab: JupyterLab, notebook
):
    notebook(dwell_seconds=100)
    for number in range(3):
        cell = jupyterlab.run(number, number + 1)
    expect(cell).to_contain_text("At 200m.")
    expect(cell.locator(PICTURE)).to_be_visible()
    assert quota() == 20000
    before = source(jupyterlab.page)
    cell.locator(THUMB).first.focus()
    for _ in range(2):
        jupyterlab.page.keyboard.press("ArrowRight")
    expect(cell).to_contain_text("At 400m.")
    assert quota() == 40000
    changed = f"before => document.querySelector('{PICTURE}').src !== before"
    jupyterlab.page.wait_for_function(changed, arg=before, timeout=60_000)
    jupyterlab.picture("moved", cell)

    stored = jupyterlab.run(3, 4)
    expect(cell).to_contain_text("At its end.")
    expect(cell.locator(PICTURE)).to_be_hidden()
    expect(stored.locator(".jp-RenderedImage img")).to_be_visible()
    jupyterlab.picture("stored", stored)
    expect(jupyterlab.run(4, 5)).to_contain_text(re.compile(r"\['200m', .*'400m'\] True"))

    live = jupyterlab.run(5, 6)
    expect(live.locator(PICTURE)).to_be_hidden()
    expect(live.locator(".jp-RenderedImage img")).to_be_visible()
    jupyterlab.picture("live", live)
    expect(jupyterlab.run(6, 7)).to_contain_text(
        "nothing is left: no namespace, no processes, no threads"
    )
    assert jupyterlab.broken_widgets() == []


@pytest.mark.rota(group="browser")
def test_a_kernel_that_is_shut_down_leaves_nothing_on_the_node(jupyterlab: JupyterLab, notebook):
    notebook(dwell_seconds=100)
    for number in range(3):
        cell = jupyterlab.run(number, number + 1)
    expect(cell).to_contain_text("At 200m.")
    # The words of the two scripts that read there: the samples', and the recording's looks.
    words = ("-e", "podlab marke[r]", "-e", "while read -r[;] do")
    search = (
        "exec",
        "node",
        "--namespace=podlab-node",
        "--",
        "sh",
        "-c",
        f"grep -la {shlex.join(words)} /proc/[0-9]*/cmdline || true",
    )

    def streams(count):
        deadline = time.monotonic() + 20
        # a shell that is about to become another program has the same words
        while len(found := kubectl(*search).split()) != count:
            assert time.monotonic() < deadline, found
            time.sleep(0.2)

    streams(2)
    jupyterlab.shut_kernels_down()
    streams(0)


@pytest.mark.rota(group="browser")
def test_under_run_all_it_goes_through_its_sequence(jupyterlab: JupyterLab, notebook):
    notebook(dwell_seconds=1)
    jupyterlab.run_all()
    assert jupyterlab.errors() == []
    expect(jupyterlab.code().nth(4)).to_contain_text("['200m', '300m'] False")
    expect(jupyterlab.code().nth(6)).to_contain_text(
        "nothing is left: no namespace, no processes, no threads"
    )
    jupyterlab.save()
    outputs = [
        [set(output.get("data", {})) for output in cell.outputs] for cell in jupyterlab.file().cells
    ]
    # The live picture is not stored: its cell keeps the chart that comes after it, with its text
    # alternative and the line to try by hand.
    assert outputs[5] == [{"image/png", "text/plain"}, {"text/html"}, {"text/html"}]
    assert {"application/vnd.jupyter.widget-view+json"} not in chain(*outputs)
