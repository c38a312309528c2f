"""Checks of code blocks that are not run: command lines by our own parsers, configurations by the reader, and so on."""

from __future__ import annotations

import argparse
import configparser
import json
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from dovebeam.pipelines.archive.options import add_archive_arguments, parse_archive
from dovebeam.pipelines.collect.options import add_arguments as add_collect_arguments
from dovebeam.pipelines.collect.options import parse_collect
from dovebeam.pipelines.export.options import add_arguments, parse_export
from dovebeam.pipelines.options.beam import make_beam_options
from dovebeam.pipelines.replay.options import add_replay_arguments, parse_replay
from dovebeam.pipelines.stream.options import add_stream_arguments, parse_stream
from dovebeam.transforms.config import make_driver
from support.config_text import messages, reading
from support.programs import HANG_SECS

__all__ = [
    "parse_crontab",
    "parse_ini",
    "parse_json",
    "parse_yaml",
    "read_configuration",
    "understand_command",
]

_Add = Callable[[argparse.ArgumentParser], None]
_PARSERS: Mapping[str, tuple[_Add, Callable[..., Any]]] = {
    "export": (add_arguments, parse_export),
    "stream": (add_stream_arguments, parse_stream),
    "replay": (add_replay_arguments, parse_replay),
    "archive": (add_archive_arguments, parse_archive),
    "collect": (add_collect_arguments, parse_collect),
}


def understand_command(text: str) -> None:
    """Fails unless a `dovebeam` command line is understood as it stands, Beam's options included."""
    words = shlex.split(re.sub(r"\$\([^)]*\)", _stand_in, text.replace("\\\n", " ")), comments=True)
    assert words[0] == "dovebeam", f"not ours: {text}"
    add, parse = _PARSERS[words[1]]
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add(parser)
    options = parse(parser, [word for word in words[2:] if word != "&"])
    beam = getattr(options, "beam", None) or getattr(getattr(options, "export", None), "beam", ())
    make_beam_options(beam)


def _stand_in(found: re.Match[str]) -> str:
    """What the shell, or cron, would put in the place of `$(date ...)`."""
    assert found[0].startswith("$(date "), found[0]
    command = ["sh", "-c", f"echo {found[0]}".replace(r"\%", "%")]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECS, check=True).stdout.strip()


def read_configuration(folder: Path, text: str) -> None:
    """Fails unless this part of a dovecot.conf is read without an error, and every exporter's driver takes it.

    Exporters that it names but does not have, and metrics for exporters that have none, are added; files of
    certificates and keys are there, but empty.
    """
    text = "\n".join(line for line in text.splitlines() if not re.match(r"!include(_try)?\b", line)) + "\n"
    (folder / "any.pem").touch()
    text = re.sub(r"^(\s*ssl_\w+_file = )/.*$", rf"\g<1>{folder / 'any.pem'}", text, flags=re.MULTILINE)
    exporters = set(re.findall(r"^\s*event_exporter (\S+) \{", text, re.MULTILINE))
    used = set(re.findall(r"^\s*exporter = (\S+)$", text, re.MULTILINE))
    for name in used - exporters:
        text += f"event_exporter {name} {{\n  driver = drop\n  format = json\n}}\n"
    for name in exporters - used:
        text += f"metric for_{name} {{\n  filter = event=*\n  exporter = {name}\n}}\n"
    found = reading(folder, text, versions="dovecot_config_version" not in text)
    assert not found.report.errors, "\n".join(messages(found))
    for exporter in found.config.exporters.values():
        make_driver(exporter)


def parse_json(text: str) -> None:
    """Fails unless it is JSON, or JSON lines."""
    try:
        json.loads(text)
    except ValueError:
        for line in text.splitlines():
            json.loads(line)


def parse_yaml(text: str) -> None:
    """Fails unless it is YAML that is more than one text."""
    assert isinstance(yaml.safe_load(text), dict | list)


def parse_ini(text: str) -> None:
    """Fails unless it is an ini file, such as a unit of systemd, whose `dovebeam` commands are understood."""
    reader = configparser.RawConfigParser(strict=False, allow_no_value=False)
    reader.optionxform = str  # type: ignore[assignment,method-assign]
    reader.read_string(text)
    for section in reader.sections():
        command = reader[section].get("ExecStart", "")
        program, _, rest = command.partition(" ")
        if program.rpartition("/")[2] == "dovebeam":
            understand_command(f"dovebeam {rest}")


def parse_crontab(text: str) -> None:
    """Fails unless each line is one of a crontab with a `dovebeam` command that is understood."""
    for line in filter(None, text.splitlines()):
        *times, command = line.split(" ", 5)
        assert all(re.fullmatch(r"[0-9*/,-]+", word) for word in times), line
        assert "%" not in command.replace("\\%", ""), "cron ends a command at a % without a backslash"
        understand_command(command.replace("\\%", "%"))
