"""The reader's folder: what init writes, and what update changes and keeps. Small folders stand in
for what podlab comes with; tests/unit/test_wheel.py has the real one."""

import json
from pathlib import Path

import pytest

from labhelpers import cli, folder, paths
from labhelpers.errors import LabError

EMPTY = {"cell_type": "code", "source": "", "outputs": []}


def notebook(*sources: str, output: str = "", more=()) -> str:
    outputs = [{"output_type": "stream", "name": "stdout", "text": output}] if output else []
    cells = [{"cell_type": "code", "source": each, "outputs": outputs} for each in sources]
    return json.dumps({"metadata": {}, "cells": [*cells, *more]})


def source(path: Path, version: str, **changes: str | None) -> Path:
    """What a podlab of this version comes with."""
    texts = {
        "pyproject.toml": f'[project]\nversion = "{version}"\n',
        "kind/cluster.yaml": "kind: Cluster\n",
        "notebooks/00_start.ipynb": notebook("start()", output="old"),
        "notebooks/TEMPLATE.ipynb": notebook("NN"),
        "notebooks/manifests/00-start/web.yaml": "kind: Pod\n",
        "notebooks/manifests/template/web.yaml": "kind: Pod\n",
        "notebooks/proofs/00_start.py": "def a1(): ...\n",
        "notebooks/mine/00-start/a.yaml": "an author's own answer\n",
        **changes,
    }
    for name, text in texts.items():
        if text is not None:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(text)
    return path


@pytest.fixture
def old(tmp_path):
    return source(tmp_path / "old", "0.1.0")


@pytest.fixture
def labs(tmp_path, old):
    target = tmp_path / "my labs"
    folder.init(target, old)
    return target


def texts(path: Path) -> dict[str, str]:
    """All files below a folder but podlab's record."""
    found = {each.relative_to(path).as_posix(): each for each in path.rglob("*") if each.is_file()}
    return {name: each.read_text() for name, each in found.items() if ".podlab" not in name}


START, WEB = "notebooks/00_start.ipynb", "notebooks/manifests/00-start/web.yaml"
KEPT = "notebooks/kept/0.1.0"


def test_init_writes_the_labs_and_says_what_comes_next(tmp_path, old, monkeypatch):
    monkeypatch.delenv("UV", raising=False)
    target = tmp_path / "deep" / "my labs"
    report = folder.init(target, old)
    assert set(texts(target)) == {"README.md", START, WEB, "notebooks/proofs/00_start.py"}
    assert [path.name for path in target.parent.iterdir()] == ["my labs"]
    assert str(report).splitlines() == [
        f"{target}: 1 labs of podlab 0.1.0.",
        "Next:",
        f"    cd '{target}'",
        "    podlab up",
        "    podlab open 00",
    ]


def test_under_uvx_the_next_command_is_uvx_too(tmp_path, old, monkeypatch):
    monkeypatch.setenv("UV", "/usr/bin/uv")
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    assert "    uvx podlab up\n" in str(folder.init(tmp_path / "labs", old))


def test_init_fills_an_empty_folder_in_place(tmp_path, old):
    target = tmp_path / "labs"
    target.mkdir()
    before = target.stat().st_ino
    folder.init(target, old)
    assert (target / START).is_file() and target.stat().st_ino == before


