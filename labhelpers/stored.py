"""The one writer of the notebooks: what is stored in them, for ``make refresh`` and for
JupyterLab's save.

A stored notebook is read on GitHub, opened in a fresh clone, and compared by nbval. So it holds no
view of a widget (without the widget's state JupyterLab would show "model not found"), no state, no
timings, and nothing that differs between two runs of the same facts.
"""

import argparse
import copy
import difflib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from labhelpers import paths
from labhelpers.errors import LabError
from labhelpers.files import write_atomically
from labhelpers.patience import advice, patient

__all__ = [
    "CELL_TIMEOUT_SECONDS",
    "HIDDEN_TAGS",
    "canonical",
    "claims_of",
    "install_defaults",
    "install_save_hook",
    "main",
    "refresh",
    "stripped",
    "use_sockets",
]

# About twice the slowest cell of any lab. nbval gets the same limit.
CELL_TIMEOUT_SECONDS = 120

# Cells that measure or reveal are stored folded: whoever opens a lab meets the question before the
# answer. They open when they run, and so does the text that explains the answer.
REVEAL = "reveal"
HIDDEN_TAGS = frozenset({"measure", REVEAL})

# What a cell with this tag only shows depends on chance, or on the very moment: names drawn by lot,
# a STATUS one second after its Pod was created. What it says is compared all the same.
BY_CHANCE = "by-chance"

_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_WIDGET_STATE = "widgets"
_TIMES = ("execution", "ExecuteTime")
_ALTERNATIVE = "<details>"  # how a picture's text alternative begins
_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}


def stripped(notebook: dict[str, Any]) -> dict[str, Any]:
    """A copy without widget views, widget state and timings. What the reader has open or folded
    stays as it is.

    Args:
        notebook: a notebook of format 4, as a dict or as nbformat's node.

    >>> view = {"application/vnd.jupyter.widget-view+json": {"model_id": "5f"}}
    >>> view["text/plain"] = "a choice"
    >>> output = {"output_type": "display_data", "metadata": {}, "data": view}
    >>> cell = {"cell_type": "code", "source": "x", "outputs": [output]}
    >>> cell["metadata"] = {"execution": {}}
    >>> stripped({"metadata": {"widgets": {}}, "cells": [cell]})["cells"][0]["outputs"][0]["data"]
    {'text/plain': 'a choice'}
    """
    notebook = copy.deepcopy(notebook)
    notebook["metadata"].pop(_WIDGET_STATE, None)
    notebook["metadata"].get("language_info", {}).pop("version", None)
    for cell in notebook["cells"]:
        for key in _TIMES:
            cell["metadata"].pop(key, None)
        if cell["cell_type"] == "code":
            cell["outputs"] = [
                output
                for output in cell["outputs"]
                if set(output.get("data", {})) != {_WIDGET_VIEW}
            ]
            for output in cell["outputs"]:
                output.get("data", {}).pop(_WIDGET_VIEW, None)
                output.get("metadata", {}).pop(_WIDGET_VIEW, None)
            cell["outputs"] = _joined_streams(cell["outputs"])
    return notebook


def canonical(notebook: dict[str, Any]) -> dict[str, Any]:
    """The one form in which a notebook is stored: `stripped`, with its answers folded, and with
    nothing that a front end or a Python adds.

    Args:
        notebook: a notebook of format 4, as a dict or as nbformat's node.

    Cells keep their ids, tags, attachments and `source_hidden`. A cell tagged ``measure`` or
    ``reveal`` is stored with its outputs hidden, and with an empty output before them, so that
    nothing of them is seen. The text after a reveal explains the answer, so it's folded as well;
    JupyterLab unfolds it when Shift+Enter comes to it.

    >>> cell = {"id": "a", "cell_type": "code", "source": "life", "outputs": []}
    >>> cell["metadata"] = {"tags": ["measure"]}
    >>> canonical({"metadata": {}, "cells": [cell]})["cells"][0]["metadata"]
    {'tags': ['measure'], 'jupyter': {'outputs_hidden': True}}
    >>> cell["metadata"] = {"tags": ["reveal"]}
    >>> told = {"id": "b", "cell_type": "markdown", "source": "So it dies.", "metadata": {}}
    >>> canonical({"metadata": {}, "cells": [cell, told]})["cells"][1]["metadata"]
    {'jupyter': {'source_hidden': True}}
    """
    notebook = stripped(notebook)
    notebook["metadata"] = copy.deepcopy(_METADATA)
    notebook["nbformat"], notebook["nbformat_minor"] = 4, 5
    for number, cell in enumerate(notebook["cells"]):
        cell.setdefault("id", f"cell-{number:02}")
        cell["source"] = "".join(cell["source"]).rstrip().lstrip("\n")
        cell["metadata"] = _cell_metadata(cell)
        if cell["cell_type"] == "code":
            shown = [output for output in cell["outputs"] if output.get("data") != {}]
            cell["outputs"] = [
                *(
                    [_nothing()]
                    if shown and HIDDEN_TAGS & set(cell["metadata"].get("tags", []))
                    else []
                ),
                *shown,
            ]
    for cell in _explanations(notebook["cells"]):
        cell["metadata"]["jupyter"] = {"source_hidden": True}
        # JupyterLab shows a folded cell's first line beside the three dots.
        cell["source"] = "\n" + cell["source"]
    return notebook


