"""What is said about a network that meets an address which Dovecot stores as text."""

from __future__ import annotations

import pytest

from dovebeam.transforms.events.event import Event
from dovebeam.transforms.filters import Profile, explain, parse_filter
from dovebeam.transforms.testing import sample_event

NET = "remote_ip=127.0.0.0/8"
TEXT = "remote_ip is text in this event, a network never matches it (remote_ip=127.* matches both)"
GUESS = "the type of remote_ip is a guess here, since the event has no categories (export them to be sure): "
LMTP = sample_event("dict_created", categories=["smtp-server"], remote_ip="127.0.0.1")
IMAP = sample_event("dict_created", categories=["imap"], remote_ip="127.0.0.1")
UNKNOWN = sample_event("dict_created", remote_ip="127.0.0.1")
DELIVERY = sample_event("mail_delivery_finished", remote_ip="127.0.0.1")


@pytest.mark.parametrize(
    ("text", "event", "matched", "note"),
    [
        (NET, LMTP, False, TEXT),
        (f"NOT {NET}", LMTP, True, TEXT),
        (NET, IMAP, True, ""),
        (NET, UNKNOWN, True, GUESS + "taken for an address; where it is text, no network matches it"),
        (NET, DELIVERY, False, GUESS + "taken for text, which a network never matches (remote_ip=127.* matches both)"),
        (NET, sample_event("smtp_server_x", remote_ip="127.0.0.1"), False, TEXT),
        ("remote_ip=127.0.0.0/9", LMTP, False, "remote_ip is text in this event, a network never matches it"),
        ("remote_ip=127.0.0.1", LMTP, True, ""),
        ("remote_ip=127.*", LMTP, True, ""),
        (NET, sample_event("dict_created", categories=["smtp-server"], remote_ip=""), False, ""),
        (NET, sample_event("dict_created", categories=["smtp-server"]), False, ""),
        ("dest_ip=10.0.0.0/8", sample_event("proxy_session_started", dest_ip="10.0.0.1"), True, ""),
        (f"event=other AND {NET}", LMTP, False, ""),
    ],
)
def test_notes(text: str, event: Event, matched: bool, note: str) -> None:
    """A comparison with a network that was reached says whether the address is text, or was taken for something."""
    explanation = explain(parse_filter(text), event)
    assert explanation.matched is matched
    assert explanation.findings[-1].note == note


def test_notes_of_many_events() -> None:
    """Over many events it is counted how often each was so."""
    profile = Profile(parse_filter(NET))
    for event in (LMTP, LMTP, IMAP, UNKNOWN):
        profile.add(event)
    (count,) = profile.counts
    assert count.notes == (
        f"2 of 4 events: {TEXT}",
        f"1 of 4 events: {GUESS}taken for an address; where it is text, no network matches it",
    )
