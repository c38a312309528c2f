"""Reading the files of a configuration."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dovebeam.transforms.config.files import LOCAL_FILES, TooLargeError


def test_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any bytes survive; a directory is empty; limits and kinds of files are kept."""
    monkeypatch.chdir(tmp_path)
    read = LOCAL_FILES.read
    (tmp_path / "raw").write_bytes(b"\xff\xc3\xa4\n")
    assert read("raw") == "\udcffä\n"
    assert read(str(tmp_path)) == ""
    assert read("raw", limit=4) == "\udcffä\n"
    with pytest.raises(TooLargeError, match="larger than 3 bytes"):
        read("raw", limit=3)
    os.mkfifo("pipe")
    for special in ("pipe", "/dev/zero"):
        with pytest.raises(OSError, match="Not a regular file"):
            read(special)
    with pytest.raises(TooLargeError):
        read("/dev/zero", limit=100, pipes=True)
