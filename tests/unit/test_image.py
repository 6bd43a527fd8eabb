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
    docker.answers[("manifest",)] = "{}"
    monkeypatch.setattr(image.Step, "run", lambda self, command, **_: docker(*command[1:]))
    monkeypatch.setattr(build, "image", lambda: pytest.fail("the image was built"))
    assert image.node_image() == image.pins()["node_image"]
    assert ["pull", image.pins()["node_image"]] in docker.asked


def test_without_registry_and_without_the_means_to_build_both_are_named(docker, monkeypatch):
    docker.answers[("manifest",)] = None
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
    with pytest.raises(LabError, match=r"was not asked.*PODLAB_DOOR=registry rules a build out"):
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
