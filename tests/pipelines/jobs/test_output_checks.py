"""What a job writes is refused at launch if something else would be lost by it, or the job would read it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from support.jobs.commands import dovebeam, exporter, inside, metric, write_config, write_events

_EVENT = b'{"event":"x"}'
_GZIP = "file_compression = gzip"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Holds dovecot.conf with one exporter into out.json, events.json, and a file of something else."""
    write_config(
        tmp_path, exporter("out", "file", "json", f"file_path = {tmp_path}/out.json"), metric("all", "event=x", "out")
    )
    write_events(tmp_path, [_EVENT])
    (tmp_path / "notes").write_text("precious\n")
    (tmp_path / "link").symlink_to("out.json")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    """Everything there is, except new and empty files."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file() and p.stat().st_size}


_HARMFUL = [
    (("--ledger", "dovecot.conf"), "--ledger dovecot.conf exists and is not a ledger"),
    (("--ledger", "events.json"), "--ledger events.json exists and is not a ledger"),
    (("--ledger", "notes"), "--ledger notes exists and is not a ledger"),
    (("--ledger", "out.json"), "is the file of event_exporter out"),
    (("--rejects", "dovecot.conf"), "--rejects dovecot.conf exists and holds no rejects"),
    (("--rejects", "notes"), "--rejects notes exists and holds no rejects"),
    (("--rejects", "out.json"), "is the file of event_exporter out"),
    (("--rejects", "./link"), "is the file of event_exporter out"),
    (("--rejects", "r.json", "--ledger", "./r.json"), "--rejects and --ledger are both ./r.json"),
    (("--preview", "p", "--ledger", "p/out.json"), "p/out.json is the file of event_exporter out"),
    (("--preview", "p", "--rejects", "p/out.json"), "p/out.json is the file of event_exporter out"),
]


@pytest.mark.parametrize(("arguments", "error"), _HARMFUL, ids=lambda value: " ".join(value) if value else "")
def test_harmful_outputs_are_refused(folder: Path, arguments: tuple[str, ...], error: str) -> None:
    """Each is a usage error that names the file, and nothing has changed."""
    before = contents(folder)
    with inside(folder):
        ran = dovebeam("export", "--config", "dovecot.conf", "--input", "events.json", *arguments)
    assert ran.code == 2, ran.err
    assert error in ran.err
    assert contents(folder) == before
    assert not list(folder.glob("p/*"))


@pytest.mark.parametrize("option", ["--ledger", "--rejects"])
def test_an_archive_is_as_careful(folder: Path, option: str) -> None:
    """Its ledger and rejects, too, replace nothing else."""
    (folder / "archive").mkdir()
    with inside(folder):
        ran = dovebeam("archive", "--input", "events.json", "--output", "archive", option, "notes")
    assert ran.code == 2
    assert (folder / "notes").read_text() == "precious\n"


@pytest.mark.parametrize("time", ["2026-01-01T00:00:00Z", "2025-01-01T00:00:00Z"])
@pytest.mark.parametrize("more", [(), ("--dry_run",)])
def test_a_replay_is_as_careful(folder: Path, more: tuple[str, ...], time: str) -> None:
    """Before it looks for events, also where there are none."""
    with inside(folder):
        arguments = ("--config", "dovecot.conf", "--input", "events.json", "--start_time", time, *more)
        ran = dovebeam("replay", *arguments, "--ledger", "notes")
        missing = dovebeam("replay", *arguments, "--ledger", "missing/ledger")
    assert (ran.code, missing.code) == (2, 1)
    assert (folder / "notes").read_text() == "precious\n"
    assert "open(missing/ledger) failed" in missing.err


def test_device_stays_one(folder: Path) -> None:
    """A ledger is never put in place of a pipe, nor of /dev/null, which root could do."""
    os.mkfifo(folder / "pipe")
    with inside(folder):
        ran = dovebeam("export", "--config", "dovecot.conf", "--input", "events.json", "--ledger", "pipe")
    assert (ran.code, "pipe is not a regular file" in ran.err) == (2, True)
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)


@pytest.mark.parametrize(("name", "settings"), [("own.json", ()), ("own.json.gz", (_GZIP,))])
def test_exporter_does_not_append_to_what_is_read(tmp_path: Path, name: str, settings: tuple[str, ...]) -> None:
    """The configuration of the Dovecot that wrote the events: they are not written behind themselves."""
    path = tmp_path / "own.json"
    config = write_config(
        tmp_path, exporter("out", "file", "json", f"file_path = {path}", *settings), metric("all", "event=x", "out")
    )
    own = write_events(tmp_path, [_EVENT], name)
    ran = dovebeam("export", "--config", config, "--input", tmp_path / "own*")
    assert ran.code == 2
    assert f"event_exporter out appends to {own}, which --input reads" in ran.err
    assert own.read_bytes() == _EVENT + b"\n"
    preview = dovebeam("export", "--config", config, "--input", own, "--preview", tmp_path / "preview")
    assert preview.code == 0, preview.err


def test_older_outputs_are_taken(folder: Path) -> None:
    """A ledger is replaced, that of a dry run too, and rejects are appended to older ones."""
    write_events(folder, [b"no event", _EVENT])
    arguments = ("--config", "dovecot.conf", "--input", "events.json", "--ledger", "l.json")
    with inside(folder):
        for rejects in (1, 2):
            ran = dovebeam("export", *arguments, "--rejects", "r.json")
            assert ran.code == 0, ran.err
            assert len(Path("r.json").read_bytes().splitlines()) == rejects
        for _ in range(2):
            assert dovebeam("replay", *arguments, "--dry_run").code == 0
        assert dovebeam("export", *arguments, "--rejects", "r.json").code == 0
