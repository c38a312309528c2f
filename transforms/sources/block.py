"""Blocks, the elements between reading and decoding: pieces of a source that can be decoded alone. Detects formats."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from dovebeam.transforms.codecs.tab_lines import TAB_PARTS
from dovebeam.transforms.sources.messages import MessageOrigin, places_in

__all__ = [
    "AVRO_MAGIC",
    "BYTE_ORDER_MARK",
    "DEFAULT_BLOCK_BYTES",
    "HEAD_BYTES",
    "INPUT_FORMATS",
    "OVERLONG_HEAD_BYTES",
    "Block",
    "Format",
    "InputFormat",
    "detect_format",
    "format_advice",
]


Format = Literal["json", "tab-text", "avro", "rejects"]
InputFormat = Literal["auto", "json", "tab-text", "avro", "rejects"]

INPUT_FORMATS: Final[tuple[InputFormat, ...]] = ("auto", "json", "tab-text", "avro", "rejects")
AVRO_MAGIC: Final = b"Obj\x01"
HEAD_BYTES: Final = 64 * 1024
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
"""U+FEFF in UTF-8, which editors on Windows put before a text."""

_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


def detect_format(head: bytes) -> Format | None:
    """The format of a file whose uncompressed content begins with `head`; `HEAD_BYTES` of it are enough.

    Returns None if no line in it begins like an event.
    """
    if head.startswith(AVRO_MAGIC):
        return "avro"
    # The first line that begins like an event decides, not the first line: a damaged or blank line or zero bytes at the
    # top must not hide the events that follow.
    for line in head.removeprefix(BYTE_ORDER_MARK).replace(b"\0", b"\n").split(b"\n"):
        if line.lstrip(b" \t").startswith(b"{"):
            return "json"
        if line.startswith(TAB_PARTS):
            return "tab-text"
    return None


def format_advice(head: bytes) -> str:
    """Advice about a file whose head shows that it cannot be read as lines of events; empty if there is none."""
    if head.startswith(_UTF16):
        return "is in UTF-16; convert it to UTF-8, as with iconv -f UTF-16 -t UTF-8"
    if head.startswith(AVRO_MAGIC):
        return ""
    first = head.removeprefix(BYTE_ORDER_MARK).lstrip(b" \t\r\n").split(b"\n", 1)[0].rstrip(b" \t\r")
    if first == b"{":
        return "has events over several lines; make one line of each, as with jq -c ."
    if first.startswith(b"["):
        return "begins with '[' as one JSON array does; make one line of each event, as with jq -c '.[]'"
    return ""


# A runner's work for a block is the same whatever is in it, so it is not small; sizes of 256 KiB and more, for which
# the C library asks the system for fresh pages each time, were no faster over several filters.
DEFAULT_BLOCK_BYTES: Final = 112 * 1024
OVERLONG_HEAD_BYTES: Final = 64 * 1024  # enough to recognise a line by; a reject with all of it could have gigabytes
_INNER_BITS: Final = 26  # of the 64 MiB that an uncompressed Avro block may have


# Encoded as an array and without the garbage collector's header, since runners move millions of blocks.
class Block(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Whole lines, or the head of one overlong line, or the records of one Avro block.

    Attributes:
        uri: the file as it was matched, or the subscription that the messages came from.
        offset: where `data` begins in the uncompressed content of the file; for Avro, where the Avro block begins in
            the container (its records are told apart by where they stand in it).
        data: for json and tab-text, whole lines with their original line breaks (LF or CRLF; the last line of the file
            may have none), never empty. For Avro, the uncompressed records, one after another.
        format: of the lines; decided for the whole file.
        overlong_bytes: 0, or the length, without its end, of the one line of which `data` is only the first part,
            because it is longer than the limit.
        records: number of Avro records in `data`; 0 for text.
        schema: the JSON text of the Avro schema that wrote the records; empty for text.
        first_record: number of the first of these records in the Avro block.
        inner_offset: of the first of these records in the uncompressed Avro block.
        damage: why the `records` lines or records of this block cannot be read; `data` is what is left of them, perhaps
            nothing. Empty in all other blocks.
        messages: the messages of `data` if it came from a topic: `data` is their payloads, each followed by a LF.
            Either all of them are blank or none is.
        nuls: number of NUL bytes that were skipped before `data`; if nothing follows them, `data` is only a line break.
        only_format: whether the user named the format, so that a line in another format is a reject; otherwise, the
            format of each line of text is detected.
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
    only_format: bool = False
    first_record: int = 0
    inner_offset: int = 0

    def places(self, offsets: Iterable[int]) -> list[int]:
        """Places of the lines at these offsets of `data`: numbers that are unique among all lines of `uri`.

        For lines of a file they are offsets in its uncompressed content.
        """
        if self.messages:
            return places_in(self.messages, offsets)
        # Records have no offset of their own in a file that is compressed block by block. Their places are that of the
        # block, shifted to make room for every byte of its uncompressed content.
        base = self.offset if self.format != "avro" else (self.offset << _INNER_BITS) + self.inner_offset
        return [base + offset for offset in offsets]
