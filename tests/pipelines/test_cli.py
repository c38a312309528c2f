"""The command line: every option and every exit code, messages, and the time to the first answer."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from dovebeam.pipelines import export
from dovebeam.transforms.reject import reject_from_json
from support.commands import (
    Ran,
    dovebeam,
    dovebeam_process,
    exporter,
    inside,
    interrupted,
    metric,
    write_config,
    write_events,
)
from support.corpus import CORPUS, corpus_lines
from support.gcs_emulator import PIPELINE_OPTIONS, gcs_emulator
from support.programs import free_port

LINES = corpus_lines("events.json.gz")[:300]
EVENTS = len(LINES)
BAD = b'{"event": 5}'


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Some events."""
    return write_events(tmp_path, LINES)


def everything_to(folder: Path, driver: str, *settings: str, format_: str = "json") -> Path:
    """A configuration that exports every event to one exporter, `x`."""
    return write_config(folder, exporter("x", driver, format_, *settings), metric("m", "event=*", "x"))


def seconds_of(arguments: list[str]) -> float:
    """CPU seconds of the real command, the best of some runs."""
    best = 9.0
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "dovebeam.pipelines.cli", *arguments], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["export", "--help"]])
def test_help_answers_at_once(arguments: list[str]) -> None:
    """Help and version take under 0.3 s of CPU."""
    assert seconds_of(arguments) < 0.3


def test_help_loads_nothing_heavy() -> None:
    """Neither Beam nor rich is imported to show help or to refuse a command line."""
    code = (
        "import sys\nfrom dovebeam.pipelines.cli import main\n"
        "for argv in (['--help'], ['--version'], ['export', '--help'], ['export', 'x'], ['demo', '-h'], []):\n"
        "    main(argv)\n"
        "heavy = {'apache_beam', 'rich', 'numpy', 'msgspec'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Both end with 0, help names the commands and what follows."""
    assert dovebeam("--version").out.startswith("dovebeam ")
    assert "export" in dovebeam("--help").out
    ran = dovebeam("export", "--help")
    assert ran.code == 0
    assert all(name in ran.out for name in ("--config", "--rejects", "--preview", "--direct_num_workers", "78"))


@pytest.mark.parametrize("arguments", [[], ["exprt"], ["--frob"], ["export"], ["export", "--input=x"]])
def test_usage(arguments: list[str]) -> None:
    """A command line that says too little or too much ends with 2 and a message."""
    ran = dovebeam(*arguments)
    assert ran.code == 2
    assert "dovebeam" in ran.err
    assert "Traceback" not in ran.err


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
    assert (ran.code, "is no ledger" in ran.err, ledger.read_text()) == (2, True, "notes")
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
    assert ran.err.count("1 times:") == 2
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


def test_debug_shows_the_traceback(tmp_path: Path, events: Path) -> None:
    """With --debug there is both."""
    config = everything_to(tmp_path, "file", "file_path = /dev/full")
    ran = dovebeam_process("export", "--config", config, "--input", events, "--debug")
    assert ran.code == 1
    assert "Traceback (most recent call last)" in ran.err
    assert "dovebeam: " in ran.err


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
    assert (ran.code, "--runner=Nobody: there is no such runner; Beam has DataflowRunner" in ran.err) == (2, True)
    ran = dovebeam("export", "--config", config, "--input", events, "--runner=DataflowRuner")
    assert (ran.code, "did you mean DataflowRunner?" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preview", "p"], "leave --runner out"),
        (["--rejects", "r"], "gs://"),
        (["--ledger", "l"], "--wait"),
    ],
)
def test_local_paths_for_a_far_job(options: list[str], words: str, tmp_path: Path, events: Path) -> None:
    """Files of this machine mean nothing to a job elsewhere."""
    config = everything_to(tmp_path, "drop")
    far = ["--runner=FlinkRunner", "--flink_master=localhost:1"]
    ran = dovebeam("export", "--config", config, "--input", events, *far, *options)
    assert ran.code == 2
    assert words in ran.err


@pytest.mark.parametrize("wait", [False, True])
def test_a_far_job(wait: bool, tmp_path: Path, events: Path) -> None:
    """Another runner's job is named and left alone; only with --wait there is an account."""
    ledger = tmp_path / "ledger.json"
    with gcs_emulator() as gcs:
        options = ["--wait", "--ledger", ledger] if wait else ["--rejects", gcs.uri("rejects.jsonl")]
        command = ["export", "--config", everything_to(tmp_path, "drop"), "--input", events, *options]
        ran = dovebeam(*command, "--runner=support.far_runner.FarRunner", *PIPELINE_OPTIONS)
    assert ran.code == 0
    assert "dovebeam: job job-17 is running\n" in ran.err
    assert ledger.exists() == ("delivered" in ran.out) == wait


