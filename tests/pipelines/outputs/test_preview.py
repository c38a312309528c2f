"""The files of a preview."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.pipelines.outputs.preview import Preview, preview_name
from dovebeam.transforms import Config, load_config
from dovebeam.transforms.errors import DeliveryError
from support.commands import exporter, metric, write_config


@pytest.mark.parametrize(
    ("name", "format_", "expected"),
    [
        ("file-all", "json", "file-all.json"),
        ("a_b.c", "tab-text", "a_b.c.tab"),
        ("ping", "none", "ping.txt"),
        ("..", "json", "%2E%2E.json"),
        (".hidden", "json", "%2Ehidden.json"),
        ("../../etc/passwd", "json", "%2E%2E%2F..%2Fetc%2Fpasswd.json"),
        ("a%2Fb", "json", "a%252Fb.json"),
        ("", "json", "%.json"),
        ("ü", "json", "%C3%BC.json"),
        ("a b\n\0", "json", "a%20b%0A%00.json"),
    ],
)
def test_names(name: str, format_: str, expected: str) -> None:
    """Names are encoded so that they are plain file names."""
    assert preview_name(name, format_) == expected


@given(st.text(max_size=400), st.text(max_size=400))
def test_names_are_safe_and_different(one: str, other: str) -> None:
    """No name leaves its directory or is too long for a file system, and two exporters never share a file."""
    first, second = preview_name(one, "json"), preview_name(other, "json")
    for name in (first, second):
        assert Path(name).name == name
        assert len(name) <= 255
        assert not name.startswith(".")
    assert (first == second) == (one == other)


def config(folder: Path) -> Config:
    """Three exporters, of which two are used."""
    return load_config(
        write_config(
            folder,
            exporter("a", "drop"),
            exporter("b/c", "log", "tab-text"),
            exporter("unused", "drop"),
            metric("m", "event=*", "a"),
            metric("n", "event=*", "b/c"),
        )
    )


def test_prepare(tmp_path: Path) -> None:
    """Directories are made, and one private empty file for each exporter in use."""
    preview = Preview.prepare(str(tmp_path / "x" / "y"), config(tmp_path))
    files = sorted(path.name for path in (tmp_path / "x" / "y").iterdir())
    assert files == ["a.json", "b%2Fc.tab"]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "x" / "y").iterdir()} == {0o600}
    assert {name: driver.endpoint for name, driver in preview.drivers().items()} == preview.paths


def test_what_exists_is_not_touched(tmp_path: Path) -> None:
    """A file of the same name is an error that names it, and no other file is left behind."""
    (tmp_path / "b%2Fc.tab").write_text("mine")
    (tmp_path / "other").write_text("mine, too")
    settings = config(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(DeliveryError, match=r"b%2Fc.tab exists already; .* name another directory"):
        Preview.prepare(str(tmp_path), settings)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_no_directory(tmp_path: Path) -> None:
    """A file in the place of the directory is told with its path."""
    (tmp_path / "file").touch()
    with pytest.raises(DeliveryError, match="mkdir"):
        Preview.prepare(str(tmp_path / "file" / "x"), config(tmp_path))


def test_discard_empty(tmp_path: Path) -> None:
    """After a failure only what holds something stays."""
    preview = Preview.prepare(str(tmp_path / "p"), config(tmp_path))
    Path(preview.paths["a"]).write_text("x")
    preview.discard_empty()
    assert [path.name for path in (tmp_path / "p").iterdir()] == ["a.json"]
