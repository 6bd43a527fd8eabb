"""The cluster's decisions, with a docker client that only tells what it was told to: what is there,
which door, what is refused."""

import io
import json
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from labhelpers import paths
from labhelpers.cluster import build, engine, lifecycle
from labhelpers.errors import LabError, NotOurCluster
from labhelpers.node import undo

IDENTITY = "c" * 64


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A docker client that answers from a table (first words → output, None for a failure) and
    writes down what it was asked."""
    answers, asked = {}, []

    def answer(*words, check=True, **_):
        words = [str(word) for word in words]
        asked.append(words)
        for begin, output in answers.items():
            if words[: len(begin)] == list(begin):
                if output is None and check:
                    raise LabError(
                        f"docker {words[0]} failed.", "no such thing", "Run `podlab doctor`."
                    )
                return output or ""
        return ""

    monkeypatch.setenv("PODLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PODLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PODLAB_DOOR", raising=False)
    monkeypatch.delenv("PODLAB_OFFLINE", raising=False)
    monkeypatch.setattr(lifecycle, "docker", answer)
    monkeypatch.setattr(engine, "answering_version", lambda *_: "20.10")
    answer.answers, answer.asked = answers, asked
    return answer


def there(docker, name="x", *, state="running", mounted=None):
    """A container of that name, made by kind with our configuration; ``mounted``: the folder of
    another state."""
    docker.answers[("inspect", "--format", "{{.Id}} {{.State.Status}} {{.Config.Image}}")] = (
        f"{IDENTITY} {state} image"
    )
    docker.answers[("inspect",)] = str((mounted or paths.state(name)) / "audit-policy.yaml")


def made(name, identity=IDENTITY):
    lifecycle.made_record(name).parent.mkdir(parents=True, exist_ok=True)
    lifecycle.made_record(name).write_text(
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
        "cluster x: not ours, image image, the container x-control-plane was not made from "
    )
    for command in (lifecycle.up, lifecycle.down, lifecycle.check_up):
        with pytest.raises(NotOurCluster) as caught:
            command("x")
        assert (
            caught.value.happened
            == "The cluster x is not one that podlab made here, so nothing was done to it."
        )
        assert str(paths.state("x")) in caught.value.seen
        assert "--cluster NAME" in caught.value.do
    assert {words[0] for words in docker.asked} == {"inspect"}


def test_what_an_interrupted_up_left_is_made_anew(docker, monkeypatch):
    there(docker)
    called = []
    monkeypatch.setattr(lifecycle.doctor, "examine", lambda *_, **__: [])
    monkeypatch.setattr(engine, "start", lambda *_: called.append("engine"))
    monkeypatch.setattr(
        lifecycle, "delete", lambda *_: (called.append("delete"), docker.answers.clear())
    )
    monkeypatch.setattr(lifecycle, "node_image", lambda: "image")
    monkeypatch.setattr(lifecycle, "use_programs", lambda *_: None)
    monkeypatch.setattr(lifecycle, "create", lambda *_: called.append("create"))
    lifecycle.up("x")
    assert called == ["engine", "delete", "create"]


def test_our_container_is_told_by_whatever_path_docker_shows(docker, tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path / "link"))
    for source in (tmp_path / "real", Path(f"/host_mnt{tmp_path}/real")):
        there(docker, mounted=source / "x")
        assert lifecycle.mounts_our_policy("x")
    docker.answers[("inspect",)] = (
        "/run/desktop/mnt/host/wsl/docker-desktop-bind-mounts/Debian/4d9e39410bba"
    )
    assert not lifecycle.mounts_our_policy("x")
    (tmp_path / "real/x").mkdir()
    (tmp_path / "real/x/audit-policy.yaml").touch()
    assert lifecycle.mounts_our_policy("x")


def test_a_full_disk_under_the_programs_is_told_in_three_lines(
    docker, tmp_path, monkeypatch, capsys
):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(build, "kind_program", lambda: tmp_path / "kind")
    monkeypatch.setattr(lifecycle.shutil, "copy2", full)
    with pytest.raises(LabError, match="Seen: No space left on device"):
        lifecycle.use_programs("podlab-node:x")
    monkeypatch.setattr(build.os, "replace", full)
    with pytest.raises(LabError, match="Seen: No space left on device"):
        lifecycle.kubectl_program("podlab-node:x")
    assert re.findall(r"(\S+) .*: failed", capsys.readouterr().out) == ["kind", "kubectl"]
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(("record", "state"), [(None, "absent"), (IDENTITY, "stopped")])
def test_what_is_there_without_an_engine(docker, monkeypatch, record, state):
    monkeypatch.setattr(engine, "answering_version", lambda *_: "")
    if record:
        made("x", record)
    assert lifecycle.status("x").state == state
    assert docker.asked == []


def test_an_image_that_is_here_is_taken_before_any_door(docker):
    lifecycle.record_image("podlab-node:built")
    docker.answers[("image", "inspect")] = "sha256:1"
    assert lifecycle.node_image() == "podlab-node:built"
    assert all(words[0] == "image" for words in docker.asked)


def test_an_image_of_another_recipe_does_not_serve(docker):
    lifecycle.record_image("podlab-node:built")
    record = json.loads(lifecycle.image_record().read_text())
    lifecycle.image_record().write_text(json.dumps({**record, "recipe": "another"}))
    assert lifecycle.recorded_image() == ""
    pinned = lifecycle.pins()["node_image"]
    assert lifecycle.known_images() == [lifecycle.own_name(pinned), pinned]


def test_with_a_registry_nothing_is_built(docker, monkeypatch):
    docker.answers[("manifest",)] = "{}"
    monkeypatch.setattr(lifecycle.Step, "run", lambda self, command, **_: docker(*command[1:]))
    monkeypatch.setattr(build, "image", lambda: pytest.fail("the image was built"))
    assert lifecycle.node_image() == lifecycle.pins()["node_image"]
    assert ["pull", lifecycle.pins()["node_image"]] in docker.asked


def test_without_registry_and_without_the_means_to_build_both_are_named(docker, monkeypatch):
    docker.answers[("manifest",)] = None
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError) as caught:
        lifecycle.node_image()
    assert caught.value.happened == "There is no node image, and none can be built here."
    assert "no such thing; only root can start a build" in caught.value.seen
    assert "bundle" in caught.value.do


def test_a_closed_machine_asks_no_registry(docker, monkeypatch):
    monkeypatch.setenv("PODLAB_OFFLINE", "1")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="was not asked"):
        lifecycle.node_image()
    assert not [words for words in docker.asked if words[0] in ("manifest", "pull")]


def test_nothing_is_built_where_the_door_is_the_registry(docker, monkeypatch):
    monkeypatch.setenv("PODLAB_OFFLINE", "1")
    monkeypatch.setenv("PODLAB_DOOR", "registry")
    monkeypatch.setattr(engine, "can_start_here", lambda *_: "")
    monkeypatch.setattr(engine, "start", lambda *_, **__: pytest.fail("a build was begun"))
    with pytest.raises(LabError, match=r"was not asked.*PODLAB_DOOR=registry rules a build out"):
        lifecycle.node_image()


def test_a_door_that_does_not_exist_is_named(docker, monkeypatch):
    monkeypatch.setenv("PODLAB_DOOR", "window")
    with pytest.raises(LabError, match="window"):
        lifecycle.node_image()


@pytest.mark.parametrize("door", ["", "registry"])
def test_what_a_bundle_brought_from_a_registry_is_found_by_its_name(docker, monkeypatch, door):
    monkeypatch.setenv("PODLAB_DOOR", door)
    node, busybox = (
        lifecycle.own_name(lifecycle.pins()[name]) for name in ("node_image", "busybox_image")
    )
    for image in (node, busybox):
        docker.answers[("image", "inspect", "--format", "{{.Id}}", image)] = "sha256:1"
    assert (lifecycle.node_image(), lifecycle.busybox_image()) == (node, busybox)
    assert {words[0] for words in docker.asked} == {"image"}


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
    with lifecycle.alone("x"):
        with pytest.raises(LabError, match="Another podlab command"), lifecycle.alone("x"):
            pytest.fail("both went in")
        with lifecycle.alone("y"):
            pass
    with lifecycle.alone("x"):
        pass


def test_down_does_not_forget_a_cluster_that_it_cannot_delete(docker, monkeypatch):
    monkeypatch.setattr(engine, "answering_version", lambda **_: "")
    record = paths.state("x") / "made.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    with pytest.raises(LabError, match=r"cannot be deleted\.\nSeen: no Docker engine answers"):
        lifecycle.down("x")
    assert record.exists()


@pytest.mark.parametrize("name", ["..", ".", "ABSOLUTE", "a/b", "engine", "A", "-a"])
def test_a_cluster_is_not_named_like_a_way_to_somewhere_else(name, tmp_path, monkeypatch):
    """Its folder is emptied when it goes."""
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path / "a" / "state"))
    name = name.replace("ABSOLUTE", str(tmp_path / "x"))
    with pytest.raises(LabError, match="A cluster cannot be named"):
        lifecycle.remove_state(name)


def test_down_keeps_the_scores_and_takes_the_rest(docker):
    state = paths.state("x")
    (state / "labs").mkdir(parents=True)
    for name in ("scores.json", "kubeconfig", "labs/02-pause.kubeconfig"):
        (state / name).write_text("{}")
    assert lifecycle.down("x") is False
    assert sorted(path.name for path in state.iterdir()) == ["lock", "scores.json"]


@pytest.mark.parametrize("answers", [True, False])
def test_down_gives_the_machine_its_pages_back_first(docker, answers):
    change = undo.Change(
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
    record = paths.state("x") / undo.RECORD
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
            "kept, because other-control-plane, registry runs on it",
        ),
        (False, "other-control-plane", "podlab has started none"),
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
    assert (
        said[1]
        == "images and caches: removed, but for podlab-node:b, from which there is a container"
    )
    assert said[3] == f"Docker engine: {told}"
    assert not paths.cache().exists()


def test_kind_is_never_given_the_readers_kubeconfig(monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/somebody/elses")
    assert "KUBECONFIG" not in lifecycle.kind_environment()


@pytest.mark.parametrize(
    ("generation", "observed", "conditions", "available"),
    [
        (1, 0, [], False),
        (1, 1, [("Progressing", "True")], False),
        (1, 1, [("Progressing", "True"), ("Available", "False")], False),
        (2, 1, [("Available", "True")], False),  # said of what was asked for before
        (2, 2, [("Available", "True")], True),
    ],
)
def test_when_a_deployment_answers(generation, observed, conditions, available):
    told = {
        "observedGeneration": observed,
        "conditions": [{"type": kind, "status": status} for kind, status in conditions],
    }
    assert (
        lifecycle.is_available({"metadata": {"generation": generation}, "status": told})
        is available
    )


def test_a_deployment_that_is_not_there_answers_nobody():
    assert lifecycle.is_available(None) is False
