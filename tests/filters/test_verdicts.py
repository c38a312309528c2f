"""What is certain of a filter before any event is seen. A verdict may be missing, but it is never wrong."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dovebeam.transforms.codecs import decode_json
from dovebeam.transforms.events.event import Event, make_event
from dovebeam.transforms.events.values import IPAddress
from dovebeam.transforms.filters import parse_filter
from dovebeam.transforms.filters.analysis import read_otherwise, types_of
from dovebeam.transforms.filters.wildcards import Budget, compile_wildcard, may_share_a_text
from support.oracle.corpus import corpus_lines
from support.strategies import int64s, ip_addresses, timestamps

NAMES = ("a", "ab", "b", "imap_command_finished", "")
TEXTS = st.sampled_from(["", "a", "b", "AB", "10", "5", "1.5", "10m", "10.0.0.1", "10.0.0.2", "fish", "1.0.0.5"])
FIELDS: dict[str, st.SearchStrategy] = {
    "duration": int64s | st.integers(-3, 20),
    "rss": int64s | st.integers(-3, 20),
    "user": TEXTS,
    "cmd_name": TEXTS,
    "remote_ip": ip_addresses
    | st.sampled_from([IPAddress("::ffff:10.0.0.1"), IPAddress("10.0.0.1"), IPAddress("10.0.0.2"), "10.0.0.1", "::1"]),
    "last_run_time": timestamps,
    "reason_code": st.lists(TEXTS, max_size=3),
    "error_code": int64s | TEXTS,
    "custom": TEXTS | int64s | ip_addresses | timestamps | st.lists(TEXTS, max_size=2),
}
CATEGORIES = ("imap", "storage", "service:imap")

EVENTS = st.builds(
    make_event,
    st.none() | st.sampled_from(NAMES),
    fields=st.fixed_dictionaries({}, optional=FIELDS),
    categories=st.none() | st.lists(st.sampled_from(CATEGORIES), unique=True),
)
VALUES = ["a", "ab", "A*", "*b", "?", "*", '""', "5", "10", "1*", "-1s", "1.5s", "10M", "10k", "1.5", "fish", "500us"]
VALUES += [
    "60d",
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.0/8",
    "::ffff:10.0.0.0/104",
    "::ffff:10.0.0.1",
    "9223372036854775807",
    "3s",
    "a?",
]
COMPARISONS = st.one_of(
    st.builds("event={}".format, st.sampled_from(["a", "ab", "b", "a*", "*b", "?", "*", '""', "imap_*", "a?"])),
    st.builds("category={}".format, st.sampled_from([*CATEGORIES, "error", "service:*", "IMAP", '""'])),
    st.just("source_location=a.c"),
    st.builds(
        "{}{}{}".format,
        st.sampled_from(list(FIELDS)),
        st.sampled_from(["=", "=", "=", "<", ">", "<=", ">="]),
        st.sampled_from(VALUES),
    ),
)
FILTERS = st.recursive(
    COMPARISONS,
    lambda inner: (
        st.builds("NOT ({})".format, inner)
        | st.builds("({}) AND ({})".format, inner, inner)
        | st.builds("({}) OR ({})".format, inner, inner)
    ),
    max_leaves=6,
)


@given(FILTERS, st.lists(EVENTS, min_size=1, max_size=12))
@example("event=a AND NOT event=a*", [make_event("a")])
@example('event="" AND event=*', [make_event("")])
def test_a_verdict_is_true(text: str, events: list[Event]) -> None:
    """What can never match matches no event, what cannot fail matches all, and a comparison never true is that."""
    filter_ = parse_filter(text)
    verdict = filter_.verdict
    matched = [filter_.matches(event) for event in events]
    assert verdict.can_match or not any(matched)
    assert verdict.can_fail or all(matched)
    for never in verdict.never_true:
        assert not any(map(parse_filter(str(never.comparison)).matches, events))
    for found in verdict.contradictions:
        both = parse_filter(f"{found.first} AND {found.second}")
        neither = parse_filter(f"{found.first} AND NOT {found.second}")
        opposite = parse_filter(f"{found.second} AND NOT {found.first}")
        assert any(not any(map(each.matches, events)) for each in (both, neither, opposite))


GLOBS = st.text(st.sampled_from("ab*?\\"), max_size=6)


@given(GLOBS, GLOBS, st.lists(st.text("ab*?\\", max_size=6), max_size=30))
@example("a*b", "ab", ["ab"])
@example("*", "", [""])
def test_patterns_without_a_common_text(one: str, other: str, texts: list[str]) -> None:
    """If two patterns have no text in common, none matches both; each has one in common with itself."""
    first, second = (compile_wildcard(each, ignore_case=False) for each in (one, other))
    if any(first(text) and second(text) for text in texts):
        assert may_share_a_text(one, other, Budget())
    assert may_share_a_text(one, one, Budget())
    assert may_share_a_text(one, other, Budget()) == may_share_a_text(other, one, Budget())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("event=mail_user_session_finished AND rss > 10M", "10MB or 10min"),
        ("duration<=5m", "5MB or 5min"),
        ("some_field>10M", "10MB or 10min"),
        ("duration>1.5s", "write 1500ms"),
        ("duration>-1s", "write -1000000"),
        ("duration>500us", "write 500"),
        ("duration>60d", "write 5184000000000"),
        ("lock_wait_usecs>0.5ms", "write 500"),
        ("rss>1.5k", "write 1536"),
        ("net_in_bytes>1e6", "write 1000000"),
        ("net_in_bytes>1_000_000", "write 1000000"),
        ("duration>1.5", "the address 1.0.0.5"),
        ("status_code=2.0", "write 2"),
        ("dest_port=imap", "not a number"),
        ("status_code>4*", "only compared with ="),
        ("rss=1*k", "digits, * and ?"),
        ('duration=""', "always there"),
        ("last_run_time>2026", "cannot compare times"),
        ("last_run_time=*", "cannot compare times"),
        ("category=service:*", "no wildcards in categories"),
        ("category=warning", "no log levels"),
        ("source_location=a.c", "no source locations"),
        ("user>5", "is text"),
        ("reason_code<=a", "list of texts"),
        ("remote_ip>10.0.0.1", "only compared with ="),
        ("remote_ip=localhost", "not an address"),
        ("dest_ip=10.0.0.0/33", "not an address"),
        ("remote_ip=::ffff:192.0.2.0/120", "write 192.0.2.0/24"),
    ],
)
def test_reason(text: str, words: str) -> None:
    """A comparison that is never true says why, and what to write."""
    verdict = parse_filter(text).verdict
    assert not verdict.can_match
    assert len(verdict.never_true) == 1
    assert words in verdict.never_true[0].reason


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mailbox=1.5", 'the address 1.0.0.5; to compare with the text 1.5 write mailbox="\\1.5"'),
        ("cmd_tag=010", 'the number 10; to compare with the text 010 write cmd_tag="\\010"'),
        ("user=1k", "the number 1024"),
        ("remote_ip=10/8", "the address 0.0.0.10/8; write all four numbers"),
        ("remote_ip=10.1", "the address 10.0.0.1"),
        ("cmd_tag=10", ""),
        ("user=ann", ""),
        ("remote_ip=10.0.0.0/8", ""),
        ("remote_ip=2001:DB8::/32", ""),
        ("rss=1k", ""),
        ("some_field=1k", ""),
        ("user=1.*", ""),
    ],
)
def test_read_otherwise(text: str, words: str) -> None:
    """A value that looks like text and is read as a number is told; what is written there means that text."""
    comparison = parse_filter(text).comparisons[0]
    found = read_otherwise(comparison)
    assert words in found
    assert bool(found) is bool(words)
    if "write mailbox" in found or "write cmd_tag" in found:
        repaired = parse_filter(found.partition("write ")[2])
        assert repaired.matches(make_event("a", fields={comparison.key: comparison.value}))


@pytest.mark.parametrize(
    "text",
    [
        "event=a AND event=b",
        "event=imap_* AND event=pop3_*",
        "event=imap_* AND event=pop3_command_finished",
        "(event=a OR event=b) AND (event=c OR event=d) AND user=x",
        "event=a AND (user=x AND event=b)",
        "event=a AND NOT event=a",
        "event=a AND NOT event=*",
        "NOT (NOT event=a OR NOT event=b)",
        "user=ann AND user=bob",
        "user=a* AND user=b*",
        "duration>5s AND duration<1s",
        "remote_ip=10.0.0.1 AND remote_ip=10.0.0.2",
        "category=imap AND NOT category=imap",
    ],
)
def test_never_together(text: str) -> None:
    """What excludes each other is found through parentheses and NOT."""
    verdict = parse_filter(text).verdict
    assert not verdict.can_match
    assert verdict.contradictions


@pytest.mark.parametrize(
    "text",
    [
        "event=a OR event=b",
        "event=imap_* AND event=*_finished",
        "(event=a OR event=b) AND NOT event=a",
        "NOT event=a AND NOT event=b",
        "category=imap AND category=storage",
        "reason_code=a AND reason_code=b",
        "some_field=a AND some_field=b",
        "duration>1s AND duration<5s",
        "user=ANN AND user=ann",
        'user="" AND NOT user=x',
        "error_code=fish",
        "status=OK",
        "size=10M",
        "rss=1*",
        'rss=""',
        'user>""',
        "remote_ip=10.*",
        "event=x AND duration>=9223372036854775807",
    ],
)
def test_no_verdict(text: str) -> None:
    """What can match and can fail is left alone."""
    verdict = parse_filter(text).verdict
    assert (verdict.can_match, verdict.can_fail) == (True, True)
    assert (verdict.never_true, verdict.contradictions) == ((), ())


def test_always() -> None:
    """Two NOTs that are joined by OR let everything through."""
    verdict = parse_filter("NOT event=a OR NOT event=b").verdict
    assert (verdict.can_match, verdict.can_fail) == (True, False)
    assert verdict.contradictions[0].always


def test_types_of_real_events() -> None:
    """No field of the corpus has another type than its verdicts are based on."""
    for line in corpus_lines("events.json.gz"):
        for key, value in decode_json(line).fields.items():
            assert isinstance(value, types_of(key)), (key, value)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 4_900 + "event=a" + ")" * 4_900,
        "NOT " * 4_900 + "event=a",
        " AND ".join(f"(event=a* OR event=*b OR x{i}=1)" for i in range(1_000)),
        " AND ".join(f"user=*a*b*c*{i}*" for i in range(2_000)),
        "(" + " OR ".join(f"event=a{i}" for i in range(2_000)) + ") AND event=z",
        " OR ".join(f"NOT user={'a*' * 500}{i}" for i in range(300)),
    ],
    ids=range(6),
)
def test_large_filters(text: str) -> None:
    """Depth exhausts no stack, and breadth no patience."""
    root = parse_filter(text)
    start = time.process_time()
    assert root.verdict.can_match or root.verdict.contradictions or root.verdict.never_true
    assert time.process_time() - start < 20
