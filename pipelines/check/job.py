"""A check from its options to its exit code: what is found, what events show, and the report on both."""

from __future__ import annotations

import dataclasses
import sys

from dovebeam.pipelines.check.check_job import as_json, show_text
from dovebeam.pipelines.check.findings import examine, with_name_advice
from dovebeam.pipelines.check.names import SeenNames
from dovebeam.pipelines.check.options import CheckOptions
from dovebeam.pipelines.check.sample import take_sample
from dovebeam.pipelines.jobs.readable_input import readable_input, tell_terminal
from dovebeam.pipelines.terminal.exit_codes import ExitCode
from dovebeam.pipelines.terminal.logs import say
from dovebeam.transforms.sources import SourceError

__all__ = ["run_check"]


def run_check(options: CheckOptions) -> int:
    """Checks configurations, tries events on them if there are any, and returns the exit code.

    Raises:
        UsageError: an option names something that is not there, or is not what the option takes.
    """
    tell_terminal(options.config)
    findings = examine(options.config, here=options.here, strict=options.strict)
    sample = None
    if (options.input or options.event) and not findings.errors:
        try:
            with readable_input(options.input, options.names) as readable:
                tried = dataclasses.replace(options, input=readable.patterns, names=readable.names)
                sample = take_sample(findings.config, tried)
        except SourceError as error:
            say(str(error))
            return ExitCode.FAILED
    findings = with_name_advice(findings, sample.seen if sample else SeenNames())
    if options.format == "json":
        sys.stdout.write(f"{as_json(findings, sample)}\n")
    else:
        show_text(findings, sample, has_input=bool(options.input), explain=options.explain)
    if sample is not None and sample.damaged:
        for uri, damage in sample.damaged:
            say(f"{uri}: {damage}")
        return ExitCode.FAILED
    return ExitCode.CONFIG if findings.errors else ExitCode.DONE
