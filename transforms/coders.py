"""Coders for the elements between the steps of a pipeline: events, rejects, batches of payloads and blocks.

Importing this module registers them, so every module with transforms imports it. All write MessagePack without state,
so equal elements have equal bytes: events and rejects can be keys of `GroupByKey`. Sizes are estimated without
encoding, because Beam asks for the size of many elements, also of those that it never encodes.
"""

from abc import abstractmethod
from typing import Any, ClassVar, Final, Generic, TypeVar

import msgspec
from apache_beam.coders import Coder, registry
from msgspec import UNSET
from msgspec.msgpack import Ext

from dovebeam.transforms.events.event import CompleteEvent, Event, ExportedEvent
from dovebeam.transforms.events.reject import Attribute, Reject
from dovebeam.transforms.events.values import IPAddress, Timestamp
from dovebeam.transforms.plan.decoding import PayloadBatch
from dovebeam.transforms.sources import Block, MessageOrigin

__all__ = ["BlockCoder", "EventCoder", "PayloadBatchCoder", "RejectCoder"]

_OVERHEAD_BYTES: Final = 32  # of a block or a batch, apart from its data
_PAYLOAD_OVERHEAD_BYTES: Final = 16  # metric, offset and path
_EVENT_BYTES: Final = 160  # name, host, times and categories
_FIELD_BYTES: Final = 32
_REJECT_BYTES: Final = 400  # a reason, a file, a checksum, and the names of metric and exporter

# Codes of MessagePack's extension types, for what it has no type of its own. They are in what a runner has stored, so a
# number keeps its meaning.
_TEXT: Final = 1  # with lone surrogates, which stand for bytes that are not UTF-8
_INTEGER: Final = 2  # of more than 64 bits
_TIMESTAMP: Final = 3
_ADDRESS: Final = 4

_T = TypeVar("_T")


class _MessagePackCoder(Coder, Generic[_T]):
    """Encodes an element as an array of plain values.

    Attributes:
        kind: the class of the elements.
    """

    kind: ClassVar[type[Any]]

    @abstractmethod
    def to_plain(self, value: _T) -> Any:
        """The element as lists, texts, bytes and numbers."""

    @abstractmethod
    def from_plain(self, plain: Any) -> _T:
        """The element of what `to_plain` returned; its tuples have become lists."""

    def encode(self, value: _T) -> bytes:
        """The element as MessagePack."""
        plain = self.to_plain(value)
        # Lone surrogates and huge integers are rare, so only what cannot be encoded as it is pays for escaping.
        try:
            return msgspec.msgpack.encode(plain)
        except (UnicodeEncodeError, OverflowError):
            return msgspec.msgpack.encode(_escaped(plain))

    def decode(self, encoded: bytes) -> _T:
        """The element that was encoded."""
        return self.from_plain(msgspec.msgpack.decode(encoded, ext_hook=_unescaped))

    def is_deterministic(self) -> bool:
        """Equal elements have equal bytes."""
        return True

    def to_type_hint(self) -> type[Any]:
        """Class of the elements."""
        return self.kind

    # Beam looks coders up by equality, so that all of one class are a single coder in the graph.
    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class BlockCoder(_MessagePackCoder[Block]):
    """Encodes blocks."""

    kind = Block

    def to_plain(self, value: Block) -> Any:
        """The block itself, which is an array for MessagePack."""
        return value

    def decode(self, encoded: bytes) -> Block:
        """The block that was encoded."""
        try:
            return _BLOCKS.decode(encoded)
        # The name of its file is not UTF-8, so the texts were escaped; blocks of other files are decoded in one call.
        except msgspec.ValidationError:
            return super().decode(encoded)

    def from_plain(self, plain: Any) -> Block:
        """The block of an array."""
        return msgspec.convert(plain, Block, builtin_types=(bytes,))

    def estimate_size(self, value: Block) -> int:
        """About how many bytes `encode` returns."""
        return len(value.data) + len(value.uri) + _OVERHEAD_BYTES


