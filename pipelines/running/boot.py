"""The program `dovebeam-worker`, which an engine starts as a worker for `--environment_type=PROCESS`.

    dovebeam-worker --id ID --provision_endpoint HOST:PORT

Engines expect that such a program asks them for its work and then runs Beam's worker. Beam's own program exists in its
container images only; this one needs only the Python environment that it is installed in, and installs nothing.
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
    """Runs a worker until its engine closes the connection; returns the exit code.

    Args:
        argv: the arguments that engines pass; endpoints among them are not needed, since the engine is asked for them.
    """
    parser = argparse.ArgumentParser(prog="dovebeam-worker", description="A worker, started by an engine, not by hand.")
    parser.add_argument("--id", required=True, help="what the engine calls this worker")
    parser.add_argument("--provision_endpoint", required=True, metavar="HOST:PORT", help="where the engine listens")
    known, _ = parser.parse_known_args(argv)
    # Before Beam is imported, since what it logs then would make Python set up a log of its own.
    logs.configure(stream=sys.stderr)

    from dovebeam.pipelines.running.provision import prepare, run_worker  # noqa: PLC0415  loads Beam

    try:
        # Prism quotes the id as for a shell, but starts the program without one.
        prepare(known.provision_endpoint, known.id.strip("'"))
    except ValueError as error:
        say(str(error))
        return ExitCode.FAILED
    run_worker()
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
