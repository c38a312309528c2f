"""What every driver is: a description that travels to the workers, and a connection that delivers there.

Contract, from Dovecot's section "Export drivers" and from what a Beam pipeline needs beyond it:

- Payloads are the bytes that a formatter made, without a line's end. Framing is the driver's business.
- `send` blocks until each payload of the batch is delivered or has failed for good, so a slow target slows its source
  and nothing piles up: no more than the one batch is ever held.
- A payload that the target refuses is returned as a `Failure` and becomes a reject with its original bytes. Trouble
  that is no payload's fault (`DeliveryError`) is raised and fails the bundle. Nothing is logged and dropped.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from types import TracebackType
from typing import ClassVar, Literal, Self

__all__ = ["Connection", "Driver", "DriverName", "Failure"]

DriverName = Literal["drop", "file", "http-post", "log", "unix"]


@dataclass(frozen=True, slots=True)
class Failure:
    """One payload that did not arrive.

    Attributes:
        index: its place in the batch, from 0.
        reason: why, in words that hold no credential and no path or query of a URL.
        attempts: how often it was tried.
        status: the HTTP status of the last attempt, None if there was no answer or the driver knows no status.
        endpoint: where it should have gone; scheme://host:port for a URL.
    """

    index: int
    reason: str
    attempts: int = 1
    status: int | None = None
    endpoint: str = ""


class Driver(ABC):
    """The description of a driver: its settings and nothing else.

    Subclasses are frozen dataclasses. They pickle; their fields are named as Dovecot's settings without the
    `event_exporter_` prefix, times with their unit. A field that may hold a secret has `repr=False`, which also keeps
    it out of `display_items`.

    Attributes:
        name: the value of the setting `event_exporter_driver`.
        max_string_length: longest string in bytes that the formatter may write, None for no limit.
    """

    __slots__ = ()

    name: ClassVar[DriverName]
    max_string_length: ClassVar[int | None] = None

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """Where the payloads go, for people and rejects; never a secret."""

    @abstractmethod
    def open(self) -> Connection:
        """Makes a connection, on the worker that uses it.

        The target itself is touched when the first batch is sent, as Dovecot does.

        Raises:
            DeliveryError: for something on this machine that no batch could be delivered with, such as a missing
                certificate file.
        """

    def display_items(self) -> dict[str, str | int | bool]:
        """What may be shown in a runner's user interface: driver, endpoint, and settings by field name."""
        shown = {field.name: getattr(self, field.name) for field in fields(self) if field.repr}  # type: ignore[arg-type]
        items = {"driver": self.name, "endpoint": self.endpoint, **shown}
        return {name: value for name, value in items.items() if value not in (None, "")}


class Connection(ABC):
    """A live connection of one driver. One thread at a time may use it."""

    def __init__(self) -> None:
        self._closed = False

    def send(self, batch: Sequence[bytes]) -> list[Failure]:
        """Delivers a batch and returns what failed, in the order of the batch.

        Every payload without a `Failure` was delivered, in the sense of the driver's guarantee. After a `DeliveryError`
        any part of the batch may have been delivered; the connection can be used again.

        Raises:
            DeliveryError: the target can take nothing at all.
            ValueError: the connection was closed.
        """
        if self._closed:
            raise ValueError("send() on a closed connection")
        return self._deliver(batch) if batch else []

    def flush(self) -> None:  # noqa: B027  a driver that holds nothing back has nothing to do
        """Waits until everything that was sent is as safe as the driver can make it.

        Raises:
            DeliveryError: something that was sent earlier did not arrive.
        """

    def close(self) -> None:
        """Releases what the connection holds; a second call does nothing.

        Raises:
            DeliveryError: the system reports only now that something could not be written.
        """
        if not self._closed:
            self._closed = True
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _deliver(self, batch: Sequence[bytes]) -> list[Failure]:
        """`send` of a batch that is not empty."""

    def _release(self) -> None:  # noqa: B027  see flush
        """Frees resources, once."""
