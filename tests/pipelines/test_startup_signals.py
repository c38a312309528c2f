"""Signals while a command still loads its modules."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from support.programs import HANG_SECS

_PROGRAM = """
import os, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), int(sys.argv[2]))

sys.meta_path.insert(0, Finder())
from dovebeam.pipelines.cli import main
sys.exit(main(sys.argv[3:]))
"""
_COMMANDS = {
    "stream": ["--config=dovecot.conf", "--follow=spool", "--state=state", "--rejects=rejects.jsonl"],
    "export": ["--config=dovecot.conf", "--input=events.json"],
    "collect": ["--listen=unix:socket", "--spool=spool"],
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("dovebeam.pipelines.terminal.exit_codes", "stream"),
        ("dovebeam.pipelines.terminal.logs", "stream"),
        ("dovebeam.pipelines.stream", "stream"),
        ("dovebeam.pipelines.export", "export"),
        ("dovebeam.pipelines.collect", "collect"),
    ],
)
def test_signal_during_start_up(module: str, command: str, number: signal.Signals) -> None:
    """It ends the command with at most one line, and never with a traceback, whatever is loaded at that moment."""
    run = [sys.executable, "-c", _PROGRAM, module, str(int(number)), command, *_COMMANDS[command]]
    ran = subprocess.run(run, capture_output=True, text=True, check=False, timeout=HANG_SECS)
    assert ran.returncode in {-number, 128 + number}, ran.stderr
    assert ran.stdout == ""
    assert ran.stderr in {"", "dovebeam: stopped before anything was done\n"}
