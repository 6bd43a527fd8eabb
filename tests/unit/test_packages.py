"""What of Debian's packages is installed, with an apt that only notes what it is asked."""

import shutil

import pytest

from labhelpers.cluster import packages
from labhelpers.errors import LabError


class Recorder:
    """Stands in for a step: remembers what was run, fails what it is told to fail."""

    def __init__(self, *failing):
        self.failing, self.ran = failing, []

    def say(self, _):
        pass

    def run(self, command, **_):
        words = [word for word in command if not word.startswith("-") and "::" not in word][1:]
        self.ran.append(words)
        if words[0] in self.failing:
            raise LabError(f"{words[0]} failed", "", "")


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine with nothing installed; the policy file in a folder of the test's own."""
    monkeypatch.setattr(packages, "POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(packages, "_missing", list)
    monkeypatch.setattr(shutil, "which", lambda name, **_: {"docker": "/usr/bin/docker"}.get(name))


def test_only_what_is_missing_is_installed(bare, monkeypatch):
    step = Recorder()
    packages.install(step, ("docker.io", "jq"))
    assert step.ran == [["update"], ["install", "docker.io", "jq"]]
    monkeypatch.setattr(packages, "_missing", lambda _: [])
    packages.install(step, ("docker.io", "jq"))
    assert len(step.ran) == 2


def test_debians_engine_does_not_push_out_another(bare, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/usr/bin/{name}")
    step = Recorder()
    packages.install(step, ("docker.io", "jq"))
    assert step.ran[-1] == ["install", "jq"]


def test_debians_engine_does_not_push_out_podman_under_dockers_name(bare, monkeypatch):
    monkeypatch.setattr(
        packages, "_missing", lambda names: [name for name in names if name != "podman-docker"]
    )
    step = Recorder()
    with pytest.raises(LabError, match="podman-docker is installed"):
        packages.install(step, ("docker.io", "jq"))
    assert step.ran == []


def test_apt_removes_nothing(bare, monkeypatch):
    commands = []
    step = Recorder()
    monkeypatch.setattr(step, "run", lambda command, **_: commands.append(command))
    packages.install(step, ("docker.io",))
    assert commands and all("--no-remove" in command for command in commands)


def test_the_client_is_installed_where_it_is_a_package_of_its_own(bare, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    step = Recorder()
    packages.install(step, ("docker.io",))
    assert step.ran[-1] == ["install", "docker-cli"]


def test_a_broken_source_matters_only_if_the_installation_fails(bare):
    packages.install(Recorder("update"), ("docker.io",))
    with pytest.raises(LabError, match="update failed"):
        packages.install(Recorder("update", "install"), ("docker.io",))
    with pytest.raises(LabError, match="install failed"):
        packages.install(Recorder("install"), ("docker.io",))


def test_no_service_starts_while_packages_are_installed_and_a_machines_own_policy_is_kept(bare):
    with pytest.raises(KeyboardInterrupt), packages._no_services():
        assert packages.POLICY.stat().st_mode & 0o111 and "exit 101" in packages.POLICY.read_text()
        raise KeyboardInterrupt
    assert not packages.POLICY.exists()
    packages.POLICY.write_text("#!/bin/sh\nexit 0\n")
    with packages._no_services():
        pass
    assert packages.POLICY.read_text() == "#!/bin/sh\nexit 0\n"
