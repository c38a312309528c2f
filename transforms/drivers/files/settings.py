"""What the settings of the `file` driver may be, beyond their types."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from dovebeam.transforms.drivers.files.path_template import TemplateError, parse_template
from dovebeam.transforms.errors import DriverSettingError
from dovebeam.transforms.local_files import file_url_path, is_url

if TYPE_CHECKING:
    from dovebeam.transforms.drivers.file import FileDriver

__all__ = ["check_file_settings"]

_IN_BUCKET: Final = re.compile(r"[^:]+://[^/]+")
_OF_PROCESS: Final = re.compile(r"/dev/(?:stdin|stdout|stderr|fd/[0-9]+|tty)\Z|/proc/(?:self|[0-9]+)/fd/")
_MODE: Final = re.compile(r"0?[0-7]{3}\Z")
_WRITABLE_BY_OWNER: Final = 0o200


def check_file_settings(driver: FileDriver) -> None:
    """Refuses settings with which no file could be written, or none where it was meant to be.

    Raises:
        DriverSettingError: its text says what to write instead.
    """
    _check_target(driver)
    _check_template(driver)
    _check_mode(driver.file_permissions)
    if (driver.file_rotate_interval_msec or 0) % 1000:
        raise _wrong("file_rotate_interval", "it has a fraction of a second; write whole seconds")


def _check_target(driver: FileDriver) -> None:
    if _OF_PROCESS.match(driver.file_path):
        raise _wrong(
            "file_path",
            f"{driver.file_path!r} belongs to each process and is not a file that all can append to; name a file or a "
            "named pipe, use driver = log for standard error, or --preview - to see what would be written",
        )
    path = file_url_path(driver.file_path)
    if path:
        raise _wrong("file_path", f"{driver.file_path!r} is a URL of a file of this machine; write its path, {path}")
    if driver.file_writing == "append" and is_url(driver.file_path):
        raise _wrong(
            "file_path",
            f"{driver.file_path!r} is in an object store, where nothing can be appended; "
            "add file_writing = shards, or name a local file",
        )
    if is_url(driver.file_path) and not _IN_BUCKET.match(driver.base):
        message = f"{driver.file_path!r} names no place in a bucket; write it as gs://BUCKET/FOLDER/NAME.json"
        raise _wrong("file_path", message)
    if driver.file_writing == "shards" and not _is_unicode(f"{driver.file_path}{driver.file_path_template}"):
        raise _wrong("file_path", "it is not UTF-8, which the names in the manifest of shards are; choose another name")
    if not driver.file_path_template and driver.default_path in {"", ".", ".."}:
        raise _wrong("file_path", "it is a directory; name a file in it, or add a file_path_template")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_template(driver: FileDriver) -> None:
    if driver.file_path_template:
        try:
            parse_template(driver.file_path_template)
        except TemplateError as error:
            raise _wrong("file_path_template", str(error)) from None
    if driver.file_missing_field == "fallback" and not driver.file_field_fallback:
        raise _wrong("file_field_fallback", "it is empty; write a word that stands for a missing field")


def _check_mode(text: str) -> None:
    if not _MODE.match(text):
        raise _wrong("file_permissions", f"it is {text!r}; write three octal digits after a zero, such as 0640")
    if not int(text, 8) & _WRITABLE_BY_OWNER:
        raise _wrong("file_permissions", f"with {text} not even their owner could write the files; write 0600 or more")


def _wrong(name: str, message: str) -> DriverSettingError:
    return DriverSettingError(f"event_exporter_{name}", message)
