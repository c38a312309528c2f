"""Laws of the filter language, for filters and events of every shape."""

from __future__ import annotations

import ipaddress
import pickle
import re

from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.errors import FilterSyntaxError
from dovebeam.transforms.events.event import LOG_TYPES, Event, make_event
from dovebeam.transforms.events.values import IPAddress, Timestamp
from dovebeam.transforms.filters import (
    And,
    Comparison,
    Dispatcher,
    Filter,
    Node,
    Not,
    escape_value,
    explain,
    parse_filter,
    unescape,
)
from dovebeam.transforms.filters.comparisons import compile_comparison
from dovebeam.transforms.filters.reasons import Mismatches
from dovebeam.transforms.filters.values import in_network, parse_network
from dovebeam.transforms.filters.wildcards import compile_wildcard, to_bytes
from support.strategies import raw_texts, texts

# Few keys and values, so that filters and events often have something to do with each other.
KEYS = ["a", "b", "n", "remote_ip", "l", "duration", "a b", "and", 'q"\\', ""]
VALUES = ["", "x", "X", "xyx", "5", "05", "-5", "1k", "1m", "10.0.0.0/8", "10.0.0.1", "1.5", "::1", "*", "x*", "5*"]
VALUES += ["?", "*y*", "1*", "10.*", "and", "ä", r"\*", r"\\", r"\"", r"\x", "a b", "1s", "fish", "<>()'", "new\nline"]
NAMES = ["x", "xy", "y", "", "x*"]

words = st.sampled_from(["x", "5", "5*", "*", "x*", "10.0.0.0/8", "1m", "1k", "and", "x?x"])
quoted = (st.sampled_from(VALUES) | raw_texts.map(escape_value)).map(lambda value: f'"{value}"')
field_keys = st.sampled_from(KEYS).map(lambda key: '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"')
comparisons = st.one_of(
    st.tuples(field_keys | st.sampled_from("abnl"), st.sampled_from(["=", "<", ">", "<=", " > = "]), words | quoted),
    st.tuples(st.just("event"), st.just("="), st.sampled_from([*NAMES[:3], '""', "x*", "*", r'"x\*"', "?"])),
    st.tuples(st.just("category"), st.just("="), st.sampled_from(["imap", "error", '"\\error"', "info"])),
    st.tuples(st.just("source_location"), st.just("="), st.sampled_from(["a.c", "a.c:5", "a.c:6"])),
).map("".join)
keywords = st.sampled_from([" AND ", " OR ", "\tor\n", " And "])
filters = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.tuples(inner, keywords, inner).map("".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"NOT {text}"),
        inner.map(lambda text: f"not({text})"),
    ),
    max_leaves=12,
)
values = st.one_of(
    st.sampled_from(["", "x", "X", "xyx", "5", "1024", "10.0.0.1", "ä", "*", "and"]),
    st.sampled_from([5, -5, 0, 1024, 512]),
    st.sampled_from([IPAddress("10.0.0.1"), IPAddress("::1"), IPAddress("::ffff:10.0.0.1"), Timestamp(5)]),
    st.lists(st.sampled_from(["", "x", "5", "xyx"]), max_size=2),
)
events = st.builds(
    make_event,
    st.none() | st.sampled_from(NAMES),
    fields=st.none() | st.dictionaries(st.sampled_from(KEYS), values),
    categories=st.none() | st.lists(st.sampled_from(["imap", "error"]), unique=True),
    log_type=st.none() | st.sampled_from(LOG_TYPES),
    source=st.none() | st.just(("a.c", 5)),
)


def evaluate(root: Node | None, event: Event, mismatches: Mismatches) -> bool:
    """The obvious recursive evaluator."""
    if root is None:
        return False
    if isinstance(root, Comparison):
        return compile_comparison(root, mismatches)(event)
    if isinstance(root, Not):
        return not evaluate(root.operand, event, mismatches)
    combine = all if isinstance(root, And) else any
    return combine(evaluate(operand, event, mismatches) for operand in root.operands)


def outcome(filter_: Filter, event: Event) -> tuple[bool, object]:
    """Result and warnings, of a filter that was not used before."""
    return filter_.matches(event), filter_.warnings


@given(filters)
def test_the_canonical_text_parses_to_the_same_tree(text: str) -> None:
    """And it is its own canonical text; equal filters have equal hashes."""
    filter_ = parse_filter(text)
    again = parse_filter(str(filter_))
    assert again == filter_
    assert again.root == filter_.root
    assert hash(again) == hash(filter_)
    assert str(again) == str(filter_)


@given(filters, events)
def test_not_not_is_nothing(text: str, event: Event) -> None:
    """NOT NOT f is f, and NOT f is not f."""
    matched = parse_filter(text).matches(event)
    assert parse_filter(f"NOT NOT ({text})").matches(event) is matched
    assert parse_filter(f"NOT ({text})").matches(event) is not matched


@given(filters, filters, events)
def test_de_morgan(left: str, right: str, event: Event) -> None:
    """NOT moves over AND and OR; the warnings are the same, because the order of evaluation is."""
    for outer, inner in (("AND", "OR"), ("OR", "AND")):
        one = parse_filter(f"NOT (({left}) {outer} ({right}))")
        other = parse_filter(f"(NOT ({left})) {inner} (NOT ({right}))")
        assert one.matches(event) is other.matches(event)
        assert [warning.text for warning in one.warnings] == [warning.text for warning in other.warnings]


