import gc
import json
import subprocess
import sys
import threading
import time

import pytest
import yaml

from labhelpers import paths
from labhelpers.errors import LabError, NotOurCluster, Refused, TimedOut
from labhelpers.kube import client
from labhelpers.kube.connect import connect
from labhelpers.kube.waiting import wait_until
from labhelpers.kube.wire import as_yaml
from tests.unit.fake_api import PODS, pod


def test_a_cluster_without_the_mark_is_refused_and_nothing_is_written(fake, tmp_path):
    namespaces = fake.answers["/api/v1/namespaces"]
    for label in ("", "lab"):
        namespaces["items"][1]["metadata"]["labels"] = {"podlab": label}
        with pytest.raises(
            NotOurCluster, match="no namespace podlab-node carries the label podlab=cluster"
        ):
            connect(fake.kubeconfig(tmp_path))
    for other in (
        {"kind": "Status", "code": 401, "reason": "Unauthorized", "message": "Unauthorized"},
        {"items": []},
        "<html>",
        {},
    ):
        fake.answers["/api/v1/namespaces"] = other
        with pytest.raises(NotOurCluster):
            connect(fake.kubeconfig(tmp_path))
    assert {method for method, *_ in fake.requests} == {"GET"}


def test_the_users_own_kubeconfig_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").mkdir()  # Reading a folder would be another error.
    (tmp_path / "link").symlink_to(tmp_path / ".kube" / "config")
    for path in ("~/.kube/config", tmp_path / "link"):
        with pytest.raises(NotOurCluster, match="your own kubeconfig"):
            connect(path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "clusters: 5", "current-context: x\nclusters: []\ncontexts: []\nusers: []"],
)
def test_a_broken_kubeconfig_is_told_in_three_lines(tmp_path, text):
    (tmp_path / "broken").write_text(text)
    with pytest.raises(LabError, match=r"kubeconfig can't be read(.|\n)*Seen: (.|\n)*Do: "):
        connect(tmp_path / "broken")


def test_no_kubeconfig_and_no_answer_say_what_to_run(tmp_path, fake):
    with pytest.raises(LabError, match="Run `podlab up`"):
        connect(tmp_path / "missing")
    path = fake.kubeconfig(tmp_path)
    fake.stop()
    with pytest.raises(client.Unreachable, match=rf"Seen: http://127.0.0.1:{fake.port}: .*refused"):
        connect(path)


def test_a_proxy_in_the_environment_does_not_come_between(fake, tmp_path, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    fake.exec_frames = [(3, {"status": "Success"})]
    connection = connect(fake.kubeconfig(tmp_path), "lab")
    assert connection.exec("one", "app", ["true"]).returncode == 0


def test_discovery_is_asked_once_a_cluster_and_again_for_a_new_kind(fake, connection, tmp_path):
    fake.pods(1)
    connection.list("Pod")
    another = connect(fake.kubeconfig(tmp_path), "lab")
    another.list("Pod")
    assert len(fake.asked("GET", "/apis")) == 1
    with pytest.raises(LabError, match="has no kind Sprocket"):
        another.list("Sprocket")
    assert len(fake.asked("GET", "/apis")) == 2
    for name in ("extensions/v1beta1/Deployment", "v1/deployment"):
        with pytest.raises(LabError, match=r"Write apiVersion: apps/v1 and kind: Deployment\."):
            another.list(name)
    assert len(fake.asked("GET", "/apis")) == 4
    fake.answers["/api/v1/namespaces"]["items"][0]["metadata"]["uid"] = "uid-2"
    connect(fake.kubeconfig(tmp_path), "lab").list("Pod")
    assert len(fake.asked("GET", "/apis")) == 5, (
        "a new cluster on the old port must not get the old table"
    )


def test_a_damaged_discovery_file_is_replaced(fake, connection):
    fake.pods(1)
    file = paths.state() / "kinds-uid-1.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"Pod": ')
    connection.list("Pod")
    assert json.loads(file.read_text())["Pod"] == ["/api/v1", "pods", True]


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Pod", "/api/v1/namespaces/lab/pods/x"),
        ("Event", "/api/v1/namespaces/lab/events/x"),
        ("events.k8s.io/v1/Event", "/apis/events.k8s.io/v1/namespaces/lab/events/x"),
        ("apps/v1/Deployment", "/apis/apps/v1/namespaces/lab/deployments/x"),
        ("Node", "/api/v1/nodes/x"),
    ],
)
def test_a_kind_leads_to_its_path(connection, fake, kind, path):
    fake.answers[path] = {"found": True}
    assert connection.get(kind, "x") == {"found": True}


