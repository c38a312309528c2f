"""Every recorded pair of filter and event: does dovebeam give Dovecot's verdict?"""

from __future__ import annotations

import json
import pickle
from functools import cache

import pytest

from dovebeam.transforms.filters import Filter, explain, parse_filter
from support.oracle.report import Report, left_out
from support.oracle.vectors import build_event, find_vectors, read_vectors, vectors_folder


@cache
def compiled(text: str) -> Filter:
    """The filter, parsed once."""
    return parse_filter(text)


@cache
def compiled_elsewhere(text: str) -> Filter:
    """The filter as another process gets it: from its canonical text, pickled."""
    restored: Filter = pickle.loads(pickle.dumps(parse_filter(str(parse_filter(text)))))
    return restored


@pytest.mark.parametrize("way", ["as written", "canonical and pickled", "explained"])
def test_filter_match_agrees_with_dovecot(way: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Filters match exactly the events that they match in Dovecot, in each of the ways to evaluate them."""
    path = find_vectors("filter-match")
    with capsys.disabled():
        if path is None:
            left_out("filter-match", vectors_folder())
            return
        report = Report(path)
        for vector in read_vectors(path):
            event, text = build_event(vector["event"]), vector["filter"]
            if way == "as written":
                got = compiled(text).matches(event)
            elif way == "canonical and pickled":
                got = compiled_elsewhere(text).matches(event)
            else:
                got = explain(compiled(text), event).matched
            report.check(f"[{way}] {json.dumps(vector)}", expected=vector["match"], got=got)
        report.finish()
