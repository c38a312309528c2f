"""The command `dovebeam collect`: Dovecot's own drivers connect to it, and it keeps what they send in a spool.

Dovecot keeps unsent events in memory only, and a job may be stopped for an hour. This process stands between them; it
takes events and keeps them, and does nothing else, so that it hardly ever has to stop.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from dovebeam.pipelines.collect.options import CollectOptions, add_arguments, parse_collect
from dovebeam.pipelines.terminal.exit_codes import guarded

__all__ = ["DESCRIPTION", "main"]

DESCRIPTION = "Receive events from Dovecot's unix and http-post drivers and spool them in files for `dovebeam stream`."
_EPILOG = (
    "Ctrl-C, SIGTERM, SIGHUP or SIGQUIT takes what was sent by then and ends with code 0. "
    "Exit codes: 0 done, 1 failed or something was lost, 2 usage."
)


def main(argv: Sequence[str], prog: str = "dovebeam collect") -> int:
    """Collects events until a signal arrives; returns the exit code."""
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION, epilog=_EPILOG, allow_abbrev=False)
    add_arguments(parser)
    return guarded(argv, lambda: _run(parse_collect(parser, argv)))


def _run(options: CollectOptions) -> int:
    from dovebeam.pipelines.collect.service import collect  # noqa: PLC0415  not for --help

    return collect(options)
