"""Composes a file of its pieces: copies and compresses them, and reads the file back before anything relies on it."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, cast

from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.shards.local_store import Store, fingerprint
from dovebeam.transforms.shards.pieces import COPY_BYTES, Existing, Extent, FilePlan, Fingerprint, Framing, WrittenFile

__all__ = ["compose"]

_ZSTD_LEVEL: Final = 3
_GZIP_LEVEL: Final = 6


def compose(store: Store, plan: FilePlan, temporary: str, framing: Framing, compression: str) -> WrittenFile:
    """Writes a file under a temporary name, and notes what has its final name.

    Args:
        store: of the parts and of the file.
        plan: the content of the file.
        temporary: a name that nothing else has.
        framing: gives the head of the file.
        compression: "none", "gzip" or "zstd".

    Raises:
        DeliveryError: a part is missing or cut off, the file cannot be written, or differs when it is read back.
    """
    # Read back because the parts are deleted later: a fault of the disk or of a store is noticed while the job can
    # still be repeated.
    try:
        written = _write(store, plan, temporary, framing, compression)
        found = fingerprint(store, temporary)
        existing = _existing(store, plan.name)
    except DeliveryError:
        raise
    except OSError as error:
        message = f"{plan.name}: {error.strerror or error} while it was written (make room, or check the place)"
        raise DeliveryError(message, plan.name) from error
    if found != written:
        message = (
            f"{plan.name}: the {found.bytes} bytes that were read back are not the {written.bytes} bytes that were "
            "written (check the disk)"
        )
        raise DeliveryError(message, plan.name)
    return WrittenFile(plan.name, temporary, plan.events, found.bytes, found.sha256, plan.span, existing)


def _existing(store: Store, name: str) -> Existing | None:
    """Stamp and fingerprint of the file that has the final name; None if there is none."""
    # Read here, where workers do it for many files at a time, so that the commit, which is one process, reads it again
    # only if it changes meanwhile.
    stamp = store.stamp(name)
    return Existing(stamp, *fingerprint(store, name)) if stamp else None


def _write(store: Store, plan: FilePlan, temporary: str, framing: Framing, compression: str) -> Fingerprint:
    with store.create(temporary, is_part=False) as file:
        measured = _Measured(file)
        with _compressed(measured, compression) as out:
            out.write(framing.head())
            for data in _content(store, plan.extents):
                out.write(data)
    return measured.fingerprint()


def _content(store: Store, extents: tuple[Extent, ...]) -> Iterator[bytes]:
    part, file = "", contextlib.ExitStack()
    source: BinaryIO | None = None
    # One part is open at a time: a file of a large job has pieces of thousands of parts.
    with file:
        for extent in extents:
            if source is None or extent.part != part:
                file.close()
                part, source = extent.part, file.enter_context(_opened(store, extent.part))
            source.seek(extent.begin)
            yield from _bytes_of(source, extent)


def _opened(store: Store, part: str) -> BinaryIO:
    try:
        return store.open(part)
    except DeliveryError as error:
        if store.stamp(part):
            raise
        # Only a run of the same name removes parts, when it has committed.
        message = f"{part} is gone; is the same run active elsewhere? (run the job again when no other one is active)"
        raise DeliveryError(message, part) from error


def _bytes_of(source: BinaryIO, extent: Extent) -> Iterator[bytes]:
    left = extent.size
    while left:
        data = source.read(min(left, COPY_BYTES))
        if not data:
            raise DeliveryError(f"{extent.part} is cut off; run the job again", extent.part)
        left -= len(data)
        yield data


class _Measured:
    """Writer that passes data on and computes its size and checksum."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, data: Any) -> int:
        """Writes all of the data."""
        self._file.write(data)
        self._digest.update(data)
        self._size += len(data)
        return len(data)

    def flush(self) -> None:
        """Does nothing: the file itself is flushed when it is closed."""

    def fingerprint(self) -> Fingerprint:
        """Size and checksum of the data written so far."""
        return Fingerprint(self._size, self._digest.hexdigest())


@contextlib.contextmanager
def _compressed(file: _Measured, compression: str) -> Iterator[Any]:
    """Writer that compresses to a file; the same content always gives the same bytes."""
    out = cast(BinaryIO, file)
    # gzip's header would have the time and a name, by which a repeated run would not recognise its own file.
    if compression == "gzip":
        with gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0, compresslevel=_GZIP_LEVEL) as packed:
            yield packed
    elif compression == "zstd":
        import zstandard  # noqa: PLC0415  few jobs need it

        compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True)
        with compressor.stream_writer(out, closefd=False) as stream:
            yield stream
    else:
        yield file
