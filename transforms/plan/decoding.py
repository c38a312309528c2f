"""A block of a file becomes events, and rejects for what in it is none; knows nothing of Beam."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
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
    MessageOrigin,
    avro_records,
    message_at,
    message_of,
    message_place,
    message_times,
    schema_kind,
    unpacked_payload,
)

__all__ = ["TALLY", "BlockEvents", "Outcome", "PayloadBatch", "Tally", "decode_block", "lost_lines"]


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


# What became of some events: payloads for exporters, rejects, and the counts of both and of all others.


@dataclass(slots=True)
class PayloadBatch:
    """Payloads for one exporter, with where each came from.

    Attributes:
        payloads: formatted events, without a line's end.
        metrics: the name of the metric's block of each.
        offsets: the byte offset of the line of each in `source_uri`, None where it is unknown.
        source_uri: the file that all were read from, empty if unknown.
        paths: what the exporter's router said of each; empty if it has none.
        records: the rejects that the payloads were before they were sent again; empty if they were none.
        messages: those that the payloads came in, if they came from a topic.
    """

    payloads: list[bytes] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    offsets: list[int | None] = field(default_factory=list)
    source_uri: str = ""
    paths: list[str] = field(default_factory=list)
    records: list[Reject] = field(default_factory=list)
    messages: tuple[MessageOrigin, ...] = ()

    def __len__(self) -> int:
        return len(self.payloads)


@dataclass(slots=True)
class Outcome:
    """What became of some events.

    Attributes:
        batches: payloads by exporter, only those that have any.
        rejects: what is no event.
        read: how many lines, records or events there were.
        matched_by_metric: how many events each metric matched.
        matched: how many events some metric matched.
        unmatched: how many none matched.
        out_of_range: how many were not looked at because of their time.
        unrouted: events for which their exporter has no place.
    """

    batches: dict[str, PayloadBatch]
    matched_by_metric: dict[str, int]
    rejects: Sequence[Reject] = ()
    read: int = 0
    matched: int = 0
    unmatched: int = 0
    out_of_range: int = 0
    unrouted: list[Reject] = field(default_factory=list)


# What the bundles of a stream counted that were acknowledged, known at once and also if its pipeline fails later.
#
# Beam's in-process runner tells counters only when a pipeline has ended well. There all work is done in one process,
# one bundle after the other, so the counts can be kept beside Beam's. On other runners nobody asks for them.


class Tally:
    """Counts by the names of counters: those of the bundle in hand, and those of bundles that were acknowledged."""

    def __init__(self) -> None:
        self._in_hand: dict[str, int] | None = None
        self._kept: dict[str, int] = {}

    def begin(self) -> None:
        """A bundle begins; what one counted that failed is forgotten."""
        self._in_hand = {}

    def add(self, name: str, count: int) -> None:
        """Counts for the bundle in hand; does nothing outside of one."""
        if self._in_hand is not None:
            self._in_hand[name] = self._in_hand.get(name, 0) + count

    def keep(self) -> None:
        """The bundle in hand was acknowledged."""
        for name, count in (self._in_hand or {}).items():
            self._kept[name] = self._kept.get(name, 0) + count
        self._in_hand = None

    def kept(self) -> dict[str, int]:
        """What acknowledged bundles counted since the last call of `take`; another thread may count meanwhile."""
        return dict(self._kept)

    def take(self) -> dict[str, int]:
        """What acknowledged bundles counted since the last call."""
        kept, self._kept = self._kept, {}
        return kept


TALLY: Final = Tally()
"""That of this process."""
