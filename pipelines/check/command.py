"""The command `dovebeam check`: validates a configuration before a job is started.

It reads the configuration and makes the drivers as an export does, but touches no target, uses no network and loads no
Beam. With sample events it also reports which metrics match them, and why others do not.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final

from dovebeam.pipelines.check.options import CheckOptions, add_arguments, parse_check
from dovebeam.pipelines.terminal.exit_codes import guarded

__all__ = ["DESCRIPTION", "main"]

DESCRIPTION: Final = "Validate configurations completely without touching any target, and show what an export would do."
_EPILOG: Final = "Exit codes: 0 the configuration can be used, 1 the input cannot be read, 2 usage, 78 configuration."


def main(argv: Sequence[str], prog: str = "dovebeam check") -> int:
    """Checks the configuration that the command line names; returns the exit code."""
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION, epilog=_EPILOG, allow_abbrev=False)
    add_arguments(parser)
    return guarded(argv, lambda: _run(parse_check(parser, argv)))


def _run(options: CheckOptions) -> int:
    from dovebeam.pipelines.check.check_job import run_check  # noqa: PLC0415  loads the configuration's modules

    return run_check(options)
