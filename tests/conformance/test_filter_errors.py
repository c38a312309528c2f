"""Every recorded filter text: does dovebeam accept and refuse the same, with Dovecot's message?"""

from __future__ import annotations

import json

import pytest

from dovebeam.transforms.errors import FilterSyntaxError
from dovebeam.transforms.filters import parse_filter
from support.oracle.report import Report, left_out
from support.oracle.vectors import find_vectors, read_vectors, vectors_folder

EMPTY = "metric m { filter } is empty - will not match anything"  # said of the setting, not of the filter


def message_for(text: str) -> str | None:
    """What Dovecot says when a metric called m has this filter."""
    if not text:
        return EMPTY
    try:
        parse_filter(text)
    except FilterSyntaxError as error:
        return error.message
    return None


def test_filter_errors_agree_with_dovecot(capsys: pytest.CaptureFixture[str]) -> None:
    """Malformed filters are refused with Dovecot's message; odd but valid ones are accepted."""
    path = find_vectors("filter-errors")
    with capsys.disabled():
        if path is None:
            left_out("filter-errors", vectors_folder())
            return
        report = Report(path)
        for vector in read_vectors(path):
            report.check(json.dumps(vector["filter"]), expected=vector["error"], got=message_for(vector["filter"]))
        report.finish()


def test_filter_errors_have_a_place_and_a_hint() -> None:
    """Every refusal names a character within the filter and what to write instead."""
    path = find_vectors("filter-errors")
    for vector in read_vectors(path) if path else ():
        try:
            parse_filter(vector["filter"])
        except FilterSyntaxError as error:
            assert 0 <= error.offset <= len(error.text)
            assert error.hint
            assert error.text == vector["filter"]
