"""The element that the reading side hands on: a piece of a file that can be decoded without the rest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from dovebeam.transforms.sources.formats import Format
from dovebeam.transforms.sources.message_origin import MessageOrigin, places_in

__all__ = ["DEFAULT_BLOCK_BYTES", "OVERLONG_HEAD_BYTES", "Block"]

# A runner's work for a block is the same whatever is in it, so it is not small; sizes of 256 KiB and more, for which
# the C library asks the system for fresh pages each time, were no faster over several filters.
DEFAULT_BLOCK_BYTES: Final = 112 * 1024
OVERLONG_HEAD_BYTES: Final = 64 * 1024


class Block(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Whole lines, or the head of one over-long line, or the records of one Avro block.

    Attributes:
        uri: the file as it was matched, or the subscription that the messages came from.
        offset: where `data` begins in the uncompressed content of the file; for Avro, where the Avro block begins in
            the container (its records are told apart by their number).
        data: for json and tab-text, whole lines with their ends as they are (LF or CRLF; that of the last line of the
            file may be missing), never empty. For Avro, the uncompressed records, one after another.
        format: what the lines are; decided for the whole file.
        overlong_bytes: 0, or the length, without its end, of the one line of which `data` is only the first part,
            because it is longer than the limit.
        records: how many records an Avro block has; 0 for text.
        schema: the JSON text of the Avro schema that wrote the records; empty for text.
        damage: why the `records` lines or records that stood here cannot be read; `data` is then what there is of them,
            perhaps nothing. Empty in all other blocks.
        messages: what `data` is made of if it came from a topic: the payloads of these messages, each with a LF behind
            it. Either all hold something or none does.
        nuls: how many zero bytes were passed over before `data`; where nothing follows them, `data` is a line's end.
    """

    uri: str
    offset: int
    data: bytes
    format: Format
    overlong_bytes: int = 0
    records: int = 0
    schema: bytes = b""
    messages: tuple[MessageOrigin, ...] = ()
    damage: str = ""
    nuls: int = 0

    def places(self, offsets: Iterable[int]) -> list[int]:
        """What tells the lines at these offsets of `data` from all others of `uri`: offsets in the file, say."""
        if self.messages:
            return places_in(self.messages, offsets)
        base = self.offset
        return [base + offset for offset in offsets]
