"""The queue of one exporter: a directory of segments, taken in the order of their numbers.

    01795604400123456789.500.231877    a segment: its number, its payloads, its bytes
    .01795604400123456790.4f1e         one that is being written
    full                               says that nothing more should be put in

A segment has its name when it is on the disk, and loses it when the exporter has all of its payloads.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from typing import Final

from dovebeam.transforms.drivers.file.names import encode_value, short_name
from dovebeam.transforms.drivers.system_errors import delivery_error
from dovebeam.transforms.local_files import make_private_directory
from dovebeam.transforms.outcome import PayloadBatch
from dovebeam.transforms.queues.segments import SegmentName, decode_segment

__all__ = ["Queue", "make_directory"]

_FULL: Final = "full"
_UNFINISHED: Final = "."
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_MARK: Final = os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class Queue:
    """See the module.

    Args:
        root: the directory of all queues of a stream.
        exporter: its name.
    """

    def __init__(self, root: str, exporter: str) -> None:
        self.directory: Final = os.path.join(root, short_name(encode_value(exporter)))
        self._full: Final = os.path.join(self.directory, _FULL)

    def make(self) -> None:
        """Makes the directory if it is missing; not the one of all queues.

        Raises:
            DeliveryError: it cannot be made.
        """
        make_directory(self.directory)

    def names(self) -> list[SegmentName]:
        """All segments, in their order.

        Raises:
            DeliveryError: the directory cannot be read.
        """
        return sorted(name for name in map(SegmentName.of, self._list()) if name is not None)

    def read(self, name: SegmentName) -> list[PayloadBatch]:
        """The payloads of a segment.

        Raises:
            DeliveryError: it is missing, damaged or cannot be read.
        """
        path = os.path.join(self.directory, str(name))
        try:
            with open(os.open(path, _READ), "rb") as file:
                content = file.read(name.size + 1)
        except OSError as error:
            raise delivery_error("open", path, error) from error
        return decode_segment(content, path)

    def remove(self, names: Iterable[SegmentName]) -> None:
        """Removes segments whose payloads all arrived or were rejected.

        Raises:
            DeliveryError: one cannot be removed; those before it are.
        """
        for name in names:
            path = os.path.join(self.directory, str(name))
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise delivery_error("unlink", path, error) from error

    def remove_unfinished(self) -> None:
        """Removes what a writer began that was killed or failed; none must be writing.

        Raises:
            DeliveryError: the directory cannot be read.
        """
        for text in self._list():
            if text.startswith(_UNFINISHED):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(self.directory, text))

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be put in."""
        return os.path.exists(self._full)

    def mark_full(self, *, is_full: bool) -> None:
        """Says whether something may be put in; a mark that cannot be made changes nothing."""
        with contextlib.suppress(OSError):
            if is_full:
                os.close(os.open(self._full, _MARK, 0o600))
            else:
                os.unlink(self._full)

    def _list(self) -> Sequence[str]:
        try:
            return os.listdir(self.directory)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise delivery_error("listdir", self.directory, error) from error


def make_directory(path: str) -> None:
    """Makes a directory that only this user may enter, if it is missing.

    Raises:
        DeliveryError: it cannot be made.
    """
    try:
        make_private_directory(path)
    except OSError as error:
        raise delivery_error("mkdir", path, error) from error
