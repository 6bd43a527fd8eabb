"""labhelpers.kube.leases without a cluster: marks, and who has the node to himself."""

import json
import os
import socket
import subprocess
import sys

import pytest

from labhelpers.errors import LabError, Refused
from labhelpers.kube.leases import (
    OWNER,
    give_node,
    is_alive,
    owner_of,
    started,
    take_node,
    this_process,
)

DEAD = {**this_process(), "pid": 2**22 + 1}  # Above the highest pid that Linux gives.


class Cluster:
    """A connection to a cluster with one Lease, or none. ``meanwhile`` happens once, between a look
    at it and the change."""

    def __init__(self, holder=None):
        self.there = None if holder is None else lease(holder)
        self.version, self.meanwhile = 1, None

    def create(self, body):
        if self.there is not None:
            raise Refused("No.", "", "", reason="AlreadyExists")
        self.there = body

    def get(self, kind, name, namespace=None):
        if self.there is None:
            raise Refused("No.", "", "", reason="NotFound")
        return {
            **self.there,
            "metadata": {**self.there["metadata"], "resourceVersion": str(self.version)},
        }

    def patch(self, kind, name, body, namespace):
        if self.meanwhile:
            self.there, self.meanwhile, self.version = self.meanwhile, None, self.version + 1
        if body["metadata"]["resourceVersion"] != str(self.version):
            raise Refused("No.", "", "", reason="Conflict")
        self.there = {
            "metadata": {"annotations": body["metadata"]["annotations"]},
            "spec": body["spec"],
        }

    def delete(self, kind, name, namespace):
        self.there = None

    @property
    def holder(self):
        return owner_of(self.there) if self.there else None


def lease(holder, lab="12-cpu"):
    return {
        "metadata": {"annotations": {OWNER: json.dumps(holder)}},
        "spec": {"holderIdentity": lab},
    }


@pytest.fixture
def other_kernel():
    """Another live process, as a holder."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield {**this_process(), "pid": process.pid, "started": started(process.pid)}
        process.communicate(b"\n")


def test_a_start_is_the_same_text_for_the_same_process():
    assert started(os.getpid()) == started(os.getpid()) != ""
    assert started(DEAD["pid"]) == ""


def test_a_process_that_has_ended_and_not_been_reaped_is_dead():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert started(process.pid) == ""


def test_a_process_on_another_machine_counts_as_alive():
    assert is_alive({**DEAD, "host": "elsewhere"})
    assert not is_alive(DEAD)


@pytest.mark.parametrize(
    "holder", [None, DEAD, {**this_process(), "started": "before"}, this_process(), {"host": "?"}]
)
def test_a_node_that_nobody_alive_has_is_taken_and_given_back(holder):
    cluster = Cluster(holder)
    take_node(cluster, "10-memory")
    assert cluster.holder == this_process()
    give_node(cluster)
    assert cluster.there is None
    give_node(cluster)


def test_another_live_lab_keeps_the_node(other_kernel):
    cluster = Cluster(other_kernel)
    with pytest.raises(LabError) as caught:
        take_node(cluster, "10-memory")
    assert str(caught.value).splitlines() == [
        "The lab 12-cpu has the node to itself, and this lab needs it, too.",
        f"Seen: held by process {other_kernel['pid']} on {socket.gethostname()}",
        "Do:   Run the last cell of that lab, or shut its kernel down; then run this cell again.",
    ]
    give_node(cluster)
    assert cluster.holder == other_kernel, "what another has is not given back"
    take_node(cluster, "10-memory", take_over=True)
    assert cluster.holder == this_process()


def test_of_two_that_find_a_dead_holder_one_gets_the_node(other_kernel):
    cluster = Cluster(DEAD)
    cluster.meanwhile = lease(other_kernel)
    with pytest.raises(LabError, match="has the node to itself"):
        take_node(cluster, "10-memory")
    assert cluster.holder == other_kernel
