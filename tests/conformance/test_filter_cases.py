"""Filters of real Dovecot people with typed events: does dovebeam give Dovecot's verdict on each of them?"""

from __future__ import annotations

import json

import pytest

from dovebeam.transforms.filters import explain, parse_filter
from support.oracle.cases import case_file, case_names, expected
from support.oracle.vectors import build_event

FILTERS = case_names("filter-", suffix=".json")


@pytest.mark.parametrize("name", FILTERS)
def test_filter_gives_dovecots_verdicts(name: str) -> None:
    """The filter matches the events that it matched in Dovecot; `explain` says so, too."""
    case = json.loads(case_file(name, ".json").read_text())
    filter_, events = parse_filter(case["filter"]), [build_event(event) for event in case["events"]]
    wanted = expected(name)["matches"]
    assert [filter_.matches(event) for event in events] == wanted
    assert [explain(filter_, event).matched for event in events] == wanted
    assert [parse_filter(str(filter_)).matches(event) for event in events] == wanted


def test_there_are_filters() -> None:
    """The loader finds the filters of the cases, so that the other test is not empty by mistake."""
    assert {"filter-and-or-left", "filter-mapped-net"} <= set(FILTERS)
