"""The program that an engine starts for `--environment_type=PROCESS`: a worker with the dovebeam installed beside it.

    dovebeam-worker --id ID --provision_endpoint HOST:PORT

Engines expect of such a program that it asks them what to do and then runs Beam's worker. Beam's own lives in Beam's
container images only; this one needs nothing but the Python environment that it is installed in, and installs nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dovebeam.pipelines.terminal import logs
from dovebeam.pipelines.terminal.exit_codes import ExitCode
from dovebeam.pipelines.terminal.logs import say

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a worker until its engine lets it go; returns the exit code.

    Args:
        argv: the arguments that engines pass; those that say where to listen or log otherwise are known and not needed.
    """
    parser = argparse.ArgumentParser(prog="dovebeam-worker", description="A worker, started by an engine, not by hand.")
    parser.add_argument("--id", required=True, help="what the engine calls this worker")
    parser.add_argument("--provision_endpoint", required=True, metavar="HOST:PORT", help="where the engine listens")
    known, _ = parser.parse_known_args(argv)
    logs.configure(stream=sys.stderr)  # first: what Beam logs when it is imported would set up another

    from dovebeam.pipelines.running.provision import prepare, run_worker  # noqa: PLC0415  loads Beam

    try:
        prepare(known.provision_endpoint, known.id.strip("'"))  # Prism quotes it as for a shell, without one
    except ValueError as error:
        say(str(error))
        return ExitCode.FAILED
    run_worker()
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