def _explanations(cells: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The first text after each reveal, unless it's the next section."""
    revealed = False
    for cell in cells:
        if cell["cell_type"] == "code":
            revealed |= REVEAL in cell["metadata"].get("tags", [])
        elif revealed:
            revealed = False
            if not cell["source"].startswith("#"):
                yield cell


def claims_of(cell: dict[str, Any]) -> set[str]:
    """The ids of the claims that a cell proves: those it hands to ``lab.prove``, and those it is
    tagged with.

    >>> sorted(claims_of({"source": 'lab.prove("B3", life)', "metadata": {"tags": ["claim:B4"]}}))
    ['B3', 'B4']
    """
    tagged = {tag.removeprefix("claim:") for tag in cell["metadata"].get("tags", []) if ":" in tag}
    return tagged | set(re.findall(r"\blab\.prove\(\s*[\"']([A-Z]\d+)", "".join(cell["source"])))


def use_sockets(manager: Any, folder: str | Path) -> Any:
    """Has a kernel that is to be started spoken to through Unix sockets in a folder, which has to
    be its own, with a short path.

    The usual way is by ports: five that are free are picked, and the kernel opens them when it has
    started, seconds later. In between any connection on this machine may be given one of them, and
    then the kernel dies.

    Args:
        manager: a ``KernelManager`` of jupyter_client whose kernel has not been started.
        folder: removed by the caller, after the kernel's end.

    https://jupyter-client.readthedocs.io/en/stable/kernels.html#connection-files
    """
    manager.transport, manager.connection_file = "ipc", str(Path(folder) / "kernel.json")
    return manager


def refresh(
    path: Path, *, pictures: str = "changed", timeout_seconds: int = CELL_TIMEOUT_SECONDS
) -> list[str]:
    """Runs a notebook from top to bottom on the cluster and stores it in its canonical form; only
    if every cell succeeded.

    Returns the lines of a diff of what is compared, before and after: whoever stores a finding has
    to see it change. A busy machine once stored "got 0.32 of it" over "as predicted".

    Args:
        path: the notebook; its kernel is this environment's Python and works in the notebook's
            folder.
        pictures: "changed" keeps a stored picture or table while the sentence beside it is the
            same, so that two refreshes differ in no byte; "new" takes those of this run.
        timeout_seconds: limit for each cell.

    Raises:
        LabError: a cell failed, came to its limit, or lost its kernel. The file is as it was.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError

    before = canonical(_read(path))
    notebook = copy.deepcopy(before)
    begun = ["(before the first cell)"]
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=patient(timeout_seconds),
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        force_raise_errors=True,
        on_cell_start=lambda cell, **_: begun.append(cell["source"].partition("\n")[0]),
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        # What a reader has written into notebooks/mine must not get into what is stored.
        with tempfile.TemporaryDirectory() as mine, tempfile.TemporaryDirectory() as sockets:
            use_sockets(client.create_kernel_manager(), sockets)
            # stderr: what the kernel's own machinery says as it ends; a cell's stderr is an output.
            client.execute(stderr=subprocess.DEVNULL, env={**os.environ, "PODLAB_MINE": mine})
    except CellTimeoutError as error:
        raise _not_refreshed(
            path,
            f"{begun[-1]} ran longer than {patient(timeout_seconds):g} s",
            advice("See in JupyterLab what it waits for."),
        ) from error
    except RuntimeError as error:  # nbclient's DeadKernelError, and a kernel that never came up
        # After a signal nbclient ends its kernel by itself, and may then find it dead.
        if hasattr(client, "_async_cleanup_kernel_future"):
            raise _interrupted(path, begun[-1]) from error
        raise _not_refreshed(
            path, f"the kernel died in {begun[-1]}", "Look for a lack of memory, and run it again."
        ) from error
    except CellExecutionError as error:
        # After Ctrl-C nbclient ends its kernel. That interrupts the cell first, and its answer may
        # come before the end.
        if error.ename == "KeyboardInterrupt":
            raise _interrupted(path, begun[-1]) from error
        raise _not_refreshed(
            path,
            f"{begun[-1]} ended in {error.ename}: {error.evalue}",
            "Fix the cell, or look at `podlab status`.",
        ) from error
    except AssertionError as error:
        # nbclient's own: a signal made it take its kernel away, and then it does so once more.
        raise _interrupted(path, begun[-1]) from error
    notebook = canonical(notebook)
    if pictures == "changed":
        _keep_shown(before, notebook)
    nbformat.validate(notebook)
    write_atomically(path, nbformat.writes(notebook) + "\n")
    lines = difflib.unified_diff(_compared(before), _compared(notebook), "before", "now", n=0)
    return [line.rstrip("\n") for line in lines]


def install_save_hook(prefix: Path | None = None) -> Path:
    """Makes every Jupyter server of this environment save the labs' notebooks stripped. Writes only
    when the file differs.

    Args:
        prefix: the environment; by default the one that runs.

    Returns the file: a drop-in of the project's own, so that it stands beside any other extension
    and beside the reader's configuration. It switches this module on as a server extension. (The
    setting ``pre_save_hook`` itself holds one hook only, and jupyter_server 2.21 does not accept
    the name of one in a configuration file.) See
    https://jupyter-server.readthedocs.io/en/latest/developers/extensions.html
    """
    return _drop_in(
        prefix,
        "etc/jupyter/jupyter_server_config.d",
        {"ServerApp": {"jpserver_extensions": {__spec__.name: True}}},
    )


def install_defaults(prefix: Path | None = None) -> Path:
    """Lets JupyterLab neither ask the reader for something that is no part of a lab, nor ask the
    network: no news, no look for updates.

    Args:
        prefix: the environment; by default the one that runs.

    Returns the file: defaults, which a reader's own settings overrule. The server's own switches
    for both leave the question on the screen. See
    https://jupyterlab.readthedocs.io/en/stable/user/directories.html#overrides-json
    """
    settings = {"fetchNews": "false", "checkForUpdates": False}
    return _drop_in(
        prefix,
        "share/jupyter/lab/settings/overrides.d",
        {"@jupyterlab/apputils-extension:notification": settings},
    )


def _drop_in(prefix: Path | None, folder: str, content: dict) -> Path:
    """A file of the project's own in a folder of an environment that Jupyter reads; written only
    when it differs."""
    path, text = (
        (prefix or Path(sys.prefix)) / folder / f"{paths.NAME}.json",
        json.dumps(content, indent=2) + "\n",
    )
    if not path.is_file() or path.read_text() != text:
        write_atomically(path, text)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m labhelpers.stored refresh notebooks/02_pause.ipynb``, or ``install-save-hook``.
    Returns 1 where a notebook failed."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {__spec__.name}", description="Writes the notebooks in their one form."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("refresh", help="run notebooks on the cluster and store what they show")
    one.add_argument("paths", nargs="+", type=Path)
    one.add_argument("--pictures", choices=["changed", "new"], default="changed")
    verbs.add_parser("install-save-hook", help="let JupyterLab save notebooks without widget views")
    chosen = parser.parse_args(arguments)
    if chosen.verb == "install-save-hook":
        print(install_save_hook())
        return 0
    for path in chosen.paths:
        began = time.monotonic()
        try:
            changes = refresh(path, pictures=chosen.pictures)
        except LabError as error:
            print(error, file=sys.stderr)
            return 1
        print(f"{path}: refreshed in {time.monotonic() - began:.0f} s")
        if changes:
            print("What the cells say has changed:", *changes, sep="\n")
    return 0


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    server.contents_manager.register_pre_save_hook(_strip_before_save)


def _strip_before_save(
    *, model: dict[str, Any], path: str, contents_manager: Any, **_: Any
) -> None:
    """jupyter_server calls it before each save. Other notebooks are left alone: the environment may
    be a reader's own."""
    file = Path(contents_manager.root_dir, path).resolve()
    ours = paths.folder()
    if model["type"] == "notebook" and ours and file.is_relative_to(ours):
        model["content"] = stripped(model["content"])


