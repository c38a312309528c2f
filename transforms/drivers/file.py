"""The `file` driver: one line per event, appended.

Rules from Dovecot's section "Export drivers", "Opening a file" and "Writing": opened for the first batch, never through
a symbolic link, mode 0600, no directory made, no fsync, no rotation. What Dovecot loses when a write fails is kept
here: the error is raised, and the file is put back to the end of its last whole line. Templates of paths, rotation,
compression and other modes are extensions; so is that a file that was moved away is opened anew at the next batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, cast

from dovebeam.transforms.drivers.base import Batch, Connection, Driver, Failure
from dovebeam.transforms.drivers.files.append import AppendedFile, AppendSettings, shown_path
from dovebeam.transforms.drivers.files.names import COMPRESSION_SUFFIXES, compressed_name
from dovebeam.transforms.drivers.files.open_files import OpenFiles
from dovebeam.transforms.drivers.files.routing import PathRouter
from dovebeam.transforms.drivers.files.settings import check_file_settings
from dovebeam.transforms.drivers.kinds import Kind
from dovebeam.transforms.drivers.setting import setting
from dovebeam.transforms.drivers.system_errors import check_path
from dovebeam.transforms.errors import DeliveryError

__all__ = ["FileConnection", "FileDriver"]

# Small members and frames compress badly, and a batch is spread over many files.
_BATCH_EVENTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class FileDriver(Driver):
    r"""Appends each payload and a newline to a file, or writes complete files of such lines.

    Parallelism: any number of connections and processes may append to one file on one machine; what a batch has for a
    file is one `write` in append mode, and connections of dovebeam take turns by an advisory lock (`flock`), so lines
    stay whole and the lines of a batch stay together and in order. Over NFS, where appends can overwrite each other,
    use one process. Shards are written by any number of workers on any number of machines that see the place.

    Delivery: shards exactly once, also over retries and when a job is run again; `WriteToShards` says how. Appending at
    least once into the kernel's hands; not flushed to the disk, as in Dovecot. A batch that cannot be written whole
    raises `DeliveryError` and is taken back out of the file, so that sending it again makes no duplicates; if another
    program appended meanwhile, nothing is taken back, and the next batch begins on a fresh line. The same holds for a
    torn line that a killed process left at the end of the file; the torn end of a compressed file is removed. What a
    batch had for other files, or for files that are full now, stays, and is there twice when the batch is sent again.
    """

    file_path: str = setting(
        Kind.STRING,
        "",
        "the file that events are written to; with `file_path_template`, the directory below which the files are",
        dovecot=True,
        required="/PATH",
    )
    file_writing: str = setting(
        Kind.ENUM,
        "append",
        "`append` to files as Dovecot does, or write `shards`: complete files that are named when the job ends, on "
        "this machine or on `gs://`",
        ("append", "shards"),
    )
    file_path_template: str = setting(
        Kind.STRING,
        "",
        "each event's file below the directory `file_path`, such as `%Y/%m/%d/{user}.json`",
        expanded=False,
    )
    file_missing_field: str = setting(
        Kind.ENUM,
        "reject",
        "what becomes of an event without a field that the template names: `reject` it, or use the `fallback`",
        ("reject", "fallback"),
    )
    file_field_fallback: str = setting(Kind.STRING, "unknown", "the word that stands for a missing field in a path")
    file_rotate_size: int | None = setting(
        Kind.SIZE,
        "0",
        "size before compression at which a file is full and the next one begins; 0 is no limit, for shards 1 GiB",
    )
    file_rotate_interval_msec: int | None = setting(
        Kind.TIME, "0", "length of the windows of event time that have a file each, such as `1 h`; 0 is none"
    )
    file_window_delay_msec: int | None = setting(
        Kind.TIME,
        "1 min",
        "of shards in a stream: how long after the end of its window a file is written, and how long what comes later "
        "is collected for another file",
    )
    file_compression: str = setting(
        Kind.ENUM, "none", "how files are compressed; their names end in `.gz` or `.zst`", tuple(COMPRESSION_SUFFIXES)
    )
    file_permissions: str = setting(Kind.STRING, "0600", "octal mode of new files, lessened by the umask")
    file_max_open: int = setting(
        Kind.UINT,
        "100",
        "how many files a worker holds open; the one used longest ago is closed for the next",
        not_zero="it must not be 0; one file has to be open to be written",
    )

    name: ClassVar[str] = "file"

    def __post_init__(self) -> None:
        Driver.__post_init__(self)  # super() does not work in a dataclass with slots
        check_path("event_exporter_file_path", self.file_path)
        check_file_settings(self)

    @property
    def base(self) -> str:
        """The directory below which all files are; it is never made, and links in its own path are followed."""
        return self.file_path if self.file_path_template else os.path.dirname(self.file_path) or "."

    @property
    def default_path(self) -> str:
        """The file of all events, relative to `base`, where there is no router."""
        return os.path.basename(self.file_path)

    @property
    def rotate_size(self) -> int:
        """Bytes after which a file is full, 0 for no limit."""
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
        """Mode bits of new directories: whoever may read or write the files may enter."""
        return self.mode | (self.mode & 0o444) >> 2 | (self.mode & 0o222) >> 1

    def router(self) -> PathRouter | None:
        """What finds each event's file below `base`; None if there is but one.

        Paths have neither the suffix of a compression nor the number of a full file yet.
        """
        window, template = self.rotate_interval_secs, self.file_path_template
        if not template and not window:
            return None
        missing = cast(Literal["reject", "fallback"], self.file_missing_field)
        return PathRouter(template or self.default_path, not template, window, missing, self.file_field_fallback)

    @property
    def max_batch_events(self) -> int:
        """How many payloads at most a worker collects; more where each file gets but a part of them."""
        return _BATCH_EVENTS if self.file_compression != "none" or self.router() else 500

    @property
    def endpoint(self) -> str:
        """The path."""
        return self.file_path

    def open(self) -> FileConnection:
        """A connection that opens files when their first payloads come."""
        return FileConnection(self)


class FileConnection(Connection):
    """The files that are appended to; each is opened when the first payload for it comes."""

    def __init__(self, driver: FileDriver) -> None:
        super().__init__()
        self._driver = driver
        self._settings = AppendSettings(
            driver.base, driver.file_compression, driver.rotate_size, driver.mode, driver.directory_mode
        )
        self._is_routed = driver.router() is not None
        self._files = OpenFiles(driver.file_max_open, self._make)

    def _make(self, path: str) -> AppendedFile:
        driver = self._driver
        shown = driver.file_path if path == driver.default_path else shown_path(driver.base, path)
        packed = driver.file_compression
        return AppendedFile(compressed_name(path, packed), compressed_name(shown, packed), self._settings)

    def deliver(self, batch: Batch) -> list[Failure]:
        """Appends the payloads, each to the file of its path."""
        for path, payloads in self._by_path(batch).items():
            for lines in self._pieces(payloads):
                self._files[path].append(lines)
        return []

    def _pieces(self, payloads: Sequence[bytes]) -> Iterator[bytes]:
        """The lines of a batch, in as many pieces as no file can hold together."""
        limit = self._driver.rotate_size
        if not limit or sum(map(len, payloads)) + len(payloads) <= limit:
            yield b"\n".join([*payloads, b""])
            return
        piece: list[bytes] = []
        size = 0
        for payload in payloads:
            if size and size + len(payload) + 1 > limit:
                yield b"\n".join([*piece, b""])
                piece, size = [], 0
            piece.append(payload)
            size += len(payload) + 1
        yield b"\n".join([*piece, b""])

    def _by_path(self, batch: Batch) -> Mapping[str, Sequence[bytes]]:
        if not self._is_routed:
            return {self._driver.default_path: batch.payloads}
        if len(batch.paths) != len(batch):
            message = "file_path_template and file_rotate_interval need the events; export them with ExportEvents"
            raise DeliveryError(f"{message}, or write formatted payloads to one file", self._driver.endpoint)
        grouped: dict[str, list[bytes]] = {}
        for path, payload in zip(batch.paths, batch.payloads, strict=True):
            grouped.setdefault(path, []).append(payload)
        return grouped

    def release(self) -> None:
        """Closes the files."""
        self._files.close()
