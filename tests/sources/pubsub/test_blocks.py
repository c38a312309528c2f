"""Messages to blocks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.plan.decoding import decode_block
from dovebeam.transforms.sources import message_place
from dovebeam.transforms.sources.pubsub import Pulled, blocks_of

NAME = "projects/p/subscriptions/s"
_LINES = [
    b'{"event":"x"}',
    b"event:x\tfield:a\tb",
    b"",
    b" \n",
    b"bad",
    b"{",
    b'{"event":"y"}\n{"event":"z"}\r\n',
    b"\xff",
]


def pulled(number: int, data: bytes) -> Pulled:
    """A message of this number."""
    return Pulled(f"a{number}", f"m{number}", data, 7, "k", (("a", "b"),))


def test_kinds_are_kept_apart() -> None:
    """A block is of one format, blank messages come by themselves, and the order stays."""
    blocks = list(blocks_of([pulled(n, data) for n, data in enumerate(_LINES)], NAME))
    assert [(each.format, each.data) for each in blocks] == [
        ("json", b'{"event":"x"}\n'),
        ("tab-text", b"event:x\tfield:a\tb\n"),
        ("json", b"\n \n\n"),
        ("tab-text", b"bad\n"),
        ("json", b'{\n{"event":"y"}\n{"event":"z"}\r\n\n'),
        ("tab-text", b"\xff\n"),
    ]
    assert {each.uri for each in blocks} == {NAME}
    (message,) = blocks[0].messages
    assert (message.message_id, message.publish_time, message.ordering_key) == ("m0", 7, "k")


def test_size() -> None:
    """A block that is large enough ends; a message is in one block whatever its size."""
    messages = [pulled(number, b'{"event":"%0500d"}' % number) for number in range(10)]
    sizes = [len(each.messages) for each in blocks_of(messages, NAME, block_bytes=1500)]
    assert sizes == [3, 3, 3, 1]
    assert [len(each.messages) for each in blocks_of(messages[:2], NAME, block_bytes=1)] == [1, 1]


@given(st.lists(st.one_of(st.sampled_from(_LINES), st.binary(max_size=20)), max_size=30), st.integers(1, 60))
def test_nothing_is_lost(payloads: list[bytes], block_bytes: int) -> None:
    """Every message has an event or a reject in some block, at its own place."""
    found = set()
    for block in blocks_of([pulled(n, data) for n, data in enumerate(payloads)], NAME, block_bytes):
        outcome = decode_block(block)
        found |= set(block.places(outcome.decoded.offsets()))
        found |= {reject.source_offset for reject in outcome.rejects}
    for number, data in enumerate(payloads):
        base = message_place(f"m{number}")
        assert any(base <= place <= base + len(data) for place in found if place is not None), data


@given(st.lists(st.sampled_from([*_LINES[:4], b"{", b"\n\n"]), max_size=30), st.integers(1, 40))
def test_a_large_message_in_pieces(lines: list[bytes], piece_bytes: int) -> None:
    """The same events and rejects at the same places as in one block, however small the pieces are."""
    messages = [pulled(0, b'{"event":"a"}\n'), pulled(1, b'{"event":"b"}\n' + b"\n".join(lines)), pulled(2, b" \n")]

    def found(piece_bytes: int) -> list[object]:
        all_: list[object] = []
        for block in blocks_of(messages, NAME, piece_bytes=piece_bytes):
            outcome = decode_block(block)
            events = [
                (place, event.name) for place, event in zip(outcome.places(), outcome.decoded.events, strict=True)
            ]
            rejects = [(reject.source_offset, reject.payload_bytes, reject.attributes) for reject in outcome.rejects]
            all_ += [*events, *rejects]
        return sorted(all_, key=repr)

    assert found(piece_bytes) == found(1 << 30)
