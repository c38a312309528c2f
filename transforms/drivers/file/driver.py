"""The `file` driver: appends one line per event.

Rules from Dovecot's section "Export drivers", "Opening a file" and "Writing": opened for the first batch, never through
a symbolic link, mode 0600, no directory made, no fsync, no rotation. When a write fails, Dovecot loses the event; here
the error is raised, and the file is put back to the end of its last whole line. Path templates, rotation, compression
and other modes are extensions; so is opening a file again that was moved away, at the next batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from dovebeam.transforms.drivers.base import Driver
from dovebeam.transforms.drivers.file.settings import FileSettings

if TYPE_CHECKING:
    from dovebeam.transforms.drivers.file.append import FileConnection

__all__ = ["FileDriver"]

# Each batch is a member or frame of its own, and small ones compress badly; a router spreads it over many files.
_BATCH_EVENTS: Final = 10_000


class FileDriver(FileSettings, Driver):
    r"""Appends each payload and a newline to a file, or writes complete files of such lines.

    Parallelism: any number of connections and processes may append to one file on one machine. What a batch has for a
    file is one `write` in append mode, and dovebeam's connections take turns with an advisory lock (`flock`), so lines
    stay whole, and the lines of a batch stay together and in order. Over NFS, where appends can overwrite each other,
    use one process. Shards are written by any number of workers on any number of machines that see the directory.

    Delivery: shards exactly once, also with retries and when a job is run again; see `WriteToShards`. Appending at
    least once, to the page cache of the kernel and without flushing to the disk, as in Dovecot. A batch that cannot be
    written whole raises `DeliveryError` and is removed from the file again, so that sending it again makes no
    duplicates. If another program has appended meanwhile, nothing is removed, and the next batch starts on a new line.
    The same holds for a torn line that a killed process left at the end of the file; the torn end of a compressed file
    is removed. Lines of the batch that are already in other files, or in files that were full, stay there, and are
    there twice when the batch is sent again.
    """

    __slots__ = ()  # no fields of its own, so the methods of the settings serve as they are

    name: ClassVar[str] = "file"

    @property
    def max_batch_events(self) -> int:
        """Maximum number of payloads that a worker collects; more with compression, or with a file for each path."""
        return _BATCH_EVENTS if self.file_compression != "none" or self.router() else 500

    def open(self) -> FileConnection:
        """A connection that opens files when their first payloads come."""
        from dovebeam.transforms.drivers.file.append import FileConnection  # noqa: PLC0415  loads the compressors

        return FileConnection(self)
