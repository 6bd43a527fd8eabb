"""The dials of lab 11 in real JupyterLab: a hand moves one, the prediction follows at once, and a
click measures it on the cluster."""

import os
import re

import pytest
from playwright.sync_api import expect

from tests.browser.jupyterlab import JupyterLab
from tests.browser.test_slider import PICTURE, THUMB, kubectl

# The kubelet's ticks are late where others fill the CPUs.
pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(600)]

NAME = "99_dials.ipynb"
LAB = f"dials-{os.getpid()}"
CELLS = [
    f'from labhelpers import start\nlab = start("{LAB}")',
    (
        "from labhelpers import paths\nfrom labhelpers.proofs import Proofs\n"
        'manifests = paths.repository() / "notebooks" / "manifests" / "11-probes"\n'
        'print(len(lab.apply(manifests / "server.yaml")))'
    ),
    'trials = Proofs("11-probes").module.dials(lab)\ntrials',
    'trials.chart("When was it given up?")',
    "lab.finish()",
]


@pytest.fixture
def notebook(jupyterlab: JupyterLab):
    path = jupyterlab.open_cells(NAME, *CELLS)
    yield
    # A test that broke off leaves its namespace.
    kubectl("delete", "namespace", f"lab-{LAB}", "--ignore-not-found")
    path.unlink(missing_ok=True)


def test_a_hand_moves_a_dial_and_the_prediction_and_the_measurement_follow(
    jupyterlab: JupyterLab, notebook
):
    for number in range(3):
        cell = jupyterlab.run(number, number + 1)
    expect(cell).to_contain_text("Set the dials, then measure.")
    expect(cell.locator(PICTURE)).to_be_visible()
    before = cell.locator(PICTURE).first.get_attribute("src")
    threshold = cell.locator(".widget-slider", has_text="failureThreshold")
    threshold.locator(THUMB.replace(".widget-slider ", "")).first.focus()
    jupyterlab.page.keyboard.press("ArrowRight")
    changed = f"before => document.querySelector('{PICTURE}').src !== before"
    jupyterlab.page.wait_for_function(changed, arg=before, timeout=10_000)
    expect(cell).to_contain_text("Set the dials, then measure.")  # nothing is measured yet
    jupyterlab.picture("predicted", cell)

    cell.get_by_role("button", name="Measure").click()
    expect(cell).to_contain_text("Measuring")
    expect(cell).to_contain_text(re.compile(r"Measured .*failureThreshold 2"))
    jupyterlab.picture("measured", cell)
    stored = jupyterlab.run(3, 4)
    expect(stored.locator(".jp-RenderedImage img")).to_be_visible()
    expect(jupyterlab.run(4, 5)).to_contain_text(
        "nothing is left: no namespace, no processes, no threads"
    )
    assert jupyterlab.broken_widgets() == []