def _compared(notebook: dict[str, Any]) -> list[str]:
    """What the strict run compares, line by line, below the first line of its cell."""
    lines = []
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            text = output.get("text") or output.get("data", {}).get("text/plain", "")
            lines += [f"{cell['id']}: {line}\n" for line in text.splitlines()]
    return lines


def _cell_metadata(cell: dict[str, Any]) -> dict[str, Any]:
    tags = cell["metadata"].get("tags", [])
    folded = {}
    if cell["metadata"].get("jupyter", {}).get("source_hidden"):
        folded["source_hidden"] = True
    if cell["cell_type"] == "code" and HIDDEN_TAGS & set(tags):
        folded["outputs_hidden"] = True
    return {**({"tags": tags} if tags else {}), **({"jupyter": folded} if folded else {})}


def _nothing() -> dict[str, Any]:
    """An output without data. JupyterLab shows the first line of a folded cell's first output
    beside the three dots: the answer itself."""
    from nbformat.v4 import new_output

    return new_output("display_data")


def _joined_streams(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How a stream was cut into messages differs between runs: one output for each stream, where
    its first piece stood."""
    joined: list[dict[str, Any]] = []
    first: dict[str, dict[str, Any]] = {}
    for output in outputs:
        name = output.get("name")
        if output["output_type"] == "stream" and name in first:
            first[name]["text"] = "".join(first[name]["text"]) + "".join(output["text"])
            continue
        if output["output_type"] == "stream":
            first[name] = output
        joined.append(output)
    return joined


def _keep_shown(before: dict[str, Any], after: dict[str, Any]) -> None:
    """What is only shown may differ between two runs of one fact: pixels, ages, addresses. Where
    the sentence beside it is the same, what is stored stays: of a cell's tables all or none, since
    they name the same Pods. In a cell tagged ``by-chance`` they stay however they differ."""
    stored = {
        cell.get("id"): cell["outputs"] for cell in before["cells"] if cell["cell_type"] == "code"
    }
    for cell in after["cells"]:
        pairs = [
            (new.get("data", {}), old.get("data", {}))
            for new, old in zip(cell.get("outputs", []), stored.get(cell["id"], []), strict=False)
        ]
        tables = BY_CHANCE in cell["metadata"].get("tags", []) or all(
            _steady(_html(new)) == _steady(_html(old))
            for new, old in pairs
            if not _html(old).startswith(_ALTERNATIVE)
        )
        pictured = False
        for data, known in pairs:
            if data.get("text/plain") != known.get("text/plain") or not data.keys() <= known.keys():
                pictured = False
                continue
            if "image/png" in data:
                data["image/png"] = known["image/png"]
            # A picture's text alternative comes after it, and goes with it.
            is_alternative = _html(known).startswith(_ALTERNATIVE)
            if "text/html" in data and (pictured if is_alternative else tables):
                data["text/html"] = known["text/html"]
            pictured = "image/png" in data


def _html(data: dict[str, Any]) -> str:
    return data.get("text/html", "")


def _steady(markup: str) -> str:
    """HTML without what differs from run to run.

    >>> _steady("one-app  1/1  10.244.0.7  12s") == _steady("one-app  1/1   10.244.0.31   3s")
    True
    >>> one, other = "kube-api-access-xt2bv fe80::18f1:dcff", "kube-api-access-p4jzq fe80::9:ab"
    >>> _steady(one) == _steady(other)
    True
    >>> _steady("uid 3,860,463,616") == _steady("uid 851,968,000")
    True
    >>> _steady("one-app  Running") == _steady("one-app  Error")
    False
    """
    # Kubernetes' random endings have no vowels; an IPv6 address; other hexadecimal; numbers.
    random = (
        r"-[bcdfghjklmnpqrstvwxz2456789]{5}\b|\b[0-9a-f]*:[0-9a-f:]+|[0-9a-f]{4,}|\d+(?:,\d+)*|\s+"
    )
    return re.sub(random, "", markup)


def _interrupted(path: Path, cell: str) -> LabError:
    return _not_refreshed(path, f"it was interrupted in {cell}", "Run it again.")


def _not_refreshed(path: Path, seen: str, do: str) -> LabError:
    return LabError(f"{path.name} was not refreshed; the file is as it was.", seen, do)


def _read(path: Path) -> Any:
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except (OSError, nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        raise LabError(
            f"{path} is not read as a notebook.",
            str(error).splitlines()[0],
            "Give the path of an .ipynb file.",
        ) from error


if __name__ == "__main__":
    sys.exit(main())
