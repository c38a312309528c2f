"""The element that the reading side hands on: a piece of a file that can be decoded without the rest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from dovebeam.transforms.codecs.tab_lines import TAB_PARTS
from dovebeam.transforms.sources.messages import MessageOrigin, places_in

__all__ = [
    "AVRO_MAGIC",
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

_MARK: Final = b"\xef\xbb\xbf"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


def detect_format(head: bytes) -> Format | None:
    """The format of a file whose uncompressed content begins with `head`; `HEAD_BYTES` of it are enough.

    The first line that begins as lines of either format begin decides, so that a damaged or blank line at the top
    does not hide what follows; neither do zero bytes. Returns None if no line does.
    """
    if head.startswith(AVRO_MAGIC):
        return "avro"
    for line in head.removeprefix(_MARK).replace(b"\0", b"\n").split(b"\n"):
        if line.lstrip(b" \t").startswith(b"{"):
            return "json"
        if line.startswith(TAB_PARTS):
            return "tab-text"
    return None


def format_advice(head: bytes) -> str:
    """What to do about a file that begins so and cannot be read as lines of events; empty if nothing is known."""
    if head.startswith(_UTF16):
        return "is in UTF-16; convert it to UTF-8, as with iconv -f UTF-16 -t UTF-8"
    if head.startswith(AVRO_MAGIC):
        return ""
    first = head.removeprefix(_MARK).lstrip(b" \t\r\n").split(b"\n", 1)[0].rstrip(b" \t\r")
    if first == b"{":
        return "has events over several lines; make one line of each, as with jq -c ."
    if first.startswith(b"["):
        return "begins with '[' as one JSON array does; make one line of each event, as with jq -c '.[]'"
    return ""


# The element that the reading side hands on: a piece of a file that can be decoded without the rest.

# A runner's work for a block is the same whatever is in it, so it is not small; sizes of 256 KiB and more, for which
# the C library asks the system for fresh pages each time, were no faster over several filters.
DEFAULT_BLOCK_BYTES: Final = 112 * 1024
OVERLONG_HEAD_BYTES: Final = 64 * 1024
_INNER_BITS: Final = 26  # of the 64 MiB that an uncompressed Avro block may have


class Block(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Whole lines, or the head of one over-long line, or the records of one Avro block.

    Attributes:
        uri: the file as it was matched, or the subscription that the messages came from.
        offset: where `data` begins in the uncompressed content of the file; for Avro, where the Avro block begins in
            the container (its records are told apart by where they stand in it).
        data: for json and tab-text, whole lines with their ends as they are (LF or CRLF; that of the last line of the
            file may be missing), never empty. For Avro, the uncompressed records, one after another.
        format: what the lines are; decided for the whole file.
        overlong_bytes: 0, or the length, without its end, of the one line of which `data` is only the first part,
            because it is longer than the limit.
        records: how many records of an Avro block these are; 0 for text.
        schema: the JSON text of the Avro schema that wrote the records; empty for text.
        first_record: number of the first of these records in the Avro block.
        inner_offset: of the first of these records in the uncompressed Avro block.
        damage: why the `records` lines or records that stood here cannot be read; `data` is then what there is of them,
            perhaps nothing. Empty in all other blocks.
        messages: what `data` is made of if it came from a topic: the payloads of these messages, each with a LF behind
            it. Either all hold something or none does.
        nuls: how many zero bytes were passed over before `data`; where nothing follows them, `data` is a line's end.
        only_format: whether the format was named by a person, so that a line of another one is a reject; else each line
            of text is read as what it is.
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
        """What tells the lines at these offsets of `data` from all others of `uri`: offsets in the file, say.

        Records of Avro have no offset in a file that is compressed block by block. Theirs is that of their block with
        room behind it for every byte that the block holds.
        """
        if self.messages:
            return places_in(self.messages, offsets)
        base = self.offset if self.format != "avro" else (self.offset << _INNER_BITS) + self.inner_offset
        return [base + offset for offset in offsets]
