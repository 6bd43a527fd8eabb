"""What several tests of an engine of podlab's share."""

import sys

import pytest

from labhelpers.cluster import docker, engine, engine_record

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

NONE = docker.Answer(
    trouble="Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?",
    kind="none",
)


def says(monkeypatch, answer: docker.Answer | str) -> None:
    """From now on the docker client says this of its engine; a text is the version of one that
    answers."""
    answer = docker.Answer(answer) if isinstance(answer, str) else answer
    monkeypatch.setattr(docker, "ask", lambda: answer)


def recorded(process, **changes) -> engine_record.Record:
    """The record of an engine whose dockerd is this process."""
    fields = {
        "pid": process.pid,
        "started_ticks": engine_record.started_ticks(process.pid),
        "boot_id": engine_record.boot_id(),
        "data_root": str(engine.DATA_ROOT),
    }
    return engine_record.Record(**fields | changes)
