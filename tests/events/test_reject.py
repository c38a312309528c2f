"""The reject record: what others' tools expect of it, and that the payload survives."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.events.reject import decode_reject, make_reject, reject_from_json, reject_to_json


def test_members_are_those_of_dead_letter_tables() -> None:
    """The first six members are Google's, the others tell origin and cause."""
    record = json.loads(reject_to_json(decode_reject(b"x\xff", DecodeError("bad", 1), "a.json", 7)))
    assert list(record) == [
        "timestamp", "payloadString", "payloadBytes", "attributes", "errorMessage", "stacktrace",
        "stage", "metric", "exporter", "attempts", "httpStatus", "endpointHost", "sourceUri", "sourceOffset", "contentHash",
        "truncated", "heldBack",
    ]  # fmt: skip
    assert record["payloadString"] == "x\ufffd"
    assert (record["errorMessage"], record["stage"]) == ("bad (byte 1)", "decode")
    assert (record["sourceUri"], record["sourceOffset"]) == ("a.json", 7)
    assert len(record["contentHash"]) == 64


@given(st.binary(), st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_the_payload_survives_exactly(payload: bytes, reason: str) -> None:
    """Any bytes come back from the JSON line as they were."""
    reject = make_reject("deliver", payload, reason, exporter="e", metric="m", attempts=3, http_status=400)
    assert reject_from_json(reject_to_json(reject)) == reject
    assert reject_from_json(reject_to_json(reject)).payload_bytes == payload


@pytest.mark.parametrize("line", [b"", b"{}", b'{"stage":"lunch"}', b"[" * 10_000, b"\xff"])
def test_other_lines_are_no_rejects(line: bytes) -> None:
    """What is no record is a DecodeError."""
    with pytest.raises(DecodeError, match="not a reject record"):
        reject_from_json(line)
