"""Events for tests: what a line of an export would have made of them."""

import pytest

from dovebeam.transforms import IPAddress, Timestamp, decode_json, make_event
from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.testing import event_of_line, sample_event


def test_sample_event() -> None:
    """Keywords are fields, in their order, with the types that a line of an export implies."""
    event = sample_event("a", user="u", remote_ip="192.0.2.1", last_run_time="2026-01-02T03:04:05.000006Z", duration=5)
    line = b'{"event":"a","fields":{"user":"u","remote_ip":"192.0.2.1","last_run_time":"2026-01-02T03:04:05.000006Z","duration":5}}'
    assert event == decode_json(line) == event_of_line(line)
    assert event.fields["remote_ip"] == IPAddress("192.0.2.1")
    assert isinstance(event.fields["last_run_time"], Timestamp)
    assert sample_event(categories=["imap"], start_time=5).name is None


@pytest.mark.parametrize(
    "line", ['{"event":"a"}', b'{"event":"a"}\r\n', "event:a", b"event:a\n"], ids=["json", "crlf", "tab", "tab bytes"]
)
def test_event_of_line(line: str | bytes) -> None:
    """JSON or tab-text, with or without the line's end."""
    assert event_of_line(line) == make_event("a")


def test_a_line_that_is_no_event() -> None:
    """The usual error."""
    with pytest.raises(DecodeError):
        event_of_line("nonsense")