BAD_NAMES = ["", ".", "..", "a/b", "A", "%2e%2e", "a:b", "a,b", "a=b", " ", "a" * 254]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize(
    "ask",
    [
        lambda connection, name: connection.get("Pod", name),
        lambda connection, name: connection.delete("Pod", name, grace_seconds=0),
        lambda connection, name: connection.delete("Node", name),
        lambda connection, name: connection.patch("Pod", name, {}, subresource="resize"),
        lambda connection, name: connection.get("Pod", "one", name),
        lambda connection, name: connection.logs(name, "app"),
        lambda connection, name: wait_until(
            connection, "Pod", name, bool, what="there", timeout_seconds=1
        ),
        lambda connection, name: connection.exec(name, "app", ["true"]),
        lambda connection, name: connection.apply(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}}
        ),
    ],
)
def test_what_is_no_name_gets_into_no_path(connection, fake, ask, name):
    connection.kinds.path("Pod", "one", "lab")
    fake.requests.clear()
    with pytest.raises(
        LabError, match=r"isn't a valid name for a .*, so nothing was sent"
    ) as caught:
        ask(connection, name)
    assert len(str(caught.value).splitlines()) == 3
    assert fake.requests == []


def test_names_of_rbac_may_hold_a_colon_but_lead_nowhere_else(connection):
    known = ["/apis/rbac.authorization.k8s.io/v1", "roles", True]
    connection.kinds.known.update(Role=known)
    path = connection.kinds.path("Role", "system:Reader", "lab")
    assert path == "/apis/rbac.authorization.k8s.io/v1/namespaces/lab/roles/system%3AReader"
    for name in ("", "..", "a/b", "%2e%2e"):
        with pytest.raises(LabError, match="isn't a valid name for a Role"):
            connection.kinds.path("Role", name, "lab")


def test_kinds_in_no_namespace_that_can_be_deleted(connection, fake):
    """The preferred version of each; no Namespace and no Node, and nothing that is only asked."""

    def resource(kind, plural, scope="Cluster", verbs=("list", "delete")):
        named = {"resource": plural, "responseKind": {"kind": kind}}
        return {**named, "scope": scope, "verbs": list(verbs)}

    high = resource("PriorityClass", "priorityclasses")
    versions = [{"version": "v1", "resources": [high]}, {"version": "v1beta1", "resources": [high]}]
    review = resource("TokenReview", "tokenreviews", verbs=["create"])
    core = [
        resource("Namespace", "namespaces"),
        resource("Node", "nodes"),
        resource("PersistentVolume", "persistentvolumes"),
        resource("Pod", "pods", scope="Namespaced"),
    ]
    fake.answers["/api"] = {
        "items": [{"metadata": {}, "versions": [{"version": "v1", "resources": core}]}]
    }
    fake.answers["/apis"] = {
        "items": [
            {"metadata": {"name": "scheduling.k8s.io"}, "versions": versions},
            {"metadata": {"name": "a.io"}, "versions": [{"version": "v1", "resources": [review]}]},
        ]
    }
    assert connection.kinds.cluster_scoped() == [
        "v1/PersistentVolume",
        "scheduling.k8s.io/v1/PriorityClass",
    ]
    assert connection.kinds.is_namespaced("Pod")
    assert not connection.kinds.is_namespaced("scheduling.k8s.io/v1/PriorityClass")


def test_all_of_a_kind_have_a_path_too(connection):
    assert connection.kinds.path("Pod", None, "") == "/api/v1/pods"
    assert connection.kinds.path("Pod", None, "lab") == PODS


def test_apply_is_strict_and_keeps_fields_that_no_model_knows(connection, fake):
    fake.answers[f"{PODS}/one"] = {"kind": "Pod"}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": {"imagine": 5}}
    connection.apply(body, dry_run=True)
    method, _, query, sent = fake.requests[-1]
    assert (method, sent) == ("PATCH", body)
    assert query == {
        "fieldManager": "podlab",
        "fieldValidation": "Strict",
        "force": "true",
        "dryRun": "All",
    }


