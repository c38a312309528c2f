"""The files of exporters that write shards in a stream, made by its launcher of what the workers spool.

The bundles of a stream are acknowledged one by one, and only what is on a disk by then survives this process. So
workers deliver into a spool, and a thread here makes files of it when their windows are over. A runner elsewhere keeps
its state itself, so there `WriteToShards` does it with Beam's own windows.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from dovebeam.pipelines.terminal.logs import say
from dovebeam.transforms.drivers import Driver, FileDriver
from dovebeam.transforms.drivers.backoff import Backoff
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.shards.spool import Publisher
from dovebeam.transforms.write_to_window_shards import SpoolDriver

__all__ = ["StreamShards", "stream_name"]

_LOOK_SECS: Final = 5.0
_MAX_FAILURES: Final = 10
"""In a row; with the pauses between them they last about five minutes."""

_BACKOFF: Final = Backoff(1.0, 60.0, jitter=False)
_BEGIN_SECS: Final = 2.0
_DRAIN_SECS: Final = 30.0
"""How long the end of a stream waits for files, if exporters have queues; files that are not made by then are later."""

_KEPT: Final = "what is not in files stays in .dovebeam/ for the next start"
_DIGITS: Final = 12


class StreamShards:
    """The files of one stream.

    Args:
        drivers: of all its exporters, by name.
        stream: what it is called, the same after every start; see `stream_name`.
        has_queues: whether exporters have queues. Then none ends the stream, or keeps it from beginning: whose files
            cannot be made tries again for as long as the stream runs, and others go on. Else ten failures end it.

    Attributes:
        drivers: those that the stream is to deliver with; for exporters that write shards, ones that spool.
        checks: by exporter that writes shards, what raises a `DeliveryError` while its files cannot be made.
    """

    def __init__(self, drivers: Mapping[str, Driver], stream: str, *, has_queues: bool = False) -> None:
        spools = {
            name: SpoolDriver(driver, name, stream)
            for name, driver in drivers.items()
            if isinstance(driver, FileDriver) and driver.file_writing == "shards"
        }
        self.drivers: Final[Mapping[str, Driver]] = MappingProxyType({**drivers, **spools})
        self._has_queues = has_queues
        self._makers: Final = [_Maker(name, spool, has_queues=has_queues) for name, spool in spools.items()]
        self.checks: Final[Mapping[str, Callable[[], None]]] = MappingProxyType(
            {maker.exporter: maker.check for maker in self._makers}
        )

    @contextlib.contextmanager
    def made(self, give_up: Callable[[], None]) -> Iterator[None]:
        """Makes files as long as the context lasts, those that an earlier start has left first, and all at its end.

        Nothing is made at the end of a stream that failed: what is spooled waits for its next start.

        Args:
            give_up: ends the stream; called when files could not be made for some minutes.

        Raises:
            DeliveryError: the files cannot be made, and exporters have no queues.
        """
        with contextlib.ExitStack() as held:
            for maker in self._makers:
                held.callback(maker.release)
                if not self._has_queues:
                    maker.make()
            for maker in self._makers:
                maker.give_up = give_up
                maker.start()
            for maker in self._makers:
                maker.begun.wait(_BEGIN_SECS)
            try:
                yield
            except BaseException:
                self._end(everything=False)
                raise
            self._end(everything=True)
            errors = [maker.error for maker in self._makers if maker.error is not None]
            if errors and not self._has_queues:
                raise errors[0]

    def _end(self, *, everything: bool) -> None:
        """Waits for the files in hand, or for all; with queues, not for long."""
        for maker in self._makers:
            maker.end(everything=everything)
        give_up = time.monotonic() + _DRAIN_SECS
        for maker in self._makers:
            maker.join(max(0.0, give_up - time.monotonic()) if self._has_queues else None)
            if maker.is_alive():
                say(f"warning: event_exporter {maker.exporter}: its files could not be made in time; {_KEPT}")


class _Maker(threading.Thread):
    """Makes the files of one exporter every few seconds, and keeps their place for this stream meanwhile.

    Args:
        exporter: its name.
        spool: of what the files are made.
        has_queues: see `StreamShards`.

    Attributes:
        exporter: see above.
        begun: set after the first attempt.
        error: what keeps it from making files; None if nothing does.
        give_up: ends the stream.
    """

    def __init__(self, exporter: str, spool: SpoolDriver, *, has_queues: bool) -> None:
        super().__init__(name=f"dovebeam-shards-{exporter}", daemon=True)
        self.exporter, self._spool, self._has_queues = exporter, spool, has_queues
        self.begun = threading.Event()
        self.error: Exception | None = None
        self.give_up: Callable[[], None] = _go_on
        self._publisher: Publisher | None = None
        self._held = contextlib.ExitStack()
        self._ended = threading.Event()
        self._makes_everything = False

    def run(self) -> None:
        """The thread."""
        failures, pause = 0, 0.0
        while not self._ended.wait(pause):
            try:
                self.make()
            except Exception as error:  # whatever it is: the thread must not end unheard
                failures, self.error = failures + 1, error
                if failures >= _MAX_FAILURES and not self._has_queues:
                    self.give_up()
                    return
                pause = _BACKOFF.secs(failures)
                self._tell(f"nothing is lost, trying again in {pause:.0f} s")
            else:
                failures, self.error, pause = 0, None, _LOOK_SECS
            self.begun.set()
        if self._makes_everything:
            self._finish()

    def make(self, *, everything: bool = False) -> None:
        """Makes the files that are due.

        Raises:
            DeliveryError: they cannot be made, or another stream makes files there.
        """
        if self._publisher is None:
            publisher = self._spool.publisher()
            self._held.enter_context(publisher.alone(_now_msec()))
            self._publisher = publisher
        self._publisher.publish(_now_msec(), everything=everything)

    def check(self) -> None:
        """Raises why nothing should be spooled: so what waits stays in the queue, whose size is limited.

        Raises:
            DeliveryError: another stream has the place of the files, or they cannot be made.
        """
        if self.error is not None or self._publisher is None:
            why = str(self.error or "its place does not answer")
            raise DeliveryError(f"no files can be made: {why}", self._spool.endpoint)

    def end(self, *, everything: bool) -> None:
        """Asks it to end after the file in hand, or after all files, windows that are not over included."""
        self._makes_everything = everything
        self._ended.set()

    def release(self) -> None:
        """Gives the place of the files free."""
        if not self.is_alive():
            self._held.close()

    def _finish(self) -> None:
        try:
            self.make(everything=True)
        except Exception as error:
            self.error = error
            if self._has_queues:
                self._tell(_KEPT)
        else:
            self.error = None

    def _tell(self, then: str) -> None:
        say(f"event_exporter {self.exporter}: {self.error}; {then}")


def _go_on() -> None:
    """Ends nothing."""


def stream_name(follow: Iterable[str], subscription: str | None, topic: str | None, *, rejects: str) -> str:
    """A name that is the same after every start: a hash of what a stream reads and of where its rejects go.

    Args:
        follow: the files that it follows.
        subscription: or the Pub/Sub subscription that it reads.
        topic: or the topic.
        rejects: the file of its rejects; two streams that share a source have two.
    """
    decisive = [sorted(os.path.abspath(path) for path in follow), subscription, topic, os.path.abspath(rejects)]
    text = json.dumps(decisive).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:_DIGITS]


def _now_msec() -> int:
    return time.time_ns() // 1_000_000
