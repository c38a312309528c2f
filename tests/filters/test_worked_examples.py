"""The worked examples of Dovecot's filter language: 283 filters and events with result and warnings, all run for real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dovebeam.transforms.filters import Dispatcher, explain, parse_filter
from support.oracle.vectors import build_event, read_vectors

EXAMPLES = list(read_vectors(Path(__file__).with_name("worked_examples.jsonl")))


def test_all_are_here() -> None:
    """None got lost."""
    assert [example["number"] for example in EXAMPLES] == list(range(1, 284))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example['number']}-{example['filter'][:30]}")
def test_worked_example(example: dict[str, Any]) -> None:
    """Result and warnings are Dovecot's, the filter being the only one of its configuration."""
    filter_, event = parse_filter(example["filter"]), build_event(example["event"])
    matched = Dispatcher([filter_]).matching(event) == [0]
    assert matched is example["match"]
    assert [warning.code for warning in filter_.warnings] == example["warnings"]
    if event.name is not None:
        findings = explain(filter_, event).findings
        assert [finding.warning.code for finding in findings if finding.warning] == example["warnings"]
