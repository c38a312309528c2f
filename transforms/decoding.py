"""A block of a file becomes events, and rejects for what in it is none; knows nothing of Beam."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dovebeam.transforms.codecs import (
    DEFAULT_MAX_LINE_BYTES,
    DecodedBlock,
    decode_json_block,
    decode_tab_block,
    event_from_avro,
)
from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.event import Event
from dovebeam.transforms.reject import Reject, decode_reject
from dovebeam.transforms.sources import Block, Message, avro_records, message_at, message_of, schema_kind

__all__ = ["BlockEvents", "decode_block", "lost_lines"]

_EMPTY: Final = "the message is empty, and so holds no event"


@dataclass(frozen=True, slots=True)
class BlockEvents:
    """What a block holds.

    Attributes:
        decoded: the events; offsets count from the beginning of the block.
        rejects: what is no event.
    """

    decoded: DecodedBlock
    rejects: Sequence[Reject]

    @property
    def read(self) -> int:
        """How many lines or records the block has that are not blank."""
        return len(self.decoded.events) + len(self.rejects)


def decode_block(block: Block, max_line_bytes: int = DEFAULT_MAX_LINE_BYTES) -> BlockEvents:
    """The events of a block.

    Args:
        block: from `ReadBlocks`.
        max_line_bytes: longer lines are rejected.
    """
    if block.damage:
        return BlockEvents(_none(), lost_lines(block))
    if block.overlong_bytes:
        reason = f"the line has {block.overlong_bytes} bytes, more than the limit of {max_line_bytes}; this is its head"
        error = DecodeError(reason, max_line_bytes)
        return BlockEvents(_none(), [decode_reject(block.data, error, block.uri, block.offset, truncated=True)])
    if block.format == "avro":
        return _decode_avro(block, max_line_bytes)
    if block.format == "rejects":  # rejects of rejects would hide the events deeper each time
        raise ValueError("blocks of rejects are for ResendRejects")
    decode_lines = decode_tab_block if block.format == "tab-text" else decode_json_block
    decoded = decode_lines(block.data, max_bytes=max_line_bytes)
    if block.messages:
        return BlockEvents(decoded, _rejects_of_messages(block, decoded))
    rejects = [decode_reject(bad.line, bad.error, block.uri, block.offset + bad.offset) for bad in decoded.bad_lines]
    return BlockEvents(decoded, rejects)


def lost_lines(block: Block) -> list[Reject]:
    """A reject for each line or record that a file has lost; the first one holds what there is of them."""
    error = DecodeError(block.damage)
    payloads = [block.data, *[b""] * (block.records - 1)]
    lost = payloads[: block.records]
    return [decode_reject(payload, error, block.uri, block.offset, truncated=True) for payload in lost]


def _rejects_of_messages(block: Block, decoded: DecodedBlock) -> list[Reject]:
    """The bad lines with the attributes of their messages; of blank messages, which come by themselves, every one."""
    if not decoded.events and not decoded.bad_lines:
        return [_blank_message(block, index) for index in range(len(block.messages))]
    rejects = []
    for bad, place in zip(decoded.bad_lines, block.places(bad.offset for bad in decoded.bad_lines), strict=True):
        message = message_at(block.messages, place)
        attributes = message.described(block.uri) if message is not None else ()
        rejects.append(decode_reject(bad.line, bad.error, block.uri, place, attributes))
    return rejects


def _blank_message(block: Block, index: int) -> Reject:
    message, rest = block.messages[index], block.messages[index + 1 :]
    payload = block.data[message.start : rest[0].start - 1 if rest else len(block.data) - 1]
    return decode_reject(payload, DecodeError(_EMPTY), block.uri, message.place, message.described(block.uri))


def _decode_avro(block: Block, max_line_bytes: int) -> BlockEvents:
    """The records of an Avro block.

    Records have no byte offset of their own. Theirs is that of their block plus their number in it, so that no two of
    a file are taken for one.
    """
    found = _Found(block, max_line_bytes)
    messages = schema_kind(block.schema) == "messages"
    for record in avro_records(block):
        try:
            if record.error is not None:
                raise record.error
            if messages:
                found.add_message(message_of(record.value), record.number)
            else:
                found.add([event_from_avro(record.value)], record.number)
        except DecodeError as error:
            placed = DecodeError(f"record {record.number} of its Avro block: {error.reason}", error.offset)
            found.reject(record.raw, placed, record.number)
    return BlockEvents(DecodedBlock(found.events, [], lambda: found.numbers), found.rejects)


class _Found:
    """What the records of an Avro block turn out to be."""

    def __init__(self, block: Block, max_line_bytes: int) -> None:
        self._block = block
        self._max_line_bytes = max_line_bytes
        self.events: list[Event] = []
        self.numbers: list[int] = []
        self.rejects: list[Reject] = []

    def add(self, events: Sequence[Event], number: int) -> None:
        self.events.extend(events)
        self.numbers.extend([number] * len(events))

    def reject(self, raw: bytes, error: DecodeError, number: int, attributes: Iterable[tuple[str, str]] = ()) -> None:
        self.rejects.append(decode_reject(raw, error, self._block.uri, self._block.offset + number, attributes))

    def add_message(self, message: Message, number: int) -> None:
        """The lines of a message; what is no event is rejected with the message's attributes."""
        if not message.data.strip():
            error = DecodeError(_EMPTY)
            self.reject(message.data, error, number, message.attributes)
            return
        decode_lines = decode_json_block if message.data.lstrip()[:1] == b"{" else decode_tab_block
        decoded = decode_lines(message.data, max_bytes=self._max_line_bytes)
        self.add(decoded.events, number)
        for bad in decoded.bad_lines:
            self.reject(bad.line, bad.error, number, message.attributes)


def _none() -> DecodedBlock:
    return DecodedBlock([], [], list)
