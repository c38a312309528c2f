"""Files of an archive against their manifest: whatever was changed, no event is missing from the count, and it is told."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.codecs import AvroCodec, container_block, container_head, encode_avro
from dovebeam.transforms.events.event import make_event
from dovebeam.transforms.plan.decoding import decode_block
from dovebeam.transforms.sources import Expected, FileStream, SourceError, read_verified_blocks
from dovebeam.transforms.sources.avro_reading import MAX_LOST_RECORDS

CODECS: tuple[AvroCodec, ...] = ("null", "deflate", "zstandard")
EVENTS = 60


def archive_file(codec: AvroCodec, name: str = "event", events: int = EVENTS) -> bytes:
    """A file of several blocks."""
    records = [encode_avro(make_event(f"{name}{n}", fields={"user": f"u{n}", "n": n})) for n in range(events)]
    blocks = [container_block(records[at : at + 13], codec) for at in range(0, events, 13)]
    return container_head(codec) + b"".join(blocks)


FILES = {codec: archive_file(codec) for codec in CODECS}


def expected_of(data: bytes, events: int = EVENTS) -> Expected:
    """What its manifest says."""
    return Expected(len(data), hashlib.sha256(data).hexdigest(), events)


def read(data: bytes, expected: Expected) -> tuple[list[str | None], list[str], bool]:
    """Names of the events, reasons of the rejects, and whether damage was told."""
    names: list[str | None] = []
    reasons: list[str] = []
    told = False
    for block in read_verified_blocks(lambda: FileStream(io.BytesIO(data), "file"), "file", expected):
        found = decode_block(block)
        names += [event.name for event in found.decoded.events]
        reasons += [reject.error_message for reject in found.rejects]
        assert len(found.rejects) <= MAX_LOST_RECORDS
        told = told or bool(block.damage)
    return names, reasons, told


def check_damaged(data: bytes, whole: bytes) -> tuple[list[str | None], list[str]]:
    """Events and rejects are together as many as the manifest counts, and the damage is told."""
    names, reasons, told = read(data, expected_of(whole))
    assert told
    assert len(names) + len(reasons) == EVENTS
    return names, reasons


@pytest.mark.parametrize("codec", CODECS)
def test_a_whole_file(codec: AvroCodec) -> None:
    """All events, and nothing else."""
    names, reasons, told = read(FILES[codec], expected_of(FILES[codec]))
    assert (names, reasons, told) == ([f"event{n}" for n in range(EVENTS)], [], False)


@given(st.sampled_from(CODECS), st.integers(0, 1 << 20), st.integers(1, 255))
def test_any_changed_byte(codec: AvroCodec, at: int, change: int) -> None:
    """One byte anywhere: header, schema, sync marker, counts, sizes, data."""
    damaged = bytearray(FILES[codec])
    damaged[at % len(damaged)] ^= change
    check_damaged(bytes(damaged), FILES[codec])


@given(st.sampled_from(CODECS), st.integers(0, 1 << 20))
def test_any_cut(codec: AvroCodec, at: int) -> None:
    """At a block's end or within one, down to nothing."""
    check_damaged(FILES[codec][: at % len(FILES[codec])], FILES[codec])


@given(st.sampled_from(CODECS), st.integers(0, 1 << 32))
def test_any_change(codec: AvroCodec, seed: int) -> None:
    """Parts that are overwritten, removed, repeated or put elsewhere."""
    rng = random.Random(seed)
    damaged = bytearray(FILES[codec])
    for _ in range(rng.randint(1, 4)):
        at, size = rng.randrange(len(damaged) + 1), rng.randint(1, 200)
        match rng.randrange(4):
            case 0:
                damaged[at : at + size] = rng.randbytes(len(damaged[at : at + size]))
            case 1:
                del damaged[at : at + size]
            case 2:
                damaged[at:at] = damaged[at : at + size]
            case _:
                damaged[at : at + size] = bytes(len(damaged[at : at + size]))
    if bytes(damaged) != FILES[codec]:
        check_damaged(bytes(damaged), FILES[codec])


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda _: b"", "cut off", id="emptied"),
        pytest.param(lambda _: b"{}\n" * 99, "not an Avro file", id="something-else"),
        pytest.param(lambda data: data.replace(b"event7", b"event8"), "differs from its manifest", id="text"),
        pytest.param(lambda data: data + b"\0" * 16, "cut off", id="longer"),
        pytest.param(lambda data: data + container_block([], "null"), "differs from its manifest", id="empty-block"),
    ],
)
def test_reasons(codec: AvroCodec, change: Callable[[bytes], bytes], words: str) -> None:
    """What is wrong is said in each reject; a file of which nothing is left gives as many rejects as it had events."""
    damaged = change(FILES[codec])
    if damaged == FILES[codec]:  # compressed, so that the text is not there
        return
    _, reasons, _ = read(damaged, expected_of(FILES[codec]))
    assert all(words in reason for reason in reasons)


@pytest.mark.parametrize("codec", CODECS)
def test_another_file_is_not_taken_for_it(codec: AvroCodec) -> None:
    """A readable file of the same size: none of its events is given, whether it has as many or other ones."""
    other = archive_file("null", "other")
    for whole, damaged in ((archive_file("null"), other), (FILES[codec], archive_file(codec, "other", 70))):
        names, reasons = check_damaged(damaged, whole)
        assert names == []
        assert len(set(reasons)) == 1


def test_blocks_that_are_whole_are_given() -> None:
    """Only the events of the broken block are lost, each of them one reject; the first keeps the bytes."""
    whole = FILES["zstandard"]
    block = whole.index(b"\x28\xb5\x2f\xfd", whole.index(b"\x28\xb5\x2f\xfd") + 1)
    damaged = whole[: block + 9] + bytes([whole[block + 9] ^ 64]) + whole[block + 10 :]
    names, reasons = check_damaged(damaged, whole)
    assert names == [f"event{n}" for n in [*range(13), *range(26, 60)]]
    assert all("is damaged" in reason for reason in reasons)


def test_a_count_that_was_changed() -> None:
    """How many records a block has is seen from its data; no event is lost, and the damage is told."""
    whole = FILES["null"]
    start = len(container_head("null"))
    for count in (12, 14, 63):
        names, reasons = check_damaged(whole[:start] + bytes([count << 1]) + whole[start + 1 :], whole)
        assert names == [f"event{n}" for n in range(EVENTS)]
        assert reasons == []


def test_a_manifest_that_contradicts_its_file() -> None:
    """The right checksum beside a wrong count is no damage of the file, and fails the job."""
    with pytest.raises(SourceError, match="holds 60 events, and its manifest counts 61"):
        read(FILES["null"], expected_of(FILES["null"], EVENTS + 1))


def test_a_file_that_changes_while_it_is_read() -> None:
    """The checksum is taken again of what was given."""
    contents = iter([FILES["null"], archive_file("null", "other")])
    with pytest.raises(SourceError, match="was changed while it was read"):
        list(
            read_verified_blocks(
                lambda: FileStream(io.BytesIO(next(contents)), "file"), "file", expected_of(FILES["null"])
            )
        )


def test_many_lost_events_come_in_bounded_blocks() -> None:
    """However many a file had, no block stands for more than a thousand."""
    expected = Expected(10, "0" * 64, 12_345)
    blocks = list(read_verified_blocks(lambda: FileStream(io.BytesIO(b""), "file"), "file", expected))
    assert sum(block.records for block in blocks) == 12_345
    assert max(block.records for block in blocks) == MAX_LOST_RECORDS
