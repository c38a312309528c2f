"""One file out of its pieces: copied, compressed if asked, and read back before anybody relies on it."""

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
    """Writes a file under a temporary name, and looks what has the final one.

    Args:
        store: where its pieces are and where it goes.
        plan: what is in it.
        temporary: a name that nobody else has.
        framing: says what the file begins with.
        compression: "none", "gzip" or "zstd".

    Raises:
        DeliveryError: a part is missing or cut off, the file cannot be written, or is not what was written.
    """
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
        message = f"{plan.name}: {written.bytes} bytes were written, and other {found.bytes} came back (check the disk)"
        raise DeliveryError(message, plan.name)
    return WrittenFile(plan.name, temporary, plan.events, found.bytes, found.sha256, plan.span, existing)


def _existing(store: Store, name: str) -> Existing | None:
    """Read here, where many files are at a time, so that the commit need not read it unless it changes meanwhile."""
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
        message = f"{part} is gone; is the same run going on elsewhere? (run the job again when it is alone)"
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
    """Writes through and keeps size and checksum."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, data: Any) -> int:
        """All of it."""
        self._file.write(data)
        self._digest.update(data)
        self._size += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing: the file itself is flushed when it is closed."""

    def fingerprint(self) -> Fingerprint:
        """Of what was written so far."""
        return Fingerprint(self._size, self._digest.hexdigest())


@contextlib.contextmanager
def _compressed(file: _Measured, compression: str) -> Iterator[Any]:
    """What compresses into a file; the same content gives the same bytes, so no time and no name is in it."""
    out = cast(BinaryIO, file)
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
