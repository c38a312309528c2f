"""`dovebeam stream` with `file_writing = shards`: complete files for windows of event time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from dovebeam.pipelines.stream import shards as stream_shards
from dovebeam.pipelines.stream.shards import StreamShards, stream_name
from dovebeam.transforms.drivers import FileDriver
from dovebeam.transforms.drivers.backoff import Backoff
from dovebeam.transforms.errors import DeliveryError
from support.jobs.commands import dovebeam, exporter, metric, write_config
from support.jobs.stream_command import Job
from support.jobs.window_files import SETTINGS, digests, files_of, lines_in, spooled, timed_line
from support.programs import HANG_SECS, wait_until


def shards_job(folder: Path, *settings: str) -> tuple[Job, Path]:
    """A stream and the directory of its files."""
    base = folder / "out"
    base.mkdir()
    return Job(folder, f"file_path = {base / 'events.json'}", *SETTINGS, *settings), base


def drain(process: subprocess.Popen[str]) -> str:
    """Ends it as an operator does; what it said."""
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=HANG_SECS)
    assert process.returncode == 0, err
    return err


def test_a_stream_and_its_next_start(tmp_path: Path) -> None:
    """A drained stream leaves nothing unwritten; what comes later for the same hour changes no file that is there."""
    job, base = shards_job(tmp_path)
    job.append(timed_line(1) + timed_line(2) + timed_line(3, hour=13))
    with job.running("--run_id", "mail1") as process:
        wait_until(lambda: len(spooled(base)) >= 2, "the spool")
        assert files_of(base) == []
        drain(process)
    (noon,), (later,) = files_of(base, 12), files_of(base, 13)
    assert (noon.read_bytes(), later.read_bytes()) == (timed_line(1) + timed_line(2), timed_line(3, hour=13))
    assert noon.name.startswith("events-20261120T120000Z-mail1-")
    assert noon.name.endswith("-00000-of-00001.json")
    ledger = json.loads((tmp_path / "ledger.json").read_bytes())
    assert (ledger["delivered"], ledger["imbalances"]) == (3, [])
    (path,) = base.glob("*.manifest.json")
    manifest = json.loads(path.read_bytes())
    assert (manifest["state"], [file["name"] for file in manifest["files"]]) == ("done", [noon.name, later.name])

    before = digests(base)
    job.append(timed_line(4))
    with job.running("--run_id", "mail1") as process:
        wait_until(lambda: len(spooled(base)) >= 2, "the spool")
        drain(process)
    assert before.items() < digests(base).items()
    assert lines_in(base, 12) == [timed_line(1), timed_line(2), timed_line(4)]
    assert spooled(base) == []


def test_files_appear_while_the_stream_runs(tmp_path: Path) -> None:
    """When the delay is over, without anything else that happens."""
    job, base = shards_job(tmp_path, "file_window_delay = 1 s")
    with job.running() as process:
        job.append(timed_line(1))
        wait_until(lambda: lines_in(base) == [timed_line(1)], "the file")
        job.append(timed_line(2))
        wait_until(lambda: lines_in(base) == [timed_line(1), timed_line(2)], "the second file")
        drain(process)
    assert len(files_of(base)) == 2


def test_killed_with_events_in_the_spool(tmp_path: Path) -> None:
    """What was acknowledged and in no file yet is in one after the next start, also if nothing more comes."""
    job, base = shards_job(tmp_path)
    job.append(timed_line(1))
    with job.running() as process:
        wait_until(lambda: job.acknowledged() == len(timed_line(1)), "acknowledgement")
        process.kill()
    assert files_of(base) == []
    with job.running() as process:
        job.append(timed_line(2))
        wait_until(lambda: job.acknowledged() == 2 * len(timed_line(1)), "acknowledgement")
        drain(process)
    assert lines_in(base) == [timed_line(1), timed_line(2)]
    assert spooled(base) == []


def test_two_streams_of_one_name(tmp_path: Path) -> None:
    """The second one says what is wrong and delivers nothing."""
    job, base = shards_job(tmp_path)
    other = Job(tmp_path / "other", f"file_path = {base / 'events.json'}", *SETTINGS) if _made(tmp_path) else None
    assert other is not None
    with job.running("--run_id", "same") as process:
        job.append(timed_line(1))
        wait_until(lambda: len(spooled(base)) >= 2, "the spool")
        other.append(timed_line(2))
        ran = dovebeam("stream", *other.options, "--run_id", "same")
        assert ran.code == 1
        assert "is locked: the same run is active elsewhere" in ran.err
        drain(process)
    assert lines_in(base) == [timed_line(1)]


def _made(folder: Path) -> bool:
    (folder / "other").mkdir()
    return True


def test_one_whose_files_cannot_be_made_keeps_no_other_from_it(tmp_path: Path) -> None:
    """It tries for itself, before anything of its own is spooled; its files are made when its place is there."""
    job, base = shards_job(tmp_path)
    away = tmp_path / "away"
    soon = (*SETTINGS, "file_window_delay = 1 s")
    write_config(
        tmp_path,
        exporter("a", "file", "json", f"file_path = {away / 'events.json'}", *soon),
        exporter("b", "file", "json", f"file_path = {base / 'events.json'}", *soon),
        metric("ma", "event=*", "a"),
        metric("mb", "event=*", "b"),
    )
    job.append(timed_line(1))
    with job.running() as process:
        wait_until(lambda: lines_in(base) == [timed_line(1)], "the file of the one behind")
        away.mkdir()
        wait_until(lambda: lines_in(away) == [timed_line(1)], "the file of the one before")
        job.append(timed_line(2))
        wait_until(lambda: lines_in(base) == lines_in(away) == [timed_line(1), timed_line(2)], "both")
        told = drain(process)
    assert f"event_exporter a: open({away}" in told
    ledger = json.loads((tmp_path / "ledger.json").read_bytes())
    assert (ledger["delivered"], ledger["imbalances"]) == (4, [])


def test_missing_directory(tmp_path: Path) -> None:
    """A place that cannot be written ends the stream before anything is read."""
    job, base = shards_job(tmp_path)
    base.rmdir()
    job.append(timed_line(1))
    ran = dovebeam("stream", *job.options)
    assert ran.code == 1
    assert f"{base}" in ran.err
    assert "No such file or directory" in ran.err


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["file_writing = shards"], "add file_rotate_interval, such as 1 h"),
        ([*SETTINGS, "file_window_delay = 1 parsec"], "file_window_delay"),
    ],
)
def test_settings_that_cannot_be_meant(tmp_path: Path, settings: list[str], said: str) -> None:
    """They are told with their place."""
    job = Job(tmp_path, f"file_path = {tmp_path / 'out.json'}", *settings)
    ran = dovebeam("stream", *job.options)
    assert ran.code == 78
    assert "dovecot.conf:" in ran.err
    assert said in ran.err


def test_files_that_would_be_read_again(tmp_path: Path) -> None:
    """Windows give files other names than the one in the configuration, and a pattern may take those."""
    job = Job(tmp_path, f"file_path = {tmp_path / 'spool' / 'events.json'}", *SETTINGS)
    ran = dovebeam("stream", *job.options, "--follow", str(tmp_path / "spool" / "events-*.json"))
    assert ran.code == 1
    assert "would be read again" in ran.err


def test_names_of_streams(tmp_path: Path) -> None:
    """The same after every start, from whatever directory, and another one for another input or place of rejects."""
    os.chdir(tmp_path)
    name = stream_name([str(tmp_path)], None, None, rejects="r.jsonl")
    assert name == stream_name([str(tmp_path)], None, None, rejects=str(tmp_path / "r.jsonl"))
    assert name != stream_name([str(tmp_path)], None, None, rejects="other.jsonl")
    assert name != stream_name([str(tmp_path / "x")], None, None, rejects="r.jsonl")


def test_files_that_cannot_be_made_end_the_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some failures in a row, with the last one; before that it is told and tried again."""
    monkeypatch.setattr(stream_shards, "_LOOK_SECS", 0.01)
    monkeypatch.setattr(stream_shards, "_BACKOFF", Backoff(0.01, 0.01, jitter=False))
    told: list[str] = []
    monkeypatch.setattr(stream_shards, "say", told.append)
    driver = FileDriver(str(tmp_path / "x.json"), file_writing="shards", file_rotate_interval_msec=1000)
    shards = StreamShards({"x": driver}, "s")
    ended: list[bool] = []

    def run() -> None:
        with shards.made(lambda: ended.append(True)):
            (owner,) = tmp_path.glob(".dovebeam/*/owner")
            owner.write_text("somebody")
            wait_until(lambda: bool(ended), "the end")

    with pytest.raises(DeliveryError, match="another stream of the same name"):
        run()
    assert len(told) == stream_shards._MAX_FAILURES - 1
    assert "nothing is lost, trying again in" in told[0]
