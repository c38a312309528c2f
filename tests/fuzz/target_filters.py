"""Filters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fuzzing import Target

from dovebeam.transforms.codecs import decode_json
from dovebeam.transforms.errors import FilterSyntaxError
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.filters import parse_filter
from support.oracle.corpus import corpus_lines

FILTERS = [
    b"event=imap_command_finished AND tagged_reply_state=OK AND duration>1000",
    b'event=mail_* AND category=mailbox AND NOT (event=a OR event=b_*)',
    b'user="*@northwind.example" AND (remote_ip=203.0.113.0/24 OR remote_ip="2001:db8::/32")',
    b'a="x\\*y" OR b>=5 AND NOT c<1k OR d=1.5 AND e="1 min" OR source_location=foo.c:12 OR f="" OR g=1m OR h=4*',
]  # fmt: skip


def targets(_folder: Path) -> list[Target]:
    """Filters, matched against some events of the corpus."""
    events = [decode_json(line) for line in corpus_lines("events.json.gz")[: 5 * 97 : 97]]
    return [Target(filter_check(events), FILTERS, 10)]


def filter_check(events: list[Event]) -> Callable[[bytes], None]:
    """A filter that parses matches without an exception, and its canonical text is the same filter; verdicts on it are true."""

    def check(text: bytes) -> None:
        try:
            parsed = parse_filter(text.decode("utf-8", "surrogateescape"))
        except FilterSyntaxError as error:
            assert 0 <= error.offset <= len(error.text)
            assert str(error)
            return
        assert parse_filter(str(parsed)) == parsed
        assert parse_filter(parsed.explicit) == parsed
        verdict = parsed.verdict
        matched = [parsed.matches(event) for event in events]
        assert verdict.can_match or not any(matched)
        assert verdict.can_fail or all(matched)
        assert parsed.mixed in (False, True)

    return check
