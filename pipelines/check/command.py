"""The command `dovebeam check`: everything that can be said of a configuration on the laptop, before a job is started.

It reads configurations as an export does and makes the drivers as an export does, but touches no target, asks no
network and loads no Beam. With events it also says which metrics match them, and why others do not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dovebeam.pipelines.check.options import CheckOptions, add_arguments, parse_check
from dovebeam.pipelines.terminal.exit_codes import ExitCode
from dovebeam.pipelines.terminal.guard import guarded
from dovebeam.pipelines.terminal.logs import say

if TYPE_CHECKING:
    from dovebeam.pipelines.check.findings import Findings
    from dovebeam.pipelines.check.sample import Sample

__all__ = ["DESCRIPTION", "main"]

DESCRIPTION = "Check configurations completely without touching any target, and show what an export would do."
_EPILOG = "Exit codes: 0 the configuration can be used, 1 the input cannot be read, 2 usage, 78 configuration."


def main(argv: Sequence[str], prog: str = "dovebeam check") -> int:
    """Checks what the command line names; returns the exit code."""
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION, epilog=_EPILOG, allow_abbrev=False)
    add_arguments(parser)
    return guarded(argv, lambda: _run(parse_check(parser, argv)))


def _run(options: CheckOptions) -> int:
    from dovebeam.pipelines.check.findings import examine, with_name_advice  # noqa: PLC0415  not for --help
    from dovebeam.pipelines.check.names import SeenNames  # noqa: PLC0415
    from dovebeam.pipelines.jobs.readable_input import readable_input, tell_terminal  # noqa: PLC0415

    tell_terminal(options.config)
    findings = examine(options.config, here=options.here, strict=options.strict)
    sample = None
    if (options.input or options.event) and not findings.errors:
        from dovebeam.pipelines.check.sample import take_sample  # noqa: PLC0415
        from dovebeam.transforms.sources import SourceError  # noqa: PLC0415

        try:
            with readable_input(options) as readable:
                sample = take_sample(findings.config, readable)
        except SourceError as error:
            say(str(error))
            return ExitCode.FAILED
    findings = with_name_advice(findings, sample.seen if sample else SeenNames())
    _show(findings, sample, options)
    if sample is not None and sample.damaged:
        for uri, damage in sample.damaged:
            say(f"{uri}: {damage}")
        return ExitCode.FAILED
    return ExitCode.CONFIG if findings.errors else ExitCode.DONE


def _show(findings: Findings, sample: Sample | None, options: CheckOptions) -> None:
    from dovebeam.pipelines.check.json_report import as_json  # noqa: PLC0415
    from dovebeam.pipelines.check.text import show_text  # noqa: PLC0415

    if options.format == "json":
        sys.stdout.write(f"{as_json(findings, sample)}\n")
    else:
        show_text(findings, sample, options)
