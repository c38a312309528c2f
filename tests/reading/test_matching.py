"""Which files are read, and errors that are told at launch."""

import os
from pathlib import Path

import apache_beam as beam
import pytest

from dovebeam.transforms.reading import FoundFile, ReadBlocks, match_files
from dovebeam.transforms.sources import SourceError


def test_matching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file once, in the order of names, whatever the order and overlap of the patterns, also relative ones."""
    for name in ("b", "a", "c[1]", "sub/d"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    monkeypatch.chdir(tmp_path)

    def names(*patterns: str) -> list[str]:
        assert {file.size for file in match_files(patterns)} == {5}
        return [os.path.relpath(file.uri, tmp_path) for file in match_files(patterns)]

    assert names("b", "*", "./a", f"{tmp_path}/a") == ["a", "b", "c[1]"]
    assert names("**") == ["a", "b", "c[1]", "sub/d"]
    assert names("c[1]", "sub/") == ["c[1]", "sub/d"]
    assert names("[ab]") == ["a", "b"]
    assert match_files(["b"]) == [FoundFile(str(tmp_path / "b"), 5)]


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["none", "a", "no*"], r"no file matches .*/none, .*/no\*; check the spelling"),
        (["."], "is a directory; to read the files in it"),
        (["pipe"], "is no regular file"),
        (["ftp://host/x"], "cannot be matched: ValueError: Unable to get filesystem"),
        ([], "no input"),
    ],
)
def test_errors_at_launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patterns: list[str], message: str) -> None:
    """What cannot be read is told before the job starts, all that match nothing at once."""
    (tmp_path / "a").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=message):
        _ = beam.Pipeline(argv=["--runner=DirectRunner"]) | ReadBlocks(patterns)
