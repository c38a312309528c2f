"""A worker process of a local job: Beam's own worker, which also ends when its launcher is gone or says so.

    python -m dovebeam.pipelines.running.worker

It is started by `running.in_process`. Signals of a terminal, and SIGTERM of a service manager, reach it together with
its launcher, which decides what to do.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
import time
from typing import Final

from dovebeam.pipelines.terminal import logs
from dovebeam.pipelines.terminal.exit_codes import ENDING
from dovebeam.transforms import progress
from dovebeam.transforms.drivers.secrets import vault

_WATCH_SECS: Final = 0.2


def main() -> None:
    """Runs Beam's worker, as its environment variables say."""
    # The launcher asks for an end by its monitor, so that a block in hand is finished.
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    debug = "--debug" in sys.argv[1:]
    logs.configure(debug=debug, stream=sys.stderr)

    from apache_beam.runners.worker import sdk_worker_main  # noqa: PLC0415  takes a second, in which we already watch

    # Beam prints the traceback of every failed bundle, which the launcher gets, too, and says in one sentence.
    with open(os.devnull, "w") as nowhere, contextlib.nullcontext() if debug else contextlib.redirect_stderr(nowhere):
        sdk_worker_main.main(sys.argv[:1])
    gc.freeze()  # see `end_process`


def _watch(launcher: int) -> None:
    directory = os.environ.get(progress.ENVIRONMENT, "")
    while os.getppid() == launcher and not (directory and progress.is_abandoned(directory)):
        time.sleep(_WATCH_SECS)
    # The launcher may have been killed before it could remove its secrets.
    vault.wipe()
    # Not `sys.exit`, which in a thread would only end the thread.
    os._exit(1)


if __name__ == "__main__":
    main()
