"""Standard output and error: opened if they were closed, and errors of printing handled in one place."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import IO, Any, Final, TextIO

__all__ = [
    "flush_output",
    "mute_stdout",
    "output_that_never_raises",
    "provide_streams",
    "stdout_kept_free",
    "write_to_stdout",
]

_LAST: Final = 2  # the descriptor of standard error


def provide_streams() -> None:
    """Opens /dev/null for each of the three standard streams that is closed.

    Without that, the next file that is opened would become standard output, and would get what is printed.
    """
    # `open` gives the lowest free descriptor, so the first one above 2 says that all three are taken.
    while (descriptor := os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) <= _LAST:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    # Python sets the variable of a closed stream to None, and everything that prints would fail.
    sys.stdout = _nowhere() if sys.stdout is None else sys.stdout
    sys.stderr = _nowhere() if sys.stderr is None else sys.stderr


@contextlib.contextmanager
def output_that_never_raises() -> Iterator[None]:
    """A context in which printing raises nothing; `flush_output` returns the error afterwards."""
    before = sys.stdout
    if isinstance(before, _Output):
        yield
        return
    ours: Any = _Output(before)  # a text stream in all that is used of it
    sys.stdout = ours
    try:
        yield
    finally:
        if sys.stdout is ours:
            sys.stdout = before if ours.error is None else _nowhere()


def flush_output() -> OSError | None:
    """Writes what is buffered; the first call after an error of standard output returns that error.

    A pipe that its reader closed is not an error, and one of standard error cannot be reported.
    """
    # Flushed here, since Python would do it at its own end, print a traceback and replace the exit code.
    try:
        sys.stderr.flush()
    except OSError:
        sys.stderr = _nowhere()
    sys.stdout.flush()
    ours: object = sys.stdout
    if not isinstance(ours, _Output) or ours.is_told or isinstance(ours.error, BrokenPipeError):
        return None
    ours.is_told = ours.error is not None
    return ours.error


_kept_free: Final[list[TextIO]] = []


@contextlib.contextmanager
def stdout_kept_free(*, is_wanted: bool) -> Iterator[None]:
    """A context in which all that is printed goes to standard error, if wanted, except by `write_to_stdout`."""
    # Such as `--ledger -`: a program reads standard output, where a table or a warning would break its JSON.
    if not is_wanted or _kept_free:
        yield
        return
    _kept_free.append(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _kept_free.pop()


def write_to_stdout(data: bytes) -> None:
    """Writes bytes to standard output, unchanged.

    Raises:
        OSError: they cannot be written; not if the reader of a pipe has closed it.
    """
    out = _kept_free[-1] if _kept_free else sys.stdout
    raw = getattr(out, "buffer", None)
    with contextlib.suppress(BrokenPipeError):
        out.flush()
        if raw is None:  # a stream of a test
            out.write(data.decode("utf-8", "backslashreplace"))
            return
        raw.write(data)
        raw.flush()


def mute_stdout() -> None:
    """Discards all further standard output, because its reader is gone."""
    sys.stdout = _nowhere()


class _Output:
    """A text stream that discards everything after the first error.

    Attributes:
        error: the first error.
        is_told: whether it was reported.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.error: OSError | None = None
        self.is_told = False

    def write(self, text: str) -> int:
        """Writes as the stream does; returns the number of characters."""
        if self.error is None:
            try:
                return self._stream.write(text)
            except OSError as error:
                self.error = error
        return len(text)

    def flush(self) -> None:
        """Flushes as the stream does."""
        if self.error is None:
            try:
                self._stream.flush()
            except OSError as error:
                self.error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")
