"""The drivers by the names that `event_exporter_driver` gives them, and the settings that they declare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from dovebeam.transforms.drivers.base import Driver
from dovebeam.transforms.drivers.drop import DropDriver
from dovebeam.transforms.drivers.file.driver import FileDriver
from dovebeam.transforms.drivers.http.driver import HttpPostDriver
from dovebeam.transforms.drivers.log.driver import LogDriver
from dovebeam.transforms.drivers.setting import Setting, declared
from dovebeam.transforms.drivers.unix import UnixDriver
from dovebeam.transforms.errors import UnknownNameError

__all__ = ["DRIVERS", "DRIVER_NAMES", "DRIVER_SETTINGS", "driver_class"]

# In the order in which errors and the reference list them: Dovecot's default first, `drop` last.
_CLASSES: Final[tuple[type[Driver], ...]] = (
    LogDriver,
    FileDriver,
    UnixDriver,
    HttpPostDriver,
    DropDriver,
)

DRIVERS: Final[Mapping[str, type[Driver]]] = MappingProxyType({each.name: each for each in _CLASSES})
"""Every driver's class. Importing them loads no libcurl and no TLS library: that happens when a connection opens."""

DRIVER_NAMES: Final = tuple(DRIVERS)


def _settings() -> tuple[Setting, ...]:
    found: dict[str, Setting] = {}
    for each in (row for driver in _CLASSES for row in declared(driver).values()):
        # `ssl_...` is declared once and inherited by two drivers, so it comes twice here and is one setting.
        shared = found.get(each.name)
        found[each.name] = replace(each, drivers=(*shared.drivers, *each.drivers)) if shared else each
    return tuple(found.values())


DRIVER_SETTINGS: Final = _settings()
"""The settings of all drivers, each once, with the names of the drivers that have it."""


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
