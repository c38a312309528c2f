"""The whole corpus against real targets: a configuration that leads there, and comparisons with what Dovecot delivered.

What no reader of exported events could know, and the comparisons therefore leave out: the unnamed events of the metric
`imap_category`, which the files of all named events do not have; and, reading JSON, the bytes that JSON replaced.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dovebeam.transforms import Config, load_config
from support.oracle.corpus import CORPUS
from support.servers.server_http import HttpServer, run_http_server
from support.servers.server_unix import UnixListener, run_unix_listener

EVENTS = ["events.json.gz", "events-unix.json.gz", "events.tab.gz", "events-unix.tab.gz"]


@dataclass
class Targets:
    """Everything that the drivers deliver to, on this machine and nowhere else."""

    files: Path
    http: HttpServer
    collector: UnixListener
    syslog: UnixListener


@contextlib.contextmanager
def run_targets(folder: Path) -> Iterator[Targets]:
    """Fresh targets for one test."""
    (folder / "files").mkdir()
    with (
        run_http_server() as http,
        run_unix_listener(folder / "collector") as collector,
        run_unix_listener(folder / "log") as syslog,
    ):
        yield Targets(folder / "files", http, collector, syslog)


def config_files(targets: Targets, folder: Path) -> list[Path]:
    """The configuration of the run, and an overlay that sends each exporter's output to the targets."""
    original = load_config([CORPUS / "dovecot.conf"])
    blocks = []
    for name, exporter in original.exporters.items():
        url_path = exporter.settings.text("event_exporter_http_post_url").partition("://")[2].partition("/")[2]
        setting = {
            "file": f"file_path = {targets.files / name}",
            "unix": f"unix_path = {folder / 'collector'}\n  unix_connect_timeout = 10s",
            "http-post": f"http_post_url = {targets.http.url}/{url_path}\n"
            "  http_client_request_absolute_timeout = 30s\n  http_client_max_parallel_connections = 4",
            "log": f"log_target = syslog:{folder / 'log'}",
        }[exporter.driver]
        blocks.append(f"event_exporter {name} {{\n  {setting}\n}}\n")
    overlay = folder / "overlay.conf"
    overlay.write_text("".join(blocks))
    return [CORPUS / "dovecot.conf", overlay]


def config_for(targets: Targets, folder: Path) -> Config:
    """The same, read."""
    return load_config(config_files(targets, folder))


@cache
def expected_lines(name: str) -> tuple[bytes, ...]:
    """What the file exporter of a metric wrote, as far as it came from named events."""
    path = next((CORPUS / "expected" / "metrics").glob(f"{name}.*.gz"))
    lines = gzip.decompress(path.read_bytes()).removesuffix(b"\n").split(b"\n")
    if name == "imap_category":
        return tuple(line for line in lines if line.startswith(b'{"event":'))
    return tuple(lines)


def shown_in_json(line: bytes) -> bytes:
    """The line with U+FFFD for each byte that is not UTF-8, which is all that a reader of JSON has."""
    return re.sub("[\udc80-\udcff]", "\ufffd", line.decode("utf-8", "surrogateescape")).encode()


def check_files(config: Config, targets: Targets, known: Callable[[bytes], bytes]) -> None:
    """Every metric's file holds Dovecot's lines in Dovecot's order, and nobody else may read it."""
    compared = 0
    for metric in config.metrics:
        if not metric.exporter or config.exporters[metric.exporter].driver != "file":
            continue
        path = targets.files / metric.exporter
        written = path.read_bytes().removesuffix(b"\n").split(b"\n")
        if (list((CORPUS / "expected" / "metrics").glob(f"{metric.name}.*.gz"))) == []:
            assert metric.name.startswith("all_events"), metric.name
            continue
        assert written == [known(line) for line in expected_lines(metric.name)], metric.name
        assert path.stat().st_mode & 0o777 == 0o600
        compared += 1
    assert compared == len(list((CORPUS / "expected" / "metrics").iterdir()))


def check_all_events(targets: Targets, known: Callable[[bytes], bytes]) -> None:
    """The four exporters of all events write the four files of the corpus, whichever of them was read."""
    names = ["file-all-events", "file-all-events-unix", "file-all-events-tab", "file-all-events-tab-unix"]
    for exporter, source in zip(names, EVENTS, strict=True):
        expected = gzip.decompress((CORPUS / source).read_bytes())
        assert (targets.files / exporter).read_bytes() == known(expected), exporter


def check_http(targets: Targets) -> None:
    """Every request has Dovecot's method, path, media type and body."""
    recorded = [json.loads(line) for line in (CORPUS / "http-post.jsonl").read_text().splitlines()]
    expected = Counter(
        (request["method"], request["path"], dict(request["headers"])["Content-Type"], request["body"].encode())
        for request in recorded
    )
    arrived = Counter(
        (*request.lines[0].split(" ")[:2], request.headers["content-type"], request.body)
        for request in targets.http.requests
    )
    assert arrived == expected


@cache
def recorded_frames() -> bytes:
    """All that Dovecot's unix driver sent to its listener."""
    connections = json.loads((CORPUS / "unix-frames.b64.json").read_text())["connections"]
    return b"".join(base64.b64decode(read) for connection in connections for read in connection["reads"])


def check_collector(targets: Targets) -> None:
    """The unix listener gets the bytes that Dovecot's listener got."""
    expected = recorded_frames()
    assert targets.collector.wait_for(len(expected)) == expected


def check_log(targets: Targets, known: Callable[[bytes], bytes]) -> None:
    """Each log exporter logs Dovecot's payloads, cut where Dovecot cuts them."""
    recorded = (CORPUS / "log-lines.txt").read_bytes().removesuffix(b"\n").split(b"\n")
    expected = Counter(known(line.partition(b"Info: ")[2]) for line in recorded)
    messages = targets.syslog.data.removesuffix(b"\n").split(b"\n")
    assert all(message.startswith(b"<22>1 ") for message in messages)  # facility mail, severity info
    # The cut of tab-text may split a character, so what is known is asked of both sides.
    assert Counter(known(message.split(b" ", 7)[7]) for message in messages) == expected


def check_as_multisets(config: Config, targets: Targets) -> None:
    """Of events read without loss: every file has Dovecot's lines, the listener its frames, in whatever order."""
    compared = 0
    for metric in config.metrics:
        if metric.exporter and list((CORPUS / "expected" / "metrics").glob(f"{metric.name}.*.gz")):
            written = (targets.files / metric.exporter).read_bytes().removesuffix(b"\n").split(b"\n")
            assert Counter(written) == Counter(expected_lines(metric.name)), metric.name
            compared += 1
    assert compared == len(list((CORPUS / "expected" / "metrics").iterdir()))
    frames = recorded_frames()
    assert Counter(targets.collector.wait_for(len(frames)).split(b"\n")) == Counter(frames.split(b"\n"))
