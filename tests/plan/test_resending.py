"""Rejects that are sent again, decided without a pipeline."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from dovebeam.transforms.config import load_config
from dovebeam.transforms.drivers import RoutingError
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.events.reject import Reject, make_reject, payload_key, reject_to_json, without_sending
from dovebeam.transforms.plan.decoding import decode_block
from dovebeam.transforms.plan.resend_plan import ResendPlan, Resent, make_resend_plan, max_record_bytes
from dovebeam.transforms.sources import Block
from support.jobs.commands import exporter, metric, write_config

EVENT = b'{"event":"done","fields":{"user":"u@example.com","n":"1"}}'
OTHER = b'{"event":"else","fields":{"user":"v@example.com"}}'


class ByUser:
    """A router that knows no place for an event without a user."""

    def route(self, event: Event) -> str:
        if event.get("user") is None:
            raise RoutingError("the event has no user")
        return str(event.get("user"))


def plan(folder: Path, *, routed: bool = False, max_attempts: int = 10, filter_: str = "event=done") -> ResendPlan:
    """Of a metric `m` with an exporter `e`, and one `n` with `f`."""
    config = write_config(
        folder,
        *(exporter("e", "drop", "json"), exporter("f", "drop", "tab-text")),
        *(metric("m", filter_, "e"), metric("n", filter_, "f")),
    )
    made = make_resend_plan(load_config([config]), {"e": ByUser()} if routed else {}, max_attempts)
    return pickle.loads(pickle.dumps(made))  # as it gets to a worker


def resend(to: ResendPlan, *records: Reject | bytes, overlong_bytes: int = 0) -> Resent:
    """Of a file of these records or lines."""
    lines = [record if isinstance(record, bytes) else reject_to_json(record) for record in records]
    data = b"".join(line + b"\n" for line in lines)
    return to.resend_block(Block("/rejects", 100, data, "rejects", overlong_bytes))


def record(stage: str = "deliver", payload: bytes = b"\xffpayload", **changes: object) -> Reject:
    """A record of the exporter `e`."""
    values = {"metric": "m", "exporter": "e", "attempts": 2, "source_uri": "/in", "source_offset": 7, **changes}
    if stage == "decode":
        values.update(metric="", exporter="")
    return make_reject(stage, payload, "was wrong", attributes=[("a", "b")], **values)  # type: ignore[arg-type]


def test_payload_goes_to_its_exporter_as_it_is(tmp_path: Path) -> None:
    """The same bytes, metric and origin, and so the same key; nothing is matched or formatted again."""
    resent = resend(plan(tmp_path), record(), record(payload=b"", exporter="f", metric="gone"))
    assert [(name, batch.payloads, batch.metrics) for name, batch in resent.batches] == [
        ("e", [b"\xffpayload"], ["m"]),
        ("f", [b""], ["gone"]),
    ]
    batch = resent.batches[0][1]
    assert payload_key("e", "m", batch.source_uri, batch.offsets[0], batch.payloads[0]) == payload_key(
        "e", "m", "/in", 7, b"\xffpayload"
    )
    assert (resent.read, dict(resent.resent)) == (2, {"e": 1, "f": 1})
    assert not resent.rejects
    assert not resent.held


def test_batches_are_of_one_file_and_keep_the_order(tmp_path: Path) -> None:
    """Records of different files never share a batch, since a batch says once where it is from."""
    records = [record(payload=b"%d" % n, source_uri=uri) for n, uri in enumerate(["/a", "/a", "/b", "/a"])]
    resent = resend(plan(tmp_path), *records)
    assert [(batch.source_uri, batch.payloads) for _, batch in resent.batches] == [
        ("/a", [b"0", b"1"]),
        ("/b", [b"2"]),
        ("/a", [b"3"]),
    ]


def test_line_that_became_an_event_goes_through_all_metrics(tmp_path: Path) -> None:
    """With the origin of the line."""
    resent = resend(plan(tmp_path), record("decode", EVENT + b"\r\n"), record("decode", OTHER))
    assert [(name, batch.metrics, batch.source_uri, batch.offsets) for name, batch in resent.batches] == [
        ("e", ["m"], "/in", [7]),
        ("f", ["n"], "/in", [7]),
    ]
    assert json.loads(resent.batches[0][1].payloads[0])["fields"]["n"] == "1"
    assert (resent.matched, resent.unmatched, dict(resent.matched_by_metric)) == (1, 1, {"m": 1, "n": 1})
    assert not resent.resent


@pytest.mark.parametrize("payload", [b"junk", b"", b"  \n", EVENT + b"\n" + EVENT, b"{", b"\x00" * 100])
def test_line_that_still_is_no_event(tmp_path: Path, payload: bytes) -> None:
    """It is the same record with one more attempt and this time's error, not a record of a record."""
    before = record("decode", payload)
    (after,) = resend(plan(tmp_path), before).rejects
    assert after.attempts == 3
    assert after.error_message != before.error_message
    for name in ("stage", "payload_bytes", "source_uri", "source_offset", "attributes", "content_hash"):
        assert getattr(after, name) == getattr(before, name)


