"""What goes to the terminal: warnings and what the log driver exports, without the chatter of the libraries."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Final, TextIO

__all__ = ["configure", "say"]

EXPORT_LOGGER: Final = "dovebeam.export"
"""The logger of the log driver; what it gets is exported data and is always shown."""

_HANDLER_NAME: Final = "dovebeam"

# Warnings that tell an operator nothing: of installations without BigQuery, and of options that are no matter of ours.
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
# These loggers report the exceptions of a bundle, with tracebacks; the launcher says it once, in one sentence.
_REPORTED_ELSEWHERE: Final = (
    "apache_beam.runners.common",
    "apache_beam.runners.worker",
    "apache_beam.runners.portability",
    "PrismRunner",  # what Prism says, its workers' errors included
)
_RETRY_TRACEBACK: Final = "\n Traceback for above exception"  # which Beam adds to the reason for a retry
_FROM_WORKER: Final = "[SDK] "  # before what an engine passes on


def say(message: str) -> None:
    """A message of dovebeam itself, on standard error; a terminal that is closed does not end what it is about."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"dovebeam: {message}\n")
        sys.stderr.flush()


def configure(*, debug: bool = False, stream: TextIO | None = None) -> None:
    """Sets up Python's logging for a process of a job.

    Exported events appear as they are, a line each; warnings with a prefix. With `debug`, everything from level INFO.

    Args:
        debug: whether the libraries' messages appear, too.
        stream: where everything goes, by default what standard error is when it comes.
    """
    root, exports = logging.getLogger(), logging.getLogger(EXPORT_LOGGER)
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
    # Straight to the handler: a worker's root logger sends everything to its launcher, too, and drops it when in haste.
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
    """Writes to what standard error is at that moment; a progress bar puts something else in its place."""

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
