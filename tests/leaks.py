"""What may not be left behind: objects in no namespace, node labels, processes, threads. One look
before, one after, and the difference in words.

Every run of pytest looks: tests/conftest.py and tests/notebooks/plugin.py both ask for the hooks at
the end of this file, by ``watch``.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import pytest

from labhelpers import paths

# What lives in no namespace and outlives one.
KINDS = ",".join(
    "namespaces nodes persistentvolumes storageclasses priorityclasses runtimeclasses clusterroles"
    " clusterrolebindings customresourcedefinitions validatingadmissionpolicies".split()
)


@dataclass(frozen=True)
class Look:
    """One look. Each is a set of the words in which a leak of it would be named; of the cluster
    None where it was not looked at."""

    objects: frozenset[str] | None = None
    node_labels: frozenset[str] | None = None
    processes: frozenset[str] = frozenset()
    threads: frozenset[str] = frozenset()


def look() -> Look:
    """All that is there now. The cluster is looked at only where it is a test's own, and answers:
    on another, a reader comes and goes."""
    objects = labels = None
    if (
        paths.cluster_name() != paths.NAME
        and paths.kubeconfig().is_file()
        and (found := _kubectl(KINDS)) is not None
    ):
        objects = frozenset(
            f"{each['kind'].lower()} {each['metadata']['name']}"
            for each in found
            if each["kind"] != "Node"
        )
        nodes = [each["metadata"] for each in found if each["kind"] == "Node"]
        labels = frozenset(
            f"label {key}={value} on {node['name']}"
            for node in nodes
            for key, value in node["labels"].items()
        )
    return Look(objects, labels, frozenset(_processes()), _threads().threads)


# jupyter_core runs what is asynchronous in a thread of its own, where a loop runs already: a worker
# that has had both a browser (Playwright's loop) and a notebook has one. It's one per process, it
# ends with the process, and nobody else can end it: jupyter_core.utils._TaskRunner.
_JUPYTERS_OWN = " - runner"


def _threads() -> Look:
    return Look(
        threads=frozenset(
            f"thread {thread.name} ({thread.ident})"
            for thread in threading.enumerate()
            if not (thread.daemon and thread.name.endswith(_JUPYTERS_OWN))
        )
    )


def left_behind(before: Look, after: Look) -> list[str]:
    """What the second look has and the first had not, and the node labels that went."""
    left = [*sorted(after.processes - before.processes), *sorted(after.threads - before.threads)]
    if before.objects is not None and after.objects is None:
        left.append("a cluster that does not answer any more")
    elif before.objects is not None:
        left += sorted(after.objects - before.objects)
        left += sorted(after.node_labels - before.node_labels)
        left += [f"gone: {words}" for words in sorted(before.node_labels - after.node_labels)]
    return left


def settled(before: Look, seconds: float, look: Callable[[], Look] = look) -> list[str]:
    """`left_behind`, once whatever is just ending has had the time to end."""
    deadline = time.monotonic() + seconds
    while (left := left_behind(before, look())) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left


def _processes() -> list[str]:
    """Whatever works for this cluster: PODLAB_CLUSTER is handed down to every child, also to one in
    a session of its own."""
    found, family = [], {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        try:
            ours = (
                process.environ().get("PODLAB_CLUSTER") == paths.cluster_name()
                and process.status() != psutil.STATUS_ZOMBIE
            )
            if ours and process.pid not in family:
                found.append(f"process {process.pid}: {' '.join(process.cmdline())[:120]}")
        except psutil.Error:
            continue  # It ended meanwhile, or is another user's.
    return found


def _kubectl(kinds: str) -> list[dict] | None:
    command = [
        paths.tools() / "kubectl",
        "--kubeconfig",
        paths.kubeconfig(),
        "get",
        kinds,
        "-o",
        "json",
        "--request-timeout=10s",
    ]
    try:
        return json.loads(
            subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
        )["items"]
    except (OSError, subprocess.SubprocessError):
        return None


_BEFORE, _LEFT = pytest.StashKey[Look](), pytest.StashKey[list[str]]()
_SETTLE_SECONDS = 20
_WORKERS_LEFT = "left_behind"


def watch(config: pytest.Config) -> None:
    """Takes the hooks below, once for each run."""
    this = sys.modules[__name__]
    if not config.pluginmanager.is_registered(this):
        config.pluginmanager.register(this)


def pytest_sessionstart(session):
    session.config.stash[_BEFORE] = look()


@pytest.hookimpl(trylast=True)  # The workers of a run with several have to have ended.
def pytest_sessionfinish(session):
    before, worker = session.config.stash[_BEFORE], getattr(session.config, "workeroutput", None)
    if worker is not None:
        # What a worker sees beyond itself may be another's, who is not done yet. The threads are
        # its own; it tells of them.
        worker[_WORKERS_LEFT] = settled(Look(threads=before.threads), _SETTLE_SECONDS, _threads)
        return
    left = settled(before, _SETTLE_SECONDS) + session.config.stash.get(_LEFT, [])
    session.config.stash[_LEFT] = left
    if left and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    left = getattr(node, "workeroutput", {}).get(_WORKERS_LEFT, [])
    node.config.stash[_LEFT] = node.config.stash.get(_LEFT, []) + left


def pytest_terminal_summary(terminalreporter, config):
    for words in config.stash.get(_LEFT, []):
        terminalreporter.write_line(f"FAILED: left behind by this run: {words}", red=True)
