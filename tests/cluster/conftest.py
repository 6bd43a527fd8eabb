"""What the tests on the cluster share: the connection, a namespace of one's own, and kubectl as the
oracle."""

import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from labhelpers import paths
from labhelpers.cluster import docker
from labhelpers.errors import LabError, Unreachable
from labhelpers.kube import client
from labhelpers.kube.connect import connect
from labhelpers.kube.waiting import wait_until
from labhelpers.paths import ClusterFiles

DELETION_SECONDS = 60
LONGEST = ("test_exercises", "test_template")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: where tests run side by side, none of them is left to the end."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


# When the API server's containers were made, in which state they are, and the last words of each.
API_SERVER = """uptime --pretty; crictl ps --all --name '^(kube-apiserver|etcd)$' | tail -n +2
for log in /var/log/pods/kube-system_kube-apiserver-*/kube-apiserver/*.log
do echo "$log: $(tail -n 1 "$log")"; done"""


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    """Where the API server didn't answer, the failure says what the node knows of it."""
    outcome = yield
    if call.excinfo is not None and went_away(call.excinfo.value):
        container = ClusterFiles(paths.cluster_name()).container
        told = docker.run("exec", container, "sh", "-c", API_SERVER, check=False)
        lines = [f"E   on the node: {line[:300]}" for line in told.splitlines() or ["no answer"]]
        report = outcome.get_result()
        report.longrepr = "\n".join([str(report.longrepr), *lines])


def went_away(error: BaseException) -> bool:
    """Whether the API server didn't answer; a test and its clean-up may both fail."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(went_away, error.exceptions))
    return isinstance(error, Unreachable)


@pytest.fixture(scope="session")
def connection() -> Iterator[client.Connection]:
    """To the cluster of PODLAB_CLUSTER. These tests were asked for, so a cluster that does not
    answer is a failure, never a skip."""
    try:
        connection = connect()
    except LabError as error:
        pytest.fail(
            f"the tests marked `cluster` need the cluster {paths.cluster_name()}, and it is not"
            f" there.\n{error}",
            pytrace=False,
        )
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def kubectl() -> Callable[..., str]:
    """The project's own kubectl with the cluster's kubeconfig: ``kubectl("get", "pods",
    namespace=…)`` gives its output."""

    def run(*words: str, namespace: str = "default", stdin: str | None = None) -> str:
        command = [
            str(paths.tools() / "kubectl"),
            "--kubeconfig",
            str(paths.kubeconfig()),
            "--namespace",
            namespace,
            *words,
        ]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout

    return run


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], Any]], Any]:
    """For what comes a moment after what can be waited for: asks until the answer is true, and
    gives it. The limit proves nothing."""

    def ask_until_true(ask: Callable[[], Any], seconds: float = 60) -> Any:
        deadline = time.monotonic() + seconds
        while not (answer := ask()):
            assert time.monotonic() < deadline, f"the answer is {answer!r} for {seconds:g} s"
            time.sleep(0.1)
        return answer

    return ask_until_true


@pytest.fixture(scope="session")
def deleted_namespaces(connection: client.Connection) -> Iterator[list[str]]:
    """The namespaces that the tests are done with. They go side by side, and are waited for once,
    at the end of the session."""
    names: list[str] = []
    yield names
    gone = f"gone {DELETION_SECONDS} s after the last test"
    for name in names:
        wait_until(
            connection,
            "Namespace",
            name,
            lambda found: found is None,
            what=gone,
            timeout_seconds=DELETION_SECONDS,
        )


@pytest.fixture
def lab_namespace(connection: client.Connection, deleted_namespaces: list[str]) -> Iterator[str]:
    """A fresh namespace, deleted afterwards, with what controllers put into every one: then only
    tests change what is in it."""
    name = f"test-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    connection.create(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {client.MARK: "lab"}},
        }
    )
    try:
        for kind, given in (("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")):
            wait_until(
                connection, kind, given, bool, what="there", timeout_seconds=60, namespace=name
            )
        yield name
    finally:
        deleted_namespaces.append(name)
        connection.delete("Namespace", name)
        for pod in connection.list("Pod", name)["items"]:
            connection.delete("Pod", pod["metadata"]["name"], name, grace_seconds=1)
