"""What comes out of a tar, with Python's own filter and on a Python that has none yet (Debian 12's
3.11.2)."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from labhelpers import files, paths
from labhelpers.errors import LabError
from labhelpers.files import write_atomically

DEBIANS = Path("/usr/bin/python3.11")


@pytest.fixture(params=["with a filter", "without"])
def python(request, monkeypatch):
    """This Python as it is, and as one without filters: there, extractall does not know the
    word."""
    if request.param == "without":
        real = tarfile.TarFile.extractall
        monkeypatch.delattr(tarfile, "data_filter")
        monkeypatch.setattr(
            tarfile.TarFile,
            "extractall",
            lambda self, path, members: real(self, path, members, filter="fully_trusted"),
        )


def tar(path, *members):
    with tarfile.open(path, "w") as archive:
        for name, settings in members:
            info = tarfile.TarInfo(name)
            for key, value in settings.items():
                setattr(info, key, value)
            info.size = 4 if info.isfile() else 0
            archive.addfile(info, io.BytesIO(b"text"))
    return path


def test_what_is_asked_for_comes_out(python, tmp_path):
    file = tar(tmp_path / "room.tar", ("manifest.json", {}), ("wheels/a.whl", {}))
    files.extract_tar(file, tmp_path / "some", "wheels/")
    files.extract_tar(file, tmp_path / "all")
    found = sorted(
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()
    )
    assert found == ["all/manifest.json", "all/wheels/a.whl", "room.tar", "some/wheels/a.whl"]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("../beside", {}),
        ("wheels/../../beside", {}),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "../beside"}),
        ("link", {"type": tarfile.LNKTYPE, "linkname": "../beside"}),
        ("device", {"type": tarfile.CHRTYPE}),
    ],
)
def test_nothing_gets_beside_the_folder(python, tmp_path, name, settings):
    (tmp_path / "beside").write_text("mine")
    with pytest.raises(LabError, match="The bundle can't be read"):
        files.extract_tar(tar(tmp_path / "room.tar", (name, settings)), tmp_path / "folder")
    assert (tmp_path / "beside").read_text() == "mine"


def test_an_absolute_name_is_refused_where_nobody_cuts_it(monkeypatch, tmp_path):
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(LabError, match="isn't a plain file"):
        files.extract_tar(
            tar(tmp_path / "room.tar", (str(tmp_path / "beside"), {})), tmp_path / "folder"
        )
    assert not (tmp_path / "beside").exists()


@pytest.mark.parametrize("content", [None, "no tar"])
def test_what_cannot_be_read_is_told(tmp_path, content):
    if content:
        (tmp_path / "room.tar").write_text(content)
    with pytest.raises(LabError, match="The bundle can't be read"):
        files.extract_tar(tmp_path / "room.tar", tmp_path)


@pytest.mark.skipif(not DEBIANS.exists(), reason="the machine has no Python 3.11 of Debian's")
def test_debians_own_python_opens_a_bundle(tmp_path):
    file = tar(tmp_path / "room.tar", ("wheels/a.whl", {}))
    script = (
        "import sys, pathlib, labhelpers.cluster.environment as e;"
        " e.files.extract_tar(*map(pathlib.Path, sys.argv[1:]))"
    )
    command = [DEBIANS, "-S", "-c", script, file, tmp_path / "out"]
    done = subprocess.run(
        command, cwd=paths.repository(), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "wheels" / "a.whl").read_text() == "text"


def test_a_full_disk_leaves_the_file_and_no_draft_and_is_told_with_the_name(small_disk):
    kept = small_disk.folder / "kept"
    write_atomically(kept, "old")
    small_disk.fill()
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(kept, "new")
    assert caught.value.filename == str(kept)
    with (
        pytest.raises(OSError, match="No space left") as caught,
        files.made_atomically(kept) as new,
    ):
        new.write_text("new")
    assert caught.value.filename == str(kept)
    small_disk.free()
    assert {path.name: path.read_text() for path in kept.parent.iterdir()} == {"kept": "old"}


@pytest.mark.parametrize(("private", "mode"), [(True, 0o600), (False, 0o644)])
def test_who_may_read_it(tmp_path: Path, private: bool, mode: int):
    before = os.umask(0o022)
    try:
        write_atomically(tmp_path / "file", "text", private=private)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode
