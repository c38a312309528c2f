"""Follows all files of some targets while they grow, are rotated, truncated and removed, and reads each line once.

Rotation by rename: the file keeps its inode, is read to its end under its new name, and then the new file is read.
Rotation by copy and truncation: a file whose start changed or that shrank is read from its start, and the unread rest
of its old content is searched in a copy, which begins with the same bytes and has the name of a rotated file. Files
that were created and rotated while dovebeam did not run are read from their start, if they have such a name.

A `Session` is a follower with its saved state, for the many short pieces of work that a runner makes of a stream.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from dovebeam.transforms.sources import Block, InputFormat, SourceError
from dovebeam.transforms.sources.follow.records import FileRecord, FollowState, StateStore, decode_state, encode_state
from dovebeam.transforms.sources.follow.scanning import Scanner
from dovebeam.transforms.sources.follow.tail import ReplacedError, Tail, UnreadableFormatError
from dovebeam.transforms.sources.follow.targets import FollowTarget, includes, make_target

__all__ = ["FollowRequest", "FollowSettings", "Follower", "Session", "close_session", "session_of"]


_SCAN_SECS: Final = 1.0
_IDLE_SECS: Final = 60.0
_TURN_BYTES: Final = 1024 * 1024  # one file that grows fast must not keep the others waiting
_MAX_WARNINGS: Final = 1000  # remembered, so that the memory is bounded; further ones are not logged

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FollowSettings:
    """Settings of a follower.

    Attributes:
        input_format: of all files, or "auto".
        max_line_bytes: only the start of a longer line is read.
        grace_msec: how long to wait for the end of an unfinished last line of a rotated file, in milliseconds.
        max_open: limit for the number of open files.
    """

    input_format: InputFormat = "auto"
    max_line_bytes: int = 16 * 1024 * 1024
    grace_msec: int = 5000
    max_open: int = 200


class Follower:
    """Follows files from a saved state on.

    Args:
        targets: the files.
        settings: see `FollowSettings`.
        state: offsets up to which lines were handed on before.
    """

    def __init__(self, targets: Sequence[FollowTarget], settings: FollowSettings, state: FollowState) -> None:
        self._settings = settings
        self._scanner = Scanner(targets, state)
        self._tails: dict[tuple[int, int], Tail] = {}
        self._scanned_at = -_SCAN_SECS
        self._warned: set[tuple[str, str]] = set()

    def look(self) -> None:
        """Looks for files, without reading them."""
        self._scan()

    def restore(self, state: FollowState) -> None:
        """Sets all offsets to those of another state; open files stay open."""
        self._scanner.restore(state)
        records = {record.identity: record for record in self._scanner.records}
        for identity, tail in list(self._tails.items()):
            if identity in records:
                tail.replace(records[identity])
            else:
                self._close(identity)
        self._scanned_at = -_SCAN_SECS

    def snapshot(self) -> bytes:
        """The state as bytes: offsets up to which the lines of all files were handed on."""
        return encode_state(self._scanner.targets_begun, self._scanner.records)

    def read(self, max_bytes: int, deadline: float) -> Iterator[Block]:
        """New lines of all files, from each file in turn.

        Args:
            max_bytes: ends after about so many bytes.
            deadline: ends after this time of the monotonic clock.

        Raises:
            SourceError: the system cannot read a file.
        """
        # Changed directories are noticed at once, so that a file that is rotated twice within a second is not missed.
        if time.monotonic() - self._scanned_at >= _SCAN_SECS or self._scanner.has_changes():
            self._scan()
        left, busy = max_bytes, True
        while busy:
            busy = False
            for block in self._round():
                busy = True
                left -= len(block.data)
                yield block
                if left <= 0 or time.monotonic() >= deadline:
                    return

    def close(self) -> None:
        """Closes all files."""
        for identity in list(self._tails):
            self._close(identity)

    def _scan(self) -> None:
        self._scanned_at = time.monotonic()
        for error in self._scanner.scan(set(self._tails)):
            self._warn_once(error.uri, error.message)
        for identity in self._scanner.begun_again & self._tails.keys():
            self._close(identity)
        self._open_files()
        for identity, tail in list(self._tails.items()):
            if self._is_idle(tail):
                self._close(identity)

    def _is_idle(self, tail: Tail) -> bool:
        """Whether a file can be closed for now."""
        idle_secs = time.monotonic() - tail.grown_at
        # A deleted file can never be opened again, so its last line gets its time of grace first.
        if tail.is_deleted:
            return idle_secs >= self._settings.grace_msec / 1000 + _SCAN_SECS
        return idle_secs >= _IDLE_SECS and tail.is_read

    def _open_files(self) -> None:
        """Opens files with unread lines, and then, as far as the limit allows, files that may soon grow."""
        closed = [record for record in self._scanner.records if record.identity not in self._tails]
        worth = [record for record in closed if self._scanner.is_worth_opening(record, _IDLE_SECS)]
        unread = [record for record in worth if self._scanner.size_of(record) > record.offset]
        self._make_room(len(unread))
        for record in sorted(worth, key=lambda record: self._scanner.size_of(record) <= record.offset):
            if len(self._tails) >= self._settings.max_open:
                break
            self._open(record)
        # Some unread files found no room: look again as soon as others were read, not only after a second.
        is_full = len(self._tails) >= self._settings.max_open
        if is_full and any(record.identity not in self._tails for record in unread):
            self._scanned_at = -_SCAN_SECS

    def _make_room(self, count: int) -> None:
        """Closes files that were read to their end, the longest idle first, until `count` more can be opened."""
        excess = len(self._tails) + count - self._settings.max_open
        if excess > 0:
            read = [identity for identity, tail in self._tails.items() if tail.is_read]
            for identity in sorted(read, key=lambda identity: self._tails[identity].grown_at)[:excess]:
                self._close(identity)

    def _open(self, record: FileRecord) -> None:
        try:
            self._tails[record.identity] = Tail(record, self._settings.input_format, self._settings.max_line_bytes)
        except FileNotFoundError:  # the next scan detects that it was renamed or removed
            return
        except OSError as error:
            self._warn_once(record.path, f"cannot be opened, and is tried again: {error.strerror}")

    def _close(self, identity: tuple[int, int]) -> None:
        self._tails.pop(identity).close()

    def _round(self) -> Iterator[Block]:
        """A turn for each open file."""
        # Of files of one name, the rotated and older ones come first, and the newer ones wait until those were read:
        # so the lines of a log keep their order over a rotation.
        order = sorted(
            self._tails.values(),
            key=lambda tail: (not tail.record.is_rotated, self._scanner.last_written(tail.record)),
        )
        older: set[str] = set()
        for tail in order:
            if tail.record.first_path in older:
                continue
            for block in self._turn(tail):
                older.add(tail.record.first_path)
                yield block

    def _turn(self, tail: Tail) -> Iterator[Block]:
        left = _TURN_BYTES
        while left > 0:
            block = self._next_block(tail)
            if block is None:
                return
            left -= len(block.data)
            if block.nuls:
                self._warn_once(tail.record.path, f"{block.nuls} NUL bytes before byte {block.offset} were skipped")
            yield block

    def _next_block(self, tail: Tail) -> Block | None:
        try:
            return tail.next_block() or self._last_piece(tail)
        except ReplacedError:
            self._scanner.replaced(tail.record)
            self._scanned_at = -_SCAN_SECS
        except UnreadableFormatError as error:
            self._warn_once(tail.record.path, f"is skipped: it {error}")
            self._scanner.pass_over(tail.record)
        self._close(tail.record.identity)
        return None

    def _last_piece(self, tail: Tail) -> Block | None:
        # Dovecot may have the rotated file open and write the rest of a line; only after the time of grace is the piece
        # taken for a line, which is then a reject unless it is whole.
        waited = time.monotonic() - tail.grown_at
        if (tail.record.is_rotated or tail.is_deleted) and waited * 1000 >= self._settings.grace_msec:
            return tail.last_piece()
        return None

    def _warn_once(self, path: str, text: str) -> None:
        if (path, text) not in self._warned and len(self._warned) < _MAX_WARNINGS:
            self._warned.add((path, text))
            _logger.warning("%s: %s", path, text)


# Sessions. The pieces of work of a stream are numbered. Each starts where the one before ended, also if the runner goes
# back to an earlier one; an unknown piece, as after a restart, starts at the saved state. A state is saved when all
# lines before it were delivered. So no line is skipped, and only lines that were not acknowledged are read again.

_MAX_SNAPSHOTS: Final = 1000
_SETTINGS: Final = FollowSettings()


@dataclass(frozen=True, slots=True)
class FollowRequest:
    """The files and the state of a stream; travels to the worker.

    Attributes:
        stream: id of the stream, a new one for each start.
        directory: absolute path of the directory with its state.
        targets: the files.
        settings: see `FollowSettings`.
    """

    stream: str
    directory: str
    targets: tuple[FollowTarget, ...]
    settings: FollowSettings

    @classmethod
    def of(cls, files: Sequence[str], state: str, settings: FollowSettings = _SETTINGS) -> FollowRequest:
        """The request of a stream that starts now.

        Args:
            files: paths of files and directories, and patterns; files that do not exist yet are followed when they
                appear.
            state: directory of the stream's state, its checkpoint; created if it is missing.
            settings: see `FollowSettings`.

        Raises:
            SourceError: one of the files can never be followed.
        """
        targets = tuple(make_target(file) for file in files)
        return cls(uuid.uuid4().hex, os.path.abspath(state), targets, settings)

    def target_of(self, path: str) -> FollowTarget | None:
        """The first target that includes a file of this absolute path, whether or not it exists."""
        return next((target for target in self.targets if includes(target, path)), None)


class Session:
    """A follower and its saved state, for the pieces of work of a stream.

    One thread at a time may read; acknowledgements may come from others.

    Args:
        request: the files and the state.

    Raises:
        SourceError: its state cannot be used, or is in use.
    """

    def __init__(self, request: FollowRequest) -> None:
        self._store = StateStore(request.directory)
        try:
            self._saved = self._store.load()
            state = decode_state(self._saved, self._store.path)
        except BaseException:
            self._store.close()
            raise
        self._follower = Follower(request.targets, request.settings, state)
        # Saved at once on the first start: files that are rotated from now on must be read, also if the stream is
        # killed before anything is acknowledged.
        if not self._saved:
            self._follower.look()
            self._saved = self._follower.snapshot()
            self._store.save(self._saved)
        self._place: int | None = None
        self._snapshots: dict[int, bytes] = {}
        self._lock = threading.Lock()
        self._error: SourceError | None = None

    def begin(self, place: int) -> None:
        """Sets all offsets to the start of the piece of this number.

        Raises:
            SourceError: an earlier acknowledgement could not be saved.
        """
        self.check()
        # Unknown until `end`: after a piece that fails in its middle, the offsets are those of no piece.
        here, self._place = self._place, None
        if here != place:
            with self._lock:
                state = self._snapshots.get(place, self._saved)
            self._follower.restore(decode_state(state, self._store.path))

    def read(self, max_bytes: int, deadline: float) -> Iterator[Block]:
        """See `Follower.read`."""
        return self._follower.read(max_bytes, deadline)

    def end(self, next_place: int) -> Callable[[], None]:
        """Ends the piece; returns the function that acknowledges it, to be called when all its lines were delivered.

        Args:
            next_place: the number of the piece that goes on from here.
        """
        with self._lock:
            self._snapshots[next_place] = self._follower.snapshot()
            # A runner that never acknowledges must not make the memory grow.
            if len(self._snapshots) > _MAX_SNAPSHOTS:
                del self._snapshots[min(self._snapshots)]
        self._place = next_place
        return lambda: self._acknowledge(next_place)

    def check(self) -> None:
        """Raises the error of an earlier acknowledgement, if there was one.

        Raises:
            SourceError: the state could not be saved.
        """
        # Kept until here, since Beam logs errors of finalizers and goes on.
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        """Closes all files and releases the state."""
        self._follower.close()
        self._store.close()

    def _acknowledge(self, place: int) -> None:
        with self._lock:
            state = self._snapshots.get(place)
            if state is None:  # a later one was acknowledged before
                return
            self._snapshots = {each: kept for each, kept in self._snapshots.items() if each >= place}
            if state == self._saved:
                return
            try:
                self._store.save(state)
                self._saved = state
            except SourceError as error:
                self._error = error


_sessions: Final[dict[str, tuple[str, Session]]] = {}
_sessions_lock: Final = threading.Lock()


def session_of(request: FollowRequest) -> Session:
    """The session of a stream in this process, which is opened at the first call.

    Raises:
        SourceError: its state cannot be used, or is in use by another process.
    """
    # One for each process and not for each DoFn: a runner makes new DoFns as it likes, and the state has one lock.
    with _sessions_lock:
        stream, session = _sessions.get(request.directory, ("", None))
        if session is None or stream != request.stream:
            if session is not None:
                session.close()
                del _sessions[request.directory]
            session = Session(request)
            _sessions[request.directory] = request.stream, session
        return session


def close_session(directory: str) -> None:
    """Closes the session of this process that has this directory, if there is one.

    Raises:
        SourceError: its last acknowledgement could not be saved.
    """
    with _sessions_lock:
        _, session = _sessions.pop(directory, ("", None))
    if session is not None:
        try:
            session.check()
        finally:
            session.close()
