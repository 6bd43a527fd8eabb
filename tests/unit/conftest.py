"""What several unit tests share: a connection to an API server on the loopback that answers what it
is told to."""

import pytest

from labhelpers.kube import client
from tests.unit.fake_api import FakeApi


@pytest.fixture
def fake(tmp_path, monkeypatch):
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path / "state"))
    server = FakeApi()
    yield server
    server.stop()


@pytest.fixture
def connection(fake, tmp_path):
    connection = client.connect(fake.kubeconfig(tmp_path), "lab")
    yield connection
    connection.close()
