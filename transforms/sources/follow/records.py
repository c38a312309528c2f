"""State of followed files: identity and offset of each file, and the directory in which a stream saves them.

A file is recognised by its inode and by the start of its content, since inodes are reused and files are copied.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Annotated, Final, Literal, Self

import msgspec

from dovebeam.transforms.local_files import make_private_directory, replace_file, take_lock
from dovebeam.transforms.sources import SourceError

__all__ = ["HEAD_BYTES", "FileRecord", "FollowState", "StateStore", "decode_state", "encode_state", "head_hash"]


HEAD_BYTES: Final = 1024
"""Bytes at the start of a file that distinguish it from others; about two events, with times in microseconds."""

_STATE_VERSION: Final = 1

# The range of numbers that the system itself gives; others, in an edited state, would raise errors of all kinds later.
_Number = Annotated[int, msgspec.Meta(ge=0)]
_Offset = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_HeadBytes = Annotated[int, msgspec.Meta(ge=0, le=HEAD_BYTES)]


# Not frozen: the offset moves with every block, and the scanner and the open file share one record.
class FileRecord(msgspec.Struct):
    """State of one file, which may be gone.

    Attributes:
        path: its path when it was seen last.
        first_path: its path when it was seen first; of a file that was rotated before it was seen, the original path.
        device: number of its file system; 0 with inode 0.
        inode: 0 for content that was truncated and may still be found in a copy.
        offset: all lines before it were handed on.
        head_bytes: number of bytes at the start that `head_hash` is computed of; 0 while nothing is known.
        head_hash: hex digits.
        tail_bytes: number of bytes before the offset that `tail_hash` is computed of; 0 if it is not known.
        tail_hash: hex digits.
        mark: hash of the first line, by which events of different files of one name are distinguished; "" before one
            was read.
        format: of its lines; "" before it was detected.
        gone_since: Unix seconds since when the file is missing, 0 while it is there.
    """

    path: str
    first_path: str
    device: _Number
    inode: _Number
    offset: _Offset = 0
    head_bytes: _HeadBytes = 0
    head_hash: str = ""
    tail_bytes: _HeadBytes = 0
    tail_hash: str = ""
    mark: str = ""
    format: Literal["", "json", "tab-text"] = ""
    gone_since: float = 0

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode."""
        return self.device, self.inode

    @property
    def is_rotated(self) -> bool:
        """Whether the file was renamed or is gone, so that no program should append to it any more."""
        return self.path != self.first_path or self.gone_since > 0

    def has_head(self, head: bytes) -> bool:
        """Whether a file that begins with `head` may be this one or a copy of it; false while the start is unknown."""
        return 0 < self.head_bytes <= len(head) and head_hash(head[: self.head_bytes]) == self.head_hash

    def is_still(self, fd: int, size: int) -> bool:
        """Whether an open file still has the content of this record; also extends the hash of its start."""
        if size < self.offset or size < self.head_bytes:
            return False
        head = os.pread(fd, HEAD_BYTES, 0)
        # A log only grows, so another start means other content, also where the size fits by chance.
        if self.head_bytes and not self.has_head(head):
            return False
        # A start of zero bytes, the hole of a truncated file, says nothing: all holes are alike. Then the bytes before
        # the offset decide.
        if not head.strip(b"\0") and self.tail_bytes:
            tail = os.pread(fd, self.tail_bytes, self.offset - self.tail_bytes)
            if head_hash(tail) != self.tail_hash:
                return False
        # A file that was short when it was seen first is recognised by more bytes as it grows.
        if len(head) > self.head_bytes:
            self.head_bytes, self.head_hash = len(head), head_hash(head)
        return True

    def begin_again(self) -> None:
        """Resets the record of a file whose content was replaced."""
        self.offset = self.head_bytes = self.tail_bytes = 0
        self.head_hash = self.tail_hash = self.mark = self.format = ""

    def advance(self, data: bytes, stop: int) -> None:
        """Moves the offset to `stop`; `data` are the last bytes that were handed on before it."""
        tail = data[-HEAD_BYTES:]
        self.offset, self.tail_bytes, self.tail_hash = stop, len(tail), head_hash(tail)


class FollowState(msgspec.Struct):
    """State of a stream.

    Attributes:
        version: of this format.
        targets: paths of the targets that were scanned before; files that are new in them were created since.
        files: in the order in which they were found.
    """

    version: int = _STATE_VERSION
    targets: list[str] = msgspec.field(default_factory=list)
    files: list[FileRecord] = msgspec.field(default_factory=list)


