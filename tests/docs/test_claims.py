"""What the pages on security and privacy claim, where no other test holds it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dovebeam.transforms import decode_json, parse_filter
from support.oracle.corpus import corpus_lines
from support.pages.document_homes import common_home, environment_under_test
from support.pages.documents import ROOT, blocks_of
from support.programs import HANG_SECS

CONNECTIONS = """
import sys

def note(event, arguments):
    if event in {"socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"}:
        with open(NAME, "a") as file:
            print(event, arguments[1:] if event == "socket.connect" else arguments, file=file)

sys.addaudithook(note)
"""


def test_tests_of_guarantees_exist() -> None:
    """Every test that the page on security names is there."""
    found = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs" / "security.md").read_text())
    assert len(found) > 15
    for path, name in found:
        assert f"def {name}(" in (ROOT / path).read_text() if name else (ROOT / path).is_file(), (path, name)


def test_an_export_to_a_file_connects_to_nothing(tmp_path: Path) -> None:
    """Python's own record of connections and look-ups of names is empty, and is kept: a connection would be in it."""
    home, noted = common_home(tmp_path), tmp_path / "noted"
    (tmp_path / "sitecustomize.py").write_text(CONNECTIONS.replace("NAME", repr(str(noted))))
    environ = {**environment_under_test(), "PYTHONPATH": str(tmp_path), "HOME": str(home)}
    command = [str(Path(sys.executable).parent / "dovebeam"), "export", "--config", "dovecot.conf"]
    command += ["--input", "events.json"]
    subprocess.run(command, cwd=home, env=environ, capture_output=True, check=True, timeout=HANG_SECS)
    assert (home / "written.json").stat().st_size > 0
    assert not noted.exists()
    lookup = "import socket; socket.getaddrinfo('127.0.0.1', 1)"
    subprocess.run([sys.executable, "-c", lookup], env=environ, check=True, timeout=HANG_SECS)
    assert "socket.getaddrinfo" in noted.read_text()


@pytest.mark.parametrize("page", ["docs/privacy.md"])
def test_passwords(page: str) -> None:
    """Events of real AUTH commands have the password; the filter of the page leaves out all of them, and no other."""
    (text,) = {
        found[1]
        for block in blocks_of(page)
        if (found := re.search(r"filter = (event=\* AND NOT .*AUTH\))", block.text)) is not None
    }
    events = [decode_json(line) for line in corpus_lines("events.json.gz")]
    with_password = [event for event in events if event.name and event.get("cmd_name") == "AUTH"]
    assert any(str(event.get("cmd_args")).startswith("PLAIN AG") for event in with_password)
    kept = parse_filter(text)
    assert not any(kept.matches(event) for event in with_password)
    assert all(kept.matches(event) for event in events if event.name and event.get("cmd_name") != "AUTH")
