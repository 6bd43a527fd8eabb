"""PODLAB_PATIENCE multiplies what proves nothing, is named where a limit runs out, and leaves
claims as they are."""

import ast
import io
import time
from pathlib import Path

import pytest
import yaml

from labhelpers import cli, paths, patience, polling
from labhelpers.cluster import docker, environment, lifecycle, machine, progress
from labhelpers.errors import LabError, TimedOut
from labhelpers.kube.waiting import wait_until

SOURCES = sorted((paths.repository() / "labhelpers").rglob("*.py"))


@pytest.mark.parametrize(
    ("text", "number"), [("", 1), (" ", 1), ("1", 1), ("2.5", 2.5), (" 5 ", 5), ("100", 100)]
)
def test_it_is_a_number(monkeypatch, text, number):
    monkeypatch.setenv("PODLAB_PATIENCE", text)
    assert patience.factor() == number


@pytest.mark.parametrize(
    "text", ["soon", "0", "0.5", "-1", "nan", "inf", "101", "5x", "1e9", "1,5"]
)
def test_another_is_told_in_three_lines_before_anything_is_begun(monkeypatch, capsys, text):
    monkeypatch.setenv("PODLAB_PATIENCE", text)
    monkeypatch.setattr(lifecycle, "up", lambda: pytest.fail("it began"))
    monkeypatch.setattr(environment, "make", lambda *_: pytest.fail("it began"))
    for main in (lambda: cli.main(["up"]), lambda: environment.main([])):
        assert main() == 1
        lines = capsys.readouterr().err.splitlines()
        assert [line.partition(" ")[0] for line in lines] == ["PODLAB_PATIENCE", "Seen:", "Do:"]
        assert f"PODLAB_PATIENCE={text}" in lines[1]


def limits(tree: ast.Module) -> list[str]:
    """Calls whose timeout= is a bare number: nobody's patience multiplies it."""
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for word in node.keywords
        if word.arg == "timeout" and isinstance(word.value, ast.Constant)
    ]


def untold(tree: ast.Module) -> list[str]:
    """Limits that run out without a word of patience."""
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "TimedOut"
        if not any("advice" in ast.unparse(word) for word in node.args)
    ]


def test_every_limit_is_multiplied_and_named_when_it_runs_out():
    sample = ast.parse("run(timeout=60); run(timeout=patient(60)); TimedOut(a, b, 'Wait.')")
    assert limits(sample) == ["run(timeout=60)"]
    assert untold(sample) == ["TimedOut(a, b, 'Wait.')"]
    found = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}
    bare = {path.name: limits(tree) for path, tree in found.items() if limits(tree)}
    # A recording hears of an error at once; it looks once a second for the end.
    assert set(bare) <= {"recording.py"}, bare
    silent = {path.name: untold(tree) for path, tree in found.items() if untold(tree)}
    # The lock of another command, which is not waited for at all where nobody says how long.
    assert set(silent) == {"files.py"}, silent


def test_what_ran_out_was_five_times_as_long(monkeypatch, tmp_path, connection, fake):
    monkeypatch.setenv("PODLAB_PATIENCE", "5")
    fake.pods(7)
    begin = time.monotonic()
    with pytest.raises(TimedOut) as of_wait:
        wait_until(connection, "Pod", "x", lambda pod: pod, what="there", timeout_seconds=0.1)
    with pytest.raises(TimedOut) as of_step:
        progress.Step("Sleep", io.StringIO()).run(
            ["sleep", "60"], log=tmp_path / "log", timeout_seconds=0.1
        )
    docker_program(monkeypatch, tmp_path)
    with pytest.raises(TimedOut) as of_docker:
        docker.run("ps", timeout_seconds=0.1)
    monkeypatch.setattr(machine, "PROBE_SECONDS", 0.1)
    assert machine._run(["sleep", "60"])[2] == "no answer within 0.5 s"
    for error in (of_wait.value, of_step.value, of_docker.value):
        assert "0.5 s" in error.happened
        assert "set PODLAB_PATIENCE=10 to wait longer" in error.do
    assert 2 <= time.monotonic() - begin < 30


def docker_program(monkeypatch, folder: Path) -> None:
    (folder / "docker").write_text("#!/bin/sh\nexec sleep 60\n")
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_a_claims_bound_is_what_it_says(monkeypatch):
    """Proofs and tests ask with `poll`."""
    monkeypatch.setenv("PODLAB_PATIENCE", "100")
    begin = time.monotonic()
    assert polling.poll(lambda: False, timeout_seconds=0.1) is False
    assert time.monotonic() - begin < 5


def test_kubeadm_is_given_the_same_patience(monkeypatch):
    monkeypatch.setenv("PODLAB_PATIENCE", "5")
    text = (paths.repository() / "kind" / "cluster.yaml").read_text(encoding="utf-8")
    before, after = yaml.safe_load(text), yaml.safe_load(lifecycle.patient_config(text))
    [node] = after["nodes"]
    added = yaml.safe_load(node["kubeadmConfigPatches"].pop())
    assert after == before
    assert added["kind"] == "InitConfiguration"
    assert added["timeouts"]["kubeletHealthCheck"] == "1200s"


def test_the_most_patient_is_not_told_to_be_more_so(monkeypatch):
    monkeypatch.setenv("PODLAB_PATIENCE", "100")
    assert patience.advice("Look.") == "Look."
    assert LabError("a", "b", patience.advice()).do == ""
