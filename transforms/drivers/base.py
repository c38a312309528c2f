"""The interface of all drivers: a `Driver` travels to the workers, and its `Connection` delivers there.

Contract, from Dovecot's section "Export drivers" and from what a Beam pipeline needs beyond it:

- Payloads are the bytes that a formatter made, without a line end. The driver does the framing.
- `send` blocks until each payload of the batch is delivered or has failed for good, so a slow target slows its source
  and nothing piles up: no more than the one batch is ever held.
- A batch may have for each payload what the target cannot know: an id that stays the same over retries and re-runs, and
  the path of its file. Only drivers that ask for them (`wants_keys`, `router`) get them.
- A payload that the target refuses is returned as a `Failure` and becomes a reject with its original bytes. Trouble
  that no payload has caused (`DeliveryError`) is raised and fails the bundle. Nothing is logged and dropped.

Drivers of local files and sockets also share the texts of system errors here: `delivery_error`, `check_path`.
"""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, ClassVar, Final, Protocol, Self

from dovebeam.transforms.drivers.secrets.secret import Secret
from dovebeam.transforms.drivers.setting import Kind, check_values, declared
from dovebeam.transforms.errors import DeliveryError, DovebeamError, DriverSettingError

if TYPE_CHECKING:
    from dovebeam.transforms.events.event import Event

__all__ = [
    "Batch",
    "Connection",
    "Driver",
    "Failure",
    "Router",
    "RoutingError",
    "check_path",
    "delivery_error",
    "error_number",
]


@dataclass(frozen=True, slots=True)
class Batch:
    """Payloads to be sent together.

    Attributes:
        payloads: formatted events, without a trailing newline.
        keys: an id of each payload, which stays the same whenever the same event is sent again; empty if the driver
            needs none.
        paths: the path of each payload, from the driver's router; empty if it has none.
    """

    payloads: Sequence[bytes]
    keys: Sequence[str] = ()
    paths: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.payloads)


class RoutingError(DovebeamError):
    """An event for which a driver finds no path; the text says why and becomes the reason of its reject."""


class Router(Protocol):
    """Finds the path of an event, before it is formatted; can be pickled, and is the same on every worker."""

    def route(self, event: Event) -> str:
        """The relative path of the event's file.

        Raises:
            RoutingError: the event lacks something that the path needs.
        """
        ...  # pragma: no cover


@dataclass(frozen=True, slots=True)
class Failure:
    """One payload that did not arrive.

    Attributes:
        index: its position in the batch, from 0.
        reason: why, without credentials and without path or query of a URL.
        attempts: number of attempts.
        status: the HTTP status of the last attempt, None without an answer or for other drivers.
        endpoint: the target; scheme://host:port for a URL.
    """

    index: int
    reason: str
    attempts: int = 1
    status: int | None = None
    endpoint: str = ""


class Driver(ABC):
    """A driver: its settings and nothing else.

    Subclasses are frozen dataclasses that can be pickled. A field that declares a setting (`setting`) is filled from
    the configuration. A field that may hold a secret has `repr=False`, which also keeps it out of `display_items`.

    Attributes:
        name: its name in rejects and a runner's user interface; of Dovecot's drivers, the value of the setting
            `event_exporter_driver`.
        max_string_length: maximum length of strings in bytes that the formatter may write, None for no limit.
    """

    __slots__ = ()

    name: ClassVar[str]
    max_string_length: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        """Checks the values of the fields, and makes a `Secret` of each that is one.

        A subclass with a `__post_init__` of its own calls this first, by the name of the class.

        Raises:
            DriverSettingError: a value that the declaration of its setting rules out.
        """
        check_values(self)
        for name, row in declared(type(self)).items():
            if row.secret and row.kind is Kind.STRING:
                # The dataclass is frozen, and `__post_init__` is the only place that may still change it.
                object.__setattr__(self, name, Secret.parse(row.name, getattr(self, name)))

    @property
    def max_batch_events(self) -> int:
        """Maximum number of payloads that a worker collects for one `send`."""
        return 500

    @property
    def max_batch_bytes(self) -> int:
        """Maximum size of the payloads that a worker collects for one `send`, in bytes; the last one may exceed it."""
        return 1024 * 1024

    @property
    def max_batch_msec(self) -> int | None:
        """Maximum age of a batch in milliseconds, after which the next payload sends it; None for no limit.

        There is no timer. If no payload is added, the batch waits until the bundle ends, and is sent then.
        """
        return None

    @property
    def wants_keys(self) -> bool:
        """Whether batches should have `keys`."""
        return False

    def router(self) -> Router | None:
        """Finds the path of each event's file; None if all events go to one place."""
        return None

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """The target, as people and rejects see it; never a secret."""

    @abstractmethod
    def open(self) -> Connection:
        """Makes a connection, on the worker that uses it.

        The target itself is opened when the first batch is sent, as Dovecot does.

        Raises:
            DeliveryError: this machine lacks something that every batch needs, such as a certificate file.
        """

    def display_items(self) -> dict[str, str | int | bool]:
        """Display data for a runner's user interface: driver, endpoint, and settings by field name."""
        shown = {field.name: getattr(self, field.name) for field in fields(self) if field.repr}  # type: ignore[arg-type]
        items = {"driver": self.name, "endpoint": self.endpoint, **shown}
        # Compared with `in`, so 0 and False, which are values, stay; what is not set is left out.
        return {name: value for name, value in items.items() if value not in (None, "")}


