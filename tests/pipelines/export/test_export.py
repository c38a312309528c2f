"""`dovebeam export` as a command: its options, its exit codes and its messages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dovebeam.transforms.events.reject import reject_from_json
from support.jobs.commands import (
    dovebeam,
    dovebeam_process,
    exporter,
    inside,
    metric,
    write_config,
    write_events,
)
from support.jobs.export_command import BAD, EVENTS, LINES, everything_to
from support.oracle.corpus import corpus_lines
from support.programs import free_port


def test_export(events: Path, tmp_path: Path) -> None:
    """The simplest export: 0, the output, the account on standard output, and nothing on standard error."""
    target = tmp_path / "out.json"
    ran = dovebeam("export", "--config", everything_to(tmp_path, "file", f"file_path = {target}"), "--input", events)
    assert ran.code == 0
    assert ran.err == ""
    assert target.read_bytes().splitlines() == list(LINES)
    assert f"x         file          {EVENTS}        {EVENTS}         0" in ran.out


def test_ledger_file(events: Path, tmp_path: Path) -> None:
    """The account as JSON, whole, in place of an older one; any other file stays as it is."""
    ledger = tmp_path / "ledger.json"
    ledger.write_text("notes")
    config = everything_to(tmp_path, "drop")
    job = ["export", "--config", config, "--ledger", ledger]
    ran = dovebeam(*job, "--input", events)
    assert (ran.code, "is not a ledger" in ran.err, ledger.read_text()) == (2, True, "notes")
    ledger.unlink()
    assert dovebeam(*job, "--input", write_events(tmp_path, LINES[:10], "few.json")).code == 0
    assert json.loads(ledger.read_text())["read"] == 10
    assert dovebeam(*job, "--input", events).code == 0
    account = json.loads(ledger.read_text())
    assert (account["read"], account["matched"], account["delivered"]) == (EVENTS, EVENTS, EVENTS)
    assert account["exporters"][0]["delivered_bytes"] == sum(map(len, LINES))
    assert account["imbalances"] == []


def test_several_configurations_and_inputs(tmp_path: Path) -> None:
    """Later configurations override earlier ones; every input is read, a pattern's files and single ones."""
    for name in ("a1.json", "a2.json", "b.json"):
        write_events(tmp_path, LINES[:10], name)
    config = everything_to(tmp_path, "file", "file_path = /nonexistent/x")
    overlay = tmp_path / "overlay.conf"
    overlay.write_text(f"event_exporter x {{\n  file_path = {tmp_path}/out\n}}\n")
    ran = dovebeam(
        *("export", "--config", config, "--config", overlay),
        *("--input", tmp_path / "a*.json", "--input", tmp_path / "b.json"),
    )
    assert ran.code == 0, ran.err
    assert (tmp_path / "out").read_bytes().splitlines() == list(LINES[:10]) * 3


def test_input_format(tmp_path: Path) -> None:
    """Saying what the input is overrules what it looks like."""
    events, config = write_events(tmp_path, LINES[:5]), everything_to(tmp_path, "drop")
    assert dovebeam("export", "--config", config, "--input", events, "--input_format", "json").code == 0
    ran = dovebeam("export", "--config", config, "--input", events, "--input_format", "tab-text")
    assert ran.code == 1
    assert "5 of what was read" in ran.err


