"""Files as targets, looked at before a job starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.jobs.commands import dovebeam, exporter, metric, write_config, write_events

EVENT = b'{"event":"e","fields":{"user":"u"}}'
FAR = "--runner=support.jobs.far_runner.FarRunner"


def two_exporters(folder: Path, first: str, second: str) -> Path:
    """A configuration of two exporters with a path each, both in shards mode."""
    names = [("a", first), ("b", second)]
    blocks = [exporter(name, "file", "json", f"file_path = {path}", "file_writing = shards") for name, path in names]
    return write_config(folder, *blocks, metric("m", "event=e", "a"), metric("n", "event=e", "b"))


def one_exporter(folder: Path, *settings: str) -> Path:
    """A configuration of one exporter of everything."""
    return write_config(folder, exporter("x", "file", "json", *settings), metric("m", "event=e", "x"))


def test_appending_elsewhere(tmp_path: Path) -> None:
    """A remote job cannot append to a file; the error has the place and says what to write."""
    config = one_exporter(tmp_path, f"file_path = {tmp_path}/out.json")
    ran = dovebeam("export", "--config", config, "--input", write_events(tmp_path, [EVENT]), FAR, "--wait")
    assert ran.code == 78
    assert f"error: {config}:6: event_exporter x: event_exporter_file_path: the job is remote" in ran.err
    assert "add file_writing = shards" in ran.err
    assert not (tmp_path / "out.json").exists()


def test_local_shards_elsewhere(tmp_path: Path) -> None:
    """A local directory is right only if all workers share it: a warning with its place."""
    config = one_exporter(tmp_path, f"file_path = {tmp_path}/out.json", "file_writing = shards")
    events = write_events(tmp_path, [EVENT])
    ran = dovebeam("export", "--config", config, "--input", events, "--run_id=r", FAR, "--wait")
    assert ran.code == 0
    assert f"warning: {config}:6: event_exporter x: the job is remote; all its workers must have" in ran.err
    assert (tmp_path / "out-r-00000-of-00001.json").read_bytes() == b'{"event":"e","fields":{"user":"u"}}\n'


def test_local_shards_here(tmp_path: Path) -> None:
    """Here there is nothing to warn of."""
    config = one_exporter(tmp_path, f"file_path = {tmp_path}/out.json", "file_writing = shards")
    ran = dovebeam("export", "--config", config, "--input", write_events(tmp_path, [EVENT]))
    assert (ran.code, ran.err) == (0, "")


@pytest.mark.parametrize(("first", "second"), [("out.json", "out.json"), ("out.json", "./sub/../out.json")])
def test_clashing_shards(tmp_path: Path, first: str, second: str) -> None:
    """Two exporters whose shards would have the same names are refused, however the path is written."""
    (tmp_path / "sub").mkdir()
    config = two_exporters(tmp_path, f"{tmp_path}/{first}", f"{tmp_path}/{second}")
    ran = dovebeam("export", "--config", config, "--input", write_events(tmp_path, [EVENT]))
    assert ran.code == 78
    assert f"error: {config}:12: event_exporter b: event_exporter_file_path: event_exporter a writes" in ran.err


def test_shards_beside_each_other(tmp_path: Path) -> None:
    """Other names in one directory are no clash, and each exporter has a manifest of its own."""
    config = two_exporters(tmp_path, f"{tmp_path}/one.json", f"{tmp_path}/two.json")
    ran = dovebeam("export", "--config", config, "--input", write_events(tmp_path, [EVENT]), "--run_id=r")
    assert (ran.code, ran.err) == (0, "")
    made = {path.name for path in tmp_path.iterdir()} - {"dovecot.conf", "events.json"}
    files = {"one-r-00000-of-00001.json", "two-r-00000-of-00001.json"}
    assert made == files | {"a-r.manifest.json", "b-r.manifest.json"}
