"""Identities of events, as laws: no two events of a source share a place, and reading again gives the same places."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator, Sequence

import fastavro
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.codecs import AVRO_SCHEMA, container_block, container_head, encode_avro, event_to_avro
from dovebeam.transforms.events.event import make_event
from dovebeam.transforms.plan.decoding import decode_block
from dovebeam.transforms.sources import Block, FileStream, read_avro_blocks
from dovebeam.transforms.sources.pubsub import Pulled, blocks_of
from support.avro_files import SUBSCRIPTION, SUBSCRIPTION_DATA_ONLY, message

# Few different ones, so that most have an equal one elsewhere, which only its place tells apart.
LINES = st.sampled_from([b'{"event":"a"}', b'{"event":"b","fields":{"n":1}}', b"{broken"])
PAYLOADS = st.lists(LINES, max_size=6).map(b"\n".join)
PACKERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("", bytes),
    ("gzip", lambda data: gzip.compress(data[:20]) + gzip.compress(data[20:])),
    ("zstd", zstandard.compress),
]
MESSAGES = st.lists(st.tuples(PAYLOADS, st.sampled_from(PACKERS)), max_size=12)


def check_places(read: Callable[[], Iterator[Block]], count: int) -> None:
    """All events and rejects have places of their own, each time the same."""
    found = [_places(block) for block in read()]
    places = [place for each in found for place in each]
    assert len(places) == len(set(places)) == count
    assert all(0 <= place < 1 << 63 for place in places)
    assert [_places(block) for block in read()] == found


def _places(block: Block) -> list[int]:
    found = decode_block(block)
    rejected = [reject.source_offset for reject in found.rejects]
    assert len(found.places()) == len(found.decoded.events)
    return [*found.places(), *(place for place in rejected if place is not None)]


def count_of(messages: Sequence[tuple[bytes, object]]) -> int:
    """How many events and rejects messages hold; an empty one is a reject."""
    return sum(data.count(b"\n") + 1 for data, _ in messages)


def avro_of(data: bytes) -> Callable[[], Iterator[Block]]:
    """Reads a container."""
    return lambda: read_avro_blocks(FileStream(io.BytesIO(data), "file"))


@given(st.lists(st.integers(0, 700), min_size=1, max_size=4), st.sampled_from(["deflate", "zstandard", "null"]))
def test_events_of_an_archive(counts: list[int], codec: str) -> None:
    """Blocks of equal events, which are compressed to fewer bytes than they have events."""
    event = encode_avro(make_event("a"))
    blocks = [container_block([event] * count, codec) for count in counts]  # type: ignore[arg-type]
    data = container_head(codec) + b"".join(blocks)  # type: ignore[arg-type]
    check_places(avro_of(data), sum(counts))


def test_events_of_one_large_block() -> None:
    """A block that is read in pieces, with as many events as make three of them."""
    file = io.BytesIO()
    record = event_to_avro(make_event("a"))
    fastavro.writer(file, AVRO_SCHEMA, [record] * 45_000, codec="deflate", sync_interval=1 << 30)  # type: ignore[arg-type]
    check_places(avro_of(file.getvalue()), 45_000)
    assert len(list(avro_of(file.getvalue())())) == 3


@given(MESSAGES, st.sampled_from([SUBSCRIPTION, SUBSCRIPTION_DATA_ONLY]), st.sampled_from([1, 1000]))
def test_lines_of_messages_in_avro(
    messages: list[tuple[bytes, tuple[str, Callable[[bytes], bytes]]]], schema: dict[str, object], interval: int
) -> None:
    """One line or several in a message, compressed or not."""
    file = io.BytesIO()
    records = []
    for number, (data, (encoding, pack)) in enumerate(messages):
        made = message(schema, pack(data), number)
        if "attributes" in made:
            made["attributes"] = {"Content-Encoding": encoding} if encoding else {}
        records.append(made)
    fastavro.writer(file, schema, records, codec="deflate", sync_interval=interval)  # type: ignore[arg-type]
    check_places(avro_of(file.getvalue()), count_of(messages))


@given(MESSAGES)
def test_lines_of_live_messages(messages: list[tuple[bytes, tuple[str, Callable[[bytes], bytes]]]]) -> None:
    """However they are put together to blocks."""
    pulled = [
        Pulled(f"ack-{number}", str(number), pack(data), 0, "", (("content-encoding", encoding),) * bool(encoding))
        for number, (data, (encoding, pack)) in enumerate(messages)
    ]
    check_places(lambda: blocks_of(pulled, "subscription"), count_of(messages))
