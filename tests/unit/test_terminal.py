"""The terminals of JupyterLab reach the labs' cluster, whatever the reader's shell sets."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from labhelpers import paths
from labhelpers.cluster import terminal

HOSTILE = "export PATH=/usr/bin:/bin KUBECONFIG=$HOME/.kube/config\n"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home whose shells' files lead to the reader's own cluster; our folders have spaces."""
    for variable in ("PODLAB_STATE", "PODLAB_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / f"with a space {variable}"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (".bashrc", ".zshrc"):
        (tmp_path / name).write_text(HOSTILE)
    paths.kubeconfig().parent.mkdir(parents=True)
    paths.kubeconfig().write_text("the labs' cluster\n")
    paths.tools().mkdir(parents=True)
    (paths.tools() / "kubectl").write_text("#!/bin/sh\necho ours $KUBECONFIG\n")
    (paths.tools() / "kubectl").chmod(0o755)
    terminal.write()
    return tmp_path


@pytest.mark.parametrize("shell", ["bash", "sh", "zsh", "fish"])
def test_kubectl_is_ours_and_reaches_the_labs_cluster(home, shell):
    if not (found := shutil.which(shell)):
        pytest.skip(f"{shell} isn't installed")
    command = shlex.split(terminal.shell_command({"SHELL": found}))
    environment = {**os.environ, "HOME": str(home), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [*command, "-c", "kubectl get pods; pwd"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert f"ours {paths.terminal_kubeconfig()}" in done.stdout, done.stderr
    assert terminal.HELLO in done.stdout
    assert str(paths.notebooks()) in done.stdout.splitlines()


def test_the_terminals_kubeconfig_is_private_and_follows_the_cluster(home):
    assert paths.terminal_kubeconfig().read_text() == "the labs' cluster\n"
    assert paths.terminal_kubeconfig().stat().st_mode & 0o077 == 0


def test_without_a_cluster_there_is_none_yet(home):
    paths.terminal_kubeconfig().unlink()
    paths.kubeconfig().unlink()
    terminal.write()
    assert not paths.terminal_kubeconfig().exists()


def test_a_shell_that_is_not_known_reads_what_posix_names():
    words = shlex.split(terminal.shell_command({"SHELL": "/bin/ksh"}))
    assert words[0] == "env" and words[1].startswith("ENV=") and words[2:] == ["/bin/ksh", "-i"]
    assert Path(words[1].removeprefix("ENV=")).name == "shrc"