_ESCAPE: Final = re.compile(r"[0-9a-f]{4}", re.ASCII)
_decoder: Final = msgspec.json.Decoder(FollowState)
_encoder: Final = msgspec.json.Encoder()


def head_hash(head: bytes) -> str:
    """Hash of the start of a file, 32 hex digits."""
    return hashlib.blake2b(head, digest_size=16).hexdigest()


def encode_state(targets: Iterable[str], files: Iterable[FileRecord]) -> bytes:
    """The state as JSON; names that are not UTF-8 are escaped."""
    copies = [_with_names(each, _to_text) for each in files]
    return _encoder.encode(FollowState(_STATE_VERSION, sorted(map(_to_text, targets)), copies)) + b"\n"


def decode_state(content: bytes, path: str) -> FollowState:
    """The decoded state; an empty one if `content` is empty.

    Raises:
        SourceError: the content is not a valid state, or of another version; the error names `path`.
    """
    if not content:
        return FollowState()
    try:
        state = _decoder.decode(content)
        if state.version == _STATE_VERSION:
            state.targets = list(map(_from_text, state.targets))
            state.files = [_with_names(each, _from_text) for each in state.files]
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        raise SourceError(
            f"is not a state of dovebeam stream ({error}); put a copy of it back, or remove it to read all files again",
            path,
        ) from None
    if state.version != _STATE_VERSION:
        raise SourceError(
            f"has version {state.version}, this dovebeam knows {_STATE_VERSION}; use the one that wrote it", path
        )
    return state


def _with_names(record: FileRecord, convert: Callable[[str], str]) -> FileRecord:
    return msgspec.structs.replace(record, path=convert(record.path), first_path=convert(record.first_path))


def _to_text(name: str) -> str:
    """A name as JSON text; lone surrogates, which JSON cannot have, and percent signs become % and hex digits."""
    if name.isascii() and "%" not in name:
        return name
    return "".join(c if c != "%" and not "\ud800" <= c <= "\udfff" else f"%{ord(c):04x}" for c in name)


def _from_text(text: str) -> str:
    """The name that was written by `_to_text`.

    Raises:
        ValueError: the text is not valid.
    """
    first, *others = text.split("%")
    if not all(_ESCAPE.match(each) for each in others):
        raise ValueError(f"a percent sign in {text!r} is not followed by four hex digits")
    name = first + "".join(chr(int(each[:4], 16)) + each[4:] for each in others)
    if b"\0" in os.fsencode(name):
        raise ValueError(f"{text!r} has a NUL, which no file name has")
    return name


# The directory of the state.

STATE_NAME: Final = "follow.json"
_LOCK: Final = "lock"
_MAX_STATE_BYTES: Final = 64 * 1024 * 1024
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class StateStore:
    """Directory of one stream's state, locked for other processes while it is open. A context manager.

    Guarantee: at any moment, also after a power failure, the directory has the state of the last `save` that returned,
    or of one that was interrupted.

    Args:
        directory: created with mode 0700 if it is missing; its parent must exist.

    Raises:
        SourceError: it cannot be used, or another process uses it.
    """

    def __init__(self, directory: str) -> None:
        self.path: Final = os.path.join(directory, STATE_NAME)
        self._directory = directory
        try:
            make_private_directory(directory)
            self._lock = take_lock(os.path.join(directory, _LOCK))
        except OSError as error:
            raise self._error("cannot hold the state", error) from error
        if self._lock is None:
            raise SourceError("another dovebeam stream uses this state; give each its own --state", directory)

    def load(self) -> bytes:
        """The saved state; empty before the first start.

        Raises:
            SourceError: the state cannot be read, or its file is empty.
        """
        try:
            fd = os.open(self.path, _READ)
            with open(fd, "rb") as file:
                state = file.read(_MAX_STATE_BYTES)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self._error("the state cannot be read", error) from error
        # An empty file must not pass for a first start: it would send everything again, without the rotated files.
        if not state:
            raise SourceError(
                "the state is empty, as a power failure may leave it; put a copy of it back, or remove it to start "
                "again: then what was delivered is delivered a second time, and rotated files are not read",
                self.path,
            )
        return state

    def save(self, state: bytes) -> None:
        """Replaces the saved state.

        Raises:
            SourceError: it cannot be written; the state before is unchanged.
        """
        try:
            replace_file(self.path, state, 0o600)
        except OSError as error:
            raise self._error("the state cannot be written", error) from error

    def close(self) -> None:
        """Releases the directory; a second call does nothing."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def _error(self, what: str, error: OSError) -> SourceError:
        return SourceError(
            f"{what}: {error.strerror}; repair it, or name another directory with --state", self._directory
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close()
