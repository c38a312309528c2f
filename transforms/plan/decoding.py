"""Decodes blocks to events and rejects, and defines what later steps hand on: payload batches, outcomes, counters.

Knows nothing of Beam.
"""

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

__all__ = ["BUNDLE_COUNTERS", "BlockEvents", "BundleCounters", "Outcome", "PayloadBatch", "decode_block", "lost_lines"]


_EMPTY: Final = "the message is empty and holds no event"


@dataclass(frozen=True, slots=True)
class BlockEvents:
    """Events and rejects of one block.

    Attributes:
        decoded: the events; offsets count from the start of the block.
        rejects: lines and records that are not events.
        places: computes the place of each event at each call; see `Block.places`.
    """

    decoded: DecodedBlock
    rejects: Sequence[Reject]
    places: Callable[[], Sequence[int]] = tuple

    @property
    def read(self) -> int:
        """Number of lines or records in the block that are not blank."""
        return len(self.decoded.events) + len(self.rejects)


def decode_block(block: Block, max_line_bytes: int = DEFAULT_MAX_LINE_BYTES) -> BlockEvents:
    """Events and rejects of a block.

    Args:
        block: from `ReadFromFiles`.
        max_line_bytes: longer lines are rejected.

    Raises:
        ValueError: the block has format "rejects", which only `ResendRejects` reads.
    """
    # Damage first: what such a block has of a line may well decode, to an event that was never written.
    if block.damage:
        return BlockEvents(_none(), lost_lines(block))
    if block.overlong_bytes:
        # `is_truncated` recognises rejects of version 0.1.0, which have no such member, by this very text.
        reason = f"the line has {block.overlong_bytes} bytes, more than the limit of {max_line_bytes}; this is its head"
        error = DecodeError(reason, max_line_bytes)
        return BlockEvents(_none(), [decode_reject(block.data, error, block.uri, block.offset, truncated=True)])
    if block.format == "avro":
        return _decode_avro(block, max_line_bytes)
    # Rejects of rejects would wrap the event in one more record each time.
    if block.format == "rejects":
        raise ValueError("blocks of rejects are for ResendRejects")
    decode_lines = decode_tab_block if block.format == "tab-text" else decode_json_block
    decoded = decode_lines(block.data, max_bytes=max_line_bytes, mixed=not block.only_format)
    rejects = _rejects_of_messages(block, decoded) if block.messages else _rejects_of_lines(block, decoded)
    # Deferred, because most jobs match few events, and the places of the others are never asked for.
    return BlockEvents(decoded, rejects, lambda: block.places(decoded.offsets()))


def lost_lines(block: Block) -> list[Reject]:
    """Rejects of lines or records that cannot be read, one for each; the first holds what is left of their bytes."""
    # All have the same place: where the lost ones began is not known.
    [place] = block.places([0])
    attributes = block.messages[0].described(block.uri) if block.messages else ()
    payloads = [block.data, *[b""] * (block.records - 1)]
    error = DecodeError(block.damage)
    lost = payloads[: block.records]
    return [decode_reject(payload, error, block.uri, place, attributes, truncated=True) for payload in lost]


def _rejects_of_lines(block: Block, decoded: DecodedBlock) -> list[Reject]:
    return [decode_reject(bad.line, bad.error, block.uri, block.offset + bad.offset) for bad in decoded.bad_lines]


def _rejects_of_messages(block: Block, decoded: DecodedBlock) -> list[Reject]:
    """Rejects of the bad lines, with the attributes of their messages, and of blank messages."""
    # A blank line in a file is skipped, but a blank message was published for some reason. Such messages have blocks of
    # their own, so either all messages of a block are blank or none is.
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
    # One byte less: the block has a line feed behind each payload, which is not part of the message.
    payload = block.data[message.start : rest[0].start - 1 if rest else len(block.data) - 1]
    return decode_reject(payload, DecodeError(_EMPTY), block.uri, message.place, message.described(block.uri))


