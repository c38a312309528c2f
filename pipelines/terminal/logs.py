"""Log of a command: messages of dovebeam, warnings, and what the log driver exports, without noise of libraries."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Final, TextIO

__all__ = ["configure", "say"]

EXPORT_LOGGER: Final = "dovebeam.export"
"""Logger of the log driver; its messages are exported data and always shown."""

_HANDLER_NAME: Final = "dovebeam"

# Warnings without use for an operator: of installations without BigQuery, and of Beam's own internal options.
_NOISE: Final = (
    "apitools not found",
    "Worker: ",
    "No semi_persistent_directory",
    "Not setting flag with value None",
    "Discarding unparseable args: ['--direct_runner_use_stacked_bundle'",  # set by Beam itself, unknown to its workers
    "Discarding unparseable args: ['--pipeline_type_check'",
    "Really starting service at",  # an engine as a child process, which is what --runner asked for
    "Really destroying service at",
)
# These loggers report the exceptions of a bundle with tracebacks; the launcher reports them once, in one sentence.
_REPORTED_ELSEWHERE: Final = (
    "apache_beam.runners.common",
    "apache_beam.runners.worker",
    "apache_beam.runners.portability",
    "PrismRunner",  # messages of Prism, also errors of its workers
)
_RETRY_TRACEBACK: Final = "\n Traceback for above exception"  # added by Beam to the reason for a retry
_FROM_WORKER: Final = "[SDK] "  # prefix of messages that an engine passes on from its workers


def say(message: str) -> None:
    """Prints a message of dovebeam itself on standard error."""
    # A terminal that was closed must not end the job that has something to say.
    with contextlib.suppress(OSError):
        sys.stderr.write(f"dovebeam: {message}\n")
        sys.stderr.flush()


def configure(*, debug: bool = False, stream: TextIO | None = None) -> None:
    """Sets up Python's logging for a process of a job.

    Exported events appear unchanged, a line each; warnings with a prefix. With `debug`, everything from level INFO.

    Args:
        debug: whether messages of libraries appear, too.
        stream: where everything goes; by default `sys.stderr` as it is when a message arrives.
    """
    root, exports = logging.getLogger(), logging.getLogger(EXPORT_LOGGER)
    # May be called again in the same process: by tests, and by a worker that the launcher itself runs.
    for logger in (root, exports):
        for old in [old for old in logger.handlers if old.get_name() == _HANDLER_NAME]:
            logger.removeHandler(old)
    handler = _StderrHandler(stream)
    handler.set_name(_HANDLER_NAME)
    handler.setFormatter(_Formatter())
    if debug:
        root.setLevel(logging.INFO)
    else:
        handler.addFilter(_is_wanted)
        root.setLevel(logging.WARNING)
    root.addHandler(handler)
    # Directly to the handler: a worker's root logger also sends everything to its launcher, and drops some under load.
    exports.addHandler(handler)
    exports.propagate = False
    exports.setLevel(logging.INFO)


def _is_wanted(record: logging.LogRecord) -> bool:
    if record.name == EXPORT_LOGGER:
        return True
    if record.levelno < logging.WARNING or record.getMessage().removeprefix(_FROM_WORKER).startswith(_NOISE):
        return False
    elsewhere = record.name.startswith(_REPORTED_ELSEWHERE) or record.module == "portable_runner"
    return not (record.levelno >= logging.ERROR and elsewhere)


class _StderrHandler(logging.Handler):
    """Writes to `sys.stderr` as it is at that moment, because a progress bar replaces it for a while."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        stream = self._stream or sys.stderr
        try:
            stream.write(f"{self.format(record)}\n")
            stream.flush()
        except Exception:
            self.handleError(record)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        if record.name == EXPORT_LOGGER:
            return record.getMessage()
        if record.levelno < logging.WARNING:
            return f"{record.name}: {super().format(record)}"
        return f"dovebeam: {record.levelname.lower()}: {super().format(record).partition(_RETRY_TRACEBACK)[0]}"
