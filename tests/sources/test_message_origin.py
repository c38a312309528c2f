"""Places of lines that came in messages, and what rejects of them tell."""

from __future__ import annotations

import pytest

from dovebeam.transforms.plan.decoding import decode_block
from dovebeam.transforms.sources import Block, MessageOrigin, message_at, message_place

SUBSCRIPTION = "projects/p/subscriptions/s"
EVENT = b'{"event":"x","fields":{"n":1}}'


def block(*payloads: bytes, format_: str = "json") -> Block:
    """A block of messages m0, m1 ..., each published a second later than the one before."""
    start, origins = 0, []
    for number, payload in enumerate(payloads):
        name = f"m{number}"
        origins.append(MessageOrigin(start, message_place(name), name, number * 1_000_000, "", (("host", "a"),)))
        start += len(payload) + 1
    return Block(SUBSCRIPTION, 0, b"\n".join([*payloads, b""]), format_, messages=tuple(origins))  # type: ignore[arg-type]


def test_places_follow_the_messages() -> None:
    """A line's place is its message's plus its offset in there, whatever else is in the block."""
    places = block(EVENT, b"x\ny", EVENT).places([0, 31, 33, 35])
    bases = [message_place(f"m{number}") for number in range(3)]
    assert places == [bases[0], bases[1], bases[1] + 2, bases[2]]
    assert block(EVENT).places([0]) == places[:1]


def test_places_of_files_are_offsets() -> None:
    """Blocks of files are as they were."""
    assert Block("f", 100, EVENT, "json").places([0, 31]) == [100, 131]


def test_place_is_a_number_that_all_readers_hold() -> None:
    """At most 62 bits, always the same, and different for ids that look alike."""
    numbers = {message_place(str(number)) for number in range(10_000)}
    assert len(numbers) == 10_000
    assert all(0 <= number < 2**62 for number in numbers)
    assert message_place("m0") == 76_898_864_388_811_124


def test_message_of_a_place() -> None:
    """Found by any place within it, not by others."""
    messages = block(EVENT, EVENT).messages
    assert message_at(messages, message_place("m1") + 7) is messages[1]
    assert message_at(messages, message_place("m2")) is None


def test_bad_lines_have_the_attributes_of_their_message() -> None:
    """The good lines of a bad message are events, its bad ones rejects with its id."""
    found = decode_block(block(EVENT, EVENT + b"\nbad", b"{"))
    assert len(found.decoded.events) == 2
    assert [(each.payload_bytes, each.source_uri) for each in found.rejects] == [
        (b"bad", SUBSCRIPTION),
        (b"{", SUBSCRIPTION),
    ]
    assert found.rejects[0].source_offset == message_place("m1") + 31
    assert [(each.key, each.value) for each in found.rejects[0].attributes] == [
        ("subscription_name", SUBSCRIPTION),
        ("message_id", "m1"),
        ("publish_time", "1970-01-01T00:00:01.000000Z"),
        ("host", "a"),
    ]


@pytest.mark.parametrize("payload", [b"", b" ", b"\n", b"\r\n\r\n", b"\n \t\n"])
def test_blank_messages(payload: bytes) -> None:
    """Each is a reject with the bytes that it had; a message cannot vanish."""
    found = decode_block(block(payload, b"", payload))
    assert [each.payload_bytes for each in found.rejects] == [payload, b"", payload]
    assert found.read == 3
    assert "the message is empty" in found.rejects[0].error_message
    assert found.rejects[2].source_offset == message_place("m2")
