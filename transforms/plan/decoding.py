"""A block of a file becomes events, and rejects for what in it is none; knows nothing of Beam."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.events.reject import Reject, decode_reject
from dovebeam.transforms.sources import (
    AvroRecord,
    Block,
    Message,
    avro_records,
    message_at,
    message_of,
    message_place,
    message_times,
    schema_kind,
    unpacked_payload,
)

__all__ = ["BlockEvents", "decode_block", "lost_lines"]

_EMPTY: Final = "the message is empty, and so holds no event"


@dataclass(frozen=True, slots=True)
class BlockEvents:
    """What a block holds.

    Attributes:
        decoded: the events; offsets count from the beginning of the block.
        rejects: what is no event.
        places: see `Block.places`; of each event. Found anew at each call.
    """

    decoded: DecodedBlock
    rejects: Sequence[Reject]
    places: Callable[[], Sequence[int]] = tuple

    @property
    def read(self) -> int:
        """How many lines or records the block has that are not blank."""
        return len(self.decoded.events) + len(self.rejects)


def decode_block(block: Block, max_line_bytes: int = DEFAULT_MAX_LINE_BYTES) -> BlockEvents:
    """The events of a block.

    Args:
        block: from `ReadFromFiles`.
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
    decoded = decode_lines(block.data, max_bytes=max_line_bytes, mixed=not block.only_format)
    rejects = _rejects_of_messages(block, decoded) if block.messages else _rejects_of_lines(block, decoded)
    return BlockEvents(decoded, rejects, lambda: block.places(decoded.offsets()))


def lost_lines(block: Block) -> list[Reject]:
    """A reject for each line or record that cannot be read; the first one holds what there is of them."""
    [place] = block.places([0])
    attributes = block.messages[0].described(block.uri) if block.messages else ()
    payloads = [block.data, *[b""] * (block.records - 1)]
    error = DecodeError(block.damage)
    lost = payloads[: block.records]
    return [decode_reject(payload, error, block.uri, place, attributes, truncated=True) for payload in lost]


def _rejects_of_lines(block: Block, decoded: DecodedBlock) -> list[Reject]:
    return [decode_reject(bad.line, bad.error, block.uri, block.offset + bad.offset) for bad in decoded.bad_lines]


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
    """The records of an Avro block."""
    found = _Found(block, max_line_bytes)
    times = message_times(block.schema) if schema_kind(block.schema) == "messages" else None
    for record in avro_records(block):
        try:
            if record.error is not None:
                raise record.error
            if times is not None:
                found.add_message(message_of(record.value, times), record)
            else:
                found.add(event_from_avro(record.value), record.start)
        except DecodeError as error:
            placed = DecodeError(f"record {record.number} of its Avro block: {error.reason}", error.offset)
            found.reject(record.raw, placed, record.start, truncated=record.lost > 0)
            for _ in range(record.lost - 1):
                found.reject(b"", placed, record.start, truncated=True)
    return BlockEvents(DecodedBlock(found.events, [], lambda: found.offsets), found.rejects, lambda: found.places)


class _Found:
    """What the records of an Avro block turn out to be."""

    def __init__(self, block: Block, max_line_bytes: int) -> None:
        self._block = block
        self._max_line_bytes = max_line_bytes
        self.events: list[Event] = []
        self.offsets: list[int] = []
        self.places: list[int] = []
        self.rejects: list[Reject] = []

    def add(self, event: Event, offset: int, place: int | None = None) -> None:
        self.events.append(event)
        self.offsets.append(offset)
        self.places.append(self._place(offset) if place is None else place)

    def reject(
        self,
        raw: bytes,
        error: DecodeError,
        offset: int,
        attributes: Iterable[tuple[str, str]] = (),
        place: int | None = None,
        *,
        truncated: bool = False,
    ) -> None:
        place = self._place(offset) if place is None else place
        self.rejects.append(decode_reject(raw, error, self._block.uri, place, attributes, truncated=truncated))

    def add_message(self, message: Message, record: AvroRecord) -> None:
        """The lines of a message; what is no event is rejected with the message's attributes.

        A line has the place of its record and its offset in the message. What was compressed may be longer than the
        record, so such a message has a place of its own, far from those of records.
        """
        start = record.start
        try:
            data = unpacked_payload(message.data, message.attributes)
        except DecodeError as error:
            self.reject(message.data, error, start, message.attributes)
            return
        if not data.strip():
            self.reject(message.data, DecodeError(_EMPTY), start, message.attributes)
            return
        place = self._place(start)
        if data is not message.data:
            place = message_place(str(place))
        decode_lines = decode_json_block if data.lstrip()[:1] == b"{" else decode_tab_block
        decoded = decode_lines(data, max_bytes=self._max_line_bytes)
        for event, offset in zip(decoded.events, decoded.offsets(), strict=True):
            self.add(event, start, place + offset)
        for bad in decoded.bad_lines:
            self.reject(bad.line, bad.error, start, message.attributes, place + bad.offset)

    def _place(self, offset: int) -> int:
        return self._block.places([offset])[0]


def _none() -> DecodedBlock:
    return DecodedBlock([], [], list)
