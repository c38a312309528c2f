"""Reads all files of some targets while they grow, are rotated, truncated and removed, each line once.

Rotation by rename: the file keeps its inode, is read on under its new name, and then the new one. Rotation by copy and
truncation: a file whose begin changed or that shrank is read from its start, and what was not read of its old content
is looked for in a copy, which begins with the same bytes and has a name as rotated files have. Generations that came
and went while nobody looked are read from their start, if they still have such a name.
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
_TURN_BYTES: Final = 1024 * 1024
_MAX_TOLD: Final = 1000

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FollowSettings:
    """How files are followed.

    Attributes:
        input_format: of all files, or "auto".
        max_line_bytes: of a longer line only the head is read.
        grace_msec: how long the last piece of a rotated file waits for its line's end.
        max_open: how many files are kept open at the most.
    """

    input_format: InputFormat = "auto"
    max_line_bytes: int = 16 * 1024 * 1024
    grace_msec: int = 5000
    max_open: int = 200


class Follower:
    """Follows files from a state on.

    Args:
        targets: which files.
        settings: how.
        state: what was handed on before.
    """

    def __init__(self, targets: Sequence[FollowTarget], settings: FollowSettings, state: FollowState) -> None:
        self._settings = settings
        self._scanner = Scanner(targets, state)
        self._tails: dict[tuple[int, int], Tail] = {}
        self._scanned_at = -_SCAN_SECS
        self._told: set[tuple[str, str]] = set()

    def look(self) -> None:
        """Finds out which files there are, without reading them."""
        self._scan()

    def restore(self, state: FollowState) -> None:
        """Goes back, or forth, to another state; files that are open stay open."""
        self._scanner.restore(state)
        records = {record.identity: record for record in self._scanner.records}
        for identity, tail in list(self._tails.items()):
            if identity in records:
                tail.replace(records[identity])
            else:
                self._close(identity)
        self._scanned_at = -_SCAN_SECS

    def snapshot(self) -> bytes:
        """How far all files have been handed on."""
        return encode_state(self._scanner.targets_begun, self._scanner.records)

    def read(self, max_bytes: int, deadline: float) -> Iterator[Block]:
        """What is there to be read, from every file in turn.

        Args:
            max_bytes: after about so many there is no more.
            deadline: time (of the monotonic clock) after which there is no more.

        Raises:
            SourceError: the system cannot read a file on.
        """
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
            self._tell_once(error.uri, error.message)
        for identity in self._scanner.begun_again & self._tails.keys():
            self._close(identity)
        self._open_files()
        for identity, tail in list(self._tails.items()):
            if self._is_idle(tail):
                self._close(identity)

    def _is_idle(self, tail: Tail) -> bool:
        """Whether a file need not stay open; what waits for its line's end keeps it so."""
        idle_secs = time.monotonic() - tail.grown_at
        if tail.is_deleted:
            return idle_secs >= self._settings.grace_msec / 1000 + _SCAN_SECS
        return idle_secs >= _IDLE_SECS and tail.is_read

    def _open_files(self) -> None:
        """Opens what has something to be read, in turn for files that were read, then what may soon have."""
        closed = [record for record in self._scanner.records if record.identity not in self._tails]
        worth = [record for record in closed if self._scanner.is_worth_opening(record, _IDLE_SECS)]
        unread = [record for record in worth if self._scanner.size_of(record) > record.offset]
        self._make_room(len(unread))
        for record in sorted(worth, key=lambda record: self._scanner.size_of(record) <= record.offset):
            if len(self._tails) >= self._settings.max_open:
                break
            self._open(record)
        is_full = len(self._tails) >= self._settings.max_open
        if is_full and any(record.identity not in self._tails for record in unread):
            self._scanned_at = -_SCAN_SECS  # their turn comes when others were read

    def _make_room(self, count: int) -> None:
        """Closes files that were read to their end, those first that did not grow for the longest time."""
        excess = len(self._tails) + count - self._settings.max_open
        if excess > 0:
            read = [identity for identity, tail in self._tails.items() if tail.is_read]
            for identity in sorted(read, key=lambda identity: self._tails[identity].grown_at)[:excess]:
                self._close(identity)

    def _open(self, record: FileRecord) -> None:
        try:
            self._tails[record.identity] = Tail(record, self._settings.input_format, self._settings.max_line_bytes)
        except FileNotFoundError:  # the next look finds out what became of it
            return
        except OSError as error:
            self._tell_once(record.path, f"cannot be opened, and is tried again: {error.strerror}")

    def _close(self, identity: tuple[int, int]) -> None:
        self._tails.pop(identity).close()

    def _round(self) -> Iterator[Block]:
        """A turn for each file that is open; of one name the older content comes first."""
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
                self._tell_once(tail.record.path, f"{block.nuls} NUL bytes before byte {block.offset} were skipped")
            yield block

    def _next_block(self, tail: Tail) -> Block | None:
        try:
            return tail.next_block() or self._last_piece(tail)
        except ReplacedError:
            self._scanner.replaced(tail.record)
            self._scanned_at = -_SCAN_SECS
        except UnreadableFormatError as error:
            self._tell_once(tail.record.path, f"is passed over: it {error}")
            self._scanner.pass_over(tail.record)
        self._close(tail.record.identity)
        return None

    def _last_piece(self, tail: Tail) -> Block | None:
        waited = time.monotonic() - tail.grown_at
        if (tail.record.is_rotated or tail.is_deleted) and waited * 1000 >= self._settings.grace_msec:
            return tail.last_piece()
        return None

    def _tell_once(self, path: str, text: str) -> None:
        if (path, text) not in self._told and len(self._told) < _MAX_TOLD:
            self._told.add((path, text))
            _logger.warning("%s: %s", path, text)


