import json
import threading
import time

import pytest

from labhelpers import paths
from labhelpers.errors import LabError, NotOurCluster, Refused, TimedOut
from labhelpers.kube import client
from labhelpers.kube.connect import connect
from labhelpers.kube.manifests import Manifest
from labhelpers.kube.waiting import wait_until

pytestmark = pytest.mark.cluster

POD = """
apiVersion: v1
kind: Pod
metadata: {name: one}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - {name: app, image: "busybox:1.35.0", command: [sleep, "1000"]}
"""


def is_ready(pod) -> bool:
    conditions = (pod or {}).get("status", {}).get("conditions", [])
    return any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions
    )


@pytest.fixture
def here(connection, lab_namespace):
    return connection.within(lab_namespace)


@pytest.fixture
def pod(here):
    Manifest.parse(POD, "one.yaml").apply(here)
    wait_until(here, "Pod", "one", is_ready, what="Ready", timeout_seconds=60)
    return here


def test_the_cluster_is_known_by_the_uid_of_kube_system(connection, kubectl):
    assert connection.cluster_uid == kubectl(
        "get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"
    )
    connection.list("Pod")
    assert (paths.state() / f"kinds-{connection.cluster_uid}.json").is_file()


def test_discovery_names_every_kind_as_kubectl_does(connection, kubectl):
    connection.list("Pod")
    rows = [line.split() for line in kubectl("api-resources", "--no-headers").splitlines()]
    told = {f"{row[-3]}/{row[-1]}": (row[0], row[-2] == "true") for row in rows}
    known = {
        kind: (plural, namespaced)
        for kind, (_, plural, namespaced, *_) in connection.kinds.known.items()
        if kind in told
    }
    assert len(told) > 40
    assert known == told


def test_a_cluster_without_the_mark_is_refused(connection, kubectl, tmp_path):
    # The guard reads what the server says, so an administrator who is not allowed to see the
    # namespace is as good as another cluster.
    config = json.loads(kubectl("config", "view", "--raw", "--output", "json"))
    assert config["clusters"][0]["cluster"]["server"] == connection.host
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "elsewhere").write_text(json.dumps(config))
    with pytest.raises(client.Unreachable, match=r"127\.0\.0\.1:1: .*refused"):
        connect(tmp_path / "elsewhere")
    (tmp_path / "home").mkdir()
    (tmp_path / "own").symlink_to(tmp_path / "elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path / "home"))
        (tmp_path / "home" / ".kube").mkdir()
        (tmp_path / "home" / ".kube" / "config").symlink_to(paths.kubeconfig().resolve())
        with pytest.raises(NotOurCluster):
            connect(paths.kubeconfig())


def test_an_object_is_what_kubectl_shows(pod, kubectl, lab_namespace):
    shown = json.loads(
        kubectl("get", "pod", "one", "-o", "json", "--show-managed-fields", namespace=lab_namespace)
    )
    assert pod.get("Pod", "one") == shown
    (listed,) = pod.list("Pod", field_selector="metadata.name=one")["items"]
    assert listed["metadata"] == shown["metadata"]


def test_a_patch_and_a_subresource(pod, kubectl, lab_namespace):
    pod.patch("Pod", "one", {"metadata": {"labels": {"a": "b"}}})
    resources = {"containers": [{"name": "app", "resources": {"requests": {"memory": "8Mi"}}}]}
    with pytest.raises(Refused, match="QOS"):
        pod.patch("Pod", "one", {"spec": resources}, subresource="resize", patch_type="strategic")
    assert (
        kubectl("get", "pod", "one", "-o", "jsonpath={.metadata.labels.a}", namespace=lab_namespace)
        == "b"
    )


def test_a_dry_run_keeps_nothing_and_warnings_are_kept(here, kubectl, lab_namespace):
    body = Manifest.parse(POD, "one.yaml").documents[0]
    assert here.apply(body, dry_run=True)["metadata"]["uid"]
    assert kubectl("get", "pods", "-o", "name", namespace=lab_namespace) == ""
    body["spec"]["containers"][0]["env"] = [
        {"name": "A", "value": "1"},
        {"name": "A", "value": "2"},
    ]
    here.create(body)
    assert [warning for warning in here.warnings if 'hides previous definition of "A"' in warning]


def test_exec_agrees_with_the_shell(pod):
    done = pod.exec("one", "app", ["sh", "-c", r"printf 'a\000\377\n'; echo 'b  c' >&2; exit 3"])
    assert done == client.Completed(b"a\x00\xff\n", b"b  c\n", 3)
    assert pod.exec("one", "app", ["wc", "-c"], stdin=b"\xff" * 200_000).stdout.strip() == "200000"
    big = pod.exec("one", "app", ["sh", "-c", "head -c 3000000 /dev/zero; echo end >&2"])
    assert (big.stdout_bytes, big.stderr) == (bytes(3_000_000), "end\n")


def test_what_exec_cannot_do_is_told_in_three_lines(pod):
    with pytest.raises(
        LabError,
        match=(
            r'nope in one/app couldn.t be started\.\nSeen: .*exec: "nope": executable file not'
            r" found in \$PATH"
        ),
    ):
        pod.exec("one", "app", ["nope"])
    with pytest.raises(Refused, match="container nope is not valid for pod one"):
        pod.exec("one", "nope", ["true"])
    with pytest.raises(Refused) as caught:
        pod.exec("two", "app", ["true"])
    assert caught.value.reason == "NotFound"
    with pod.exec_lines("one", "app", ["sh", "-c", "echo begun; sleep 20"]) as lines:
        assert next(lines) == "begun"
        # The second begins here, for the start of a program takes as long as the machine is busy.
        began = time.monotonic()
        lines._stream._deadline = began + 1
        with pytest.raises(TimedOut, match="its last output was: begun"):
            next(lines)
        assert 1 <= time.monotonic() - began < 2


def test_a_stream_of_lines_is_closed_from_another_thread(pod):
    lines = pod.exec_lines("one", "app", ["sh", "-c", "echo one; echo two; sleep 20; echo three"])
    assert [next(lines), next(lines)] == ["one", "two"]
    rest, ended = [], threading.Event()

    def read():
        rest.extend(lines)
        ended.set()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    lines.close()
    assert ended.wait(2)
    assert (rest, lines.returncode) == ([], None)


def test_other_threads_may_talk_while_one_runs_commands(pod):
    stop, failures, count = threading.Event(), [], []

    def read():
        try:
            while not stop.is_set():
                assert pod.get("Pod", "one")["kind"] == "Pod"
                count.append(1)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(20):
        assert pod.exec("one", "app", ["echo", str(number)]).stdout == f"{number}\n"
    stop.set()
    thread.join(10)
    assert not failures
    assert len(count) > 20


def test_a_watch_sees_a_change_and_is_closed_from_another_thread(pod):
    version = pod.list("Pod")["metadata"]["resourceVersion"]
    watch = pod.watch("Pod", resource_version=version, timeout_seconds=30)
    pod.patch("Pod", "one", {"metadata": {"labels": {"seen": "yes"}}})
    kind, changed = next(watch)
    assert (kind, changed["metadata"]["labels"]) == ("MODIFIED", {"seen": "yes"})
    ended = threading.Event()
    thread = threading.Thread(target=lambda: (list(watch), ended.set()), daemon=True)
    thread.start()
    watch.close()
    assert ended.wait(2)
