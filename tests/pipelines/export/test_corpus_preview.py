"""The whole corpus through the command line with --preview, compared byte for byte with what Dovecot exported.

What no reader of exported events could know, and the comparisons therefore leave out: the unnamed events of the metric
`imap_category`, which the files of all named events do not have; and, reading JSON, the bytes that JSON replaced.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from dovebeam.pipelines.export.preview import MARKER, preview_name
from dovebeam.transforms import Config, load_config
from support.jobs.commands import Ran, dovebeam, dovebeam_process
from support.oracle.corpus import CORPUS

ALL_EVENTS = {
    "file-all-events": "events.json.gz",
    "file-all-events-unix": "events-unix.json.gz",
    "file-all-events-tab": "events.tab.gz",
    "file-all-events-tab-unix": "events-unix.tab.gz",
}


@cache
def config() -> Config:
    """The configuration of the run."""
    return load_config(CORPUS / "dovecot.conf")


@cache
def expected() -> dict[str, bytes]:
    """What Dovecot wrote or sent for each exporter, one line an event."""
    lines: dict[str, bytes] = {name: gzip.decompress((CORPUS / file).read_bytes()) for name, file in ALL_EVENTS.items()}
    for path in (CORPUS / "expected" / "metrics").iterdir():
        (metric,) = (each for each in config().metrics if each.name == path.name.partition(".")[0])
        lines[metric.exporter] = gzip.decompress(path.read_bytes())
        if metric.name == "imap_category":
            named = (line for line in lines[metric.exporter].splitlines(keepends=True) if line.startswith(b'{"event":'))
            lines[metric.exporter] = b"".join(named)
    lines |= sent_by_http() | logged()
    connections = json.loads((CORPUS / "unix-frames.b64.json").read_text())["connections"]
    frames = b"".join(base64.b64decode(read) for connection in connections for read in connection["reads"])
    return lines | {only("unix"): frames}


def only(driver: str, format_: str | None = None) -> str:
    """The one exporter with a driver, and a format if several have it."""
    exporters = config().exporters.values()
    (name,) = (each.name for each in exporters if each.driver == driver and format_ in (None, each.format))
    return name


def sent_by_http() -> dict[str, bytes]:
    """The bodies of the requests."""
    bodies: dict[str, list[bytes]] = {}
    for line in (CORPUS / "http-post.jsonl").read_text().splitlines():
        request = json.loads(line)
        bodies.setdefault(request["path"], []).append(request["body"].encode() + b"\n")
    urls = {
        each.name: each.settings.text("event_exporter_http_post_url")
        for each in config().exporters.values()
        if each.driver == "http-post"
    }
    return {name: b"".join(bodies.get("/" + url.split("/", 3)[3], [])) for name, url in urls.items()}


def logged() -> dict[str, bytes]:
    """The lines of the two log exporters, which are told apart by their format."""
    lines = (CORPUS / "log-lines.txt").read_bytes().splitlines(keepends=True)
    payloads = [line.partition(b"Info: ")[2] for line in lines]
    return {
        only("log", "json"): b"".join(each for each in payloads if each.startswith(b"{")),
        only("log", "tab-text"): b"".join(each for each in payloads if not each.startswith(b"{")),
    }


def shown_in_json(content: bytes) -> bytes:
    """The content with U+FFFD for each byte that is not UTF-8, which is all that a reader of JSON has."""
    return re.sub("[\udc80-\udcff]", "\ufffd", content.decode("utf-8", "surrogateescape")).encode()


def as_it_is(content: bytes) -> bytes:
    """What a reader of tab-text knows: everything."""
    return content


def check(preview: Path, known: Callable[[bytes], bytes], arranged: Callable[[bytes], object] = as_it_is) -> None:
    """Every exporter's file holds what Dovecot exported, as far as the input knew it."""
    used = dict.fromkeys(metric.exporter for metric in config().metrics if metric.exporter)
    assert set(used) == set(expected())
    names = {preview_name(name, config().exporters[name].format) for name in used}
    assert {path.name for path in preview.iterdir()} == names | {MARKER}
    for name in used:
        exporter = config().exporters[name]
        written = (preview / preview_name(name, exporter.format)).read_bytes()
        wanted = known(expected()[name])
        if exporter.driver == "log":  # the cut of tab-text may split a character, so both sides are asked
            written = known(written)
        assert arranged(written) == arranged(wanted), name


def check_ledger(path: Path) -> None:
    """The account is balanced and knows every event."""
    account = json.loads(path.read_text())
    assert account["imbalances"] == []
    assert account["rejected"]["total"] == 0
    assert account["read"] == expected()["file-all-events"].count(b"\n")
    for exporter in account["exporters"]:
        assert exporter["delivered"] == expected()[exporter["name"]].count(b"\n"), exporter


def preview_of(source: Path, folder: Path, run: Callable[..., Ran], *options: str) -> Path:
    """Runs the preview; returns its directory."""
    arguments = ["--config", CORPUS / "dovecot.conf", "--input", source, "--ledger", folder / "ledger.json"]
    ran = run("export", *arguments, "--preview", folder / "preview", *options)
    assert ran.code == 0, ran.err
    assert "Traceback" not in ran.err
    return folder / "preview"


@pytest.mark.parametrize("source", ["events-unix.json.gz", "events.tab.gz"])
def test_corpus(source: str, tmp_path: Path) -> None:
    """From both formats of the events (compressed), every exporter's file is Dovecot's, in its order.

    That the other two forms of times decode to the same events is for tests/codecs/test_corpus_round_trip.py.
    """
    preview = preview_of(CORPUS / source, tmp_path, dovebeam)
    check(preview, shown_in_json if "json" in source else as_it_is)
    check_ledger(tmp_path / "ledger.json")


def test_two_processes(tmp_path: Path) -> None:
    """Two worker processes write the same lines, whatever their order; the real command, plain input in two files."""
    lines = gzip.decompress((CORPUS / "events.tab.gz").read_bytes()).splitlines(keepends=True)
    (tmp_path / "events-1.tab").write_bytes(b"".join(lines[:20000]))
    (tmp_path / "events-2.tab").write_bytes(b"".join(lines[20000:]))
    options = ["--direct_num_workers=2", "--direct_running_mode=multi_processing", "--input_format=tab-text"]
    preview = preview_of(tmp_path / "events-*.tab", tmp_path, dovebeam_process, *options)
    check(preview, as_it_is, lambda content: sorted(content.split(b"\n")))
    check_ledger(tmp_path / "ledger.json")