def test_an_interrupted_init_leaves_nothing_or_goes_on(tmp_path, old, monkeypatch):
    empty = tmp_path / "empty"
    empty.mkdir()
    with monkeypatch.context() as patch:
        interrupt_at(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            folder.init(tmp_path / "new", old)
        assert not [path.name for path in tmp_path.iterdir() if "new" in path.name]
        interrupt_at(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            folder.init(empty, old)
    assert len(texts(empty)) == 1
    folder.init(empty, old)
    assert len(texts(empty)) == 4 and folder.is_current(empty, old)


def interrupt_at(patch: pytest.MonkeyPatch, number: int) -> None:
    """Ctrl-C comes instead of the file of this number."""
    write, written = folder._write, []

    def interrupted(path, content):
        written.append(path)
        if len(written) == number:
            raise KeyboardInterrupt
        write(path, content)

    patch.setattr(folder, "_write", interrupted)


@pytest.mark.parametrize("there", ["a file in it", "a file", "labs"])
def test_init_changes_nothing_that_is_there(tmp_path, old, there):
    target = tmp_path / "labs"
    if there == "a file":
        target.write_text("mine")
    elif there == "labs":
        folder.init(target, old)
        (target / WEB).write_text("edited")
    else:
        target.mkdir()
        (target / "thesis.txt").write_text("mine")
    before = texts(tmp_path)
    with pytest.raises(LabError) as caught:
        folder.init(target, source(tmp_path / "new", "0.2.0", **{WEB: "kind: Job\n"}))
    assert {name: texts(tmp_path)[name] for name in before} == before
    told = {"a file in it": "thesis.txt", "a file": "it's a file", "labs": "podlab update"}
    assert told[there] in str(caught.value)


def test_an_update_brings_what_is_new_and_removes_what_is_gone(tmp_path, labs):
    proof, lab = "notebooks/proofs/00_start.py", "notebooks/01_next.ipynb"
    changes = {START: notebook("start(1)"), lab: notebook("next"), proof: None}
    (labs / WEB).unlink()
    report = folder.update(labs, source(tmp_path / "new", "0.2.0", **changes))
    after = texts(labs)
    assert after[START] == changes[START] and after[lab] == changes[lab] and WEB in after
    assert not (labs / "notebooks/proofs").exists()
    assert (report.updated, report.new, report.restored, report.removed, report.kept) == (
        [START],
        [lab],
        [WEB],
        [proof],
        {},
    )
    assert f"New: {lab}" in str(report)
    assert "Nothing was out of date." in str(folder.update(labs, tmp_path / "new"))


PASTED = {"cell_type": "markdown", "source": "", "attachments": {"a.png": {"image/png": "iVBO"}}}


@pytest.mark.parametrize(
    ("readers", "kept"),
    [
        (notebook("start()", output="what I saw"), False),
        (notebook("start()", output="what I saw", more=[EMPTY]), False),
        (notebook("start()  # mine"), True),
        (notebook("start()", "my note"), True),
        (notebook("start()", more=[PASTED]), True),
        (notebook(), True),
        ("half a noteb", True),
    ],
    ids=["run", "run to the end", "edited", "added", "pasted", "emptied", "broken"],
)
def test_a_notebook_that_was_only_run_is_replaced_and_an_edited_one_is_kept(
    tmp_path, labs, readers, kept
):
    new = notebook("start(1)")
    (labs / START).write_text(readers)
    report = folder.update(labs, source(tmp_path / "new", "0.2.0", **{START: new}))
    assert (labs / START).read_text() == new
    assert texts(labs).get(f"{KEPT}/00_start.ipynb") == (readers if kept else None)
    assert report.kept == ({START: f"{KEPT}/00_start.ipynb"} if kept else {})
    told = f"You had edited {START}: yours is now {KEPT}/00_start.ipynb"
    assert (told in str(report)) is kept


def test_what_only_the_reader_has_changed_stays_where_it_is(tmp_path, labs):
    # Of the notebook, podlab has new outputs.
    changes = {START: notebook("start()", output="new"), "notebooks/01_next.ipynb": notebook("a")}
    mine = {START: notebook("start()", "mine"), WEB: "kind: Pod  # mine\n"}
    mine |= {"notebooks/mine/00-start/a.yaml": "answer\n", "notebooks/Untitled.ipynb": "{}"}
    for name, text in mine.items():
        (labs / name).parent.mkdir(parents=True, exist_ok=True)
        (labs / name).write_text(text)
    report = folder.update(labs, source(tmp_path / "new", "0.2.0", **changes))
    after = texts(labs)
    assert {name: after[name] for name in mine} == mine
    assert report.new == ["notebooks/01_next.ipynb"] and not report.kept
    # The edit is still known to be one when the lab itself changes.
    changes[START] = notebook("start(1)")
    report = folder.update(labs, source(tmp_path / "newer", "0.3.0", **changes))
    assert texts(labs)["notebooks/kept/0.2.0/00_start.ipynb"] == mine[START]


def test_an_edited_file_that_is_gone_or_new_in_podlab_is_kept(tmp_path, labs):
    (labs / WEB).write_text("edited\n")
    (labs / "notebooks/manifests/00-start/job.yaml").write_text("the reader's own\n")
    changes = {WEB: None, "notebooks/manifests/00-start/job.yaml": "kind: Job\n"}
    folder.update(labs, source(tmp_path / "new", "0.2.0", **changes))
    after = texts(labs)
    assert WEB not in after
    assert after[f"{KEPT}/manifests/00-start/web.yaml"] == "edited\n"
    assert after["notebooks/manifests/00-start/job.yaml"] == "kind: Job\n"
    assert after[f"{KEPT}/manifests/00-start/job.yaml"] == "the reader's own\n"


def test_two_edits_of_one_version_are_both_kept(tmp_path, labs):
    """A podlab from git has the same version for long."""
    for number in (1, 2):
        (labs / WEB).write_text(f"edited {number}\n")
        changes = {WEB: f"new {number}\n"}
        folder.update(labs, source(tmp_path / f"new{number}", "0.1.0", **changes))
    after = texts(labs)
    assert after[f"{KEPT}/manifests/00-start/web.yaml"] == "edited 1\n"
    assert after[f"{KEPT}/manifests/00-start/web-2.yaml"] == "edited 2\n"


def test_an_update_that_was_interrupted_anywhere_goes_on(tmp_path, old, monkeypatch):
    changes = {
        START: notebook("start(1)"),
        WEB: "kind: Job\n",
        "notebooks/proofs/00_start.py": "\n",
    }
    new = source(tmp_path / "new", "0.2.0", **changes)
    number, interrupted = 0, True
    while interrupted:
        number += 1
        target = tmp_path / f"labs{number}"
        folder.init(target, old)
        (target / START).write_text(notebook("mine"))
        (target / WEB).write_text("mine\n")
        with monkeypatch.context() as patch:
            interrupt_at(patch, number)
            try:
                folder.update(target, new)
                interrupted = False
            except KeyboardInterrupt:
                assert not folder.is_current(target, new)
                assert notebook("mine") in texts(target).values()
                assert "mine\n" in texts(target).values()
        folder.update(target, new)
        assert folder.is_current(target, new)
        assert texts(target) == {
            **{name: text for name, text in texts(new).items() if name in changes},
            "README.md": folder.README,
            f"{KEPT}/00_start.ipynb": notebook("mine"),
            f"{KEPT}/manifests/00-start/web.yaml": "mine\n",
        }
    assert number == 6, "two copies and three files were written"


def test_labs_of_a_newer_podlab_are_left_alone(tmp_path, old):
    folder.init(tmp_path / "labs", source(tmp_path / "new", "0.10.0", **{WEB: "kind: Job\n"}))
    with pytest.raises(LabError, match=r"the labs are of podlab 0\.10\.0, and this is podlab 0\.1"):
        folder.update(tmp_path / "labs", old)
    assert (tmp_path / "labs" / WEB).read_text() == "kind: Job\n"


def test_a_record_that_cannot_be_read_is_told(labs, old):
    (labs / paths.MARK).write_text("{")
    with pytest.raises(LabError, match=r"folder\.json"):
        folder.update(labs, old)


def test_a_checkout_has_nothing_to_update(capsys):
    assert folder.is_current(paths.repository())
    assert cli.main(["update"]) == 1
    assert "use `git pull`" in capsys.readouterr().err


@pytest.mark.parametrize("where", [".", "notebooks/manifests", "PODLAB_HOME"])
def test_the_commands_find_the_folder(labs, tmp_path, monkeypatch, capsys, where):
    monkeypatch.delenv("PODLAB_HOME", raising=False)
    if where == "PODLAB_HOME":
        monkeypatch.setenv("PODLAB_HOME", str(labs))
    else:
        monkeypatch.chdir(labs / where)
    assert paths.notebooks() == labs / "notebooks"
    assert cli.notebook_of("00") == labs / START
    # This podlab has all labs, and is as new as the small one or newer.
    (labs / START).write_text(notebook("mine"))
    assert cli.main(["update"]) == 0
    assert f"You had edited {START}: yours is now {KEPT}/00_start.ipynb" in capsys.readouterr().out
    assert cli.notebook_of("02") == labs / "notebooks/02_pause.ipynb"


def test_without_a_folder_a_checkout_uses_its_own_and_a_wheel_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PODLAB_HOME", raising=False)
    assert paths.notebooks() == paths.repository() / "notebooks"
    monkeypatch.setattr(paths, "checkout", lambda: None)
    assert paths.folder() is None
    with pytest.raises(LabError, match="There are no labs here"):
        paths.notebooks()
    monkeypatch.setenv("PODLAB_HOME", str(tmp_path))
    with pytest.raises(LabError, match="PODLAB_HOME isn't a folder with labs"):
        paths.notebooks()