_HEAD = b"event:done\tfield:user=u"
_REST_IS_MISSING = "the rest of the line is missing (export its file again: whole, or with a larger --max_line_bytes)"
_OLD_WORDS = "the line has 99 bytes, more than the limit of 24; this is its head (byte 24)"


def _old(reject: Reject) -> bytes:
    """The record as version 0.1.0 wrote it."""
    members = json.loads(reject_to_json(reject))
    del members["truncated"], members["heldBack"]
    return json.dumps(members).encode()


@pytest.mark.parametrize("old", [False, True])
def test_head_of_a_line_is_never_taken_for_an_event(tmp_path: Path, old: bool) -> None:
    """The first bytes of a line of tab-text may look like an event that has less; so of a file of version 0.1.0."""
    head = make_reject("decode", _HEAD, _OLD_WORDS if old else "whatever it says", truncated=True)
    (held,) = resend(plan(tmp_path), _old(head) if old else head).held
    assert held.error_message.startswith(head.error_message)
    assert "the rest of the line is missing" in held.held_back


@pytest.mark.parametrize("reason", ["the member 'this is its head' is unknown", _OLD_WORDS])
@pytest.mark.parametrize("old", [False, True])
def test_words_of_an_event_hold_nothing_back(tmp_path: Path, reason: str, old: bool) -> None:
    """An error that repeats what stands in a line decides nothing; only a file without the member is told by its words."""
    whole = make_reject("decode", _HEAD, reason)
    resent = resend(plan(tmp_path), _old(whole) if old else whole)
    assert len(resent.held) == (1 if old and reason == _OLD_WORDS else 0)
    assert resent.matched == 1 - len(resent.held)


def test_damaged_file_of_rejects(tmp_path: Path) -> None:
    """What it has lost are rejects, of which none is taken for a record or an event."""
    block = Block("/rejects", 0, reject_to_json(record()), "rejects", damage="the file is cut off", records=3)
    resent = plan(tmp_path).resend_block(block)
    assert (resent.read, [reject.truncated for reject in resent.rejects], resent.batches) == (3, [True] * 3, [])


def test_pieces_of_a_damaged_file_are_held_back(tmp_path: Path) -> None:
    """What is left of a line is not sent as an event."""
    block = Block("/in", 0, _HEAD, "tab-text", damage="the file is cut off", records=2)
    rejects = decode_block(block).rejects
    assert resend(plan(tmp_path), *rejects).held == [without_sending(each, _REST_IS_MISSING) for each in rejects]


@pytest.mark.parametrize(
    ("line", "words"),
    [(EVENT, "not a reject record"), (b"junk", "not a reject record"), (b'{"stage":"lunch"}', "not a reject record")],
)
def test_line_that_is_no_record(tmp_path: Path, line: bytes, words: str) -> None:
    """It is rejected with its place in the file of rejects."""
    resent = resend(plan(tmp_path), record(), line)
    (reject,) = resent.rejects
    assert words in reject.error_message
    assert (reject.payload_bytes, reject.source_uri) == (line, "/rejects")
    assert reject.source_offset == 100 + len(reject_to_json(record())) + 1
    assert len(resent.batches) == 1


def test_overlong_line(tmp_path: Path) -> None:
    """What is too long for a record is told, and its head is not taken for more."""
    (reject,) = resend(plan(tmp_path), b"x" * 10, overlong_bytes=10**9).rejects
    assert "a line of 1000000000 bytes; this is its head" in reject.error_message
    (held,) = resend(plan(tmp_path), reject).held
    assert held.payload_bytes == reject.payload_bytes


@pytest.mark.parametrize("stage", ["decode", "route", "deliver"])
@pytest.mark.parametrize("attempts", [10, 11])
def test_maximum(tmp_path: Path, stage: str, attempts: int) -> None:
    """What was tried often enough is not tried again; it stays as it is, with its error and why it was not sent."""
    before = record(stage, EVENT, attempts=attempts)
    resent = resend(plan(tmp_path), before)
    (held,) = resent.held
    assert not resent.batches
    assert held.error_message == (
        f"was wrong [not sent again: it was tried {attempts} times (--max_attempts allows more)]"
    )
    assert held.held_back == f"it was tried {attempts} times (--max_attempts allows more)"
    assert held.timestamp == before.timestamp
    (again,) = resend(plan(tmp_path), held).held
    assert again == held
    assert resend(plan(tmp_path, max_attempts=attempts + 1), held).held == []