class Connection(ABC):
    """A live connection of one driver. One thread at a time may use it.

    A subclass implements `deliver`, and `flush` and `release` if it holds something.

    Attributes:
        on_arrival: called during `send` with the number of payloads that have just arrived, by drivers that know it
            before the whole batch is done. So delivered payloads are counted even if the batch never ends.
    """

    def __init__(self) -> None:
        self._closed = False
        self.on_arrival: Callable[[int], None] | None = None

    def send(self, batch: Batch | Sequence[bytes]) -> list[Failure]:
        """Delivers a batch, or plain payloads, and returns what failed, in the order of the batch.

        Every payload without a `Failure` was delivered, in the sense of the driver's guarantee. After a `DeliveryError`
        any part of the batch may have been delivered; the connection can be used again.

        Raises:
            DeliveryError: the target accepts nothing at all.
            ValueError: the connection was closed.
        """
        if self._closed:
            raise ValueError("send() on a closed connection")
        if not batch:
            return []
        return self.deliver(batch if isinstance(batch, Batch) else Batch(batch))

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
            # Before `release`, which may raise: what it could not free the first time is not freed a second time.
            self._closed = True
            self.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def deliver(self, batch: Batch) -> list[Failure]:
        """Delivers a batch that is not empty; called by `send`, whose contract it fulfils.

        Raises:
            DeliveryError: the target accepts nothing at all.
        """

    def release(self) -> None:  # noqa: B027  see flush
        """Frees what the connection holds; called once, by `close`."""


# Errors of the operating system: Dovecot's text for each, followed by advice.

_ADVICE: Final[Mapping[int, str]] = MappingProxyType(
    {
        errno.EACCES: "give the user that runs the worker the permission, or choose another path",
        errno.EAGAIN: "the listener does not accept connections fast enough",
        errno.EBUSY: "another program holds the lock of the file; stop it, then run again",
        errno.ECONNREFUSED: "nothing listens there; start the listener, or remove its stale socket",
        errno.EDQUOT: "the disk quota is used up; make room, then run again",
        errno.EISDIR: "name a file in that directory",
        errno.ELOOP: "it is a symbolic link, and following one could write anywhere; name the file itself",
        errno.ENAMETOOLONG: "choose a shorter path",
        errno.ENOENT: "it does not exist; directories are not created, so create it or correct the path",
        errno.ENOSPC: "the disk is full; make room, then run again",
        errno.ENOTDIR: "a part of the path is a file; correct the path",
        errno.ENOTSOCK: "it is not a socket; correct the path",
        errno.ENXIO: "it is a FIFO without a reader, or a socket; start its reader, or name a file",
        errno.EROFS: "the file system is read-only; mount it writable, or choose another path",
    }
)


def delivery_error(call: str, target: str, error: OSError) -> DeliveryError:
    """A `DeliveryError` in Dovecot's form, "open(PATH) failed: No such file or directory", with advice.

    Args:
        call: the system call, such as "open".
        target: its path or address, which becomes the error's endpoint.
        error: raised by the call; a time-out without a number counts as ETIMEDOUT.
    """
    number = error.errno
    if isinstance(error, TimeoutError) and number is None:
        number = errno.ETIMEDOUT
    # Not `str(error)` where there is a number: it would repeat the number and the path.
    text = os.strerror(number) if number else str(error)
    advice = _ADVICE.get(number or 0, "")
    # The advice for files speaks of directories; a socket is made by its listener.
    if number == errno.ENOENT and call == "connect":
        advice = "there is no socket; start the listener, or correct the path"
    return DeliveryError(f"{call}({target}) failed: {text}{f' ({advice})' if advice else ''}", target)


def error_number(error: DeliveryError | OSError) -> int:
    """The errno of a system error, or of the one that caused a `DeliveryError`; 0 if there is none."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return cause.errno or 0 if isinstance(cause, OSError) else 0


def check_path(setting: str, path: str) -> None:
    """Checks that a path can name something.

    Raises:
        DriverSettingError: it is empty, has a NUL byte, or is not UTF-8, as the graph of a job must be.
    """
    if not path:
        raise DriverSettingError(setting, "it is empty; set it to a path")
    if "\0" in path:
        raise DriverSettingError(setting, "a path cannot have a NUL byte; remove it")
    # Linux would accept such a name, but a job's graph, in which the setting travels, is UTF-8.
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise DriverSettingError(setting, "the path is not UTF-8; name it otherwise") from error
