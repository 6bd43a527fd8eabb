"""``lab.diagnose`` on faults that are injected side by side, and on healthy Pods beside them."""

import json
import random
import shlex
import time

import pytest

from labhelpers.diagnosis import Reading, diagnose
from labhelpers.errors import LabError
from tests.faults import EXPECTED, HEALTHY, QUICK, TARGETS, TIMES, manifests

pytestmark = pytest.mark.cluster

FAULT_SECONDS = 120
WELL = ("running", "completed", "with-sidecar", "in-init")
# What the lines of the evidence have to show.
SHOWN = {
    "no-cpu": "Insufficient cpu",
    "gated": "example.com/budget",
    "other-scheduler": "night-shift",
    "image-never": "ErrImageNeverPull",
    "mount-secret": "FailedMount",
    "crash": "cannot open /data/db",
    "readiness": "Readiness probe failed",
    "no-account": "FailedCreate",
}
assert set(WELL) <= set(HEALTHY)


@pytest.fixture
def node(connection):
    [node, *_] = connection.list("Node")["items"]
    return node["metadata"]["name"]


@pytest.fixture
def ask(connection, lab_namespace):
    def ask(name: str):
        reading = Reading(connection.raw, lab_namespace)
        return diagnose(reading, TARGETS.get(name, name))

    return ask


def inject(kubectl, namespace: str, node: str, names) -> None:
    bodies = [body for name in names for body in manifests(name, node)]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies})
    kubectl("create", "-f", "-", namespace=namespace, stdin=text)


@pytest.mark.parametrize("number", range(TIMES))
def test_faults_are_found_within_their_time(ask, kubectl, lab_namespace, node, number):
    inject(kubectl, lab_namespace, node, random.Random(number).sample(QUICK, len(QUICK)))
    waiting, said = set(QUICK), {}
    deadline = time.monotonic() + FAULT_SECONDS
    while waiting and time.monotonic() < deadline:
        for name in sorted(waiting):
            found = ask(name)
            said[name] = str(found)
            verdict, lab = EXPECTED[name]
            if verdict in found.verdict and found.lab == lab:
                waiting.discard(name)
        time.sleep(1)
    assert not waiting, "\n\n".join(said[name] for name in sorted(waiting))


def test_healthy_pods_get_no_verdict_at_any_moment(ask, kubectl, eventually, lab_namespace, node):
    inject(kubectl, lab_namespace, node, WELL)

    def are_as_they_should_be():
        found = {name: ask(name) for name in WELL}
        assert not any(found.values()), "\n".join(map(str, filter(None, found.values())))
        ends = ("Running and Ready.", "Completed: every container has ended with exit code 0.")
        return all(each.verdict in ends for name, each in found.items() if name != "in-init")

    assert eventually(are_as_they_should_be)


def test_nothing_of_that_name(ask):
    with pytest.raises(LabError, match="There is no Pod nobody in the namespace"):
        ask("nobody")


def test_the_lines_of_kubectl_show_what_is_said(ask, kubectl, eventually, lab_namespace, node):
    inject(kubectl, lab_namespace, node, SHOWN)

    def shows(name: str, words: str) -> bool:
        found = ask(name)
        if words not in str(found):
            return False
        printed = [
            kubectl(*shlex.split(each.line)[1:], namespace=lab_namespace) for each in found.evidence
        ]
        return all(printed) and words in "".join(printed)

    for name, words in SHOWN.items():
        assert eventually(lambda name=name, words=words: shows(name, words))
