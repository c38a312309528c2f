"""How much there is to read."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from dovebeam.pipelines.running.launch import input_size
from dovebeam.transforms.sources import SourceError


def test_plain_files(tmp_path: Path) -> None:
    """Plain files count with their size, each once."""
    (tmp_path / "a.json").write_bytes(b"{}\n" * 10)
    (tmp_path / "b.json").write_bytes(b"{}\n")
    assert input_size([str(tmp_path / "*.json"), str(tmp_path / "a.json")]) == 33


@pytest.mark.parametrize("content", [gzip.compress(b"{}\n", mtime=0), b"Obj\x01rest"], ids=["gzip", "avro"])
def test_unknown(content: bytes, tmp_path: Path) -> None:
    """What compressed files hold is not known beforehand, whatever their name."""
    (tmp_path / "a.json").write_bytes(b"{}\n")
    (tmp_path / "b.json").write_bytes(content)
    assert input_size([str(tmp_path / "*.json")]) is None


def test_nothing(tmp_path: Path) -> None:
    """A pattern without files is an error here, too."""
    with pytest.raises(SourceError):
        input_size([str(tmp_path / "*.json")])
