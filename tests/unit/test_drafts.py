"""A file is written whole, or stays as it was."""

import os
from pathlib import Path

import pytest

from labhelpers.drafts import write_whole


def test_what_breaks_off_leaves_the_file_and_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(descriptor: int) -> None:
        assert [path.name for path in tmp_path.iterdir() if path != kept] != [], "the draft lies beside the file"
        raise OSError(28, "No space left on device")

    kept = tmp_path / "kept"
    write_whole(kept, "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(kept, "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"kept": "old"}


@pytest.mark.parametrize(("private", "mode"), [(True, 0o600), (False, 0o644)])
def test_who_may_read_it(tmp_path: Path, private: bool, mode: int):
    before = os.umask(0o022)
    try:
        write_whole(tmp_path / "file", "text", private=private)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode
