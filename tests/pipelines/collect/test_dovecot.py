"""A real Dovecot sends its events to a collector."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from dovebeam.transforms.codecs import decode_json
from support.jobs.collector import run_collector
from support.jobs.commands import dovebeam, exporter, metric, write_config
from support.programs import wait_until
from support.servers.dovecot import run_dovecot
from support.servers.server_http import run_http_server


def test_what_dovecot_sends_comes_out(tmp_path: Path) -> None:
    """Every event of Dovecot 2.3 that a plain listener gets is in the spool, with the same bytes, and is an event."""
    with run_http_server() as plain, run_collector(tmp_path) as collector:
        with run_dovecot({"plain": f"{plain.url}/", "collect": collector.url}) as dovecot:
            for user in ("jane", "joe"):
                dovecot.session(user, messages=5)
            dovecot.wrong_password("bob")
            wait_until(lambda: names(collector.lines)["mail_user_session_finished"] >= 2, "the sessions' ends")
            wait_until(lambda: len(collector.lines) == len(plain.requests), "both to have all")
        assert collector.stop() == 0
    assert Counter(collector.lines) == Counter(request.body for request in plain.requests)
    found = names(collector.lines)
    assert found["imap_command_finished"] >= 2 * (5 + 5 + 3)
    assert found["auth_request_finished"] >= 3
    assert all(decode_json(line).name for line in collector.lines)
    assert "refused" not in collector.said
    check_export(tmp_path, collector.lines)


def check_export(folder: Path, lines: list[bytes]) -> None:
    """An export of the spool writes every event as Dovecot did."""
    target = folder / "exported"
    config = write_config(folder, exporter("f", "file", "json", f"file_path = {target}"), metric("m", "event=*", "f"))
    ran = dovebeam("export", "--config", config, "--input", folder / "spool" / "*.lines")
    assert ran.code == 0, ran.err
    assert target.read_bytes().split(b"\n")[:-1] == lines


def names(lines: list[bytes]) -> Counter[str]:
    """How often each event is there."""
    return Counter(json.loads(line)["event"] for line in lines)
