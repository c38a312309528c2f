"""The files of exporters that write shards in a stream, made by its launcher of what the workers spool.

The bundles of a stream are acknowledged one by one, and only what is on a disk by then survives this process. So
workers deliver into a spool, and a thread here makes files of it when their windows are over. A runner elsewhere keeps
its state itself, so there `WriteShards` does it with Beam's own windows.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from dovebeam.pipelines.options.stream import StreamOptions
from dovebeam.pipelines.terminal.logs import say
from dovebeam.transforms.drivers import Driver, FileDriver
from dovebeam.transforms.sharding import SpoolDriver
from dovebeam.transforms.shards.publishing import Publisher

__all__ = ["StreamShards", "stream_name"]

_LOOK_SECS: Final = 5.0
_MAX_FAILURES: Final = 10
"""In a row; with the pauses between them they last about five minutes."""

_LAST_PAUSE_SECS: Final = 60.0
_DIGITS: Final = 12


class StreamShards:
    """The files of one stream.

    Args:
        drivers: of all its exporters, by name.
        stream: what it is called, the same after every start; see `stream_name`.

    Attributes:
        drivers: those that the stream is to deliver with; for exporters that write shards, ones that spool.
    """

    def __init__(self, drivers: Mapping[str, Driver], stream: str) -> None:
        self._spools: Final = {
            name: SpoolDriver(driver, name, stream)
            for name, driver in drivers.items()
            if isinstance(driver, FileDriver) and driver.file_writing == "shards"
        }
        self.drivers: Final[Mapping[str, Driver]] = MappingProxyType({**drivers, **self._spools})

    @contextlib.contextmanager
    def made(self, give_up: Callable[[], None]) -> Iterator[None]:
        """Makes files as long as the context lasts, those that an earlier start has left first, and all at its end.

        Nothing is made at the end of a stream that failed: what is spooled waits for its next start.

        Args:
            give_up: ends the stream; called when files could not be made for some minutes.

        Raises:
            DeliveryError: the files cannot be made.
        """
        if not self._spools:
            yield
            return
        with contextlib.ExitStack() as stack:
            makers = {name: spool.publisher() for name, spool in self._spools.items()}
            for maker in makers.values():
                stack.enter_context(maker.alone(_now_msec()))
                maker.publish(_now_msec())
            thread = _Makers(makers, give_up)
            thread.start()
            try:
                yield
            finally:
                thread.end()
            if thread.error is not None:
                raise thread.error
            for maker in makers.values():
                maker.publish(_now_msec(), everything=True)


class _Makers(threading.Thread):
    """Makes files every few seconds."""

    def __init__(self, makers: Mapping[str, Publisher], give_up: Callable[[], None]) -> None:
        super().__init__(name="dovebeam-shards", daemon=True)
        self._makers = makers
        self._give_up = give_up
        self._ended = threading.Event()
        self._failures = 0
        self.error: Exception | None = None

    def run(self) -> None:
        pause = _LOOK_SECS
        while not self._ended.wait(pause):
            try:
                for maker in self._makers.values():
                    maker.publish(_now_msec())
            except Exception as error:  # whatever it is: the thread must not end unheard
                self._failures += 1
                if self._failures >= _MAX_FAILURES:
                    self.error = error
                    self._give_up()
                    return
                pause = min(_LAST_PAUSE_SECS, 2.0 ** (self._failures - 1))
                say(f"{error}; nothing is lost, trying again in {pause:.0f} s")
            else:
                self._failures, pause = 0, _LOOK_SECS

    def end(self) -> None:
        """Waits for the file in hand."""
        self._ended.set()
        self.join()


def stream_name(options: StreamOptions) -> str:
    """The name that was given, or else a hash of what the stream reads and of where its rejects go."""
    if options.run_id:
        return options.run_id
    decisive = [
        sorted(os.path.abspath(path) for path in options.follow),
        options.input_subscription,
        options.input_topic,
        os.path.abspath(options.rejects),
    ]
    text = json.dumps(decisive).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:_DIGITS]


def _now_msec() -> int:
    return time.time_ns() // 1_000_000
