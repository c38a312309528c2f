"""A driver that keeps what it gets, refuses what it is told to, and can be out of order as a whole."""

from __future__ import annotations

import base64
import fcntl
import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from dovebeam.transforms.drivers import Batch, Connection, Driver, Failure
from dovebeam.transforms.errors import DeliveryError

__all__ = ["KeepingDriver"]

_KEPT: Final[dict[str, list[bytes]]] = {}
"""What drivers of this process keep in memory; a driver that travelled within it finds its list here."""


@dataclass(frozen=True)
class KeepingDriver(Driver):
    """Keeps payloads, for `ExportEvents(config, drivers={"NAME": driver})` or `WriteToExporter(driver)`.

    Attributes:
        path: a file to keep them in, for workers in processes of their own; empty: memory, for runners that work in the
            process of the test.
        refuses: payloads that hold one of these are refused and become rejects.
        status: the HTTP status of these rejects, None for none.
        trouble: if not empty, nothing can be delivered at all: each bundle fails, with this text.

    Parallelism: any number of connections on any number of workers.

    Delivery: as often as the runner delivers; a bundle that is tried again is kept again.
    """

    path: str = ""
    refuses: tuple[bytes, ...] = field(default=(), repr=False)
    status: int | None = None
    trouble: str = ""
    key: str = field(default_factory=lambda: uuid.uuid4().hex, repr=False)

    name: ClassVar[str] = "drop"

    def __post_init__(self) -> None:
        if not self.path:
            _KEPT.setdefault(self.key, [])

    @property
    def kept(self) -> list[bytes]:
        """The payloads in the order in which they arrived."""
        if not self.path:
            return list(_KEPT[self.key])
        lines = Path(self.path).read_bytes().splitlines() if Path(self.path).exists() else []
        return [base64.b64decode(line) for line in lines]

    @property
    def endpoint(self) -> str:
        """Where they are."""
        return self.path or "memory"

    def open(self) -> Connection:
        """A connection that keeps.

        Raises:
            DeliveryError: the driver keeps in the memory of another process.
        """
        if not self.path and self.key not in _KEPT:
            raise DeliveryError("this worker is another process than the test; write KeepingDriver(path=...)", "memory")
        return _KeepingConnection(self)


class _KeepingConnection(Connection):
    def __init__(self, driver: KeepingDriver) -> None:
        super().__init__()
        self._driver = driver

    def deliver(self, batch: Batch) -> list[Failure]:
        driver = self._driver
        if driver.trouble:
            raise DeliveryError(driver.trouble, driver.endpoint)
        refused = [n for n, payload in enumerate(batch.payloads) if any(part in payload for part in driver.refuses)]
        self._keep([payload for n, payload in enumerate(batch.payloads) if n not in set(refused)])
        return [Failure(n, "refused by the test", status=driver.status, endpoint=driver.endpoint) for n in refused]

    def _keep(self, payloads: list[bytes]) -> None:
        if not self._driver.path:
            _KEPT[self._driver.key].extend(payloads)
            return
        lines = b"".join(base64.b64encode(payload) + b"\n" for payload in payloads)
        fd = os.open(self._driver.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # other workers write whole batches, too
            file.write(lines)
