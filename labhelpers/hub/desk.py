"""What a participant's server needs in their own home. Runs as that participant, so that root
never writes where somebody else can put a link: ``python -m labhelpers.hub.desk < kubeconfig``."""

import json
import os
import sys
from pathlib import Path

from labhelpers import folder, paths
from labhelpers.cluster import terminal
from labhelpers.errors import LabError
from labhelpers.files import write_atomically

__all__ = ["main", "prepare"]

FIRST = "00_"


def prepare(kubeconfig: str) -> list[str]:
    """Writes the kubeconfig, the labs and the terminals' files. What's there of the labs stays, or
    is brought up to date as ``podlab update`` does.

    Args:
        kubeconfig: the text of the participant's own, for their cluster.

    Returns the arguments of their Jupyter server.
    """
    home = Path(os.environ["PODLAB_HOME"])
    paths.state().mkdir(parents=True, exist_ok=True)
    write_atomically(paths.kubeconfig(), kubeconfig, private=True)
    if not (home / paths.MARK).is_file():
        folder.init(home)
    elif not folder.is_current(home):
        folder.update(home)
    terminal.write()
    notebooks = home / "notebooks"
    first = min(path.name for path in notebooks.glob(f"{FIRST}*.ipynb"))
    return [
        f"--ServerApp.root_dir={notebooks}",
        f"--ServerApp.default_url=/lab/tree/{first}",
        f"--ServerApp.terminado_settings=shell_command={terminal.shell_command(os.environ)}",
        # A kernel's TCP port shows its output to every user of this machine.
        "--KernelManager.transport=ipc",
    ]


def main() -> int:
    os.umask(0o077)
    try:
        print(json.dumps(prepare(sys.stdin.read())))
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        if not error.filename:
            raise
        print(paths.cannot_use(error, "The labs can't be written."), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
