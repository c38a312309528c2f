"""`dovebeam export --input_format rejects`, by the command."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dovebeam.transforms.events.reject import Reject, make_reject, reject_from_json, reject_to_json
from support.jobs.commands import Ran, dovebeam, exporter, metric, write_config, write_events
from support.programs import free_port
from support.servers.gcs_emulator import PIPELINE_OPTIONS, gcs_emulator
from support.servers.server_http import HttpServer, run_http_server

EVENTS = [b'{"event":"done","fields":{"user":"u%d@example.com","n":"%d"}}' % (n % 3, n) for n in range(20)]


@pytest.fixture
def server() -> Iterator[HttpServer]:
    """An HTTP target that takes everything."""
    with run_http_server() as running:
        yield running


def config(folder: Path, url: str, *settings: str) -> Path:
    """All events named done to one URL, and to a file."""
    lines = [f"http_post_url = {url}", "http_client_request_absolute_timeout = 20 s", *settings]
    return write_config(
        folder,
        exporter("web", "http-post", "json", *lines),
        exporter("kept", "file", "json", f"file_path = {folder / 'kept.json'}"),
        metric("m", "event=done", "web"),
        metric("n", "event=done", "kept"),
    )


def export(folder: Path, *arguments: object) -> Ran:
    """An export with a ledger."""
    return dovebeam("export", "--config", folder / "dovecot.conf", "--ledger", folder / "ledger.json", *arguments)


def resend(folder: Path, pattern: object, *arguments: object) -> Ran:
    """Rejects sent again."""
    return export(folder, "--input", pattern, "--input_format", "rejects", *arguments)


def read(path: Path) -> list[Reject]:
    """The records of a file."""
    return [reject_from_json(line) for line in path.read_bytes().splitlines()]


def ledger(folder: Path) -> dict[str, Any]:
    """What the ledger says; it must be balanced."""
    found: dict[str, Any] = json.loads((folder / "ledger.json").read_text())
    assert found["imbalances"] == []
    return found


def test_what_failed_arrives_in_the_end(tmp_path: Path, server: HttpServer) -> None:
    """A closed port rejects, twice; then the same bytes arrive there, and nowhere else a second time."""
    config(tmp_path, f"http://127.0.0.1:{free_port()}/")
    events = write_events(tmp_path, EVENTS)
    assert export(tmp_path, "--input", events, "--rejects", tmp_path / "r1.jsonl").code == 0
    first = read(tmp_path / "r1.jsonl")
    assert [reject.attempts for reject in first] == [1] * 20

    assert resend(tmp_path, tmp_path / "r1.jsonl", "--rejects", tmp_path / "r2.jsonl").code == 0
    second = read(tmp_path / "r2.jsonl")
    assert [reject.attempts for reject in second] == [2] * 20
    for name in ("payload_bytes", "stage", "metric", "exporter", "source_uri", "source_offset", "content_hash"):
        assert [getattr(reject, name) for reject in second] == [getattr(reject, name) for reject in first]
    account = ledger(tmp_path)
    assert (account["read"], account["resent"], account["matched"], account["rejected"]["deliver"]) == (20, 20, 0, 20)

    config(tmp_path, server.url)
    assert resend(tmp_path, tmp_path / "r2.jsonl", "--rejects", tmp_path / "r3.jsonl").code == 0
    assert sorted(request.body for request in server.requests) == sorted(EVENTS)
    assert (tmp_path / "r3.jsonl").read_bytes() == b""
    assert (tmp_path / "kept.json").read_bytes().splitlines() == EVENTS
    assert ledger(tmp_path)["delivered"] == 20


def test_stops_at_the_maximum(tmp_path: Path) -> None:
    """Attempts of all runs count; at the maximum nothing is sent and the record stays, with its error."""
    config(tmp_path, f"http://127.0.0.1:{free_port()}/")
    last = tmp_path / "r0.jsonl"
    assert export(tmp_path, "--input", write_events(tmp_path, EVENTS[:2]), "--rejects", last).code == 0
    for number in range(1, 5):
        output = tmp_path / f"r{number}.jsonl"
        assert resend(tmp_path, last, "--rejects", output, "--max_attempts", 3).code == 0
        attempts = [reject.attempts for reject in read(output)]
        assert attempts == [min(number + 1, 3)] * 2
        account = ledger(tmp_path)
        assert (account["rejected"]["held_back"], account["resent"]) == ((0, 2) if number < 3 else (2, 0))
        last = output
    for reject in read(last):
        assert "Connection refused" in reject.error_message or "connect" in reject.error_message.lower()
        assert reject.error_message.endswith("[not sent again: it was tried 3 times (--max_attempts allows more)]")


def test_records_of_all_kinds(tmp_path: Path, server: HttpServer) -> None:
    """Payloads, lines that were mended, records of exporters that are gone and lines that are none: one place each."""
    config(tmp_path, server.url)
    records = [
        make_reject("deliver", b"\xff\x00raw", "500", metric="m", exporter="web", attempts=1),
        make_reject("decode", EVENTS[0], "no event", source_uri="/in", source_offset=3),
        make_reject("decode", b"junk", "no event"),
        make_reject("deliver", b"x", "500", metric="m", exporter="gone", attempts=1),
    ]
    lines = [*map(reject_to_json, records), b"no record", b""]
    (tmp_path / "in.jsonl.gz").write_bytes(gzip.compress(b"\n".join(lines)))
    assert resend(tmp_path, tmp_path / "*.gz", "--rejects", tmp_path / "out.jsonl").code == 0
    assert sorted(request.body for request in server.requests) == sorted([b"\xff\x00raw", EVENTS[0]])
    assert (tmp_path / "kept.json").read_bytes() == EVENTS[0] + b"\n"
    left = {reject.payload_bytes: reject for reject in read(tmp_path / "out.jsonl")}
    assert set(left) == {b"junk", b"x", b"no record"}
    assert "no metric names an exporter 'gone'" in left[b"x"].error_message
    assert left[b"no record"].source_uri == str(tmp_path / "in.jsonl.gz")
    account = ledger(tmp_path)
    assert (account["read"], account["matched"], account["resent"]) == (5, 1, 1)
    assert account["rejected"] == {
        **account["rejected"],
        "total": 3,
        "decode": 2,
        "deliver": 0,
        "held_back": 1,
    }


def test_keys_stay_the_same(tmp_path: Path, server: HttpServer) -> None:
    """The idempotency key of what is sent again is that of the first time, also for a line that had to be decoded."""
    setting = "http_post_idempotency_header = Idempotency-Key"
    config(tmp_path, server.url, setting)
    events = write_events(tmp_path, EVENTS)
    assert export(tmp_path, "--input", events).code == 0
    keys = {request.body: request.headers["idempotency-key"] for request in server.requests}
    assert len(set(keys.values())) == 20
    offsets = [sum(len(line) + 1 for line in EVENTS[:n]) for n in range(20)]
    records = [
        make_reject(
            *("deliver", EVENTS[3], "500"), metric="m", exporter="web", source_uri=str(events), source_offset=offsets[3]
        ),
        make_reject(*("decode", EVENTS[7], "bad"), source_uri=str(events), source_offset=offsets[7]),
    ]
    (tmp_path / "in.jsonl").write_bytes(b"".join(reject_to_json(record) + b"\n" for record in records))
    before = len(server.requests)
    assert resend(tmp_path, tmp_path / "in.jsonl").code == 0
    again = {request.body: request.headers["idempotency-key"] for request in server.requests[before:]}
    assert again == {line: keys[line] for line in (EVENTS[3], EVENTS[7])}


def test_events_without_a_place_are_routed_again(tmp_path: Path) -> None:
    """A file exporter's path is made of the event, which its reject therefore holds whole."""
    folder = tmp_path / "mail"
    folder.mkdir()
    template = ["file_path = " + str(folder), "file_path_template = {user}.json"]
    write_config(
        tmp_path,
        exporter("files", "file", "json", *template),
        "metric m {\n  filter = event=done\n  exporter = files\n  fields = n\n}\n",
    )
    lines = [EVENTS[0], b'{"event":"done","fields":{"n":"9"}}']
    assert export(tmp_path, "--input", write_events(tmp_path, lines), "--rejects", tmp_path / "r1.jsonl").code == 0
    (reject,) = read(tmp_path / "r1.jsonl")
    assert (reject.stage, reject.payload_bytes, reject.exporter) == ("route", lines[1], "files")
    assert ledger(tmp_path)["rejected"]["deliver"] == 1

    assert resend(tmp_path, tmp_path / "r1.jsonl", "--rejects", tmp_path / "r2.jsonl").code == 0
    (reject,) = read(tmp_path / "r2.jsonl")
    assert (reject.stage, reject.attempts, reject.source_offset) == ("route", 1, len(lines[0]) + 1)
    ledger(tmp_path)

    write_config(
        tmp_path,
        exporter("files", "file", "json", *template, "file_missing_field = fallback"),
        "metric m {\n  filter = event=done\n  exporter = files\n  fields = n\n}\n",
    )
    assert resend(tmp_path, tmp_path / "r2.jsonl").code == 0
    assert json.loads((folder / "unknown.json").read_bytes())["fields"] == {"n": "9"}
    assert (folder / "u0@example.com.json").read_bytes().count(b"\n") == 1
    assert ledger(tmp_path)["resent"] == 1


