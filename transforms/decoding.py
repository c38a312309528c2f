"""A block of a file becomes events, and rejects for what in it is none; knows nothing of Beam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
from dovebeam.transforms.sources import Block, Message, avro_records, message_of, schema_kind

__all__ = ["BlockEvents", "decode_block"]


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
    if block.overlong_bytes:
        reason = f"the line has {block.overlong_bytes} bytes, more than the limit of {max_line_bytes}; this is its head"
        error = DecodeError(reason, max_line_bytes)
        return BlockEvents(_none(), [decode_reject(block.data, error, block.uri, block.offset)])
    if block.format == "avro":
        return _decode_avro(block, max_line_bytes)
    decode_lines = decode_tab_block if block.format == "tab-text" else decode_json_block
    decoded = decode_lines(block.data, max_bytes=max_line_bytes)
    rejects = [decode_reject(bad.line, bad.error, block.uri, block.offset + bad.offset) for bad in decoded.bad_lines]
    return BlockEvents(decoded, rejects)


def _decode_avro(block: Block, max_line_bytes: int) -> BlockEvents:
    """The records of an Avro block; all of them have the offset of the block, for records have none of their own."""
    events: list[Event] = []
    rejects: list[Reject] = []
    messages = schema_kind(block.schema) == "messages"
    for record in avro_records(block):
        try:
            if record.error is not None:
                raise record.error
            if messages:
                _decode_message(message_of(record.value), block, max_line_bytes, events, rejects)
            else:
                events.append(event_from_avro(record.value))
        except DecodeError as error:
            placed = DecodeError(f"record {record.number} of its Avro block: {error.reason}", error.offset)
            rejects.append(decode_reject(record.raw, placed, block.uri, block.offset))
    return BlockEvents(DecodedBlock(events, [], lambda: [0] * len(events)), rejects)


def _decode_message(
    message: Message, block: Block, max_line_bytes: int, events: list[Event], rejects: list[Reject]
) -> None:
    """The lines of a message; what is no event is rejected with the message's attributes."""
    if not message.data.strip():
        error = DecodeError("the message is empty, and so holds no event")
        rejects.append(decode_reject(message.data, error, block.uri, block.offset, message.attributes))
        return
    decode_lines = decode_json_block if message.data.lstrip()[:1] == b"{" else decode_tab_block
    decoded = decode_lines(message.data, max_bytes=max_line_bytes)
    events.extend(decoded.events)
    rejects.extend(
        decode_reject(bad.line, bad.error, block.uri, block.offset, message.attributes) for bad in decoded.bad_lines
    )


def _none() -> DecodedBlock:
    return DecodedBlock([], [], list)