@given(st.lists(comparisons, min_size=3, max_size=6), st.data(), events)
def test_chains_associate_to_the_left(terms: list[str], data: st.DataObject, event: Event) -> None:
    """A chain means, and is, what it is with all parentheses written out."""
    chain = nested = terms[0]
    for term in terms[1:]:
        keyword = data.draw(st.sampled_from(["AND", "OR"]))
        chain, nested = f"{chain} {keyword} {term}", f"({nested}) {keyword} {term}"
    assert parse_filter(chain) == parse_filter(nested)
    assert parse_filter(chain).matches(event) is parse_filter(nested).matches(event)


@given(filters, events)
def test_every_evaluator_agrees(text: str, event: Event) -> None:
    """Closures, jump table, canonical text, a pickled filter and plain recursion: same result, same warnings."""
    filter_ = parse_filter(text)
    expected = outcome(filter_, event)
    assert outcome(pickle.loads(pickle.dumps(parse_filter(text))), event) == expected
    mismatches = Mismatches()
    assert (evaluate(filter_.root, event, mismatches), tuple(mismatches.records)) == expected
    explanation = explain(filter_, event)
    shown = tuple(finding.warning for finding in explanation.findings if finding.warning)
    assert (explanation.matched, shown) == expected
    deep = parse_filter("NOT " * 40 + f"({text})")
    assert deep.matches(event) is expected[0]


@given(st.lists(filters | st.just(""), max_size=6), st.lists(events, max_size=8))
def test_dispatch_changes_nothing(filter_texts: list[str], some_events: list[Event]) -> None:
    """Dispatch by name gives the results and the warnings of trying every filter."""
    tried = [parse_filter(text) for text in filter_texts]
    dispatcher = Dispatcher(parse_filter(text) for text in filter_texts)
    without_names = not all(filter_.requires_name for filter_ in tried if filter_.root is not None)
    for event in some_events:
        if event.name is None and not without_names:
            assert list(dispatcher.matching(event)) == []
        else:
            expected = [index for index, filter_ in enumerate(tried) if filter_.matches(event)]
            assert list(dispatcher.matching(event)) == expected
            assert event.name is not None or not {i for i in expected if tried[i].event_names is not None}
    assert [filter_.warnings for filter_ in dispatcher.filters] == [filter_.warnings for filter_ in tried]


@given(filters, events)
def test_event_names_bound_what_can_match(text: str, event: Event) -> None:
    """Outside of its names a filter never matches."""
    filter_ = parse_filter(text)
    assert not (filter_.event_names is not None and event.name not in filter_.event_names and filter_.matches(event))


@given(texts)
def test_escaped_text_means_itself(text: str) -> None:
    """unescape(escape(s)) is s, and a string field equals it, whatever it looks like."""
    assert unescape(escape_value(text)) == text
    filter_ = parse_filter(f'x="{escape_value(text)}"')
    assert filter_.matches(make_event("e", fields={"x": text}))
    assert filter_.matches(make_event("e", fields={"x": ["other", text]}))
    assert not filter_.matches(make_event("e", fields={"x": text + "x"}))


PIECES = st.lists(
    st.sampled_from(["a", "A", "b", "*", "?", r"\*", r"\?", "\\\\", "\\", "ä", "\udcc3", "\n"]), max_size=10
)


@given(PIECES.map("".join), st.text("aAbB*?\\äÄ\n", max_size=10) | raw_texts, st.booleans())
def test_wildcards_are_the_regular_expression(pattern: str, text: str, ignore_case: bool) -> None:
    """The matcher agrees with the translation into a regular expression on bytes."""
    translated = b""
    for escaped, star, one, other in re.findall(rb"\\([*?\\])|(\*)|(\?)|(.)", to_bytes(pattern), re.DOTALL):
        translated += b".*" if star else b"." if one else re.escape(escaped or other)
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
    expected = re.fullmatch(translated, to_bytes(text), flags) is not None
    assert compile_wildcard(pattern, ignore_case=ignore_case)(text) is expected


@given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 128))
def test_networks_are_those_of_the_standard_library(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
    base: ipaddress.IPv4Address | ipaddress.IPv6Address,
    length: int,
) -> None:
    """For plain addresses and ranges there is an independent implementation."""
    bits = base.max_prefixlen
    network = parse_network(f"{base}/{length % (bits + 1)}")
    assert network is not None
    if getattr(address, "ipv4_mapped", None) is None:
        expected = address in ipaddress.ip_network(f"{base}/{length % (bits + 1)}", strict=False)
        assert in_network(str(address), network) is expected


TOKENS = st.sampled_from([*"()=<>'\"@\\ ", "AND", "OR", "NOT", "a", "event", "x*", '"s"', "5", "\n", "ä", ">=", "a=b"])


@given(st.lists(TOKENS, max_size=14).map(" ".join) | st.lists(TOKENS, max_size=14).map("".join) | texts)
def test_any_text_parses_or_is_refused(text: str) -> None:
    """Nothing else happens; the error has a place in the text, a hint, and survives pickling."""
    try:
        filter_ = parse_filter(text)
    except FilterSyntaxError as error:
        assert error.message.startswith("event filter: ")
        assert 0 <= error.offset <= len(text)
        assert error.hint
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
    else:
        assert parse_filter(str(filter_)) == filter_
        assert filter_.matches(make_event("x")) in (True, False)
