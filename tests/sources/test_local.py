"""Files of this machine as blocks, without a pipeline."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import pytest

from dovebeam.transforms.sources import SourceError, read_local_blocks
from support.oracle.corpus import CORPUS

LINES = b'{"event":"a"}\n' * 30_000


@pytest.mark.parametrize("packed", [LINES, gzip.compress(LINES)], ids=["plain", "gzip"])
def test_lines(tmp_path: Path, packed: bytes) -> None:
    """All lines in their order, in several blocks with the offsets of their content."""
    path = tmp_path / "events"
    path.write_bytes(packed)
    blocks = list(read_local_blocks(str(path), "auto", 1000))
    assert b"".join(block.data for block in blocks) == LINES
    assert len(blocks) > 1
    assert all(LINES[block.offset :].startswith(block.data) for block in blocks)
    assert {block.format for block in blocks} == {"json"}


@pytest.mark.parametrize(("name", "format_"), [("events.tab.gz", "tab-text"), ("events.json.gz", "json")])
def test_formats(name: str, format_: str) -> None:
    """The format is told by content, unless it is given."""
    path = str(CORPUS / name)
    assert next(read_local_blocks(path, "auto", 1 << 20)).format == format_
    assert next(read_local_blocks(path, "tab-text", 1 << 20)).format == "tab-text"


def test_long_lines(tmp_path: Path) -> None:
    """Of a line that is too long only the head is kept."""
    path = tmp_path / "events"
    path.write_bytes(b"x" * 200_000 + b"\n{}\n")
    first, second = read_local_blocks(str(path), "json", 1000)
    assert (first.overlong_bytes, second.data) == (200_000, b"{}\n")


def test_nothing(tmp_path: Path) -> None:
    """An empty file has no blocks."""
    (tmp_path / "events").touch()
    assert list(read_local_blocks(str(tmp_path / "events"), "auto", 1000)) == []


def test_unreadable(tmp_path: Path) -> None:
    """What is no file is an error with its name."""
    for name in ("", "missing"):
        with pytest.raises(SourceError, match=str(tmp_path)):
            list(read_local_blocks(str(tmp_path / name), "auto", 1000))


def test_damage_is_a_block(tmp_path: Path) -> None:
    """A file that is cut off, packed otherwise or no Avro file ends with a block that says so, with the place."""
    (tmp_path / "cut.gz").write_bytes(gzip.compress(LINES)[:-20])
    (tmp_path / "packed").write_bytes(bz2.compress(LINES))
    (tmp_path / "cut.avro").write_bytes(b"Obj\x01\x04")
    for name, message in (("cut.gz", "is cut off"), ("packed", "with bzip2"), ("cut.avro", "is cut off")):
        *lines, last = read_local_blocks(str(tmp_path / name), "auto", 1 << 20)
        assert not any(block.damage for block in lines)
        assert (last.uri, last.records) == (str(tmp_path / name), 1)
        assert message in last.damage
        assert b"".join(block.data for block in lines) + last.data == LINES[: last.offset + len(last.data)]
