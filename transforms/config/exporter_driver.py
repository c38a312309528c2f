"""From an `event_exporter` block to its driver."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from dovebeam.transforms.config.model import Exporter
from dovebeam.transforms.config.settings import settings_of
from dovebeam.transforms.drivers import Driver, driver_class
from dovebeam.transforms.drivers.setting import declared
from dovebeam.transforms.errors import DriverSettingError

__all__ = ["make_driver"]

_FORMAT = "format"


def make_driver(exporter: Exporter) -> Driver:
    """The driver of an exporter, its settings checked as far as that is possible without the target.

    Each field of the driver that declares a setting gets its value; a field `format` gets the format of the exporter.

    Raises:
        UnknownNameError: there is no such driver.
        DriverSettingError: a setting with which nothing could ever be delivered.
    """
    cls, settings = driver_class(exporter.driver), exporter.settings
    for row in settings_of("event_exporter"):
        if row.refused and exporter.driver in row.drivers and settings[row.name]:
            raise DriverSettingError(row.name, row.refused, exporter.name)
    values: dict[str, Any] = {
        field: settings[row.name]
        for field, row in declared(cls).items()
        if row.unset is None or settings.is_explicit(row.name)
    }
    if any(field.name == _FORMAT for field in fields(cls)):  # type: ignore[arg-type]  # every driver is a dataclass
        values[_FORMAT] = exporter.format
    try:
        return cls(**values)
    except DriverSettingError as error:
        raise error.of(exporter.name) from None
