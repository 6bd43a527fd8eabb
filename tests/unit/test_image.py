"""Which node image is taken, and where it comes from, with a docker client that only tells what it
was told to."""

import json
import os
import re

import pytest

from labhelpers.cluster import build, engine, go_programs, image
from labhelpers.errors import LabError


def test_a_full_disk_under_the_programs_is_told_in_three_lines(
    docker, tmp_path, monkeypatch, capsys
):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(go_programs, "kind_program", lambda: tmp_path / "kind")
    monkeypatch.setattr(image.shutil, "copy2", full)
    with pytest.raises(LabError, match="Seen: No space left on device"):
        image.use_programs("podlab-node:x")
    monkeypatch.setattr(build.os, "replace", full)
    with pytest.raises(LabError, match="Seen: No space left on device"):
        image.kubectl_program("podlab-node:x")
    assert re.findall(r"(\S+) .*: failed", capsys.readouterr().out) == ["kind", "kubectl"]
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_an_image_that_is_here_is_taken_before_any_source_is_asked(docker):
    image.record_image("podlab-node:built")
    docker.answers[("image", "inspect")] = "sha256:1"
    assert image.node_image() == "podlab-node:built"
    assert all(words[0] == "image" for words in docker.asked)


def test_an_image_of_other_inputs_does_not_serve(docker):
    image.record_image("podlab-node:built")
    record = json.loads(image.image_record().read_text())
    image.image_record().write_text(json.dumps({**record, "inputs": "another"}))
    assert image.recorded_image() == ""
    pinned = image.pins()["node_image"]
    assert image.known_images() == [image.bundled_name(pinned), pinned]


def test_with_a_registry_nothing_is_built(docker, monkeypatch):
    monkeypatch.setattr(image.Step, "run", lambda self, command, **_: docker(*command[1:]))
    monkeypatch.setattr(build, "image", lambda: pytest.fail("the image was built"))
    assert image.node_image() == image.pins()["node_image"]
    assert ["pull", image.pins()["node_image"]] in docker.asked


def test_without_registry_and_without_the_means_to_build_both_are_named(docker, monkeypatch):
    docker.answers[("pull",)] = None
    monkeypatch.setattr(image.Step, "run", lambda self, command, **_: docker(*command[1:]))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError) as caught:
        image.node_image()
    assert caught.value.happened == "No node image found, and this machine can't build one."
    assert "no such thing; only root can start a build" in caught.value.seen
    assert "bundle" in caught.value.do


def test_a_closed_machine_asks_no_registry(docker, monkeypatch):
    monkeypatch.setenv("PODLAB_OFFLINE", "1")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="was not asked"):
        image.node_image()
    assert not [words for words in docker.asked if words[0] in ("manifest", "pull")]


def test_nothing_is_built_where_the_source_is_the_registry(docker, monkeypatch):
    monkeypatch.setenv("PODLAB_OFFLINE", "1")
    monkeypatch.setenv("PODLAB_DOOR", "registry")
    monkeypatch.setattr(engine, "can_start_here", lambda *_: "")
    monkeypatch.setattr(engine, "start", lambda *_, **__: pytest.fail("a build was begun"))
    with pytest.raises(LabError, match=r"was not asked.*PODLAB_DOOR=registry rules out a build"):
        image.node_image()


def test_an_image_source_that_does_not_exist_is_named(docker, monkeypatch):
    monkeypatch.setenv("PODLAB_DOOR", "window")
    with pytest.raises(LabError, match="window"):
        image.node_image()


@pytest.mark.parametrize("source", ["", "registry"])
def test_what_a_bundle_brought_from_a_registry_is_found_by_its_name(docker, monkeypatch, source):
    monkeypatch.setenv("PODLAB_DOOR", source)
    node, busybox = (
        image.bundled_name(image.pins()[name]) for name in ("node_image", "busybox_image")
    )
    for name in (node, busybox):
        docker.answers[("image", "inspect", "--format", "{{.Id}}", name)] = "sha256:1"
    assert (image.node_image(), image.busybox_image()) == (node, busybox)
    assert {words[0] for words in docker.asked} == {"image"}


# --- behind a mirror ------------------------------------------------------------------------------


def test_all_images_come_from_the_mirror_with_their_digests(docker, monkeypatch):
    monkeypatch.setenv("PODLAB_REGISTRY", "mirror.example:5000/hub/")
    monkeypatch.setattr(image.Step, "run", lambda self, command, **_: docker(*command[1:]))
    node, busybox = (image.pins()[name] for name in ("node_image", "busybox_image"))
    assert image.node_image() == f"mirror.example:5000/hub/{node}"
    assert image.busybox_image() == f"mirror.example:5000/hub/library/{busybox}"
    pulled = [words[1] for words in docker.asked if words[0] == "pull"]
    assert pulled == [
        f"mirror.example:5000/hub/{node}",
        f"mirror.example:5000/hub/library/{busybox}",
    ]
    # A bundle and its loader name them as ever.
    assert image.bundled_name(pulled[0]) == image.bundled_name(node)
    assert image.bundled_name(pulled[1]) == image.bundled_name(busybox)


def test_what_was_pulled_before_there_was_a_mirror_serves(docker, monkeypatch):
    monkeypatch.setenv("PODLAB_REGISTRY", "mirror.example")
    node = image.pins()["node_image"]
    docker.answers[("image", "inspect", "--format", "{{.Id}}", node)] = "sha256:1"
    assert image.node_image() == node


@pytest.mark.parametrize("name", ["localhost", "mirror.example", "m:5000", "10.0.0.1:5000/a/b-c_d"])
def test_a_registry_is_a_host_with_port_and_path(monkeypatch, name):
    monkeypatch.setenv("PODLAB_REGISTRY", name)
    assert image.mirror() == name


@pytest.mark.parametrize(
    "name",
    [
        "https://mirror.example",
        "hub",
        "hub/path",
        "m.example/A",
        "m.example//a",
        "m.example:x",
        "a b",
        "m.example/a:1",
        "m.example/a@sha256:0",
    ],
)
def test_what_begins_no_images_name_is_told(monkeypatch, name):
    monkeypatch.setenv("PODLAB_REGISTRY", name)
    with pytest.raises(LabError) as caught:
        image.mirror()
    assert caught.value.happened == "PODLAB_REGISTRY isn't a registry."
    assert f"PODLAB_REGISTRY={name}" in caught.value.seen


@pytest.mark.parametrize(
    ("name", "words"),
    [("", "set PODLAB_REGISTRY"), ("mirror.example", "PODLAB_REGISTRY=mirror.example was asked")],
)
def test_the_advice_where_a_pull_fails_names_the_mirror(docker, monkeypatch, name, words):
    monkeypatch.setenv("PODLAB_REGISTRY", name)
    monkeypatch.setenv("PODLAB_DOOR", "registry")
    docker.answers[("pull",)] = None
    monkeypatch.setattr(image.Step, "run", lambda self, command, **_: docker(*command[1:]))
    with pytest.raises(LabError) as caught:
        image.node_image()
    assert words in caught.value.do and "bundle load" in caught.value.do
    assert caught.value.seen == "no such thing"
