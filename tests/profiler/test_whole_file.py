"""A file is replaced whole or left as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from profiler.whole_file import write_whole_file


def test_content_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_whole_file(path, b"first")
    write_whole_file(path, b"second")
    assert path.read_bytes() == b"second"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]


def test_what_was_there_stays_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    write_whole_file(path, b"first")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("profiler.whole_file.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole_file(path, b"second")
    assert path.read_bytes() == b"first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]
