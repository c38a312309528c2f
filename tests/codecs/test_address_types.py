"""Types of addresses in the corpus of a real Dovecot: glimpses, blocks, single lines and tab-text agree on them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

import pytest

from dovebeam.transforms.codecs import decode_json_block, decode_tab_block
from dovebeam.transforms.codecs.json_glimpse import Glimpser
from dovebeam.transforms.codecs.json_scan import scan_event
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.events.values import IPAddress
from support.oracle.corpus import corpus_lines

ADDRESSES = ("dest_ip", "local_ip", "real_local_ip", "real_remote_ip", "remote_ip", "source_ip")

# How many events of the corpus hold the field as text and as an address, counted apart from dovebeam.
COUNTS = {
    ("dest_ip", "str"): 2_065,
    ("dest_ip", "IPAddress"): 1_761,
    ("local_ip", "str"): 1_404,
    ("local_ip", "IPAddress"): 21_461,
    ("real_local_ip", "IPAddress"): 6_073,
    ("real_remote_ip", "IPAddress"): 6_073,
    ("remote_ip", "str"): 9_561,
    ("remote_ip", "IPAddress"): 21_461,
}
AFFECTED = 11_905  # events in which the rule before 2026-11-30, by the name alone, gave another type
FORMER_TEXT_EVENTS = ("client_connection_", "server_connection_", "http_server_request_")


def types_of(events: Iterable[Event]) -> list[dict[str, str]]:
    """The types of the addresses of each event; texts that are no addresses are left out."""
    return [
        {key: type(value).__name__ for key in ADDRESSES if (value := event.get(key)) is not None and value != ""}
        for event in events
    ]


def test_addresses_of_the_corpus() -> None:
    """The corpus has as many addresses and texts as Dovecot's fields were."""
    counts: Counter[tuple[str, str]] = Counter()
    affected = 0
    lines = corpus_lines("events.json.gz")
    for start in range(0, len(lines), 500):
        for event in decode_json_block(b"\n".join(lines[start : start + 500])).events:
            (types,) = types_of([event])
            counts.update(types.items())
            former_text = (event.name or "").startswith(FORMER_TEXT_EVENTS)
            former = {key: "str" if former_text and "real" not in key else "IPAddress" for key in types}
            affected += types != former
    assert dict(counts) == COUNTS
    assert affected == AFFECTED


def test_all_ways_agree() -> None:
    """A glimpse, a block, the exact scanner and the other formats give an address the same type."""
    files = ("events.json.gz", "events-unix.json.gz", "events.tab.gz", "events-unix.tab.gz")
    json_lines, unix_lines, tab_lines, unix_tab_lines = (b"\n".join(corpus_lines(name)[::15]) for name in files)
    exact = types_of(map(scan_event, json_lines.split(b"\n")))
    for lines in (json_lines, unix_lines):
        glimpses = Glimpser(ADDRESSES).glimpse(lines)
        assert glimpses is not None
        assert types_of(glimpses.events) == exact
        assert types_of(decode_json_block(lines).events) == exact
    for lines in (tab_lines, unix_tab_lines):
        assert types_of(decode_tab_block(lines).events) == exact


CASES = [
    ("smtp_server_command_finished", ["smtp-server"], "remote_ip", "str"),
    ("mail_delivery_finished", ["local-delivery", "smtp-server"], "remote_ip", "str"),
    ("mail_delivery_finished", ["local-delivery", "lda"], "remote_ip", "IPAddress"),
    ("dict_created", ["dict", "smtp-server"], "local_ip", "str"),
    ("dict_created", ["dict", "imap"], "local_ip", "IPAddress"),
    ("http_request_finished", ["http-client", "smtp-server"], "remote_ip", "str"),
    ("http_request_finished", ["http-client", "smtp-server"], "dest_ip", "IPAddress"),
    ("anything", ["http-server"], "remote_ip", "str"),
    ("http_server_request_started", [], "dest_ip", "str"),
    ("client_connection_connected", ["imap"], "remote_ip", "str"),
    ("server_connection_connected", ["imap"], "remote_ip", "IPAddress"),
    ("server_connection_connected", ["imap"], "dest_ip", "str"),
    ("smtp_client_command_sent", ["smtp-client"], "dest_ip", "str"),
    ("smtp_client_command_sent", ["smtp-client"], "remote_ip", "IPAddress"),
    ("proxy_session_finished", [], "source_ip", "IPAddress"),
    ("smtp_server_transaction_rcpt_finished", ["smtp-server"], "dest_ip", "IPAddress"),
    ("anything", ["smtp-server"], "real_remote_ip", "IPAddress"),
    ("smtp_server_command_finished", None, "remote_ip", "str"),
    ("dict_created", None, "remote_ip", "IPAddress"),
]


@pytest.mark.parametrize(("name", "categories", "key", "type_name"), CASES)
def test_type_of_an_address(name: str, categories: list[str] | None, key: str, type_name: str) -> None:
    """The name of an event, its categories and the field decide together whether an address is one or text."""
    parts = {} if categories is None else {"categories": categories}
    line = json.dumps({"event": name, **parts, "fields": {key: "192.0.2.1"}}, separators=(",", ":")).encode()
    glimpses = Glimpser([key]).glimpse(line)
    assert glimpses is not None
    tab_categories = b"".join(b"\tcategory:" + each.encode() for each in categories or [])
    tab = b"event:%s%s\tfield:%s=192.0.2.1" % (
        name.encode(),
        tab_categories or b"\t" * (categories == []),
        key.encode(),
    )
    decoded = [decode_json_block(line).events[0], scan_event(line), glimpses.events[0], decode_tab_block(tab).events[0]]
    assert types_of(decoded) == [{key: type_name}] * 4
    assert (decoded[1].get(key) == IPAddress("192.0.2.1")) == (type_name == "IPAddress")