def test_times(tmp_path: Path, events: Path) -> None:
    """Only events of the time range are exported; the others are in the account."""
    times = sorted(json.loads(line)["end_time"] for line in LINES)
    middle, last = times[EVENTS // 2], times[-1]
    ledger = tmp_path / "ledger.json"
    config = everything_to(tmp_path, "drop")
    options = ["--start_time", middle, "--end_time", last, "--ledger", ledger]
    assert dovebeam("export", "--config", config, "--input", events, *options).code == 0
    account = json.loads(ledger.read_text())
    assert account["matched"] == sum(middle <= time < last for time in times)
    assert account["out_of_range"] == EVENTS - account["matched"]


def test_max_line_bytes(tmp_path: Path, events: Path) -> None:
    """Longer lines are rejected."""
    config = everything_to(tmp_path, "drop")
    limit = sorted(map(len, LINES))[EVENTS // 2]
    ran = dovebeam("export", "--config", config, "--input", events, "--max_line_bytes", limit)
    assert ran.code == 1
    assert f"{sum(len(line) > limit for line in LINES)} of what was read" in ran.err


def test_rejects_without_a_file(tmp_path: Path) -> None:
    """The job runs to its end, then fails with how many and why."""
    target = tmp_path / "out"
    events = write_events(tmp_path, [LINES[0], BAD, b"rubbish", LINES[1]])
    ran = dovebeam("export", "--config", everything_to(tmp_path, "file", f"file_path = {target}"), "--input", events)
    assert ran.code == 1
    assert target.read_bytes().splitlines() == [LINES[0], LINES[1]]
    assert "2 of what was read or formatted could not be decoded or delivered" in ran.err
    assert ran.err.count("once:") == 2
    assert "--rejects FILE" in ran.err
    assert "rejected      2\n" in ran.out


def test_rejects_file(tmp_path: Path) -> None:
    """With a file for them the job is done; the original bytes and their place are in it."""
    events = write_events(tmp_path, [LINES[0], BAD, LINES[1], b"\xff"])
    rejects = tmp_path / "rejects.json"
    config = everything_to(tmp_path, "drop")
    assert dovebeam("export", "--config", config, "--input", events, "--rejects", rejects).code == 0
    records = [reject_from_json(line) for line in rejects.read_bytes().splitlines()]
    assert [record.payload_bytes.rstrip(b"\n") for record in records] == [BAD, b"\xff"]
    assert records[0].source_offset == len(LINES[0]) + 1
    assert rejects.stat().st_mode & 0o777 == 0o600


def test_unreachable_url(tmp_path: Path, events: Path) -> None:
    """Every event is rejected with the reason, which says what to do and keeps the URL's secrets."""
    url = f"http://user:hidden@127.0.0.1:{free_port()}/secret?token=hidden"
    ran = dovebeam(
        *("export", "--config", everything_to(tmp_path, "http-post", f"http_post_url = {url}"), "--input", events)
    )
    assert ran.code == 1
    assert f"{EVENTS} times: x: connect failed" in ran.err
    assert "start the server, or correct" in ran.err
    assert "hidden" not in ran.err + ran.out
    assert "secret" not in ran.err + ran.out


@pytest.mark.parametrize(
    ("driver", "setting", "words", "processes"),
    [
        ("file", "file_path = /dev/full", "the disk is full; make room", 1),
        ("file", "file_path = /dev/full", "the disk is full; make room", 2),
        ("file", "file_path = {folder}/missing/x", "create it or correct the path", 1),
        ("file", "file_path = {folder}", "name a file in that directory", 1),
        ("unix", "unix_path = {folder}/missing", "start the listener", 1),
    ],
)
def test_a_target_that_takes_nothing(
    driver: str, setting: str, words: str, processes: int, tmp_path: Path, events: Path
) -> None:
    """One message: the place of the exporter, what failed and what to do; no traceback, also from worker processes."""
    config = everything_to(tmp_path, driver, setting.format(folder=tmp_path))
    options = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"] if processes == 2 else []
    run = dovebeam_process if processes == 2 else dovebeam
    ran = run("export", "--config", config, "--input", events, *options)
    assert ran.code == 1
    assert ran.err.startswith(f"dovebeam: {config}:3: event_exporter x: ")
    assert words in ran.err
    assert ran.err.count("\n") == 1
    assert ran.out == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--input", "/nonexistent/*.json"], "no file matches /nonexistent/*.json"),
        (["--rejects", "/nonexistent/rejects"], "open(/nonexistent/rejects) failed"),
        (["--ledger", "/nonexistent/ledger"], "open(/nonexistent/ledger) failed"),
        (["--ledger", "/"], "name a file in that directory"),
        (["--preview", "/dev/null"], "mkdir(/dev/null) failed"),
    ],
)
def test_paths_that_cannot_be(options: list[str], words: str, tmp_path: Path, events: Path) -> None:
    """They are told at launch, before anything is delivered."""
    target = tmp_path / "out"
    config = everything_to(tmp_path, "file", f"file_path = {target}")
    ran = dovebeam("export", "--config", config, "--input", events, *options)
    assert ran.code == 1
    assert words in ran.err
    assert ran.err.count("\n") == 1
    assert not target.exists()


def test_configuration_errors(tmp_path: Path, events: Path) -> None:
    """All at once, each with its place and a caret; 78, and nothing was done."""
    config = write_config(tmp_path, "event_exporter x {\n  drivr = drop\n}\n", metric("m", "event=", "y"))
    ran = dovebeam("export", "--config", config, "--input", events)
    assert ran.code == 78
    assert f"{config}:4:3: unknown setting 'drivr'" in ran.err
    assert "did you mean 'driver'?" in ran.err
    assert ran.err.count("dovebeam: error: ") >= 3
    assert "\n    ^\n" in ran.err
    assert ran.out == ""


def test_configuration_that_is_not_there(tmp_path: Path, events: Path) -> None:
    """A missing file is a configuration error."""
    ran = dovebeam("export", "--config", tmp_path / "missing.conf", "--input", events)
    assert ran.code == 78
    assert "missing.conf" in ran.err


def test_settings_that_can_never_work(tmp_path: Path, events: Path) -> None:
    """What only the driver knows is a configuration error, too, for all exporters in use at once."""
    blocks = [exporter(name, "http-post", "json", f"http_post_url = http://127.0.0.1:1/{name}") for name in "xy"]
    blocks += [
        metric("m", "event=*", "x"),
        metric("n", "event=*", "y"),
        "http_client_max_parallel_connections = 9999\n",
    ]
    config = write_config(tmp_path, *blocks)
    ran = dovebeam("export", "--config", config, "--input", events)
    assert ran.code == 78
    assert ran.err.count("at most 500 connections") == 2
    assert ran.err.count(f"{config}:") == 2


def test_warnings_do_not_fail(tmp_path: Path, events: Path) -> None:
    """What is probably not meant is said, and the job goes on."""
    with inside(tmp_path):
        config = everything_to(tmp_path, "file", "file_path = relative.json")
        ran = dovebeam("export", "--config", config, "--input", events)
    assert ran.code == 0
    assert "dovebeam: warning: " in ran.err
    assert "relative" in ran.err


def test_nothing_to_export(tmp_path: Path, events: Path) -> None:
    """A configuration without an exporting metric is worth a warning."""
    ran = dovebeam("export", "--config", write_config(tmp_path, exporter("x", "drop")), "--input", events)
    assert ran.code == 0
    assert "no metric of the configuration names an exporter" in ran.err


def test_beams_options(tmp_path: Path, events: Path) -> None:
    """They reach Beam, misspelt ones are refused."""
    config = everything_to(tmp_path, "drop")
    fine = ["--runner=DirectRunner", "--direct_num_workers=1", "--job_name", "nightly"]
    assert dovebeam("export", "--config", config, "--input", events, *fine).code == 0
    ran = dovebeam("export", "--config", config, "--input", events, "--runer=DataflowRunner")
    assert (ran.code, "did you mean --runner?" in ran.err) == (2, True)
    ran = dovebeam("export", "--config", config, "--input", events, "--runner=Nobody")
    assert (ran.code, "--runner=Nobody: unknown runner; Beam has DataflowRunner" in ran.err) == (2, True)
    ran = dovebeam("export", "--config", config, "--input", events, "--runner=DataflowRuner")
    assert (ran.code, "did you mean DataflowRunner?" in ran.err) == (2, True)


def test_log_driver(tmp_path: Path, events: Path) -> None:
    """What the log driver exports comes on standard error, a line each and nothing around it."""
    ran = dovebeam("export", "--config", everything_to(tmp_path, "log"), "--input", events)
    assert ran.code == 0
    assert sorted(ran.err.encode().splitlines()) == sorted(LINES)


def test_log_driver_of_worker_processes(tmp_path: Path) -> None:
    """None is lost on the way from other processes, however fast they come."""
    events = write_events(tmp_path, corpus_lines("events.json.gz")[:20000])
    config = everything_to(tmp_path, "log", format_="tab-text")
    options = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    ran = dovebeam_process("export", "--config", config, "--input", events, *options)
    assert ran.code == 0
    assert len(ran.err.splitlines()) == 20000


def test_lost_count(tmp_path: Path, events: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job whose counters contradict each other fails and says which equation."""
    from dovebeam.transforms import counters

    add = counters.add
    monkeypatch.setattr(counters, "add", lambda name, count, of="": add(name, count + (name == "read"), of))
    ran = dovebeam("export", "--config", everything_to(tmp_path, "drop"), "--input", events)
    assert ran.code == 1
    assert f"lost count: read {EVENTS + 1}" in ran.err or "lost count: read" in ran.err
