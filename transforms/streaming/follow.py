"""`ReadFromFollowedFiles`: local files that others write, as an unbounded source of blocks."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from dovebeam.transforms.read_from_streams import BlockSource, SourceFn
from dovebeam.transforms.sources import Block, printable_path
from dovebeam.transforms.sources.follow import FollowRequest
from dovebeam.transforms.sources.follow import Session as FollowSession
from dovebeam.transforms.sources.follow import session_of as follow_session_of
from dovebeam.transforms.streaming.pieces import ENDLESS, Segment, first_filled

__all__ = ["ReadFromFollowedFiles"]

_MAX_BYTES: Final = 8 * 1024 * 1024
_MAX_SECS: Final = 1.0
_WAIT_SECS: Final = 1.0


class ReadFromFollowedFiles(BlockSource):
    """Follows files and gives the lines that are added to them, in blocks; give it to a pipeline.

    The state is saved when a bundle has succeeded. So after any stop, every line that was not delivered or rejected for
    sure comes again: at least once, and twice only what was in hand.

    Parallelism: one worker reads; steps that should run elsewhere can be behind a `Reshuffle`, but then lines count as
    delivered when they got there. Runs on workers that see the files and the state, and on one of them at a time.

    Args:
        request: what to follow, and where the state is.
        segment: of the stream's pieces, those of this pipeline.
    """

    def __init__(self, request: FollowRequest, segment: Segment = ENDLESS) -> None:
        super().__init__(_FollowFn(request), segment)


class _FollowFn(SourceFn):
    """Reads by the session of its process."""

    def __init__(self, request: FollowRequest) -> None:
        super().__init__()
        self._request = request

    def display_data(self) -> dict[str, Any]:
        """The files that are followed, and where the state is."""
        files = ", ".join(target.path for target in self._request.targets)
        return {"files": printable_path(files), "state": printable_path(self._request.directory)}

    def begin(self, place: int, segment: Segment) -> None:  # noqa: ARG002  places are kept over segments
        self._session: FollowSession = follow_session_of(self._request)
        self._session.begin(place)

    def read(self) -> Iterator[Block]:
        deadline = time.monotonic() + _WAIT_SECS + _MAX_SECS
        return first_filled(lambda: self._session.read(_MAX_BYTES, deadline), _WAIT_SECS)

    def end(self, place: int) -> Callable[[], None]:
        return self._session.end(place + 1)