@pytest.mark.parametrize("command", ["export", "archive"])
def test_a_far_job_that_nobody_looks_after(command: str, tmp_path: Path, events: Path) -> None:
    """What it rejects must have a place, since its account is seen by nobody."""
    own = ["--config", everything_to(tmp_path, "drop")] if command == "export" else ["--output", tmp_path]
    ran = dovebeam(command, *own, "--input", events, "--runner=support.far_runner.FarRunner")
    assert ran.code == 2
    assert "needs a place for what it rejects; add --rejects gs://BUCKET/OBJECT, or --wait" in ran.err


def test_a_far_job_that_failed(tmp_path: Path, events: Path) -> None:
    """The runner's word for it is passed on."""
    far = ["--runner=support.far_runner.FailingRunner", "--wait"]
    ran = dovebeam("export", "--config", everything_to(tmp_path, "drop"), "--input", events, *far)
    assert ran.code == 1
    assert "the job ended as FAILED" in ran.err


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
    from dovebeam.transforms import counting

    add = counting.add
    monkeypatch.setattr(counting, "add", lambda name, count, of="": add(name, count + (name == "read"), of))
    ran = dovebeam("export", "--config", everything_to(tmp_path, "drop"), "--input", events)
    assert ran.code == 1
    assert f"lost count: read {EVENTS + 1}" in ran.err or "lost count: read" in ran.err


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
    assert sorted(path.name for path in preview.iterdir()) == ["%2E%2E%2Fh.tab", "f.json", "l.json", "n.txt"]
    assert (preview / "f.json").read_bytes().splitlines() == list(LINES)
    assert (preview / "n.txt").read_bytes() == b"\n" * EVENTS
    assert ran.err == ""
    assert not (tmp_path / "never").exists()


def test_preview_overwrites_nothing(tmp_path: Path, events: Path) -> None:
    """The second run into the same directory is refused at launch."""
    config = everything_to(tmp_path, "drop")
    arguments = ["export", "--config", config, "--input", events, "--preview", tmp_path / "p"]
    assert dovebeam(*arguments).code == 0
    before = (tmp_path / "p" / "x.json").read_bytes()
    ran = dovebeam(*arguments)
    assert ran.code == 1
    assert "exists already" in ran.err
    assert (tmp_path / "p" / "x.json").read_bytes() == before


def test_preview_that_failed_can_be_run_again(tmp_path: Path, events: Path) -> None:
    """Empty files of a job that failed early are not in the way."""
    config = everything_to(tmp_path, "drop")
    missing = ["export", "--config", config, "--preview", tmp_path / "p", "--input"]
    assert dovebeam(*missing, tmp_path / "missing").code == 1
    assert dovebeam(*missing, events).code == 0


@pytest.fixture
def long_input(tmp_path: Path) -> Path:
    """Enough for some seconds."""
    path = tmp_path / "long.json.gz"
    path.write_bytes((CORPUS / "events.json.gz").read_bytes() * 40)
    return path


def whole_lines(path: Path) -> bool:
    """Whether a file has lines, and only whole ones."""
    content = path.read_bytes()
    return content.endswith(b"\n") and all(line.endswith(b"}") for line in content.splitlines())


