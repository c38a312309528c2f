"""Files of exporters that write shards in a stream, made by its launcher from what the workers spool.

The bundles of a stream are acknowledged one by one, and only what is on the disk by then survives this process. So
workers deliver into a spool, and a thread here makes files of it when their windows are over. A remote runner keeps its
state itself, so there `WriteToShards` does it with Beam's own windows.
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
"""Most failures in a row; with the pauses between them they last about five minutes."""

_BACKOFF: Final = Backoff(1.0, 60.0, jitter=False)
_BEGIN_SECS: Final = 2.0
_DRAIN_SECS: Final = 30.0
"""How long the end of a stream waits for files if exporters have queues; the next start makes the others."""

_KEPT: Final = "what is not in files stays in .dovebeam/ for the next start"
_DIGITS: Final = 12


class StreamShards:
    """Makers of the files of one stream.

    Args:
        drivers: of all its exporters, by name.
        stream: its name, the same after every start; see `stream_name`.
        has_queues: whether exporters have queues. Then an exporter whose files cannot be made tries again for as long
            as the stream runs, and others go on; otherwise ten failures end the stream.

    Attributes:
        drivers: that the stream delivers with; those of exporters that write shards spool.
        checks: by exporter that writes shards, functions that raise a `DeliveryError` while its files cannot be made.
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
        """A context in which files are made: first those that an earlier start has left, and all at its end.

        At the end of a stream that failed nothing is made: what is spooled waits for its next start.

        Args:
            give_up: ends the stream; called when files could not be made for some minutes.

        Raises:
            DeliveryError: the files cannot be made, and exporters have no queues.
        """
        with contextlib.ExitStack() as held:
            for maker in self._makers:
                held.callback(maker.release)
                # Once in this thread, so that a mistake ends the stream before it reads anything.
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
    """Thread that makes the files of one exporter every few seconds, and holds the lock of their directory meanwhile.

    Args:
        exporter: its name.
        spool: that the files are made from.
        has_queues: see `StreamShards`.

    Attributes:
        exporter: see above.
        begun: set after the first attempt.
        error: of the last attempt; None if it succeeded.
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
        """Makes files until `end` is called; runs in the thread."""
        failures, pause = 0, 0.0
        while not self._ended.wait(pause):
            try:
                self.make()
            # Any exception, since the thread must not end silently.
            except Exception as error:
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
        """Raises an error while nothing should be spooled.

        Raises:
            DeliveryError: another stream owns the directory of the files, or they cannot be made.
        """
        # Then payloads stay in the queue, whose size is limited; that of the spool is not.
        if self.error is not None or self._publisher is None:
            why = str(self.error or "their directory or store does not answer")
            raise DeliveryError(f"no files can be made: {why}", self._spool.endpoint)

    def end(self, *, everything: bool) -> None:
        """Asks the thread to end after the file in hand, or after all files, also of windows that are not over."""
        self._makes_everything = everything
        self._ended.set()

    def release(self) -> None:
        """Releases the lock of the files' directory."""
        # A thread that hangs may still write there; then the lock ends with the process.
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
    """Does nothing; the default of `give_up`."""


def stream_name(follow: Iterable[str], subscription: str | None, topic: str | None, *, rejects: str) -> str:
    """Name of a stream that is the same after every start: a hash of its source and of its file of rejects.

    Args:
        follow: the files that it follows.
        subscription: or the Pub/Sub subscription that it reads.
        topic: or the topic.
        rejects: the file of its rejects, which tells streams with the same source apart.
    """
    decisive = [sorted(os.path.abspath(path) for path in follow), subscription, topic, os.path.abspath(rejects)]
    text = json.dumps(decisive).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:_DIGITS]


def _now_msec() -> int:
    return time.time_ns() // 1_000_000