# A follower over the many short pieces of work that a runner makes of a stream, and its state.
#
# The pieces are numbered. Each begins where the one before ended, also if the runner goes back to an earlier one; a
# piece of which nothing is known, as after a restart, begins at the state that was saved. A state is saved when
# everything up to it was delivered. So nothing is passed over, and what may come again is what was not acknowledged.

_MAX_SNAPSHOTS: Final = 1000
_SETTINGS: Final = FollowSettings()


@dataclass(frozen=True, slots=True)
class FollowRequest:
    """What a stream follows; travels to the worker.

    Attributes:
        stream: an id of the stream, one for each start of it.
        directory: of its state, absolute.
        targets: what it follows.
        settings: how.
    """

    stream: str
    directory: str
    targets: tuple[FollowTarget, ...]
    settings: FollowSettings

    @classmethod
    def of(cls, files: Sequence[str], state: str, settings: FollowSettings = _SETTINGS) -> FollowRequest:
        """The request of a stream that starts now.

        Args:
            files: paths of files and directories, and patterns; what does not exist yet is followed when it appears.
            state: the directory in which the stream remembers how far it has come; created if it is missing.
            settings: how files are followed.

        Raises:
            SourceError: one of the files can never be followed.
        """
        targets = tuple(make_target(file) for file in files)
        return cls(uuid.uuid4().hex, os.path.abspath(state), targets, settings)

    def target_of(self, path: str) -> FollowTarget | None:
        """The first target by which a file of this absolute path would be read, if it were there."""
        return next((target for target in self.targets if includes(target, path)), None)


class Session:
    """See the module. One thread at a time may read; acknowledgements may come from others.

    Args:
        request: what to follow.

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
        if not self._saved:  # what is rotated from now on is to be read, also if nothing is ever acknowledged
            self._follower.look()
            self._saved = self._follower.snapshot()
            self._store.save(self._saved)
        self._place: int | None = None
        self._snapshots: dict[int, bytes] = {}
        self._lock = threading.Lock()
        self._error: SourceError | None = None

    def begin(self, place: int) -> None:
        """Goes to where the piece of this number begins.

        Raises:
            SourceError: an earlier acknowledgement could not be saved.
        """
        self.check()
        here, self._place = self._place, None  # a piece that fails in its middle leaves no place behind
        if here != place:
            with self._lock:
                state = self._snapshots.get(place, self._saved)
            self._follower.restore(decode_state(state, self._store.path))

    def read(self, max_bytes: int, deadline: float) -> Iterator[Block]:
        """See `Follower.read`."""
        return self._follower.read(max_bytes, deadline)

    def end(self, next_place: int) -> Callable[[], None]:
        """Ends the piece; returns what is to be called when all that was read was delivered.

        Args:
            next_place: the number of the piece that goes on from here.
        """
        with self._lock:
            self._snapshots[next_place] = self._follower.snapshot()
            if len(self._snapshots) > _MAX_SNAPSHOTS:  # a runner that never acknowledges
                del self._snapshots[min(self._snapshots)]
        self._place = next_place
        return lambda: self._acknowledge(next_place)

    def check(self) -> None:
        """Raises what went wrong in an acknowledgement, where Beam lets nothing be raised.

        Raises:
            SourceError: the state could not be saved.
        """
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        """Closes all files and gives the state free."""
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
    """The session of a stream in this process, which is opened when it is asked for first.

    Raises:
        SourceError: its state cannot be used, or is in use by another process.
    """
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