def _decode_avro(block: Block, max_line_bytes: int) -> BlockEvents:
    """Events and rejects of an Avro block, whose records are events or messages."""
    found = _AvroEvents(block, max_line_bytes)
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
            # One reject for each record that is lost with a broken one, so that the ledger's sums hold.
            for _ in range(record.lost - 1):
                found.reject(b"", placed, record.start, truncated=True)
    return BlockEvents(DecodedBlock(found.events, [], lambda: found.offsets), found.rejects, lambda: found.places)


class _AvroEvents:
    """Collects the events and rejects of an Avro block."""

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
        """Adds the events of a message's lines; rejects of its lines have the message's attributes."""
        start = record.start
        try:
            data = unpacked_payload(message.data, message.attributes)
        except DecodeError as error:
            self.reject(message.data, error, start, message.attributes)
            return
        if not data.strip():
            self.reject(message.data, DecodeError(_EMPTY), start, message.attributes)
            return
        # A line's place is that of its record plus its offset in the message. A payload that was compressed may be
        # longer than its record, so that its lines would run into the places of the next one: it gets a hash instead.
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


# The results of plans, which later steps deliver and count.


@dataclass(slots=True)
class PayloadBatch:
    """Payloads for one exporter, each with its origin.

    Attributes:
        payloads: formatted events, without a trailing newline.
        metrics: the block name of the metric of each.
        offsets: the byte offset of the line of each in `source_uri`, None where it is unknown.
        source_uri: the file that all were read from, empty if unknown.
        paths: the path of each payload, from the exporter's router; empty if it has none.
        records: the rejects that are re-sent as these payloads; empty unless rejects are re-sent.
        messages: the messages that the payloads came in; empty if they did not come from a topic.
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
    """Result of matching and formatting some events; every one of them is counted in it.

    Attributes:
        batches: payloads by exporter, only those that have any.
        rejects: lines and records that are not events.
        read: number of lines, records or events.
        matched_by_metric: number of events that each metric matched.
        matched: number of events that at least one metric matched.
        unmatched: number of events that no metric matched.
        out_of_range: number of events outside of the time range.
        unrouted: rejects of events for which the exporter's router has no path.
    """

    batches: dict[str, PayloadBatch]
    matched_by_metric: dict[str, int]
    rejects: Sequence[Reject] = ()
    read: int = 0
    matched: int = 0
    unmatched: int = 0
    out_of_range: int = 0
    unrouted: list[Reject] = field(default_factory=list)


# Counters of a stream beside Beam's, known at any moment.
#
# Beam's in-process runner reports counters only when a pipeline has ended successfully. It does all work in one
# process, one bundle after the other, so that plain numbers suffice. On other runners no one reads them.


class BundleCounters:
    """Counters of the current bundle of a stream, and their sums over acknowledged bundles."""

    def __init__(self) -> None:
        self._current: dict[str, int] | None = None
        self._kept: dict[str, int] = {}

    def begin(self) -> None:
        """Starts a bundle; the counters of one that failed are dropped."""
        self._current = {}

    def add(self, name: str, count: int) -> None:
        """Adds to a counter of the current bundle; does nothing outside of a bundle."""
        # Batch jobs never call `begin`, and must not collect numbers that no one takes.
        if self._current is not None:
            self._current[name] = self._current.get(name, 0) + count

    def keep(self) -> None:
        """Adds the counters of the current bundle, which was acknowledged, to the sums."""
        for name, count in (self._current or {}).items():
            self._kept[name] = self._kept.get(name, 0) + count
        self._current = None

    def kept(self) -> dict[str, int]:
        """Sums over the bundles acknowledged since the last `take`; another thread may count meanwhile."""
        return dict(self._kept)

    def take(self) -> dict[str, int]:
        """Sums over the bundles acknowledged since the last call, which start again from zero."""
        kept, self._kept = self._kept, {}
        return kept


BUNDLE_COUNTERS: Final = BundleCounters()
"""The counters of this process."""
