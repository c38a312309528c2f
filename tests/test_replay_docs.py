"""What docs/replay.md shows is run as it stands there, one command after the other."""

import gzip
import re
import shlex
import subprocess
import sys
from pathlib import Path

from support.commands import exporter, metric, write_config
from support.corpus import corpus_lines

PAGE = Path(__file__).parents[1] / "docs" / "replay.md"


def test_commands(tmp_path: Path) -> None:
    """The archive is written, counted and replayed, and the replay finds events."""
    lines = b"".join(line + b"\n" for line in corpus_lines("events.json.gz"))
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "1.json.gz").write_bytes(gzip.compress(lines, 1))
    target = exporter("out", "file", "json", "file_path = out.json")
    write_config(tmp_path, target, metric("m", "event=imap_command_finished", "out"))
    commands = [
        line for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL) for line in block.splitlines()
    ]
    assert len(commands) == 4
    for command in commands:
        words = shlex.split(command)
        if words[0] == "dovebeam":
            words[:1] = [sys.executable, "-m", "dovebeam.pipelines.cli"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.json").stat().st_size > 0
    assert len(list(tmp_path.glob("archive/**/*.avro"))) == 1
