"""Sets up JupyterLab's terminals: their kubectl is the project's own, and it talks to the labs'
cluster, in the namespace of the lab that started last. They begin in notebooks/, where the files
are that the labs' commands name.

The reader's start-up files may set PATH and KUBECONFIG, and a pasted ``kubectl delete`` would then
reach the reader's own cluster. So each shell reads the reader's file first, and then ours.
"""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from labhelpers import paths
from labhelpers.files import write_atomically

__all__ = ["environment", "shell_command", "write"]

HELLO = "kubectl in this terminal talks to the cluster of the labs."


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment that JupyterLab hands down to its kernels and terminals.

    Args:
        environ: this process's own.
    """
    return {
        **environ,
        "KUBECONFIG": str(paths.terminal_kubeconfig()),
        # podlab is found even if no environment is active.
        "PATH": os.pathsep.join([*_folders(), environ.get("PATH", os.defpath)]),
    }


def write() -> None:
    """Writes the terminals' kubeconfig and their shells' start-up files. No lab has begun yet, so
    the namespace is the cluster's default."""
    if paths.kubeconfig().is_file():  # otherwise the first lab writes it
        text = paths.kubeconfig().read_text(encoding="utf-8")
        write_atomically(paths.terminal_kubeconfig(), text, private=True)
    first = ":".join(map(shlex.quote, _folders()))
    ours = (
        f"cd {shlex.quote(str(paths.notebooks()))}\n"
        f"export PATH={first}:$PATH\n"
        f"export KUBECONFIG={shlex.quote(str(paths.terminal_kubeconfig()))}\n"
        f"echo {shlex.quote(HELLO)}\n"
    )
    fish = ours.replace(f"PATH={first}:$PATH", f"PATH={first}:(string join : $PATH)")
    for name, text in {
        "bashrc": f"[ ! -f ~/.bashrc ] || . ~/.bashrc\n{ours}",
        # zsh looks for all its files in ZDOTDIR.
        ".zshrc": f"unset ZDOTDIR\n[ ! -f ~/.zshrc ] || . ~/.zshrc\n{ours}",
        "config.fish": fish,
        "shrc": ours,
    }.items():
        write_atomically(_files() / name, text)


def shell_command(environ: Mapping[str, str]) -> str:
    """The command of a terminal's shell, quoted: the reader's own shell, with our file last.

    Args:
        environ: this process's own; SHELL names the shell.
    """
    shell, files = environ.get("SHELL") or "sh", _files()
    words = {
        "bash": [shell, "--rcfile", str(files / "bashrc"), "-i"],
        "zsh": ["env", f"ZDOTDIR={files}", shell, "-i"],
        # fish has read its own files when this is run.
        "fish": [shell, "--init-command", f"source {shlex.quote(str(files / 'config.fish'))}"],
    }
    return shlex.join(words.get(Path(shell).name, ["env", f"ENV={files / 'shrc'}", shell, "-i"]))


def _folders() -> list[str]:
    return [str(paths.tools()), str(Path(sys.executable).parent)]


def _files() -> Path:
    return paths.state() / "terminal"
