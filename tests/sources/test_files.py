"""Patterns and paths before reading."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dovebeam.transforms.sources import SourceError, SourceFile, absolute_pattern, check_readable


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.json", "{cwd}/*.json"),
        ("./a.json", "{cwd}/a.json"),
        ("a//b.json", "{cwd}/a/b.json"),
        ("logs/", "{cwd}/logs/"),
        ("../a.json", "{cwd}/../a.json"),
        ("/var/log/a.json", "/var/log/a.json"),
        ("gs://mail/a//b.json", "gs://mail/a//b.json"),
    ],
)
def test_patterns_become_absolute(pattern: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths depend no more on the current folder; URLs stay."""
    monkeypatch.chdir(tmp_path)
    assert absolute_pattern(pattern) == expected.format(cwd=tmp_path)


def test_what_is_no_readable_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Directories, pipes, missing and forbidden files each have their own message; a link to a file is a file."""
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    check_readable(str(tmp_path / "file"))
    check_readable(str(tmp_path / "link"))
    for path, message in (
        (tmp_path, "is a directory"),
        (tmp_path / "pipe", "not a regular file"),
        (tmp_path / "missing", "No such file"),
    ):
        with pytest.raises(SourceError, match=message) as caught:
            check_readable(str(path))
        assert caught.value.uri == str(path)
    monkeypatch.setattr(os, "access", lambda *_args: False)
    with pytest.raises(SourceError, match="permission denied"):
        check_readable(str(tmp_path / "file"))


@pytest.mark.parametrize(
    ("compression", "format_", "splittable"),
    [
        ("none", "json", True),
        ("none", "tab-text", True),
        ("none", "avro", False),
        ("gzip", "json", False),
        ("zstd", "json", False),
    ],
)
def test_only_plain_text_is_splittable(compression: str, format_: str, splittable: bool) -> None:
    """Compressed files and Avro cannot be read from the middle."""
    assert SourceFile("file", 1, compression, format_).splittable is splittable  # type: ignore[arg-type]