@pytest.mark.parametrize("command", ["archive", "export", "both"])
def test_interrupt_before_files_have_names(command: str, tmp_path: Path, long_input: Path) -> None:
    """Whoever stops an archive or shards is not told that something is complete: nothing has its name."""
    folder = tmp_path / "files"
    folder.mkdir()
    arguments = ["archive", "--output", folder]
    if command != "archive":
        blocks = [exporter("s", "file", "json", f"file_path = {folder}/x.json", "file_writing = shards")]
        blocks += [exporter("d", "drop")] if command == "both" else []
        metrics = [metric(f"m{name}", "event=*", name) for name in ("s", "d")[: len(blocks)]]
        arguments = ["export", "--config", write_config(tmp_path, *blocks, *metrics)]
    ran = interrupted([*arguments, "--input", long_input], (folder / ".dovebeam").exists, signal.SIGINT)
    assert ran.code == 130, ran.err
    words = "is complete, but for s, whose files" if command == "both" else "have no name yet and are not there"
    assert words in ran.err
    assert not [path for path in folder.iterdir() if path.name != ".dovebeam"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt(number: int, code: int, tmp_path: Path, long_input: Path) -> None:
    """Ctrl-C and SIGTERM stop the job in the middle, say what is complete, and leave whole lines."""
    target = tmp_path / "out"
    config = everything_to(tmp_path, "file", f"file_path = {target}")
    ran = interrupted(["export", "--config", config, "--input", long_input], target.exists, number)
    assert ran.code == code, ran.err
    assert "events were read" in ran.err
    assert "Traceback" not in ran.err
    assert whole_lines(target)
    delivered = int(ran.err.partition(" payloads delivered")[0].rpartition(" ")[2].replace(",", ""))
    assert target.read_bytes().count(b"\n") == delivered


@pytest.mark.parametrize("group", [False, True])
def test_interrupt_ends_worker_processes(group: bool, tmp_path: Path) -> None:
    """No worker outlives its launcher, whether the signal reaches it, too, or not."""
    for index in range(4):
        lines = corpus_lines("events.json.gz")
        (tmp_path / f"long{index}.json.gz").write_bytes(gzip.compress(b"".join(line + b"\n" for line in lines), 1) * 10)
    target = tmp_path / "out"
    config = everything_to(tmp_path, "file", f"file_path = {target}")
    options = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    arguments = ["export", "--config", config, "--input", tmp_path / "long*.gz", *options]
    ran = interrupted(arguments, target.exists, signal.SIGINT, group=group)
    assert ran.code == 130, ran.err
    assert "events were read" in ran.err
    assert "Traceback" not in ran.err
    assert whole_lines(target)


@pytest.mark.parametrize("options", [(), ("--direct_num_workers=2", "--direct_running_mode=multi_processing")])
def test_interrupt_of_a_job_that_hangs(options: tuple[str, ...], tmp_path: Path, events: Path) -> None:
    """A target that takes nothing more does not keep the job, nor its worker processes, from ending."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    def has_begun() -> bool:
        return int.from_bytes(fcntl.ioctl(reader, termios.FIONREAD, bytes(4)), sys.byteorder) > 0

    try:
        config = everything_to(tmp_path, "file", f"file_path = {pipe}")
        ran = interrupted(["export", "--config", config, "--input", events, *options], has_begun, signal.SIGINT)
    finally:
        os.close(reader)
    assert ran.code == 130, ran.err
    assert "in the middle of a batch" in ran.err
    assert "Traceback" not in ran.err


def test_a_closed_pipe(tmp_path: Path, events: Path) -> None:
    """Whoever reads the account may stop reading."""
    config = everything_to(tmp_path, "drop")
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "dovebeam.pipelines.cli", "export", "--config", config, "--input", events]
    done = subprocess.run(command, check=False, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_python_without_docstrings(tmp_path: Path, events: Path) -> None:
    """Beam cannot be imported then, which is said; without assertions alone everything works."""
    config = everything_to(tmp_path, "drop")
    command = [sys.executable, "-m", "dovebeam.pipelines.cli", "export", "--config", config, "--input", events]
    for level, code, words in (("1", 0, ""), ("2", 2, "unset PYTHONOPTIMIZE")):
        environment = {**os.environ, "PYTHONOPTIMIZE": level, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        assert (done.returncode, words in done.stderr) == (code, True), done.stderr
        assert "Traceback" not in done.stderr


def test_module_for_runners(tmp_path: Path, events: Path) -> None:
    """`python -m dovebeam.pipelines.export` is the same job."""
    command = [sys.executable, "-m", "dovebeam.pipelines.export"]
    arguments = ["--config", str(everything_to(tmp_path, "drop")), "--input", str(events)]
    done = subprocess.run([*command, *arguments], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert export.main(["--help"]) == 0


def test_a_bug_is_one_message(tmp_path: Path, events: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even what nobody thought of is said in a line, with the way to learn more."""

    def broken(*_: object, **__: object) -> Ran:
        raise KeyError("surprise")

    monkeypatch.setattr("dovebeam.pipelines.graph.build_export", broken)
    ran = dovebeam("export", "--config", everything_to(tmp_path, "drop"), "--input", events)
    assert ran.code == 1
    assert ran.err == "dovebeam: KeyError: 'surprise' (--debug shows where it comes from)\n"
