"""The jump table, the nested closures, and that they agree."""

from __future__ import annotations

import itertools
import time

import pytest

from dovebeam.transforms.events.event import Event, make_event
from dovebeam.transforms.filters import parse_filter
from dovebeam.transforms.filters.compiler import ACCEPT, REJECT, compile_steps
from dovebeam.transforms.filters.reasons import Mismatches

EVENTS = [
    make_event("e", fields={key: str(bit) for key, bit in zip("abcd", bits, strict=True)})
    for bits in itertools.product((0, 1), repeat=4)
]


def jumps(text: str) -> list[tuple[int, int]]:
    """The targets of each step."""
    root = parse_filter(text).root
    assert root is not None
    return [(step.on_true, step.on_false) for step in compile_steps(root, Mismatches())]


def walk(text: str, event: Event) -> bool:
    """The result by the jump table alone."""
    root = parse_filter(text).root
    assert root is not None
    steps, index = compile_steps(root, Mismatches()), 0
    while index >= 0:
        index = steps[index].on_true if steps[index].test(event) else steps[index].on_false
    return index == ACCEPT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1", [(ACCEPT, REJECT)]),
        ("NOT a=1", [(REJECT, ACCEPT)]),
        ("NOT NOT a=1", [(ACCEPT, REJECT)]),
        ("a=1 AND b=1", [(1, REJECT), (ACCEPT, REJECT)]),
        ("a=1 OR b=1", [(ACCEPT, 1), (ACCEPT, REJECT)]),
        ("a=1 AND b=1 OR c=1", [(1, 2), (ACCEPT, 2), (ACCEPT, REJECT)]),
        ("a=1 OR b=1 AND c=1", [(2, 1), (2, REJECT), (ACCEPT, REJECT)]),
        ("a=1 OR (b=1 AND c=1)", [(ACCEPT, 1), (2, REJECT), (ACCEPT, REJECT)]),
        ("NOT (a=1 OR b=1) AND c=1", [(REJECT, 1), (REJECT, 2), (ACCEPT, REJECT)]),
        ("a=1 AND NOT (b=1 AND c=1)", [(1, REJECT), (2, ACCEPT), (REJECT, ACCEPT)]),
    ],
)
def test_jumps(text: str, expected: list[tuple[int, int]]) -> None:
    """Each comparison knows where true and false lead; NOT swaps."""
    assert jumps(text) == expected


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("a=1 OR b=1 AND c=1", lambda a, b, c, d: (a or b) and c),
        ("a=1 AND b=1 OR c=1", lambda a, b, c, d: (a and b) or c),
        ("a=1 OR b=1 AND c=1 OR d=1", lambda a, b, c, d: ((a or b) and c) or d),
        ("NOT a=1 OR b=1", lambda a, b, c, d: not a or b),
        ("NOT (a=1 OR b=1) OR NOT (c=1 AND d=1)", lambda a, b, c, d: not (a or b) or not (c and d)),
        ("NOT (a=1 AND NOT b=1) AND NOT (NOT c=1 OR d=1)", lambda a, b, c, d: not (a and not b) and c and not d),
        ("a=1 AND b=1 AND c=1 AND d=1", lambda a, b, c, d: a and b and c and d),
        ("a=1 OR b=1 OR c=1 OR d=1 OR a=1 OR b=1", lambda a, b, c, d: a or b or c or d),
        ("event=e AND a=1", lambda a, b, c, d: a),
        ("event=e AND a=1 AND b=1", lambda a, b, c, d: a and b),
        ("event=e AND a=1 AND b=1 AND c=1 AND d=1 AND d=1", lambda a, b, c, d: a and b and c and d),
        ("event=f OR a=1", lambda a, b, c, d: a),
        ("NOT (event=e AND a=1)", lambda a, b, c, d: not a),
        ("NOT (event=f OR a=1)", lambda a, b, c, d: not a),
        ("NOT event=f AND a=1", lambda a, b, c, d: a),
        ("event=f AND a=1", lambda a, b, c, d: False),
        ("NOT " * 40 + "(a=1 OR (b=1 AND c=1))", lambda a, b, c, d: a or (b and c)),
        ("a=1 AND (b=1 OR (" * 20 + "c=1" + "))" * 20 + " AND d=1", lambda a, b, c, d: a and (b or c) and d),
        ("a=1 AND b=1" + " OR c=1 AND d=1" * 50, lambda a, b, c, d: ((a and b) or c) and d),
    ],
)
def test_closures_and_jumps_agree_with_python(text: str, meaning: object) -> None:
    """Every shape, shallow or deep, means what Python's own operators mean."""
    assert callable(meaning)
    matches = parse_filter(text).matches
    for event in EVENTS:
        bits = [event.raw_fields[key] == "1" for key in "abcd"]
        assert matches(event) is walk(text, event) is meaning(*bits)


@pytest.mark.parametrize("count", range(1, 24))
def test_chains_of_every_length(count: int) -> None:
    """Grouping of operands loses none and keeps their order."""
    keys = [f"k{number}" for number in range(count)]
    conjunction = parse_filter(" AND ".join(f"{key}=1" for key in keys)).matches
    disjunction = parse_filter(" OR ".join(f"{key}=1" for key in keys)).matches
    assert conjunction(make_event("e", fields=dict.fromkeys(keys, 1)))
    assert not disjunction(make_event("e", fields=dict.fromkeys(keys, 0)))
    for key in keys:
        assert not conjunction(make_event("e", fields=dict.fromkeys(keys, 1) | {key: 0}))
        assert disjunction(make_event("e", fields=dict.fromkeys(keys, 0) | {key: 1}))


def test_warnings_come_in_dovecots_order() -> None:
    """Comparisons are evaluated from left to right, also where a name would decide sooner."""
    filter_ = parse_filter("a=fish AND event=f OR b=fish AND c=fish")
    filter_.matches(make_event("e", fields={"a": 1, "b": 1, "c": 1}))
    assert [warning.offset for warning in filter_.warnings] == [0, 22]


@pytest.mark.parametrize(
    "text",
    [
        "a=1" + " AND a=1" * 19_999,
        "a=1" + " OR b=1 AND a=1" * 10_000,
        "NOT " * 9_994 + "a=1",
        "a=1 AND (" * 3_331 + "a=1" + ")" * 3_331,
        "NOT (b=1 OR " * 2_000 + "a=1" + ")" * 2_000,
    ],
    ids=["chain", "alternating", "nots", "nested", "de morgan"],
)
def test_large_filters(text: str) -> None:
    """20,000 terms and the deepest nesting compile and match in time."""
    start = time.process_time()
    assert parse_filter(text).matches(make_event("e", fields={"a": "1", "b": "0"}))
    assert time.process_time() - start < 60
