"""The command `dovebeam collect`: Dovecot's own drivers connect to it, and what they send goes into a spool.

Between Dovecot, which keeps unsent events in memory only, and a job, which may be stopped for an hour, somebody must
take the events and keep them. This process does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

from dovebeam.pipelines.collector.options import CollectOptions, add_arguments, parse_collect
from dovebeam.pipelines.options.arguments import UsageError
from dovebeam.pipelines.terminal.exit_codes import ExitCode
from dovebeam.pipelines.terminal.logs import say
from dovebeam.transforms.errors import DovebeamError

__all__ = ["DESCRIPTION", "main"]

DESCRIPTION = "Take events from Dovecot's unix and http-post drivers and keep them in files for a streaming job."
_EPILOG = (
    "Ctrl-C or SIGTERM takes what was sent by then and ends with code 0. "
    "Exit codes: 0 done, 1 failed or something was lost, 2 usage."
)


def main(argv: Sequence[str], prog: str = "dovebeam collect") -> int:
    """Collects until a signal comes; returns the exit code."""
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION, epilog=_EPILOG, allow_abbrev=False)
    add_arguments(parser)
    try:
        options = parse_collect(parser, argv)
    except UsageError as error:
        say(str(error))
        return ExitCode.USAGE
    except SystemExit as end:  # argparse printed help or an error
        return end.code if isinstance(end.code, int) else ExitCode.USAGE
    return _run(options)


def _run(options: CollectOptions) -> int:
    from dovebeam.pipelines.collector.service import serve  # noqa: PLC0415  not for --help

    where = ", ".join(map(str, options.listen))
    try:
        counts = asyncio.run(serve(options, lambda: say(f"collecting from {where} into {options.spool}")))
    except DovebeamError as error:
        say(str(error))
        return ExitCode.FAILED
    except ImportError as error:
        say(f"http addresses need a package that is not installed ({error}); install dovebeam[collect]")
        return ExitCode.FAILED
    except KeyboardInterrupt:
        say("ended at once; what was answered is in the spool")
        return ExitCode.INTERRUPTED
    say(str(counts))
    return ExitCode.FAILED if counts.lost else ExitCode.DONE