@pytest.mark.parametrize("name", ["r.jsonl", "hard", "soft", "./sub/../r.jsonl", "new.jsonl"])
@pytest.mark.parametrize("format_", ["rejects", "auto"])
def test_rejects_must_not_be_their_own_input(tmp_path: Path, name: str, format_: str) -> None:
    """Under no name, and not by a pattern that matches the file once it is there; nothing is read or changed."""
    config(tmp_path, "http://127.0.0.1:9/")
    (tmp_path / "sub").mkdir()
    (tmp_path / "r.jsonl").write_bytes(b"junk\n")
    os.link(tmp_path / "r.jsonl", tmp_path / "hard")
    ran = export(
        *(tmp_path, "--input", tmp_path / "*.jsonl", "--input_format", format_),
        *("--rejects", f"{tmp_path}/{name}" if name != "soft" else tmp_path / "r.jsonl"),
    )
    assert ran.code == 2
    assert "is one of the files that --input reads" in ran.err
    assert (tmp_path / "r.jsonl").read_bytes() == b"junk\n"
    assert not (tmp_path / "new.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--input_format", "rejects", "--start_time", "0"], "do not go with rejects"),
        (["--max_attempts", "3"], "--max_attempts is for rejects"),
        (["--input_format", "rejects", "--max_attempts", "0"], "is not a valid number"),
        (["--input_format", "rejects", "--max_attempts", "-1"], "is not a valid number"),
    ],
)
def test_options_that_mean_nothing(tmp_path: Path, arguments: list[str], words: str) -> None:
    """Each is a usage error with what to do."""
    config(tmp_path, "http://127.0.0.1:9/")
    ran = export(tmp_path, "--input", tmp_path / "x", *arguments)
    assert (ran.code, words in ran.err) == (2, True), ran.err


