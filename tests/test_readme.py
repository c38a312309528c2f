"""What README.md shows is run as it stands there, from a directory like a new user's."""

import gzip
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from support.corpus import corpus_lines

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CONFIG = """dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
event_exporter out {
  driver = file
  file_path = written.json
  format = json
}
metric commands {
  filter = event=imap_command_finished
  exporter = out
}
"""


def blocks(language: str) -> list[str]:
    """The code blocks of README.md in a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with the files that README.md names."""
    lines = b"".join(line + b"\n" for line in corpus_lines("events.json.gz")[:3000])
    (tmp_path / "events.json").write_bytes(lines)
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "1.json.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "dovecot.conf").write_text(CONFIG)
    return tmp_path


def run(command: list[str], home: Path) -> "subprocess.CompletedProcess[str]":
    """Runs a command in that directory."""
    return subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=300, check=False)


def test_shell_commands(home: Path) -> None:
    """Every `dovebeam` command of README.md succeeds and writes what it says; `make` targets exist."""
    commands = [line.partition("#")[0] for block in blocks("sh") for line in block.splitlines() if line.strip()]
    seen = 0
    for command in commands:
        words = shlex.split(command)
        if words[0] == "make":
            assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text()
            continue
        assert words[0] == "dovebeam"
        done = run([sys.executable, "-m", "dovebeam.pipelines.cli", *words[1:]], home)
        assert done.returncode == 0, done.stderr
        seen += 1
    assert seen >= 2
    written = (home / "written.json").read_text().splitlines()
    expected = sum(b'"event":"imap_command_finished"' in line for line in corpus_lines("events.json.gz")[:3000])
    assert len(written) == expected
    assert (home / "preview" / "out.json").read_text().splitlines() == written
    assert '"read"' in (home / "ledger.json").read_text()


def test_library_example(home: Path) -> None:
    """The pipeline of README.md runs and prints events in the selected fields."""
    (code,) = blocks("python")
    (home / "example.py").write_text(code.replace("duration >= 1s", "duration >= 1ms"))
    done = run([sys.executable, "example.py"], home)
    assert done.returncode == 0, done.stderr
    assert '"fields":{"user":' in done.stdout


def test_links() -> None:
    """Files that README.md links to exist."""
    for target in re.findall(r"\]\((?!http)([^)#]+)", README):
        assert (ROOT / target).is_file(), target
