"""What a newcomer tries first, and the advice that leads on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.jobs.commands import HEAD, Ran, dovebeam, exporter, inside, metric

EVENT = '{"event":"imap_command_finished","end_time":"2026-11-22T08:15:39.986543Z"}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration, its overlay, a file of events and an archive."""
    (tmp_path / "dovecot.conf").write_text(
        HEAD + exporter("x", "drop") + metric("m", "event=imap_command_finished", "x")
    )
    (tmp_path / "overlay.conf").write_text("# ours\nevent_exporter x {\n  format = tab-text\n}\n")
    (tmp_path / "events.json").write_text(f"{EVENT}\n")
    part = tmp_path / "archive" / "date=2026-11-22" / "hour=08"
    part.mkdir(parents=True)
    (part / "events-0123456789ab-00000-of-00001.avro").write_bytes(b"")
    (tmp_path / "archive" / "archive-0123456789ab.manifest.json").write_text(
        '{\n "exporter": "archive",\n "run_id": "0123456789ab",\n "state": "done"\n}\n'
    )
    return tmp_path


def tried(folder: Path, *arguments: str) -> Ran:
    """A command there."""
    with inside(folder):
        return dovebeam(*arguments)


@pytest.mark.parametrize("command", [["check"], ["export", "--input", "events.json"]])
def test_overlay_first(folder: Path, command: list[str]) -> None:
    """The overlay in the wrong place is not told that it is a configuration of Dovecot 2.3."""
    ran = tried(folder, *command, "--config", "overlay.conf", "--config", "dovecot.conf")
    assert ran.code == 78
    assert "dovecot.conf has it: name the complete file first" in ran.err
    assert "--config dovecot.conf --config overlay.conf" in ran.err
    assert "2.3" not in ran.err
    assert ran.err.count("error: ") == 1
    assert tried(folder, "check", "--config", "dovecot.conf", "--config", "overlay.conf").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["check", "dovecot.conf"], 2, "a configuration is given as --config dovecot.conf"),
        (["check", "--config", "dovecot.conf", "overlay.conf"], 2, "given as --config overlay.conf"),
        (["check", "--config", "dovecot.conf", "events.json"], 2, "a file of events is given as --input events.json"),
        (["check", "--config", "dovecot.conf", "--event", "events.json"], 2, "write --input events.json"),
        (["check", "--config", "dovecot.conf", "--event", "@events.json"], 2, "write --input events.json"),
        (["check", "--config", "dovecot.conf", "--nonsense"], 2, "unrecognized arguments: --nonsense"),
        (["check", "--config", "dovecot.conf", "--input", "archive"], 1, "dovebeam replay --input archive"),
        (["check", "--config", "dovecot.conf", "--input", "archive/**"], 1, "is the manifest of an archive"),
        (["export", "--config", "dovecot.conf", "--input", "archive"], 1, "dovebeam replay --input"),
        (["export", "--config", "dovecot.conf", "--input", "archive/**"], 1, "is the manifest of an archive"),
        (["export", "--config", "dovecot.conf", "--input", "archive/*.json"], 1, "/archive/**/*.avro'"),
    ],
)
def test_advice(folder: Path, arguments: list[str], code: int, words: str) -> None:
    """Each wrong turn is told where to go on."""
    ran = tried(folder, *arguments)
    assert ran.code == code, ran.err
    assert words in ran.err
    assert not (folder / "preview").exists()


def test_the_advice_works(folder: Path) -> None:
    """What `check` says to write is right: the events of a file, and those of a pattern that goes down."""
    ran = tried(folder, "check", "--config", "dovecot.conf", "--input", "events.json")
    assert (ran.code, ran.err) == (0, "")
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "e.json").write_text(f"{EVENT}\n")
    assert "read    1" in tried(folder, "check", "--config", "dovecot.conf", "--input", "deep/**/*.json").out


def test_files_that_only_look_like_it(folder: Path) -> None:
    """A file of events may be called like a manifest, and a directory with events in it is no archive."""
    (folder / "x.manifest.json").write_text(f"{EVENT}\n")
    ran = tried(folder, "check", "--config", "dovecot.conf", "--input", "x.manifest.json")
    assert (ran.code, ran.err) == (0, "")
    ran = tried(folder, "check", "--config", "dovecot.conf", "--input", ".")
    assert "write a pattern like '/*' behind it" in ran.err


WITHOUT_BEAM = """
import sys
from dovebeam.pipelines.cli import main
code = main(sys.argv[1:])
print("Beam was loaded" if "apache_beam" in sys.modules else "no Beam")
sys.exit(code)
"""
STREAM = ["stream", "--follow", "events.json", "--state", "state", "--rejects", "rejects.json"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["export", "--config", "wrong.conf", "--input", "events.json"], 78, "wrong.conf:"),
        (["replay", "--config", "wrong.conf", "--input", "archive"], 78, "wrong.conf:"),
        ([*STREAM, "--config", "wrong.conf"], 78, "wrong.conf:"),
        (["export", "--config", "no.conf", "--input", "events.json"], 78, "no.conf"),
        (["export", "--config", "dovecot.conf"], 2, "--input"),
        (["replay", "--config", "dovecot.conf", "--input", "archive", "--only_failed", "no.json"], 2, "no.json"),
        (["replay", "--config", "dovecot.conf", "--input", "archive", "--only_exporter", "z"], 2, "'z'"),
        ([*STREAM, "--config", "dovecot.conf", "--ledger", "l.json", "--runner=FlinkRunner"], 2, "--ledger: Flink"),
    ],
)
def test_mistakes_are_told_before_beam_is_loaded(folder: Path, arguments: list[str], code: int, words: str) -> None:
    """Beam takes seconds to load; what is wrong with the options or the configuration does not wait for it."""
    (folder / "wrong.conf").write_text(HEAD + exporter("x", "dorp") + metric("m", "event=imap_command_finished", "x"))
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_BEAM, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (code, "no Beam\n"), ran.stderr
    assert words in ran.stderr