def test_preview(tmp_path: Path) -> None:
    """A preview shows what would be sent, without a target."""
    config(tmp_path, "http://127.0.0.1:9/")
    record = make_reject("deliver", EVENTS[0], "500", metric="m", exporter="web", attempts=1)
    (tmp_path / "in.jsonl").write_bytes(reject_to_json(record) + b"\n")
    assert resend(tmp_path, tmp_path / "in.jsonl", "--preview", tmp_path / "preview").code == 0
    assert (tmp_path / "preview" / "web.json").read_bytes() == EVENTS[0] + b"\n"


def test_from_and_to_an_object_store(tmp_path: Path, server: HttpServer) -> None:
    """Rejects are read from gs:// and written there."""
    config(tmp_path, server.url)
    records = [
        make_reject("deliver", b"payload", "500", metric="m", exporter="web", attempts=1),
        make_reject("deliver", b"tired", "500", metric="m", exporter="web", attempts=10),
    ]
    with gcs_emulator() as bucket:
        bucket.put({"in/1.jsonl": b"".join(reject_to_json(record) + b"\n" for record in records)})
        ran = resend(tmp_path, bucket.uri("in/*"), "--rejects", bucket.uri("out.jsonl"), *PIPELINE_OPTIONS)
        assert ran.code == 0, ran.err
        (left,) = map(reject_from_json, bucket.get("out.jsonl").splitlines())
    assert left.payload_bytes == b"tired"
    assert [request.body for request in server.requests] == [b"payload"]
