"""What is remembered of each file: which one it is, and up to where its lines were handed on.

A file is known by its inode, and by the begin of its content, since inodes are used again and files are copied.
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
"""How much of a file's begin tells it from others; two Dovecot events, with their times in microseconds."""

_VERSION: Final = 1

# What the system itself could have said; it would refuse other numbers with errors of all kinds.
_Number = Annotated[int, msgspec.Meta(ge=0)]
_Offset = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_HeadBytes = Annotated[int, msgspec.Meta(ge=0, le=HEAD_BYTES)]


class FileRecord(msgspec.Struct):
    """One file, or one that is gone.

    Attributes:
        path: where it was seen last.
        first_path: where it was seen first; of a file that was rotated before it was seen, what it was called before.
        device: number of its file system; 0 with inode 0.
        inode: 0 for content that was truncated and may still be found in a copy.
        offset: all lines before it were handed on.
        head_bytes: how much of the begin `head_hash` is of; 0 while nothing was seen of it.
        head_hash: hex digits.
        tail_bytes: how much of what stands before the offset `tail_hash` is of; 0 if it is not known.
        tail_hash: hex digits.
        mark: hex digits of the first line, which tell files of one name apart in places of events; "" before one came.
        format: of its lines; "" before that was decided.
        gone_since: Unix seconds since when it is not found, 0 while it is.
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
        """Whether nobody should append to it any more."""
        return self.path != self.first_path or self.gone_since > 0

    def has_head(self, head: bytes) -> bool:
        """Whether a file that begins with `head` may be this one, or a copy; unknown content is like no other."""
        return 0 < self.head_bytes <= len(head) and head_hash(head[: self.head_bytes]) == self.head_hash

    def is_still(self, fd: int, size: int) -> bool:
        """Whether an open file still has the content of which the offset tells; learns more of its begin."""
        if size < self.offset or size < self.head_bytes:
            return False
        head = os.pread(fd, HEAD_BYTES, 0)
        if self.head_bytes and not self.has_head(head):
            return False
        if not head.strip(b"\0") and self.tail_bytes:  # a hole is like any other
            tail = os.pread(fd, self.tail_bytes, self.offset - self.tail_bytes)
            if head_hash(tail) != self.tail_hash:
                return False
        if len(head) > self.head_bytes:
            self.head_bytes, self.head_hash = len(head), head_hash(head)
        return True

    def begin_again(self) -> None:
        """The same file with other content."""
        self.offset = self.head_bytes = self.tail_bytes = 0
        self.head_hash = self.tail_hash = self.mark = self.format = ""

    def advance(self, data: bytes, stop: int) -> None:
        """What ends with `data` was handed on up to the offset `stop`."""
        tail = data[-HEAD_BYTES:]
        self.offset, self.tail_bytes, self.tail_hash = stop, len(tail), head_hash(tail)


class FollowState(msgspec.Struct):
    """All that is remembered.

    Attributes:
        version: of this shape.
        targets: those that were looked at before; whatever is new in them came later.
        files: in the order in which they were found.
    """

    version: int = _VERSION
    targets: list[str] = msgspec.field(default_factory=list)
    files: list[FileRecord] = msgspec.field(default_factory=list)


_ESCAPE: Final = re.compile(r"[0-9a-f]{4}", re.ASCII)
_decoder: Final = msgspec.json.Decoder(FollowState)
_encoder: Final = msgspec.json.Encoder()


def head_hash(head: bytes) -> str:
    """32 hex digits of the begin of a file."""
    return hashlib.blake2b(head, digest_size=16).hexdigest()


def encode_state(targets: Iterable[str], files: Iterable[FileRecord]) -> bytes:
    """The state as a JSON text; names that are not UTF-8 are kept as they are."""
    copies = [_with_names(each, _to_text) for each in files]
    return _encoder.encode(FollowState(_VERSION, sorted(map(_to_text, targets)), copies)) + b"\n"


def decode_state(content: bytes, path: str) -> FollowState:
    """The state that was encoded; that of nothing if `content` is empty.

    Raises:
        SourceError: it is none, or of another version; `path` is named.
    """
    if not content:
        return FollowState()
    try:
        state = _decoder.decode(content)
        if state.version == _VERSION:
            state.targets = list(map(_from_text, state.targets))
            state.files = [_with_names(each, _from_text) for each in state.files]
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        raise SourceError(
            f"is no state of dovebeam stream ({error}); put a copy of it back, or remove it to read everything again",
            path,
        ) from None
    if state.version != _VERSION:
        raise SourceError(
            f"has version {state.version}, this dovebeam knows {_VERSION}; use the one that wrote it", path
        )
    return state


def _with_names(record: FileRecord, convert: Callable[[str], str]) -> FileRecord:
    return msgspec.structs.replace(record, path=convert(record.path), first_path=convert(record.first_path))


def _to_text(name: str) -> str:
    """Without lone surrogates, which JSON cannot have; a per cent sign begins the bytes that stand for them."""
    if name.isascii() and "%" not in name:
        return name
    return "".join(c if c != "%" and not "\ud800" <= c <= "\udfff" else f"%{ord(c):04x}" for c in name)


def _from_text(text: str) -> str:
    """A name that the system takes.

    Raises:
        ValueError: `text` stands for none.
    """
    first, *others = text.split("%")
    if not all(_ESCAPE.match(each) for each in others):
        raise ValueError(f"a per cent sign in {text!r} is not followed by four digits")
    name = first + "".join(chr(int(each[:4], 16)) + each[4:] for each in others)
    if b"\0" in os.fsencode(name):
        raise ValueError(f"{text!r} has a NUL, which no name has")
    return name


# The directory in which a stream remembers how far it has come; one process at a time may use it.

STATE_NAME: Final = "follow.json"
_LOCK: Final = "lock"
_MAX_STATE_BYTES: Final = 64 * 1024 * 1024
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class StateStore:
    """Keeps one state, locked for as long as it is open. A context manager.

    Guarantee: at any moment, and after a power failure, there is the last state that `save` returned from, or the one
    that it was about to write.

    Args:
        directory: created with mode 0700 if it is missing, its parents are not.

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
        """The state that was saved last; empty if there is none, as before the first start.

        Raises:
            SourceError: it cannot be read, or is a file without content, which is not a first start.
        """
        try:
            fd = os.open(self.path, _READ)
            with open(fd, "rb") as file:
                state = file.read(_MAX_STATE_BYTES)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self._error("the state cannot be read", error) from error
        if not state:
            raise SourceError(
                "the state is empty, as a power failure may leave it; put a copy of it back, or remove it to begin "
                "again: then what was delivered is delivered a second time, and rotated files are not read",
                self.path,
            )
        return state

    def save(self, state: bytes) -> None:
        """Puts `state` in place of the one before.

        Raises:
            SourceError: it cannot be written; the one before is as it was.
        """
        try:
            replace_file(self.path, state, 0o600)
        except OSError as error:
            raise self._error("the state cannot be written", error) from error

    def close(self) -> None:
        """Gives the directory free; a second call does nothing."""
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
