"""Dry run of a configuration (`--preview DIR`): every exporter writes to a file of its own in a directory.

The payloads are those of a real run: the plan keeps each exporter's format, and cuts long strings for the log driver.
Only the drivers are replaced, all of them, so nothing is sent or written anywhere else.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self

from dovebeam.pipelines.jobs.outputs import claim, replace_file
from dovebeam.pipelines.terminal.standard_streams import write_to_stdout
from dovebeam.transforms.config import Config
from dovebeam.transforms.drivers import FileDriver
from dovebeam.transforms.drivers.base import delivery_error
from dovebeam.transforms.drivers.file.names import encode_value, short_name
from dovebeam.transforms.errors import DeliveryError

__all__ = ["MARKER", "Preview", "preview_name"]

_EXTENSIONS: Final = {"json": ".json", "tab-text": ".tab", "none": ".txt"}
_MAX_SHOWN: Final = 5
_COPIED_BYTES: Final = 1024 * 1024

MARKER: Final = ".dovebeam-preview"
"""File in the directory of a preview with the names of its files, which the next preview may replace."""

_KEY: Final = "files"  # the one member of the marker's JSON
_MAX_MARKER_BYTES: Final = 16 * 1024 * 1024


def preview_name(exporter: str, format_: str) -> str:
    """File name of an exporter in a preview; unique, and never outside of its directory."""
    return short_name(encode_value(exporter), _EXTENSIONS[format_])


@dataclass(frozen=True, slots=True)
class Preview:
    """Files of a preview.

    Attributes:
        paths: absolute path by name of exporter.
        made: directories that have to be created for them, the innermost first.
    """

    paths: dict[str, str]
    made: tuple[str, ...] = ()

    @classmethod
    def plan(cls, directory: str, config: Config) -> Self:
        """A preview with a file for every exporter that some metric uses; nothing is touched yet."""
        directory = os.path.abspath(directory)
        used = dict.fromkeys(metric.exporter for metric in config.metrics if metric.exporter)
        exporters = [config.exporters[name] for name in used]
        paths = {each.name: os.path.join(directory, preview_name(each.name, each.format)) for each in exporters}
        return cls(paths, tuple(_missing_folders(directory)))

    def claim(self) -> None:
        """Creates the directory if it is missing, and empty files; removes an earlier preview there.

        Raises:
            DeliveryError: a file that is not of an earlier preview has a name that is needed, or something cannot be
                created. Existing files are not touched then.
        """
        directory = next((os.path.dirname(path) for path in self.paths.values()), "")
        if not directory:
            return
        earlier = {os.path.join(directory, name) for name in _read_marker(directory)}
        existing = [path for path in self.paths.values() if os.path.lexists(path) and path not in earlier]
        if existing:
            raise DeliveryError(_exist(existing), directory)
        try:
            os.makedirs(directory, exist_ok=True)
            _remove(earlier)
            # The marker before the files: what a killed preview leaves is known to the next one.
            marker = json.dumps({_KEY: sorted(map(os.path.basename, self.paths.values()))})
            replace_file(os.path.join(directory, MARKER), marker.encode() + b"\n")
            for path in self.paths.values():
                claim(path)
        except OSError as error:  # FileExistsError: another process created it at this moment
            self.discard_empty()
            raise delivery_error("mkdir", directory, error) from error
        except BaseException:
            self.discard_empty()
            raise

    def drivers(self) -> dict[str, FileDriver]:
        """Drivers that take the place of the configured ones."""
        return {name: FileDriver(path) for name, path in self.paths.items()}

    def print(self) -> None:
        """Prints the files to standard output, one exporter after the other.

        Raises:
            DeliveryError: standard output cannot be written.
        """
        try:
            for path in self.paths.values():
                with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
                    while data := file.read(_COPIED_BYTES):
                        write_to_stdout(data)
        except OSError as error:
            raise delivery_error("write", "standard output", error) from error

    def discard_empty(self) -> None:
        """Removes empty files of a job that failed, and the directories created for them if nothing is left."""
        _remove([path for path in self.paths.values() if _is_empty(path)])
        if any(map(os.path.lexists, self.paths.values())):
            return
        _remove({os.path.join(os.path.dirname(path), MARKER) for path in self.paths.values()})
        with contextlib.suppress(OSError):  # something else is in it
            for folder in self.made:
                os.rmdir(folder)


def _missing_folders(directory: str) -> Iterator[str]:
    """The directory and its parents, as far as they do not exist."""
    while not os.path.lexists(directory):
        yield directory
        directory = os.path.dirname(directory)


def _read_marker(directory: str) -> frozenset[str]:
    """Names of the files of an earlier preview in a directory; empty without one."""
    try:
        with open(os.path.join(directory, MARKER), "rb") as file:
            names = json.loads(file.read(_MAX_MARKER_BYTES))[_KEY]
    except (OSError, ValueError, TypeError, KeyError):
        return frozenset()
    if not isinstance(names, list):
        return frozenset()
    # Only plain names: a marker that was tampered with must not remove files elsewhere.
    return frozenset(name for name in names if isinstance(name, str) and name == os.path.basename(name))


def _exist(paths: list[str]) -> str:
    shown = ", ".join(paths[:_MAX_SHOWN]) + (f" and {len(paths) - _MAX_SHOWN} more" if len(paths) > _MAX_SHOWN else "")
    verb = "exists" if len(paths) == 1 else "exist"
    return f"{shown} {verb} already and not from a preview; nothing was replaced, delete them or name another directory"


def _is_empty(path: str) -> bool:
    try:
        return os.path.getsize(path) == 0
    except OSError:
        return False


def _remove(paths: Iterable[str]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            os.unlink(path)
