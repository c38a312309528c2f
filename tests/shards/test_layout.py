"""Names of final and temporary files, and of manifests."""

from __future__ import annotations

import pytest

from dovebeam.transforms.errors import DriverSettingError
from dovebeam.transforms.shards.layout import Layout, check_run_id


@pytest.mark.parametrize(
    ("path", "compression", "name"),
    [
        ("events.json", "none", "events-r-00001-of-00003.json"),
        ("events.json", "gzip", "events-r-00001-of-00003.json.gz"),
        ("events.json", "zstd", "events-r-00001-of-00003.json.zst"),
        ("events.json.gz", "gzip", "events-r-00001-of-00003.json.gz"),
        ("a.d/events", "none", "a.d/events-r-00001-of-00003"),
        ("a/b/.hidden", "none", "a/b/.hidden-r-00001-of-00003"),
        ("2026/u%2F..json", "none", "2026/u%2F.-r-00001-of-00003.json"),
    ],
)
def test_final_names(path: str, compression: str, name: str) -> None:
    """The marks stand before the suffix, so that patterns such as *.json still find the files."""
    assert Layout("x", "r", compression).final(path, 1, 3) == name


def test_too_many_files() -> None:
    """More files than numbers is an error that says what to change."""
    layout = Layout("x", "r")
    assert layout.final("e.json", 99_998, 99_999).endswith("-99998-of-99999.json")
    with pytest.raises(ValueError, match="raise file_rotate_size"):
        layout.final("e.json", 0, 100_000)


@pytest.mark.parametrize("exporter", ["x", "../x", "a/b", "x" * 300, "ü", ""])
def test_names_with_the_exporter(exporter: str) -> None:
    """Whatever an exporter is called, the manifest is a file in the base, and what is temporary one directory below."""
    layout = Layout(exporter, "r")
    assert "/" not in layout.manifest
    assert len(layout.manifest.encode()) <= 200
    assert layout.manifest.endswith(".manifest.json")
    folder, _, name = layout.temporary.partition("/")
    assert folder == ".dovebeam"
    assert "/" not in name
    assert len(name.encode()) <= 200
    assert layout.part("u").startswith(f"{layout.temporary}/")
    assert layout.written("u") != layout.part("u")


def test_runs_and_exporters_do_not_meet() -> None:
    """No two of them share a manifest, a temporary directory or a final name."""
    layouts = [Layout("x", "r"), Layout("x", "s"), Layout("y", "r")]
    assert len({layout.manifest for layout in layouts}) == 3
    assert len({layout.temporary for layout in layouts}) == 3
    assert Layout("x", "r").final("e", 0, 1) != Layout("x", "s").final("e", 0, 1)


@pytest.mark.parametrize("run_id", ["r", "2026-11-22", "a.b_c-d", "0" * 32])
def test_run_ids(run_id: str) -> None:
    """Letters, digits and a few marks can be in a name."""
    assert check_run_id(run_id) == run_id


@pytest.mark.parametrize("run_id", ["", ".", "..", ".a", "-a", "a/b", "a b", "a\n", "ü", "0" * 33, "a\0", "%41", "a~1"])
def test_names_that_no_run_can_have(run_id: str) -> None:
    """Anything that could lead elsewhere, or be taken for something else, is refused."""
    with pytest.raises(DriverSettingError, match="cannot be a part of file names"):
        check_run_id(run_id)