class EventCoder(_MessagePackCoder[Event]):
    """Encodes events with the types of their fields, whichever codec they come from.

    Events that are equal have equal bytes, with one exception: a list of categories or fields that was not exported
    stays apart from an empty one, as it does in an archive.
    """

    kind = Event

    def to_plain(self, value: Event) -> Any:
        """All parts of the event."""
        # UNSET and empty differ: a part that was not exported is not written again when the event is formatted.
        has_fields = value.raw_fields is not UNSET
        fields = value.fields if has_fields else {}
        return (
            value.name,
            value.hostname,
            value.start_time,
            value.end_time,
            value.exported_categories,
            list(fields) if has_fields else None,
            [_typed(each) for each in fields.values()],
            None if value.log_type is UNSET else value.log_type,
            None if value.source_file is UNSET else value.source_file,
            None if value.source_line is UNSET else value.source_line,
        )

    def from_plain(self, plain: Any) -> Event:
        """The event of its parts."""
        name, hostname, start, end, categories, keys, values, *rest = plain
        fields = None if keys is None else dict(zip(keys, values, strict=True))
        return Event(
            *(UNSET if part is None else part for part in (name, hostname, start, end, categories, fields, *rest))
        )

    def estimate_size(self, value: Event) -> int:
        """About how many bytes `encode` returns, by the number of fields."""
        # Not `fields`, which recovers the types of all values: too much work for an estimate.
        fields: Any = value.raw_fields
        return _EVENT_BYTES if fields is UNSET else _EVENT_BYTES + _FIELD_BYTES * len(fields)


class RejectCoder(_MessagePackCoder[Reject]):
    """Encodes rejects."""

    kind = Reject

    def to_plain(self, value: Reject) -> Any:
        """The values of all attributes; that of messages as pairs."""
        return _plain_reject(value)

    def from_plain(self, plain: Any) -> Reject:
        """The reject of its values."""
        return _reject_of(plain)

    def estimate_size(self, value: Reject) -> int:
        """About how many bytes `encode` returns."""
        return len(value.payload_string) + len(value.payload_bytes) + _REJECT_BYTES


class PayloadBatchCoder(_MessagePackCoder[PayloadBatch]):
    """Encodes batches of payloads."""

    kind = PayloadBatch

    def to_plain(self, value: PayloadBatch) -> Any:
        """The values of all attributes."""
        records = [_plain_reject(record) for record in value.records]
        messages = [msgspec.structs.astuple(message) for message in value.messages]
        return value.payloads, value.metrics, value.offsets, value.source_uri, value.paths, records, messages

    def from_plain(self, plain: Any) -> PayloadBatch:
        """The batch of its values."""
        payloads, metrics, offsets, uri, paths, records, messages = plain
        origins = msgspec.convert(messages, tuple[MessageOrigin, ...])
        return PayloadBatch(payloads, metrics, offsets, uri, paths, [_reject_of(each) for each in records], origins)

    def estimate_size(self, value: PayloadBatch) -> int:
        """About how many bytes `encode` returns."""
        return sum(map(len, value.payloads)) + _PAYLOAD_OVERHEAD_BYTES * len(value) + _OVERHEAD_BYTES


def _plain_reject(reject: Reject) -> tuple[Any, ...]:
    attributes = [(each.key, each.value) for each in reject.attributes]
    return msgspec.structs.astuple(msgspec.structs.replace(reject, attributes=attributes))


def _reject_of(plain: Any) -> Reject:
    timestamp, text, payload, attributes, *rest = plain
    return Reject(timestamp, text, payload, [Attribute(*pair) for pair in attributes], *rest)


def _typed(value: Any) -> Any:
    """The value of a field, of a type that MessagePack has."""
    if isinstance(value, Timestamp):
        return Ext(_TIMESTAMP, _bytes_of(value.usec))
    if isinstance(value, IPAddress):
        return Ext(_ADDRESS, value.text.encode("utf-8", "surrogatepass"))
    return value


def _escaped(plain: Any) -> Any:
    """The same values, every text and every large number as bytes of its own type."""
    if isinstance(plain, str):
        return Ext(_TEXT, plain.encode("utf-8", "surrogatepass"))
    if isinstance(plain, list | tuple):
        return [_escaped(each) for each in plain]
    if isinstance(plain, msgspec.Struct):
        return [_escaped(each) for each in msgspec.structs.astuple(plain)]
    # 63 bits are what MessagePack holds with either sign.
    if isinstance(plain, int) and plain.bit_length() > 63:
        return Ext(_INTEGER, _bytes_of(plain))
    return plain


def _unescaped(code: int, data: memoryview) -> Any:
    if code == _TIMESTAMP:
        return Timestamp(int.from_bytes(data, "big", signed=True))
    if code == _INTEGER:
        return int.from_bytes(data, "big", signed=True)
    text = str(data, "utf-8", "surrogatepass")
    return IPAddress(text) if code == _ADDRESS else text


def _bytes_of(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)


# A decoder of its own spares the generic way over lists for the elements that are the most bytes.
_BLOCKS: Final = msgspec.msgpack.Decoder(Block)

# Beam's registry goes by the exact class, so the subclasses of `Event` are listed, too.
for _kind, _coder in (
    (Block, BlockCoder),
    (Event, EventCoder),
    (ExportedEvent, EventCoder),
    (CompleteEvent, EventCoder),
    (PayloadBatch, PayloadBatchCoder),
    (Reject, RejectCoder),
):
    registry.register_coder(_kind, _coder)
