"""From a configuration's `event_exporter` block to its driver."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from dovebeam.transforms.drivers.base import Driver
from dovebeam.transforms.drivers.registry import driver_class
from dovebeam.transforms.errors import DriverSettingError

if TYPE_CHECKING:
    from dovebeam.transforms.config.model import Exporter

__all__ = ["make_driver"]

_SHARED_PREFIXES: Final = ("http_client_", "ssl_")
_UNSUPPORTED: Final = {
    "http_client_proxy_socket_path": "a proxy behind a UNIX socket is not supported; use http_client_proxy_url",
}


def make_driver(exporter: Exporter) -> Driver:
    """The driver of an exporter, its settings checked as far as that is possible without the target.

    A field of the driver is filled from the setting of its name: `file_path` from `event_exporter_file_path`,
    `http_client_connect_timeout_msec` from `http_client_connect_timeout`. A setting that the configuration's table
    doesn't have keeps the driver's default.

    Raises:
        UnknownNameError: there is no such driver.
        DriverSettingError: a setting with which nothing could ever be delivered.
    """
    cls = driver_class(exporter.driver)
    values: dict[str, Any] = {}
    for field in fields(cls):  # type: ignore[arg-type]  # every driver is a dataclass
        name = field.name.removesuffix("_msec")
        setting = name if name.startswith(_SHARED_PREFIXES) else f"event_exporter_{name}"
        if setting in exporter.settings:
            values[field.name] = exporter.settings[setting]
    if exporter.driver == "http-post":
        for setting, message in _UNSUPPORTED.items():
            if exporter.settings.get(setting):
                raise DriverSettingError(setting, message, exporter.name)
        values["format"] = exporter.format
        values["http_client_request_absolute_timeout_msec"] = exporter.request_absolute_timeout_msec
    try:
        return cls(**values)
    except DriverSettingError as error:
        raise error.of(exporter.name) from None
