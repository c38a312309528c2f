"""Which files are read, and errors that are told at launch."""

import os
from pathlib import Path

import apache_beam as beam
import pytest

from dovebeam.transforms.filesystems import match_files
from dovebeam.transforms.read_from_files import ReadFromFiles
from dovebeam.transforms.sources import FoundFile, SourceError
from support.read_blocks import run


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


def test_all_unreadable_files_are_told_at_once(tmp_path: Path) -> None:
    """What a pattern matches is looked at before the job starts, and not only its first file."""
    (tmp_path / "a").write_bytes(b"x")
    for name in ("b", "c"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(SourceError, match=r"2 files cannot be read:\n.*/b: is not a .*\n.*/c: is not a ") as caught:
        _ = beam.Pipeline(argv=["--runner=DirectRunner"]) | ReadFromFiles(f"{tmp_path}/*")
    assert "dangling" not in str(caught.value)


def test_a_file_of_many_names_is_read_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By other spellings, links to it or to its directory, and hard links; the name that is no link stands for all."""
    (tmp_path / "z").mkdir()
    file = tmp_path / "z" / "events"
    file.write_bytes(b"12345")
    (tmp_path / "link").symlink_to("z/events")
    (tmp_path / "again").symlink_to("z")
    os.link(file, tmp_path / "z" / "hard")
    patterns = [str(tmp_path / "link"), f"{tmp_path}/z/./events", str(file), str(tmp_path / "again" / "*")]
    assert match_files(patterns, tell=True) == [FoundFile(str(file), 5)]
    assert f"{tmp_path}/link is the same file as {file}, and is read once" in caplog.messages
    assert f"{file} is another spelling of {tmp_path}/z/./events, and is read once" in caplog.messages
    assert [file.uri for file in match_files([str(tmp_path / "link")])] == [str(tmp_path / "link")]


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    """Such a file is called by a text that shows its bytes, and opened by its path; its directory, too."""
    folder = os.fsencode(tmp_path) + b"/d\xe9"
    os.mkdir(folder)
    with open(folder + b"/caf\xe9.json", "wb") as file:
        file.write(b"{}\n")
    for pattern in (os.fsdecode(folder) + "/*", os.fsdecode(folder) + "/caf\udce9.json"):
        (found,) = match_files([pattern])
        assert (found.uri, found.path) == (f"{tmp_path}/d\\xe9/caf\\xe9.json", folder + b"/caf\xe9.json")
        (block,) = run(pattern)
        assert (block.uri, block.data) == (found.uri, b"{}\n")


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["none", "a", "no*"], r"no file matches .*/none, .*/no\*; check the spelling"),
        (["."], "is a directory; to read the files in it"),
        (["pipe"], "is not a regular file"),
        (["ftp://host/x"], "cannot be matched: no installed file system can read or write ftp://"),
        ([], "no input"),
    ],
)
def test_errors_at_launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patterns: list[str], message: str) -> None:
    """What cannot be read is told before the job starts, all that match nothing at once."""
    (tmp_path / "a").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=message):
        _ = beam.Pipeline(argv=["--runner=DirectRunner"]) | ReadFromFiles(patterns)
