"""A follower over the many short pieces of work that a runner makes of a stream, and its state.

The pieces are numbered. Each begins where the one before ended, also if the runner goes back to an earlier one; a piece
of which nothing is known, as after a restart, begins at the state that was saved. A state is saved when everything up
to it was delivered. So nothing is passed over, and what may come again is what was not acknowledged.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from dovebeam.transforms.sources import Block, SourceError
from dovebeam.transforms.sources.follow.follower import Follower, FollowSettings
from dovebeam.transforms.sources.follow.records import decode_state
from dovebeam.transforms.sources.follow.targets import FollowTarget, includes, make_target
from dovebeam.transforms.tailing.store import StateStore

__all__ = ["FollowRequest", "Session", "close_session", "session_of"]

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
