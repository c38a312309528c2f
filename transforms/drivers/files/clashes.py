"""Exporters that would write the same shards: each puts files in place by itself, so names must differ."""

from __future__ import annotations

import os
from collections.abc import Mapping

from dovebeam.transforms.drivers.base import Driver
from dovebeam.transforms.drivers.file.settings import FileSettings
from dovebeam.transforms.errors import DriverSettingError
from dovebeam.transforms.local_files import is_url

__all__ = ["shard_clashes"]


def shard_clashes(drivers: Mapping[str, Driver]) -> dict[str, DriverSettingError]:
    """What is wrong with an exporter whose files would have the names of another one's, by its name.

    Args:
        drivers: of one job, by exporter. Append mode is no matter: there, several exporters may share a file.
    """
    seen: dict[tuple[str, str], str] = {}
    wrong = {}
    for name, driver in drivers.items():
        if isinstance(driver, FileSettings) and driver.file_writing == "shards":
            first = seen.setdefault(_names(driver), name)
            if first != name:
                message = f"event_exporter {first} writes shards of the same names; choose another path"
                wrong[name] = DriverSettingError("event_exporter_file_path", message, name)
    return wrong


def _names(settings: FileSettings) -> tuple[str, str]:
    base = settings.base if is_url(settings.base) else os.path.abspath(settings.base)
    return base, settings.file_path_template or settings.default_path
