"""`--preview DIR`: a production configuration tried safely; every exporter writes to a file of its own there.

What is written stays what it would be: the plan of the export keeps each exporter's format, and that the log driver
gets long strings cut. Only the drivers are replaced, all of them, so nothing is sent or written anywhere else.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from dovebeam.pipelines.outputs.files import claim
from dovebeam.transforms.config import Config, Exporter
from dovebeam.transforms.drivers import FileDriver
from dovebeam.transforms.drivers.files.names import encode_value, short_name
from dovebeam.transforms.drivers.system_errors import delivery_error
from dovebeam.transforms.errors import DeliveryError

__all__ = ["Preview", "preview_name"]

_EXTENSIONS: Final = {"json": ".json", "tab-text": ".tab", "none": ".txt"}
_MAX_SHOWN: Final = 5


def preview_name(exporter: str, format_: str) -> str:
    """The file name of an exporter; no two exporters share one, and none leads out of its directory."""
    return short_name(encode_value(exporter), _EXTENSIONS[format_])


@dataclass(frozen=True, slots=True)
class Preview:
    """The files of a preview, made and empty.

    Attributes:
        paths: absolute path by name of exporter.
    """

    paths: dict[str, str]

    @classmethod
    def prepare(cls, directory: str, config: Config) -> Self:
        """Makes the directory if need be, and an empty file for every exporter that some metric uses.

        Raises:
            DeliveryError: a file exists already, or something cannot be made. Nothing that was there is touched.
        """
        used = dict.fromkeys(metric.exporter for metric in config.metrics if metric.exporter)
        return cls._claimed(os.path.abspath(directory), [config.exporters[name] for name in used])

    @classmethod
    def _claimed(cls, directory: str, exporters: Iterable[Exporter]) -> Self:
        preview = cls({each.name: os.path.join(directory, preview_name(each.name, each.format)) for each in exporters})
        try:
            os.makedirs(directory, exist_ok=True)
        except OSError as error:
            raise delivery_error("mkdir", directory, error) from error
        existing, claimed = [], []
        try:
            for path in preview.paths.values():
                try:
                    claim(path)
                    claimed.append(path)
                except FileExistsError:
                    existing.append(path)
            if existing:
                raise DeliveryError(_exist(existing), directory)
        except BaseException:
            _remove(claimed)
            raise
        return preview

    def drivers(self) -> dict[str, FileDriver]:
        """The drivers that take the place of the configured ones."""
        return {name: FileDriver(path) for name, path in self.paths.items()}

    def discard_empty(self) -> None:
        """Removes the files that are still empty, so that a job that failed early can simply be run again."""
        _remove([path for path in self.paths.values() if _is_empty(path)])


def _exist(paths: list[str]) -> str:
    shown = ", ".join(paths[:_MAX_SHOWN]) + (f" and {len(paths) - _MAX_SHOWN} more" if len(paths) > _MAX_SHOWN else "")
    verb = "exists" if len(paths) == 1 else "exist"
    return f"{shown} {verb} already; a preview overwrites nothing, so delete them or name another directory"


def _is_empty(path: str) -> bool:
    try:
        return os.path.getsize(path) == 0
    except OSError:
        return False


def _remove(paths: Iterable[str]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            os.unlink(path)
