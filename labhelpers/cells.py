"""What happens whenever a cell of the notebook runs."""

import contextlib
import sys
from collections.abc import Callable

__all__ = ["after_each_cell", "on_next_cell"]

_hooks: dict[str, Callable] = {}


def on_next_cell(act: Callable[[], None]) -> None:
    """Calls ``act`` whenever a cell starts to run, in place of what was given before. Outside of
    IPython it does nothing.

    The event is ``pre_run_cell``: ``pre_execute`` fires for each message of a widget too.
    https://ipython.readthedocs.io/en/stable/config/callbacks.html
    """
    _on("pre_run_cell", act)


def after_each_cell(act: Callable[[], None]) -> None:
    """The same when a cell has run; what ``act`` displays stands below that cell."""
    _on("post_run_cell", act)


def _on(event: str, act: Callable[[], None]) -> None:
    """A hook that raises would print its traceback into the reader's cell, so this one never
    does."""
    ipython = sys.modules.get("IPython")  # Where it has not been loaded, no cell runs.
    shell = ipython.get_ipython() if ipython else None
    if shell is None:
        return

    def hook(info: object) -> None:
        with contextlib.suppress(Exception):
            act()

    if event in _hooks:
        # A recreated shell doesn't know the old one.
        with contextlib.suppress(ValueError):
            shell.events.unregister(event, _hooks[event])
    shell.events.register(event, hook)
    _hooks[event] = hook
