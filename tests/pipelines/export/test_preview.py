"""`dovebeam export --preview` as a command."""

from __future__ import annotations

from pathlib import Path

from dovebeam.pipelines.export.preview import MARKER
from support.jobs.commands import (
    dovebeam,
    exporter,
    metric,
    write_config,
)
from support.jobs.export_command import EVENTS, LINES, everything_to
from support.programs import free_port


def test_preview_sends_nothing(tmp_path: Path, events: Path) -> None:
    """A preview of targets that don't exist is done, whatever the drivers."""
    blocks = [
        exporter("f", "file", "json", f"file_path = {tmp_path}/never"),
        exporter("../h", "http-post", "tab-text", f"http_post_url = http://127.0.0.1:{free_port()}/"),
        exporter("n", "unix", "none", "unix_path = /nonexistent/socket"),
        exporter("l", "log"),
        *(metric(f"m{index}", "event=*", name) for index, name in enumerate(("f", "../h", "n", "l"))),
    ]
    preview = tmp_path / "new" / "preview"
    ran = dovebeam("export", "--config", write_config(tmp_path, *blocks), "--input", events, "--preview", preview)
    assert ran.code == 0, ran.err
    names = sorted(path.name for path in preview.iterdir() if path.name != MARKER)
    assert names == ["%2E%2E%2Fh.tab", "f.json", "l.json", "n.txt"]
    assert (preview / "f.json").read_bytes().splitlines() == list(LINES)
    assert (preview / "n.txt").read_bytes() == b"\n" * EVENTS
    assert ran.err == ""
    assert not (tmp_path / "never").exists()


def test_preview_replaces_only_a_preview(tmp_path: Path, events: Path) -> None:
    """The second run into the same directory replaces the first; a file of the same name without one is kept."""
    config = everything_to(tmp_path, "drop")
    arguments = ["export", "--config", config, "--input", events, "--preview", tmp_path / "p"]
    assert dovebeam(*arguments).code == 0
    before = (tmp_path / "p" / "x.json").read_bytes()
    (tmp_path / "p" / "x.json").write_bytes(b"of the first run")
    assert dovebeam(*arguments).code == 0
    assert (tmp_path / "p" / "x.json").read_bytes() == before
    (tmp_path / "p" / MARKER).unlink()
    ran = dovebeam(*arguments)
    assert ran.code == 1
    assert "exists already" in ran.err
    assert (tmp_path / "p" / "x.json").read_bytes() == before


def test_a_preview_that_cannot_begin_keeps_the_earlier_one(tmp_path: Path, events: Path) -> None:
    """A missing input or a wrong option is noticed before an earlier preview is removed."""
    config = everything_to(tmp_path, "drop")
    arguments = ["export", "--config", config, "--preview", tmp_path / "p", "--input"]
    assert dovebeam(*arguments, events).code == 0
    before = (tmp_path / "p" / "x.json").read_bytes()
    assert dovebeam(*arguments, tmp_path / "missing").code == 1
    assert dovebeam(*arguments, events, "--ledger", tmp_path / "p" / "x.json").code == 2
    assert (tmp_path / "p" / "x.json").read_bytes() == before


def test_preview_that_failed_can_be_run_again(tmp_path: Path, events: Path) -> None:
    """Empty files of a job that failed early are not in the way."""
    config = everything_to(tmp_path, "drop")
    missing = ["export", "--config", config, "--preview", tmp_path / "p", "--input"]
    assert dovebeam(*missing, tmp_path / "missing").code == 1
    assert not (tmp_path / "p").exists()
    assert dovebeam(*missing, events).code == 0
