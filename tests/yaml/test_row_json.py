"""Rows as JSON: every type of Beam's schemas has one spelling, and what JSON cannot say is refused."""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.utils.timestamp import Timestamp

from dovebeam.transforms import event_to_row, make_event
from dovebeam.transforms.yaml.columns import row_to_json


class Point(NamedTuple):
    """A row of a user's own class."""

    x: int
    y: float


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        (True, "true"),
        (2**63 - 1, "9223372036854775807"),
        (1.5, "1.5"),
        ('"é\n', '"\\"é\\n"'),
        (b"\x00\xff", '"AP8="'),
        ([1, None], "[1,null]"),
        ((1, 2), "[1,2]"),
        ({"k": [b""]}, '{"k":[""]}'),
        (Point(1, 2.0), '{"x":1,"y":2.0}'),
        (beam.Row(a=beam.Row(b=[Point(1, 0.5)])), '{"a":{"b":[{"x":1,"y":0.5}]}}'),
        (Timestamp(micros=1), '"1970-01-01T00:00:00.000001Z"'),
        (Decimal("1.10"), '"1.10"'),
        (np.int64(5), "5"),
        (np.float64(0.5), "0.5"),
        (dt.date(2026, 1, 2), '"2026-01-02"'),
    ],
)
def test_values(value: Any, expected: str) -> None:
    """One spelling each, whatever it is nested in."""
    assert row_to_json(beam.Row(v=value)) == f'{{"v":{expected}}}'.encode()


def test_a_row_of_an_event() -> None:
    """Columns in order, fields as a list of objects."""
    row = event_to_row(make_event("a", fields={"x": 5}))
    assert row_to_json(row).startswith(b'{"name":"a","hostname":null,"start_time_usec":null,')
    assert b'"fields":[{"key":"x","str":null,"int":5,' in row_to_json(row)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float64("nan"), "\udcff", object()])
def test_what_json_cannot_say(value: Any) -> None:
    """An error, and never null or a guess."""
    with pytest.raises(ValueError, match="the row cannot be written as JSON: "):
        row_to_json(beam.Row(v=value))


def test_mappings_are_rows() -> None:
    """A plain dict is an object, too."""
    row: Mapping[str, Any] = {"a": 1}
    assert row_to_json(row) == b'{"a":1}'
