"""What up and down decide, with a docker client that only tells what it was told to: what is there,
and what is refused."""

import io
import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from labhelpers import paths
from labhelpers.cluster import engine, lifecycle
from labhelpers.cluster.docker import Answer
from labhelpers.errors import LabError, NotOurCluster
from labhelpers.node.record import RECORD, Change
from labhelpers.paths import ClusterFiles
from tests.unit.engines import NONE, says

IDENTITY = "c" * 64


def there(docker, name="x", *, state="running", mounted=None):
    """A container of that name, made by kind with our configuration; ``mounted``: the folder of
    another state."""
    docker.answers[("inspect", "--format", "{{.Id}} {{.State.Status}} {{.Config.Image}}")] = (
        f"{IDENTITY} {state} image"
    )
    docker.answers[("inspect",)] = str((mounted or paths.state(name)) / "audit-policy.yaml")


def made(name, identity=IDENTITY):
    ClusterFiles(name).made_record.parent.mkdir(parents=True, exist_ok=True)
    ClusterFiles(name).made_record.write_text(
        json.dumps({"container": identity, "kubernetes": "v1.37.0"})
    )


@pytest.mark.parametrize(
    ("container", "record", "state"),
    [
        ("", None, "absent"),
        ("running", None, "half-made"),
        ("running", "d" * 64, "half-made"),  # the record is of a cluster that somebody deleted
        ("exited", IDENTITY, "stopped"),
        ("running", IDENTITY, "running"),
    ],
)
def test_what_is_there(docker, container, record, state):
    if container:
        there(docker, state=container)
    if record:
        made("x", record)
    assert lifecycle.status("x").state == state


@pytest.mark.parametrize("record", [None, "d" * 64])
@pytest.mark.parametrize(
    "mounted",
    [None, "/home/another/.local/state/podlab/x/audit-policy.yaml"],
    ids=["kind's own", "another state"],
)
def test_a_cluster_that_podlab_did_not_make_is_left_as_it_is(docker, monkeypatch, mounted, record):
    there(docker)
    docker.answers[("inspect",)] = mounted
    if record:
        made("x", record)
    monkeypatch.setattr(lifecycle.doctor, "examine", lambda *_, **__: pytest.fail("went on"))
    assert str(lifecycle.status("x")).startswith(
        "cluster x: not ours, image image, podlab didn't create the container x-control-plane from "
    )
    for command in (lifecycle.up, lifecycle.down, lifecycle.check_up):
        with pytest.raises(NotOurCluster) as caught:
            command("x")
        assert (
            caught.value.happened
            == "podlab didn't create the cluster x here, so it won't touch it."
        )
        assert str(paths.state("x")) in caught.value.seen
        assert "--cluster NAME" in caught.value.do
    assert {words[0] for words in docker.asked} == {"inspect"}


def test_our_container_is_told_by_whatever_path_docker_shows(docker, tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path / "link"))
    for source in (tmp_path / "real", Path(f"/host_mnt{tmp_path}/real")):
        there(docker, mounted=source / "x")
        assert lifecycle.mounts_our_policy(ClusterFiles("x"))
    docker.answers[("inspect",)] = (
        "/run/desktop/mnt/host/wsl/docker-desktop-bind-mounts/Debian/4d9e39410bba"
    )
    assert not lifecycle.mounts_our_policy(ClusterFiles("x"))
    (tmp_path / "real/x").mkdir()
    (tmp_path / "real/x/audit-policy.yaml").touch()
    assert lifecycle.mounts_our_policy(ClusterFiles("x"))


@pytest.mark.parametrize(("record", "state"), [(None, "absent"), (IDENTITY, "stopped")])
def test_what_is_there_without_an_engine(docker, monkeypatch, record, state):
    says(monkeypatch, NONE)
    if record:
        made("x", record)
    assert lifecycle.status("x").state == state
    assert docker.asked == []


def test_purge_takes_every_image_that_is_named_after_podlab(docker, monkeypatch):
    monkeypatch.setattr(engine, "stop", lambda: False)
    docker.answers[("images",)] = "podlab-node:x\npodlab-busybox:y"
    lifecycle.purge()
    assert {word.rpartition("=")[2] for word in docker.asked[0][3:]} == {
        "podlab-node",
        "podlab-busybox",
    }
    assert docker.asked[1:] == [["rmi", "podlab-node:x"], ["rmi", "podlab-busybox:y"]]


def test_two_commands_do_not_work_on_one_cluster(docker):
    with lifecycle.locked(ClusterFiles("x")):
        with (
            pytest.raises(LabError, match="Another podlab command"),
            lifecycle.locked(ClusterFiles("x")),
        ):
            pytest.fail("both went in")
        with lifecycle.locked(ClusterFiles("y")):
            pass
    with lifecycle.locked(ClusterFiles("x")):
        pass


@pytest.mark.parametrize("kind", ["broken", "podman", "slow"])
def test_a_client_that_shows_no_cluster_is_not_believed(docker, monkeypatch, kind):
    made("x")
    says(monkeypatch, answer := Answer(trouble="its own words", kind=kind))
    assert lifecycle.status("x").state == "unknown"
    assert "its own words" in lifecycle.status("x").detail
    for command in (lifecycle.down, lifecycle.check_up):
        with pytest.raises(LabError) as caught:
            command("x")
        assert str(caught.value) == str(answer.error())


