"""The settings of the `file` driver: fields, defaults, values derived from them, and their checks.

`shard_clashes` checks the exporters of one job against each other.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from dovebeam.transforms.drivers.base import Driver, check_path
from dovebeam.transforms.drivers.file.names import COMPRESSION_SUFFIXES
from dovebeam.transforms.drivers.setting import Kind, check_values, setting, setting_name
from dovebeam.transforms.errors import DriverSettingError
from dovebeam.transforms.local_files import file_url_path, is_url

if TYPE_CHECKING:
    from dovebeam.transforms.drivers.file.routing import PathRouter

__all__ = ["FileSettings", "shard_clashes"]


_IN_BUCKET: Final = re.compile(r"[^:]+://[^/]+")
# Paths that mean another file in each process.
_OF_PROCESS: Final = re.compile(r"/dev/(?:stdin|stdout|stderr|fd/[0-9]+|tty)\Z|/proc/(?:self|[0-9]+)/fd/")
_MODE: Final = re.compile(r"0?[0-7]{3}\Z")
_WRITABLE_BY_OWNER: Final = 0o200


@dataclass(frozen=True, slots=True)
class FileSettings:
    """The settings of a `file` exporter."""

    file_path: str = setting(
        Kind.STRING,
        "",
        "the file that events are written to; with `file_path_template`, the directory that contains the files",
        dovecot=True,
        required="/PATH",
    )
    file_writing: str = setting(
        Kind.ENUM,
        "append",
        "`append` appends to files as Dovecot does; `shards` writes complete files, which get their names when the job "
        "ends, on this machine or on `gs://`",
        ("append", "shards"),
    )
    file_path_template: str = setting(
        Kind.STRING,
        "",
        "the file of each event, relative to the directory `file_path`, such as `%Y/%m/%d/{user}.json`",
        expanded=False,
    )
    file_missing_field: str = setting(
        Kind.ENUM,
        "reject",
        "what to do with an event that lacks a field of the template: `reject` it, or use the `fallback`",
        ("reject", "fallback"),
    )
    file_field_fallback: str = setting(Kind.STRING, "unknown", "the word that replaces a missing field in a path")
    file_rotate_size: int | None = setting(
        Kind.SIZE,
        "0",
        "size at which a new file is started: the stored size, or for shards the size before compression; 0 for no "
        "limit, for shards 1 GiB",
    )
    file_rotate_interval_msec: int | None = setting(
        Kind.TIME, "0", "length of the window of event time that each file covers, such as `1 h`; 0 for no windows"
    )
    file_window_delay_msec: int | None = setting(
        Kind.TIME,
        "1 min",
        "for shards of a stream: how long after the end of a window its files are written; late events are collected "
        "for the same time, and then written to further files",
    )
    file_compression: str = setting(
        Kind.ENUM, "none", "compression, which adds `.gz` or `.zst` to the names of files", tuple(COMPRESSION_SUFFIXES)
    )
    file_permissions: str = setting(Kind.STRING, "0600", "octal mode of new files, reduced by the umask")
    file_max_open: int = setting(
        Kind.UINT,
        "100",
        "how many files a worker keeps open; to open another one, it closes the least recently used one",
        not_zero="it must not be 0; one file has to be open to be written",
    )

    def __post_init__(self) -> None:
        """Refuses settings with which no file could be written, or only in the wrong place.

        Raises:
            DriverSettingError: its text says what to write instead.
        """
        check_values(self)
        check_path("event_exporter_file_path", self.file_path)
        _check_target(self)
        _check_template(self)
        _check_mode(self.file_permissions)
        if (self.file_rotate_interval_msec or 0) % 1000:
            raise _wrong("file_rotate_interval", "it has a fraction of a second; write whole seconds")

    @property
    def endpoint(self) -> str:
        """The path."""
        return self.file_path

    @property
    def base(self) -> str:
        """The directory of all files. It is never created, and links in its own path are followed."""
        return self.file_path if self.file_path_template else os.path.dirname(self.file_path) or "."

    @property
    def default_path(self) -> str:
        """The file of all events, relative to `base`, where there is no router."""
        return os.path.basename(self.file_path)

    @property
    def rotate_size(self) -> int:
        """Bytes after which a file is full; 0 for no limit, also where it is written as `unlimited`."""
        return self.file_rotate_size or 0

    @property
    def rotate_interval_secs(self) -> int:
        """Length of the windows of event time, 0 for none."""
        return (self.file_rotate_interval_msec or 0) // 1000

    @property
    def mode(self) -> int:
        """Mode bits of new files."""
        return int(self.file_permissions, 8)

    @property
    def directory_mode(self) -> int:
        """Mode bits of new directories, those of files with the right to enter for each who may read or write."""
        # r (4) and w (2) are moved to the place of x (1).
        return self.mode | (self.mode & 0o444) >> 2 | (self.mode & 0o222) >> 1

    def router(self) -> PathRouter | None:
        """Finds each event's file below `base`; None if there is only one file.

        Its paths do not have the suffix of a compression or the number of a full file.
        """
        window, template = self.rotate_interval_secs, self.file_path_template
        if not template and not window:
            return None
        from dovebeam.transforms.drivers.file.routing import PathRouter  # noqa: PLC0415  few exporters have a router

        missing = cast(Literal["reject", "fallback"], self.file_missing_field)
        return PathRouter(template or self.default_path, not template, window, missing, self.file_field_fallback)


def _check_target(settings: FileSettings) -> None:
    # The order matters: a URL `file://` gets its own advice before that for object stores.
    if _OF_PROCESS.match(settings.file_path):
        raise _wrong(
            "file_path",
            f"{settings.file_path!r} belongs to each process and is not a file that all can append to; name a file or "
            "a named pipe, use driver = log for standard error, or --preview - to see what would be written",
        )
    path = file_url_path(settings.file_path)
    if path:
        raise _wrong("file_path", f"{settings.file_path!r} is a URL of a file of this machine; write its path, {path}")
    if settings.file_writing == "append" and is_url(settings.file_path):
        raise _wrong(
            "file_path",
            f"{settings.file_path!r} is in an object store, where nothing can be appended; "
            "add file_writing = shards, or name a local file",
        )
    if is_url(settings.file_path) and not _IN_BUCKET.match(settings.base):
        message = f"{settings.file_path!r} has no path within a bucket; write it as gs://BUCKET/FOLDER/NAME.json"
        raise _wrong("file_path", message)
    if settings.file_writing == "shards" and not _is_unicode(f"{settings.file_path}{settings.file_path_template}"):
        raise _wrong("file_path", "it is not UTF-8, which the names in the manifest of shards are; choose another name")
    if not settings.file_path_template and settings.default_path in {"", ".", ".."}:
        raise _wrong("file_path", "it is a directory; name a file in it, or add a file_path_template")


def _is_unicode(text: str) -> bool:
    """Whether a text has no surrogates, which stand for bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_template(settings: FileSettings) -> None:
    if settings.file_path_template:
        from dovebeam.transforms.drivers.file.path_template import (  # noqa: PLC0415  few exporters have a template
            TemplateError,
            parse_template,
        )

        try:
            parse_template(settings.file_path_template)
        except TemplateError as error:
            raise _wrong("file_path_template", str(error)) from None
    if settings.file_missing_field == "fallback" and not settings.file_field_fallback:
        raise _wrong("file_field_fallback", "it is empty; write a word that replaces a missing field")


def _check_mode(text: str) -> None:
    if not _MODE.match(text):
        raise _wrong("file_permissions", f"it is {text!r}; write three octal digits after a zero, such as 0640")
    if not int(text, 8) & _WRITABLE_BY_OWNER:
        raise _wrong("file_permissions", f"with {text} not even their owner could write the files; write 0600 or more")


def _wrong(name: str, message: str) -> DriverSettingError:
    return DriverSettingError(setting_name(name), message)


def shard_clashes(drivers: Mapping[str, Driver]) -> dict[str, DriverSettingError]:
    """Errors of exporters whose shards would have the names of another one's, by exporter.

    Args:
        drivers: of one job, by exporter. Those that append are not checked: several of them may share a file.
    """
    # Each exporter commits its shards by itself, and would take the other's for those of an earlier run.
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
    """Source of the names of an exporter's files: the directory, and the template or file name."""
    base = settings.base if is_url(settings.base) else os.path.abspath(settings.base)
    return base, settings.file_path_template or settings.default_path
