"""Avro files of Pub/Sub messages, as Google's services and templates write them."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest

from dovebeam.transforms.codecs import decode_json
from dovebeam.transforms.plan.decoding import BlockEvents, decode_block
from dovebeam.transforms.sources import FileStream, SourceError, read_avro_blocks
from support.avro_files import SUBSCRIPTION, SUBSCRIPTION_DATA_ONLY, TEMPLATE, message
from support.oracle.corpus import corpus_lines

LINES = corpus_lines("events.json.gz")[:50]


def read(schema: dict[str, Any], payloads: list[bytes]) -> list[BlockEvents]:
    """What a file of messages holds."""
    file = io.BytesIO()
    fastavro.writer(file, schema, [message(schema, data, n) for n, data in enumerate(payloads)], codec="deflate")
    file.seek(0)
    return [decode_block(block) for block in read_avro_blocks(FileStream(file, "file"))]


@pytest.mark.parametrize("schema", [SUBSCRIPTION, SUBSCRIPTION_DATA_ONLY, TEMPLATE], ids=["full", "data", "template"])
def test_one_event_a_message(schema: dict[str, Any]) -> None:
    """The events of the messages are those of their lines."""
    found = read(schema, LINES)
    assert [event for each in found for event in each.decoded.events] == [decode_json(line) for line in LINES]
    assert not any(each.rejects for each in found)


def test_several_lines_and_tab_text() -> None:
    """A message may hold several lines, with or without a last line's end, and lines of tab-text."""
    tab = corpus_lines("events.tab.gz")[:2]
    [found] = read(SUBSCRIPTION, [b"\n".join(LINES[:3]), b"\r\n".join(LINES[3:5]) + b"\r\n", b"\n".join(tab)])
    assert list(found.decoded.events)[:5] == [decode_json(line) for line in LINES[:5]]
    assert len(found.decoded.events) == 7


def test_what_is_no_event_keeps_the_message_id() -> None:
    """A bad line and an empty message are rejects with their bytes and where the message came from."""
    [found] = read(SUBSCRIPTION, [LINES[0], LINES[1] + b"\n{broken", b""])
    assert len(found.decoded.events) == 2
    assert found.read == 4
    assert len({*found.places(), *(reject.source_offset for reject in found.rejects)}) == 4
    assert [reject.payload_bytes for reject in found.rejects] == [b"{broken", b""]
    about = [{each.key: each.value for each in reject.attributes} for reject in found.rejects]
    assert [each["message_id"] for each in about] == ["1", "2"]
    assert about[0]["subscription_name"] == "projects/p/subscriptions/s"
    assert about[0]["origin"] == "mail1"


@pytest.mark.parametrize(
    "members",
    [
        [{"name": "data", "type": "string"}],
        [{"name": "data", "type": "bytes"}, {"name": "message", "type": "bytes"}],
        [{"name": "data", "type": "bytes"}, {"name": "card_number", "type": "string"}],
        [{"name": "message_id", "type": "string"}],
    ],
    ids=["text", "two payloads", "something else", "no payload"],
)
def test_other_records_are_no_messages(members: list[dict[str, Any]]) -> None:
    """A file whose records are neither events nor messages is refused, not guessed at."""
    file = io.BytesIO()
    fastavro.writer(file, {"type": "record", "name": "x", "fields": members}, [])
    file.seek(0)
    with pytest.raises(SourceError, match="holds no events: its records have"):
        list(read_avro_blocks(FileStream(file, "file")))
