"""`dovebeam stream` as a command: what it refuses at once, how it ends, and that it outlives its targets' troubles."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from support.jobs.commands import dovebeam
from support.jobs.stream_command import Job, line
from support.programs import HANG_SECS


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_drain(tmp_path: Path, number: int) -> None:
    """A signal ends the stream with code 0 and its ledger; the next start goes on where it ended."""
    job = Job(tmp_path)
    job.append(line(1))
    with job.running() as process:
        job.wait_for(1)
        job.append(line(2) + b"bad\n")
        job.wait_for(1, 2)
        process.send_signal(number)
        out, err = process.communicate(timeout=HANG_SECS)
    assert process.returncode == 0, err
    assert "finishing what was read; again to stop at once" in err
    ledger = json.loads((tmp_path / "ledger.json").read_bytes())
    assert (ledger["read"], ledger["matched"], ledger["rejected"]["total"], ledger["imbalances"]) == (3, 2, 1, [])
    assert "delivered" in out
    (reject,) = map(json.loads, (tmp_path / "rejects.jsonl").read_text().splitlines())
    assert (reject["payloadString"], reject["sourceOffset"]) == ("bad", 2 * len(line(1)))

    job.append(line(3))
    with job.running() as process:
        job.wait_for(1, 2, 3)
        process.send_signal(number)
        process.communicate(timeout=HANG_SECS)
    assert process.returncode == 0


def test_target_that_goes_away_for_a_while(tmp_path: Path) -> None:
    """A stream that has once delivered tries again until its target is back; nothing is lost, and each event counted."""
    path = tmp_path / "s"
    job = Job(tmp_path, f"unix_path = {path}", driver="unix")
    with _listener(path) as listener, job.running() as process:
        job.append(line(1))
        connection = _accept(listener)
        assert connection.recv(1000) == line(1)
        connection.close()
        listener.close()
        path.unlink()
        job.append(line(2))
        time.sleep(1.5)
        job.append(line(3))
        with _listener(path) as again:
            connection = _accept(again)
            received = b""
            while not received.endswith(line(3)):
                received += connection.recv(1000)
            running = json.loads((tmp_path / "ledger.json").read_bytes())
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=HANG_SECS)
            connection.close()
    assert process.returncode == 0, err
    assert set(received.splitlines(keepends=True)) <= {line(2), line(3)}
    assert line(2) in received
    assert "nothing is lost, trying again in 1 s" in err
    ledger = json.loads((tmp_path / "ledger.json").read_bytes())
    assert (ledger["read"], ledger["delivered"], ledger["complete"], ledger["imbalances"]) == (3, 3, True, [])
    assert (running["read"], running["delivered"], running["complete"]) == (1, 1, False)


def _listener(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    listener.settimeout(HANG_SECS)
    return listener


def _accept(listener: socket.socket) -> socket.socket:
    connection, _ = listener.accept()
    connection.settimeout(HANG_SECS)
    return connection


def test_first_failure_is_told_at_once(tmp_path: Path) -> None:
    """What never worked is a mistake of the operator's, not an outage."""
    job = Job(tmp_path, f"unix_path = {tmp_path / 'none'}", driver="unix")
    job.append(line(1))
    ran = dovebeam("stream", *job.options)
    assert ran.code == 1
    assert "event_exporter x: connect(" in ran.err


def test_files_that_are_not_there_yet(tmp_path: Path) -> None:
    """May be misspelt, so they are named; they are followed from when they appear."""
    job = Job(tmp_path)
    job.append(line(1))
    later = tmp_path / "later.json"
    with job.running("--follow", str(later), "--follow", str(tmp_path / "none-*.json")) as process:
        job.wait_for(1)
        later.write_bytes(line(2))
        job.wait_for(1, 2)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=HANG_SECS)
    assert [text.split()[2] for text in err.splitlines() if "is not there yet" in text] == [
        str(later),
        f"{tmp_path}/none-*.json",
    ]


def test_one_stream_for_a_state(tmp_path: Path) -> None:
    """Two streams with one state would acknowledge each other's lines."""
    job = Job(tmp_path)
    with job.running():
        job.append(line(1))
        job.wait_for(1)
        ran = dovebeam("stream", *job.options)
    assert ran.code == 1
    assert f"{tmp_path / 'state'}: another dovebeam stream uses this state" in ran.err


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        (["--follow="], 2, "--follow is empty"),
        (["--folow", "x"], 2, "did you mean --follow?"),
        (["--input", "events.json"], 2, "a stream has --follow or --input_subscription"),
        (["--runner=FlinkRunner", "--ledger", "ledger.json"], 2, "--ledger: Flink does not end a stream itself"),
        (["--rejects", "gs://b/o"], 2, "--rejects of a stream names a file of this machine"),
        (["--rejects", "spool/rejects"], 1, "spool/rejects, which would be read again; choose another path"),
        (["--ledger", "spool/ledger"], 1, "spool/ledger, which would be read again; choose another path"),
        (["--follow", "link"], 1, "is a symbolic link"),
        (["--follow", "no/events.json"], 1, "its directory does not exist"),
        (["--follow", "a.gz"], 1, "compressed"),
        (["--direct_num_workers=2"], 2, "leave out --direct_num_workers"),
        (["--runner", "DataflowRunner"], 2, "--follow reads files of this machine"),
        (["--input_subscription", "projects/project/subscriptions/s"], 2, "are two sources; run a stream for each"),
        (["--state", "no/state"], 1, "cannot hold the state: No such file or directory"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else None,
)
def test_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: list[str], code: int, text: str) -> None:
    """What cannot work is said before anything is read."""
    monkeypatch.chdir(tmp_path)
    os.symlink("dovecot.conf", "link")
    job = Job(tmp_path)
    ran = dovebeam("stream", *job.options, *change)
    assert ran.code == code, ran.err
    assert text in ran.err


@pytest.mark.parametrize("missing", ["config", "follow", "state", "rejects"])
def test_needed_options(tmp_path: Path, missing: str) -> None:
    """A stream needs these four."""
    job = Job(tmp_path)
    index = job.options.index(f"--{missing}")
    ran = dovebeam("stream", *job.options[:index], *job.options[index + 2 :])
    assert ran.code == 2
    assert f"--{missing} is missing; " in ran.err


def test_outputs_of_exporters_are_not_followed(tmp_path: Path) -> None:
    """A file exporter that writes where the stream reads would never end."""
    job = Job(tmp_path, f"file_path = {tmp_path / 'spool' / 'out'}")
    ran = dovebeam("stream", *job.options)
    assert ran.code == 1
    assert "event_exporter x writes" in ran.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not a state of dovebeam stream"),
        ('{"version":1,"targets":["%zz"]}', "is not a state of dovebeam stream (a percent sign in '%zz'"),
        ("", "the state is empty, as a power failure may leave it"),
    ],
)
def test_damaged_state(tmp_path: Path, content: str, said: str) -> None:
    """It is said what to do; nothing is read again unasked."""
    job = Job(tmp_path)
    job.append(line(1))
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "follow.json").write_text(content)
    ran = dovebeam("stream", *job.options)
    assert ran.code == 1
    assert f"{tmp_path / 'state' / 'follow.json'}: {said}" in ran.err
    assert "Traceback" not in ran.err
    assert not job.out.exists()
