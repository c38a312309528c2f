"""The drivers by the names that `event_exporter_driver` gives them.

To add a driver: one module, one line here, one test file that inherits the contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dovebeam.transforms.drivers.base import Driver
from dovebeam.transforms.drivers.drop import DropDriver
from dovebeam.transforms.drivers.file import FileDriver
from dovebeam.transforms.drivers.http_post import HttpPostDriver
from dovebeam.transforms.drivers.log import LogDriver
from dovebeam.transforms.drivers.unix import UnixDriver
from dovebeam.transforms.errors import UnknownNameError

__all__ = ["DRIVERS", "DRIVER_NAMES", "driver_class"]

DRIVERS: Final[Mapping[str, type[Driver]]] = MappingProxyType(
    {
        "drop": DropDriver,
        "file": FileDriver,
        "http-post": HttpPostDriver,
        "log": LogDriver,
        "unix": UnixDriver,
    }
)
"""Every driver's class; all of them import without their libraries, which are loaded where a connection opens."""

DRIVER_NAMES: Final = tuple(DRIVERS)


def driver_class(name: str) -> type[Driver]:
    """The class of a driver.

    Args:
        name: the value of `event_exporter_driver`, exactly as Dovecot writes it.

    Raises:
        UnknownNameError: its text lists what exists and the nearest name.
    """
    found = DRIVERS.get(name)
    if found is None:
        raise UnknownNameError("driver", name, DRIVER_NAMES)
    return found
