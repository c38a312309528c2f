"""The command `dovebeam demo`: an export of sample events of the package, with an explanation of each step.

It copies a configuration and events into a directory. Later runs keep the configuration, so that you can change a
filter and run it again. Only what an earlier demo wrote to `out/` is removed.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from dovebeam.pipelines.export.command import main as run_export
from dovebeam.pipelines.terminal.exit_codes import ExitCode, guarded
from dovebeam.pipelines.terminal.logs import say

__all__ = ["main"]

_CONFIG: Final = "dovecot.conf"
_EVENTS: Final = "events.json.gz"
_OUTPUT: Final = "out"
_OUTPUTS: Final = ("failed-logins.json", "heavy-imap.tab")
_PLACEHOLDER: Final = "@DIR@"
_SHOWN_LINES: Final = 2
_SHOWN_CHARS: Final = 150


def main(argv: Sequence[str], prog: str = "dovebeam demo") -> int:
    """Runs the demo; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Run an export on sample events and show what it did.", allow_abbrev=False
    )
    parser.add_argument("directory", nargs="?", default="demo", help="directory for the demo's files (default: demo)")
    return guarded(argv, lambda: _start(Path(parser.parse_args(argv).directory)))


def _start(directory: Path) -> int:
    try:
        fresh = _prepare(directory)
    except FileExistsError:
        say(f"{directory} holds something else than a demo; name a new directory, as in dovebeam demo /tmp/demo")
        return ExitCode.FAILED
    except OSError as error:
        say(f"{error.filename}: {error.strerror}; name another directory, as in dovebeam demo /tmp/demo")
        return ExitCode.FAILED
    return _run(directory, fresh=fresh)


def _prepare(directory: Path) -> bool:
    """Writes the samples; returns False if a configuration of an earlier run was kept.

    Raises:
        FileExistsError: the directory is neither new nor empty nor that of a demo.
    """
    config, output = directory / _CONFIG, directory / _OUTPUT
    samples = files("dovebeam.pipelines") / "samples"
    text = (samples / _CONFIG).read_text("utf-8")
    directory.mkdir(parents=True, exist_ok=True)
    fresh = not any(directory.iterdir())
    if fresh:
        config.write_text(text.replace(_PLACEHOLDER, os.path.abspath(directory)), "utf-8")
    # The first line of the sample, a comment, marks a directory of the demo; the rest may have been edited.
    elif not config.is_file() or not config.read_text("utf-8").startswith(text.partition("\n")[0]):
        raise FileExistsError
    output.mkdir(exist_ok=True)
    # The file driver appends, so a second run would show every line twice.
    for name in _OUTPUTS:
        (output / name).unlink(missing_ok=True)
    (directory / _EVENTS).write_bytes((samples / _EVENTS).read_bytes())
    return fresh


def _run(directory: Path, *, fresh: bool) -> int:
    config, events = str(directory / _CONFIG), str(directory / _EVENTS)
    arguments = ["--config", config, "--input", events, "--ledger", str(directory / "ledger.json")]
    _tell(
        f"{'Wrote' if fresh else 'Kept'} {config}, a dovecot.conf with four exporters, beside 3,000 events of a real",
        f"Dovecot in {events}. Now running:",
        "",
        f"  $ {shlex.join(['dovebeam', 'export', *arguments])}",
        "",
    )
    code = run_export(arguments, "dovebeam export")
    if code != ExitCode.DONE:
        return code
    _tell("", f"{_OUTPUT}/ has what Dovecot itself would have written:")
    for line in _written(directory / _OUTPUT):
        _tell(line)
    _tell(
        "",
        f"Next: change a filter in {config} and run this again, or try your own configuration and send nothing:",
        "",
        "  $ dovebeam export --config /etc/dovecot/dovecot.conf --input 'events*.json' --preview preview/",
    )
    return code


def _written(output: Path) -> Iterator[str]:
    for path in sorted(output.iterdir()):
        with path.open("rb") as file:
            lines = file.read().splitlines()
        yield f"\n{path} ({len(lines)} lines)"
        for line in lines[:_SHOWN_LINES]:
            shown = line.decode("utf-8", "replace").expandtabs(2)
            yield f"  {shown[:_SHOWN_CHARS]}{'...' if len(shown) > _SHOWN_CHARS else ''}"


def _tell(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
