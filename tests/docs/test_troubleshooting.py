"""Every message in a table of docs/troubleshooting.md is provoked, so that who searches for it finds the page."""

from __future__ import annotations

import os
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from dovebeam.transforms.testing import HttpTarget
from support.jobs.commands import HEAD, dovebeam, exporter, metric, write_config, write_events
from support.jobs.stream_command import Job, line
from support.oracle.corpus import corpus_lines
from support.pages.documents import ROOT
from support.programs import free_port, leave_out
from support.servers.certificates import make_authority

SAID = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)

Provoke = Callable[[Path], str]


def told(*arguments: object) -> str:
    """What a command says on both streams."""
    ran = dovebeam(*arguments)
    return ran.out + ran.err


def check(*blocks: str, head: str = HEAD) -> Provoke:
    """`dovebeam check` of these blocks."""

    def provoke(folder: Path) -> str:
        config = folder / "dovecot.conf"
        config.write_text(head + "".join(blocks))
        return told("check", "--config", config)

    return provoke


def export_to(driver: str, *settings: str, lines: list[bytes] | None = None, more: tuple[str, ...] = ()) -> Provoke:
    """`dovebeam export` of some events to one exporter; `{folder}` in settings and options is the test's own."""

    def provoke(folder: Path) -> str:
        given = [setting.format(folder=folder) for setting in settings]
        config = write_config(folder, exporter("x", driver, "json", *given), metric("m", "event=*", "x"))
        events = write_events(folder, corpus_lines("events.json.gz")[:5] if lines is None else lines)
        options = [option.format(folder=folder) for option in more]
        return told("export", "--config", config, "--input", events, *options)

    return provoke


def export(*options: str) -> Provoke:
    """An export that does not get so far."""
    return export_to("drop", more=options)


def http(url: str) -> Provoke:
    """One attempt to post."""
    return export_to("http-post", f"http_post_url = {url}")


def answered(folder: Path) -> str:
    """An endpoint that is busy."""
    with HttpTarget([503]) as target:
        return http(target.url)(folder)


def distrusted(folder: Path) -> str:
    """A server whose certificate is of an authority that nobody knows."""
    with tls_server(folder) as port:
        return http(f"https://localhost:{port}/")(folder)


@contextmanager
def tls_server(folder: Path) -> Iterator[int]:
    """Speaks TLS with a certificate of an authority of its own."""
    certificate, key = make_authority(folder).issue("server", "DNS:localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.handle_error = lambda *_: None  # a client that hangs up is what is wanted
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def linked(folder: Path) -> str:
    """A target that is a symbolic link."""
    (folder / "link").symlink_to(folder / "elsewhere")
    return export_to("file", "file_path = {folder}/link")(folder)


def kept(folder: Path) -> str:
    """A ledger's name that is something else's."""
    (folder / "notes").write_text("mine")
    return export("--ledger", "{folder}/notes")(folder)


def used(folder: Path) -> str:
    """Two streams with one state."""
    job = Job(folder)
    job.append(line(0))
    with job.running():
        job.wait_for(0)
        return told("stream", *job.options)


def without(*settings: str) -> str:
    """An exporter with just these settings."""
    return "event_exporter x {\n" + "".join(f"  {setting}\n" for setting in settings) + "}\n"


DROP = exporter("x", "drop")
CASES: dict[str, Provoke] = {
    "the first setting must be dovecot_config_version": check(DROP, head=""),
    "unknown setting 'exporter_inclde' in metric m": check(
        DROP, "metric m {\n  filter = event=*\n  exporter = x\n  exporter_inclde = name\n}\n"
    ),
    "the exporter has no format": check(without("driver = drop"), metric("m", "event=*", "x")),
    "can't read the configuration: No such file or directory": lambda folder: told("check", "--config", folder / "no"),
    "the environment variable NOPE is not set on this worker": export_to(
        "http-post", "http_post_url = http://localhost/", "http_post_auth = bearer", "http_post_auth_token = env:NOPE"
    ),
    "syntax error, unexpected end of file": check(DROP, metric("m", "event=a AND", "x")),
    "no file matches": lambda folder: told(
        "export", "--config", write_config(folder, DROP, metric("m", "event=*", "x")), "--input", folder / "*.nope"
    ),
    "no metric of the configuration names an exporter": lambda folder: told(
        "export", "--config", write_config(folder, DROP), "--input", write_events(folder, [line(1).rstrip()])
    ),
    "is true of no exported event, since exports hold no source locations": check(
        DROP, metric("m", "event=* AND source_location=a.c:5", "x")
    ),
    "Could not connect to server": http(f"http://127.0.0.1:{free_port()}/"),
    "the server's certificate is refused": distrusted,
    "the target answered 503": answered,
    "there is no socket; start the listener, or correct the path": export_to("unix", "unix_path = {folder}/none"),
    "directories are not created, so create it or correct the path": export_to("file", "file_path = {folder}/no/x"),
    "it is a symbolic link, and following one could write anywhere": linked,
    "the disk is full; make room, then run again": export_to("file", "file_path = /dev/full"),
    "could not be decoded or delivered and is in no output": export_to("drop", lines=[b'{"event":']),
    "expected an object '{'": export_to("drop", lines=[line(1).rstrip(), b"Nov 25 imap: Info: Login"]),
    "the event seems to be in 'message'": export_to("drop", lines=[b'{"message":"{\\"event\\":\\"a\\"}","host":"h"}']),
    "members seem to have been added to the event": export_to("drop", lines=[b'{"event":"a","host":"h"}']),
    "spread over several lines": export_to("drop", lines=[b"{", b'  "event": "a"', b"}"]),
    "in a JSON array": export_to("drop", lines=[b'[{"event":"a"},{"event":"b"}]']),
    "such as a syslog prefix": export_to("drop", lines=[b'Nov 25 00:00:00 mail dovecot: {"event":"a"}']),
    "its tabs were lost on the way": export_to("drop", lines=[b"event:a#011hostname:h"]),
    "this cannot be the name of an event": export_to("drop", lines=[b'{"event":"user logged in"}']),
    "more than the limit of": export_to(
        "drop", lines=[b'{"event":"' + b"x" * 2000 + b'"}'], more=("--max_line_bytes", "1000")
    ),
    "begins neither as JSON nor as tab-text nor as Avro": export_to("drop", lines=[b"nonsense"]),
    "did you mean --ledger?": export("--leger", "x"),
    "exists and is not a ledger, so it is not replaced": kept,
    "another dovebeam stream uses this state": used,
}


def test_every_message_has_a_case() -> None:
    """No row of the page is only believed."""
    assert sorted(SAID) == sorted(CASES)


@pytest.mark.parametrize("message", CASES)
def test_message(message: str, tmp_path: Path) -> None:
    """It comes in the situation that the page says."""
    if message == "the disk is full; make room, then run again" and not os.path.exists("/dev/full"):
        leave_out("no /dev/full on this system")
    assert message in CASES[message](tmp_path)