def test_down_does_not_forget_a_cluster_that_it_cannot_delete(docker, monkeypatch):
    says(monkeypatch, NONE)
    record = paths.state("x") / "made.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    with pytest.raises(LabError, match=r"can't be deleted\.\nSeen: no Docker engine answers"):
        lifecycle.down("x")
    assert record.exists()


def test_down_keeps_the_scores_and_takes_the_rest(docker):
    state = paths.state("x")
    (state / "labs").mkdir(parents=True)
    for name in ("scores.json", "kubeconfig", "labs/02-pause.kubeconfig"):
        (state / name).write_text("{}")
    assert lifecycle.down("x") is False
    assert sorted(path.name for path in state.iterdir()) == ["lock", "scores.json"]


@pytest.mark.parametrize("answers", [True, False])
def test_down_gives_the_machine_its_pages_back_first(docker, answers):
    change = Change(
        "huge pages",
        "hugepages-2Mi",
        "",
        "",
        1,
        5,
        {"host": "h", "pid": 1, "started": "1"},
        "lab-11",
        "uid",
        True,
    )
    record = paths.state("x") / RECORD
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps([asdict(change)]))
    there(docker)
    docker.answers[("exec",)] = "HugePages_Total: 5" if answers else None
    assert lifecycle.down("x")
    assert docker.asked[-1][:2] == ["rm", "--force"]
    scripts = [words[-1] for words in docker.asked if words[0] == "exec"]
    assert [script.startswith("echo 1 > /proc/sys/vm/nr_hugepages") for script in scripts] == (
        [False, True] if answers else [False]
    )
    assert record.exists() is not answers, "what could not be put back stays on record"


@pytest.mark.parametrize(
    ("ours", "running", "told"),
    [
        (True, "", "stopped"),
        (
            True,
            "other-control-plane\nregistry",
            "kept, because it runs other-control-plane, registry",
        ),
        (False, "other-control-plane", "not started by podlab"),
    ],
)
def test_the_engine_is_not_stopped_under_what_runs_on_it(docker, monkeypatch, ours, running, told):
    stops, output = [], io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setattr(engine, "started_by_us", lambda: ours)
    monkeypatch.setattr(engine, "stop", lambda: stops.append(ours) or ours)
    docker.answers[("images",)] = "podlab-node:a\npodlab-node:b"
    docker.answers[("rmi", "podlab-node:a")] = "Untagged: podlab-node:a"
    docker.answers[("rmi", "podlab-node:b")] = None
    docker.answers[("ps",)] = running
    (paths.cache() / "bin").mkdir(parents=True)
    lifecycle.purge()
    assert (True in stops) is (told == "stopped")
    said = output.getvalue().splitlines()
    assert said[1] == "images and caches: removed, except podlab-node:b, which a container uses"
    assert said[3] == f"Docker engine: {told}"
    assert not paths.cache().exists()


def test_kind_is_never_given_the_readers_kubeconfig(monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/somebody/elses")
    assert "KUBECONFIG" not in lifecycle.kind_environment()


@pytest.mark.parametrize("ours", [True, False])
def test_what_a_failed_node_said_is_kept_before_the_node_is_removed(docker, monkeypatch, ours):
    """kind keeps the node with --retain; one that isn't ours stays."""
    files = ClusterFiles("x")

    def fail(self, command, **_):
        docker.asked.append(["kind", *map(str, command[1:])])
        there(docker, mounted=None if ours else Path("/another/x"))
        docker.answers[("logs",)] = "systemd: a unit failed"
        docker.answers[("exec", files.container, "journalctl")] = "kubelet: no such cgroup"
        docker.answers[("exec", files.container, "sh")] = "apiserver: unknown flag"
        raise LabError("cluster x failed.", "kind, exit status 1: no", "Read.")

    monkeypatch.setattr(lifecycle.Step, "run", fail)
    with pytest.raises(LabError, match=r"kind couldn't create the cluster\.") as caught:
        lifecycle._create(files, "image")
    assert str(files.logs) in caught.value.do
    kept = {path.name: path.read_text() for path in files.logs.iterdir()}
    assert kept == {
        "node.log": "systemd: a unit failed",
        "kubelet.log": "kubelet: no such cgroup",
        "containerd.log": "kubelet: no such cgroup",
        "pods.log": "apiserver: unknown flag",
    }
    words = [each[0] for each in docker.asked]
    assert "--retain" in docker.asked[words.index("kind")]
    removed = ["rm", "--force", "--volumes", files.container]
    assert docker.asked[-1] == removed if ours else removed not in docker.asked


def test_nothing_is_elected_and_the_audit_log_is_kept():
    """What kubeadm is asked for; the cluster itself says it in tests/cluster."""
    config = yaml.safe_load((paths.repository() / "kind" / "cluster.yaml").read_text())
    patch = yaml.safe_load(config["nodes"][0]["kubeadmConfigPatches"][0])
    for component in ("scheduler", "controllerManager"):
        assert patch[component]["extraArgs"] == [{"name": "leader-elect", "value": "false"}]
    assert len(patch["apiServer"]["extraArgs"]) == 4
