"""A file of an archive, read against what its manifest says: nothing that differs passes for the whole file.

The checksum is taken before the first block is given, since a file that is not the right one may well be readable: most
codecs have no checksums of their own, and a changed bit may only change an event. Of a file that differs, what stands
in blocks that can be read is given, and blocks that say how many events are lost (`Block.damage`), as many together as
the manifest counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Final

from dovebeam.transforms.sources.avro_files import AvroContainer
from dovebeam.transforms.sources.avro_pieces import lost_blocks, pieces_of
from dovebeam.transforms.sources.avro_salvage import Gap, salvaged
from dovebeam.transforms.sources.block import Block
from dovebeam.transforms.sources.errors import DamagedError, SourceError
from dovebeam.transforms.sources.expected import Expected
from dovebeam.transforms.sources.streams import ByteStream, FileStream

__all__ = ["read_verified_blocks"]

_READ_BYTES: Final = 1024 * 1024


class _Hashed:
    """A stream that takes the checksum of what is read."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._size = 0
        self.uri = stream.uri

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._digest.update(data)
        self._size += len(data)
        return data

    def is_whole(self, expected: Expected) -> bool:
        """Whether what was read, to the end of the file, is the expected file."""
        return self._size == expected.bytes and self._digest.hexdigest() == expected.sha256


def read_verified_blocks(open_file: Callable[[], FileStream], uri: str, expected: Expected) -> Iterator[Block]:
    """The blocks of an Avro file, and blocks with `damage` for each event that cannot be read or trusted.

    Records of all blocks, those that are lost among them, are as many as the manifest counts. A file that is not the
    expected one has at least one block with `damage`, which may stand for no event.

    Args:
        open_file: opens it at its start.
        uri: what it is called.
        expected: of its manifest.

    Raises:
        SourceError: it cannot be read, was changed while it was, or the manifest contradicts itself.
    """
    try:
        with open_file() as stream:
            hashed = _Hashed(stream)
            while hashed.read(_READ_BYTES):
                pass
    except DamagedError as error:
        yield from _lost(Gap(uri, 0, error.message, expected.events), expected.events)
        return
    if hashed.is_whole(expected):
        yield from _whole(open_file, uri, expected)
    else:
        yield from _damaged(open_file, uri, expected)


def _whole(open_file: Callable[[], FileStream], uri: str, expected: Expected) -> Iterator[Block]:
    events = 0
    with open_file() as stream:
        hashed = _Hashed(stream)
        container = AvroContainer(hashed)
        for frame in container.frames():
            events += frame.records
            yield from pieces_of(container.block(frame))
    if not hashed.is_whole(expected):
        raise SourceError("was changed while it was read; run again once nothing writes to the archive", uri)
    if events != expected.events:
        raise SourceError(f"holds {events} events, and its manifest counts {expected.events}; archive them again", uri)


def _damaged(open_file: Callable[[], FileStream], uri: str, expected: Expected) -> Iterator[Block]:
    """In two passes, since only the whole file tells what can be trusted."""
    good = gaps = 0
    for part in _parts(open_file, uri):
        if isinstance(part, Gap):
            gaps += 1
        else:
            good += part.records
    if not gaps or good > expected.events:
        yield from _lost(_foreign(uri, good, expected), expected.events)
        return
    left, gap = expected.events - good, None
    for part in _parts(open_file, uri):
        if not isinstance(part, Gap):
            yield part
            continue
        gap = part
        lost = min(gap.events, left)
        left -= lost
        yield from _lost(gap, lost)
    if left and gap is not None:
        yield from _lost(gap._replace(data=b""), left)


def _parts(open_file: Callable[[], FileStream], uri: str) -> Iterator[Block | Gap]:
    with open_file() as stream:
        yield from salvaged(stream, uri)


def _foreign(uri: str, events: int, expected: Expected) -> Gap:
    why = (
        f"the file is not the one of its manifest, which counts {expected.events} events: its SHA-256 differs, and all "
        f"of its blocks can be read ({events} events), so nothing tells which events are others; none of them is sent"
    )
    return Gap(uri, 0, why, expected.events)


def _lost(gap: Gap, events: int) -> Iterator[Block]:
    """So many events; at least one block, by which the damage is known."""
    block = Block(gap.uri, gap.offset, gap.data, "avro", damage=gap.why)
    yield from lost_blocks(block, events)
