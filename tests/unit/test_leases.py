"""labhelpers.kube.leases without a cluster: marks, and who has the node to himself."""

import json
import os
import socket
import subprocess
import sys

import pytest

from labhelpers.errors import LabError
from labhelpers.kube.leases import (
    LEASE,
    OWNER,
    give_node,
    is_alive,
    owner_of,
    started,
    take_node,
    this_process,
)
from tests.unit.fake_connection import FakeConnection

DEAD = {**this_process(), "pid": 2**22 + 1}  # Above the highest pid that Linux gives.


def lease(process, lab="12-cpu"):
    """The Lease of the node, as a kernel would have it."""
    kind, name, namespace = LEASE
    annotations = {OWNER: json.dumps(process)}
    return {
        "kind": kind.rpartition("/")[2],
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": {"holderIdentity": lab},
    }


def cluster_of(process=None):
    """A cluster whose node a kernel has, or nobody."""
    return FakeConnection(*([] if process is None else [lease(process)]))


def holder(cluster):
    found = cluster.find(*LEASE)
    return owner_of(found) if found else None


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
    "before", [None, DEAD, {**this_process(), "started": "before"}, this_process(), {"host": "?"}]
)
def test_a_node_that_nobody_alive_has_is_taken_and_given_back(before):
    cluster = cluster_of(before)
    take_node(cluster, "10-memory")
    assert holder(cluster) == this_process()
    give_node(cluster)
    assert holder(cluster) is None
    give_node(cluster)


def test_another_live_lab_keeps_the_node(other_kernel):
    cluster = cluster_of(other_kernel)
    with pytest.raises(LabError) as caught:
        take_node(cluster, "10-memory")
    assert str(caught.value).splitlines() == [
        "The lab 12-cpu has the node to itself, and this lab needs it too.",
        f"Seen: held by process {other_kernel['pid']} on {socket.gethostname()}",
        "Do:   Run the last cell of that lab, or shut its kernel down; then run this cell again.",
    ]
    give_node(cluster)
    assert holder(cluster) == other_kernel, "what another has is not given back"
    take_node(cluster, "10-memory", take_over=True)
    assert holder(cluster) == this_process()


def test_of_two_that_find_a_dead_holder_one_gets_the_node(other_kernel):
    cluster = cluster_of(DEAD)
    cluster.meanwhile = lambda: cluster.put(lease(other_kernel))
    with pytest.raises(LabError, match="has the node to itself"):
        take_node(cluster, "10-memory")
    assert holder(cluster) == other_kernel
