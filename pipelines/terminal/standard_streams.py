"""Standard output and error as a process must have them, whatever it was started with."""

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
    """Opens /dev/null for each of the three standard streams that was closed by whoever started the process.

    Without that, the next file that is opened would become standard output, and get what is printed.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) <= _LAST:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    # Python has nothing for a closed stream, and everything that prints would stumble over it.
    sys.stdout = _nowhere() if sys.stdout is None else sys.stdout
    sys.stderr = _nowhere() if sys.stderr is None else sys.stderr


@contextlib.contextmanager
def output_that_never_raises() -> Iterator[None]:
    """Within it, printing raises nothing; `flush_output` tells what could not be printed."""
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
    """Writes what is buffered, and returns why something could not be printed, the first time that it is asked.

    Whoever closes a pipe in the middle of it has seen enough, and of standard error nobody can be told. If Python found
    out only when it ends, it would complain and replace the exit code.
    """
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
    """Within it, all that is printed goes to standard error, if wanted; standard output is for `write_to_stdout`."""
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
    """Writes what a command was asked to write to standard output, exactly.

    Raises:
        OSError: it cannot be written; not if whoever reads it has seen enough.
    """
    out = _kept_free[-1] if _kept_free else sys.stdout
    raw = getattr(out, "buffer", None)
    with contextlib.suppress(BrokenPipeError):
        out.flush()
        if raw is None:  # what tests have in its place
            out.write(data.decode("utf-8", "backslashreplace"))
            return
        raw.write(data)
        raw.flush()


def mute_stdout() -> None:
    """Lets standard output go nowhere from now on, because nobody reads it any more."""
    sys.stdout = _nowhere()


class _Output:
    """A text stream that swallows everything after the first error.

    Attributes:
        error: that one.
        is_told: whether somebody was told of it.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.error: OSError | None = None
        self.is_told = False

    def write(self, text: str) -> int:
        """As that of the stream."""
        if self.error is None:
            try:
                return self._stream.write(text)
            except OSError as error:
                self.error = error
        return len(text)

    def flush(self) -> None:
        """As that of the stream."""
        if self.error is None:
            try:
                self._stream.flush()
            except OSError as error:
                self.error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")