@pytest.mark.parametrize(
    ("stage", "changes", "words"),
    [
        ("deliver", {"exporter": "gone"}, "no metric names an exporter 'gone'"),
        ("route", {"exporter": "gone"}, "no metric names an exporter 'gone'"),
        ("route", {"metric": "gone"}, "no metric 'gone' names 'e'"),
        ("route", {"exporter": "f"}, "no metric 'm' names 'f'"),
        ("deliver", {}, "does not say which file of 'e'"),
    ],
)
def test_what_has_no_way(tmp_path: Path, stage: str, changes: dict[str, str], words: str) -> None:
    """It is held back, the error before is kept, and no attempt is counted."""
    (held,) = resend(plan(tmp_path, routed=True), record(stage, EVENT, **changes)).held
    assert held.error_message.startswith("was wrong [not sent again: ")
    assert words in held.error_message
    assert held.attempts == 2


def test_event_that_had_no_place_is_routed_anew(tmp_path: Path) -> None:
    """Through its metric and exporter only, whatever the filters say now."""
    resent = resend(plan(tmp_path, routed=True, filter_="event=nothing"), record("route", EVENT))
    ((name, batch),) = resent.batches
    assert (name, batch.paths, batch.metrics, batch.offsets) == ("e", ["u@example.com"], ["m"], [7])
    assert dict(resent.resent) == {"e": 1}


def test_event_that_still_has_no_place(tmp_path: Path) -> None:
    """The same record with one more attempt."""
    before = record("route", b'{"event":"done","fields":{}}')
    resent = resend(plan(tmp_path, routed=True), before)
    (after,) = resent.unrouted
    assert (after.attempts, after.error_message) == (3, "the event has no user")
    assert (after.payload_bytes, after.stage, after.source_offset) == (before.payload_bytes, "route", 7)
    assert not resent.batches


def test_decoded_line_without_place_keeps_its_origin(tmp_path: Path) -> None:
    """A line that became an event, but one without a place, is from then on a reject of the routing."""
    resent = resend(plan(tmp_path, routed=True), record("decode", b'{"event":"done","fields":{}}'))
    (reject,) = resent.unrouted
    assert (reject.stage, reject.metric, reject.exporter, reject.attempts) == ("route", "m", "e", 2)
    assert (reject.source_uri, reject.source_offset, reject.attributes[0].key) == ("/in", 7, "a")


def test_route_record_that_holds_no_event(tmp_path: Path) -> None:
    """A record that somebody edited is an error of its own, and no crash."""
    (reject,) = resend(plan(tmp_path, routed=True), record("route", b"{")).rejects
    assert (reject.stage, reject.attempts) == ("route", 3)


@pytest.mark.parametrize("attempts", [0, -1])
def test_maximum_must_allow_something(tmp_path: Path, attempts: int) -> None:
    """A maximum below one is a mistake."""
    with pytest.raises(ValueError, match="at least 1"):
        plan(tmp_path, max_attempts=attempts)


def test_every_record_can_be_read_again() -> None:
    """The longest line that is an event has a record that is not over-long, however its bytes are escaped."""
    for byte in (b"\x01", b"\xff", b'"', b"x"):
        line = byte * 100_000
        made = make_reject("decode", line, "e" * 2000, attributes=[("k", "v" * 1000)], source_uri="/x" * 100)
        assert len(reject_to_json(made)) <= max_record_bytes(len(line))


def test_notes_do_not_pile_up() -> None:
    """A later note replaces the one before, and neither makes the text grow beyond its limit."""
    noted = record()
    for number in range(5):
        noted = without_sending(noted, f"because [{number}] " + "x" * 300)
    assert noted.error_message.startswith("was wrong [not sent again: because [4] ")
    assert noted.error_message.count("not sent again") == 1
    assert len(without_sending(make_reject("deliver", b"", "y" * 5000), "z").error_message) == 2000


def test_what_failed_again_was_sent(tmp_path: Path) -> None:
    """A record that was held back once and is sent later says nothing of that any more."""
    held = without_sending(record("decode", b"junk"), "it was tried too often")
    (after,) = resend(plan(tmp_path), held).rejects
    assert after.held_back == ""
    assert "not sent again" not in after.error_message
