"""Standard input and pipes as files: copies of input that can be read only once.

A runner asks for a file's size, reads it from several places and processes, and reads it again when a bundle fails. So
standard input, pipes and the shell's `<(command)` are copied to a temporary file, which is removed at the end. A file
behind a redirection (`< events.json`) is read directly.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from dovebeam.pipelines.options.arguments import STDIN, descriptor_of
from dovebeam.pipelines.terminal.exit_codes import UsageError
from dovebeam.pipelines.terminal.logs import say
from dovebeam.transforms.local_files import TemporaryFolder, is_url, open_new
from dovebeam.transforms.sources import SourceError

__all__ = ["ReadableInput", "check_no_pipes", "readable_input", "tell_terminal"]

_COPIED_BYTES: Final = 1024 * 1024


class ReadableInput(NamedTuple):
    """Input that can be read any number of times.

    Attributes:
        patterns: of its files.
        names: pairs of a path and the name of that file in rejects and idempotency keys.
    """

    patterns: tuple[str, ...]
    names: tuple[tuple[str, str], ...]


@contextlib.contextmanager
def readable_input(patterns: Sequence[str], names: Sequence[tuple[str, str]] = ()) -> Iterator[ReadableInput]:
    """A context in which input that can be read only once is replaced by temporary files.

    Args:
        patterns: of input files, as they were given.
        names: pairs of a path and a name that are known already.

    Raises:
        UsageError: a file descriptor that is not open.
        SourceError: input that cannot be read or copied.
    """
    with contextlib.ExitStack() as stack:
        readable: list[str] = []
        known = list(names)
        folder = ""
        for pattern in patterns:
            if not _is_pipe(pattern):
                readable.append(_behind(pattern) or pattern)
                continue
            folder = folder or stack.enter_context(_folder())
            copy = os.path.join(folder, str(len(known)))
            # Rejects and keys name what was given, since the copy is gone afterwards and has another path next time.
            name = STDIN if descriptor_of(pattern) == 0 else os.path.abspath(pattern)
            _copy(pattern, name, copy)
            readable.append(copy)
            known.append((copy, name))
        yield ReadableInput(tuple(readable), tuple(known))


def tell_terminal(paths: Iterable[str]) -> None:
    """Prints a hint if one of the paths is standard input and that is a terminal."""
    for path in paths:
        descriptor = descriptor_of(path)
        if descriptor is not None and os.isatty(descriptor):
            say(f"reading {path} from the terminal; end with Ctrl-D on a line of its own, or stop with Ctrl-C")


def check_no_pipes(patterns: Iterable[str]) -> None:
    """Refuses standard input and other descriptors for a remote job.

    Raises:
        UsageError: there is such input.
    """
    for pattern in patterns:
        if descriptor_of(pattern) is not None:
            raise UsageError(f"--input {pattern} is on this machine, but the job is remote; copy it to gs://...")


def _is_pipe(pattern: str) -> bool:
    """Whether a pattern stands for a descriptor or named pipe that can be read only once."""
    descriptor = descriptor_of(pattern)
    if descriptor is not None:
        return not _behind(pattern) and not stat.S_ISDIR(_status(descriptor, pattern).st_mode)
    try:
        return not is_url(pattern) and stat.S_ISFIFO(os.stat(pattern).st_mode)
    except OSError:
        return False


def _status(descriptor: int, pattern: str) -> os.stat_result:
    try:
        return os.fstat(descriptor)
    except OSError:
        raise UsageError(f"--input {pattern}: this descriptor is not open; redirect something to it") from None


def _behind(pattern: str) -> str:
    """Path of the regular file behind a descriptor; empty for a pipe and the like."""
    descriptor = descriptor_of(pattern)
    if descriptor is None:
        return ""
    status = _status(descriptor, pattern)
    if not stat.S_ISREG(status.st_mode):
        return ""
    with contextlib.suppress(OSError):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        # Not if a part was read already (`{ read first; dovebeam ...; } < file`), or the path leads to another file.
        if not os.lseek(descriptor, 0, os.SEEK_CUR) and os.path.samestat(status, os.stat(path)):
            return path
    return ""


@contextlib.contextmanager
def _folder() -> Iterator[str]:
    try:
        folder = TemporaryFolder("input")
    except OSError as error:
        raise SourceError(f"no temporary folder can be made: {error.strerror}; set TMPDIR to one that can") from error
    with folder as path:
        yield path


def _copy(pattern: str, name: str, path: str) -> None:
    descriptor = descriptor_of(pattern)
    tell_terminal([pattern])
    try:
        source = os.open(pattern, os.O_RDONLY | os.O_CLOEXEC) if descriptor is None else os.dup(descriptor)
    except OSError as error:
        raise SourceError(f"cannot be opened: {error.strerror}", name) from error
    try:
        target = open_new(path, 0o600)
    except OSError as error:
        os.close(source)
        raise _full(error, name, path) from error
    with open(source, "rb", buffering=0) as reading, open(target, "wb", buffering=0) as writing:
        while data := _read(reading.fileno(), name):
            _write(writing.fileno(), data, name, path)


def _read(descriptor: int, name: str) -> bytes:
    try:
        return os.read(descriptor, _COPIED_BYTES)
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", name) from error


def _write(descriptor: int, data: bytes, name: str, path: str) -> None:
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError as error:
        raise _full(error, name, path) from error


def _full(error: OSError, name: str, path: str) -> SourceError:
    return SourceError(
        f"cannot be copied to {path}, from where the job would read it: {error.strerror}; set TMPDIR to a directory "
        "with more room, or write the events to a file and name that",
        name,
    )