def test_what_is_applied_is_yaml_as_well_as_json():
    """YAML knows no pairs of escapes, and takes some characters for the end of a line."""
    body = {"a": "\U0001f600", "b": "\u2028\x85\x7f\ufeff\x00", "c": 'é"\\', "d": [1.5, None]}
    sent = as_yaml(body)
    assert json.loads(sent) == body
    assert yaml.safe_load(sent) == body


def test_warnings_are_those_of_the_last_write(connection, fake):
    fake.answers[f"{PODS}/one"] = {}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}}
    fake.warnings = ['299 - "a \\"b\\", c"', '299 - "second"']
    connection.apply(body)
    assert connection.warnings == ['a "b", c', "second"]
    assert connection.warning_headers == fake.warnings
    fake.warnings = []
    connection.get("Pod", "one")
    assert connection.within("other").warnings == ['a "b", c', "second"]
    connection.apply(body)
    assert connection.warnings == []


def test_a_refusal_carries_the_servers_words(connection, fake):
    with pytest.raises(Refused) as caught:
        connection.get("Pod", "none")
    assert (caught.value.reason, caught.value.code, caught.value.message) == (
        "NotFound",
        404,
        f"{PODS}/none not found",
    )
    assert "`kubectl get pods`" in caught.value.do
    connection.delete("Pod", "none")  # Not there is as good as deleted.


def test_delete_takes_what_is_owned_along(connection, fake):
    fake.answers[f"{PODS}/one"] = {}
    connection.delete("Pod", "one", grace_seconds=0)
    assert fake.requests[-1][2] == {"propagationPolicy": "Background", "gracePeriodSeconds": "0"}


def test_raw_gives_json_or_text(connection, fake):
    fake.answers["/healthz"] = "ok"
    assert connection.raw("/healthz") == "ok"
    assert connection.raw("/apis")["items"]


def test_requests_share_one_connection_a_thread(connection, fake):
    fake.pods(1)
    ports = set()
    fake.answers["/whoami"] = lambda: str(ports.add(threading.get_ident()) or "")
    for _ in range(3):
        connection.raw("/whoami")
    assert len(ports) == 1, "the server has a thread a connection, and saw more than one"
    thread = threading.Thread(target=connection.raw, args=("/whoami",))
    thread.start()
    thread.join(10)
    assert len(ports) == 2


def reads(thread: threading.Thread) -> bool:
    """Whether a thread waits for bytes from a socket."""
    frame = sys._current_frames().get(thread.ident)
    return frame is not None and frame.f_code.co_name in ("readinto", "recv")


def test_a_watch_is_closed_from_another_thread_at_once_and_silently(connection, fake):
    fake.watches = [[{"type": "ADDED", "object": pod(5)}, "stay"]]
    watch = connection.watch("Pod", timeout_seconds=20)
    seen, errors = [], []

    def follow():
        try:
            for each in watch:
                seen.append(each)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    deadline = time.monotonic() + 5
    while not (seen and reads(thread)):
        assert time.monotonic() < deadline
    began = time.monotonic()
    watch.close()
    thread.join(5)
    assert not thread.is_alive()
    assert time.monotonic() - began < 1
    assert (seen, errors) == ([("ADDED", pod(5))], [])


def test_watches_that_were_closed_early_leave_no_warning_for_the_cell(connection, fake, caplog):
    fake.watches = [[{"type": "ADDED", "object": pod(5)}, "stay"] for _ in range(30)]
    closed = []
    for _ in range(30):
        closed.append(connection.watch("Pod", timeout_seconds=20))
        next(closed[-1])
        closed[-1].close()
    closed.clear()
    gc.collect()
    assert caplog.messages == []


def test_a_watch_ends_at_its_own_limit(connection, fake):
    began = time.monotonic()
    assert list(connection.watch("Pod", timeout_seconds=0.3)) == []
    assert 0.29 < time.monotonic() - began < 0.9, "the server counts whole seconds only"


