"""The files of a preview."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.pipelines.export.preview import MARKER, Preview, preview_name
from dovebeam.transforms import Config, load_config
from dovebeam.transforms.errors import DeliveryError
from support.jobs.commands import exporter, metric, write_config


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


def _metrics(*exporters: str) -> list[str]:
    return [metric(f"m{index}", "event=*", name) for index, name in enumerate(exporters)]


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
    preview = Preview.plan(str(tmp_path / "x" / "y"), config(tmp_path))
    preview.claim()
    files = sorted(path.name for path in (tmp_path / "x" / "y").iterdir())
    assert files == [MARKER, "a.json", "b%2Fc.tab"]
    assert {Path(path).stat().st_mode & 0o777 for path in preview.paths.values()} == {0o600}
    assert {name: driver.endpoint for name, driver in preview.drivers().items()} == preview.paths


def test_what_exists_is_not_touched(tmp_path: Path) -> None:
    """A file of the same name is an error that names it, and no other file is left behind."""
    (tmp_path / "b%2Fc.tab").write_text("mine")
    (tmp_path / "other").write_text("mine, too")
    settings = config(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(DeliveryError, match=r"b%2Fc.tab exists already and not .* name another directory"):
        Preview.plan(str(tmp_path), settings).claim()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_no_directory(tmp_path: Path) -> None:
    """A file in the place of the directory is told with its path."""
    (tmp_path / "file").touch()
    with pytest.raises(DeliveryError, match="mkdir"):
        Preview.plan(str(tmp_path / "file" / "x"), config(tmp_path)).claim()


def test_discard_empty(tmp_path: Path) -> None:
    """After a failure only what holds something stays."""
    preview = Preview.plan(str(tmp_path / "p"), config(tmp_path))
    preview.claim()
    Path(preview.paths["a"]).write_text("x")
    preview.discard_empty()
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == [MARKER, "a.json"]


def test_a_failed_job_leaves_no_directory(tmp_path: Path) -> None:
    """Directories that were made for a preview go with its last file; those that hold something else stay."""
    preview = Preview.plan(str(tmp_path / "x" / "y" / "z"), config(tmp_path))
    preview.claim()
    (tmp_path / "x" / "mine").touch()
    preview.discard_empty()
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["mine"]


def test_an_earlier_preview_is_replaced(tmp_path: Path) -> None:
    """Files of an earlier preview go, also those of exporters that are not there any more; nothing else does."""
    first = write_config(tmp_path, exporter("old", "drop"), exporter("a", "drop"), *_metrics("old", "a"))
    for text, settings in (("1", load_config(first)), ("2", config(tmp_path))):
        preview = Preview.plan(str(tmp_path / "p"), settings)
        preview.claim()
        for path in preview.paths.values():
            assert Path(path).read_text() == ""
            Path(path).write_text(text)
        (tmp_path / "p" / "mine").write_text("mine")
    found = {path.name: path.read_text() for path in (tmp_path / "p").iterdir() if path.name != MARKER}
    assert found == {"a.json": "2", "b%2Fc.tab": "2", "mine": "mine"}


@pytest.mark.parametrize(
    "marker", ["", "[]", "{}", '{"files": 5}', '{"files": ["../keep", "/keep", 5, "a/b"]}', "\xff"]
)
def test_a_marker_names_files_of_its_directory_only(marker: str, tmp_path: Path) -> None:
    """A marker that is damaged, or was made to lead elsewhere, lets nothing be removed."""
    (tmp_path / "keep").touch()
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / MARKER).write_text(marker, "latin-1")
    Preview.plan(str(tmp_path / "p"), config(tmp_path)).claim()
    assert (tmp_path / "keep").exists()