def test_bookmarks_move_the_version_and_are_not_events(connection, fake):
    fake.watches = [[{"type": "BOOKMARK", "object": pod(9)}]]
    watch = connection.watch("Pod", resource_version="5")
    assert list(watch) == []
    assert watch.resource_version == "9"


def test_exec_keeps_bytes_streams_and_exit_code_apart(connection, fake):
    failed = {
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": "7"}]},
    }
    fake.exec_frames = [(1, b"a\xff"), (2, b"oh"), (1, b"\x00b"), (255, b"\x01"), (3, failed)]
    done = connection.exec("one", "app", ["sh", "-c", "a b"])
    assert done == client.Completed(b"a\xff\x00b", b"oh", 7)
    assert done.stdout == "a\N{REPLACEMENT CHARACTER}\x00b"


def test_exec_sends_stdin_and_closes_it(connection, fake):
    fake.exec_frames = ["read", "read", (3, {"status": "Success"})]
    connection.exec("one", "app", ["cat"], stdin="hé")
    assert fake.exec_received == [b"\x00h\xc3\xa9", b"\xff\x00"]


def test_a_command_that_cannot_start_is_told_without_random_ids(connection, fake):
    message = (
        'failed to exec in container: failed to start exec "0f1e2d": OCI runtime exec failed:'
        ' "nope": executable file not found in $PATH'
    )
    fake.exec_frames = [(3, {"status": "Failure", "reason": "InternalError", "message": message})]
    with pytest.raises(
        LabError,
        match=(
            r"nope in one/app couldn't be started\.\nSeen: .*container: OCI runtime .*not found in"
            r" \$PATH\nDo: "
        ),
    ):
        connection.exec("one", "app", ["nope"])


def test_exec_has_a_limit_and_says_how_far_it_came(connection, fake):
    fake.exec_frames = [(1, b"half way"), "stay"]
    began = time.monotonic()
    with pytest.raises(TimedOut, match="half way"):
        connection.exec("one", "app", ["slow"], timeout_seconds=0.3)
    assert time.monotonic() - began < 2


def test_an_exec_that_breaks_off_is_no_success(connection, fake):
    fake.exec_frames = [(1, b"half")]
    with pytest.raises(LabError, match="without a status"):
        connection.exec("one", "app", ["x"])


def test_lines_come_whole_and_are_closed_from_another_thread(connection, fake):
    fake.exec_frames = [(1, b"on"), (2, b"err"), (1, "e\ntwo\nthé".encode()[:-1]), "stay"]
    lines = connection.exec_lines("one", "app", ["tail"])
    assert [next(lines), next(lines)] == ["one", "two"]
    assert lines.stderr == "err"
    closer = threading.Timer(0.1, lines.close)
    closer.start()
    began = time.monotonic()
    assert list(lines) == ["th\N{REPLACEMENT CHARACTER}"]
    assert time.monotonic() - began < 2
    assert lines.returncode is None
    closer.join()


def test_a_kept_stdin_is_written_to_and_ended_later(connection, fake):
    fake.exec_frames = [
        (1, b"ready\n"),
        "read",
        (1, b"heard\n"),
        "read",
        (3, {"status": "Success"}),
    ]
    with connection.exec_lines("one", "app", ["cat"], keep_stdin=True) as lines:
        assert next(lines) == "ready"
        assert fake.exec_received == [], "nothing ends it before it is told to"
        lines.send("hello\n")
        assert next(lines) == "heard"
        lines.end_stdin()
        assert list(lines) == []
    assert fake.exec_received == [b"\x00hello\n", b"\xff\x00"]
    assert fake.requests[-1][2]["stdin"] == "true"
    assert lines.returncode == 0


def test_the_last_line_needs_no_newline(connection, fake):
    fake.exec_frames = [(1, b"one\ntwo"), (3, {"status": "Success"})]
    with connection.exec_lines("one", "app", ["x"]) as lines:
        assert list(lines) == ["one", "two"]
    assert lines.returncode == 0


def test_importing_costs_no_typed_models():
    script = (
        "import labhelpers.kube.client, sys; print([m for m in sys.modules if"
        " m.startswith('kubernetes.client.models.')])"
    )
    root = paths.repository()
    assert (
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root
        ).stdout.strip()
        == "[]"
    )
