"""Live sessions of a real Dovecot: each metric matches as many of the exported events as it matched there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

from dovebeam.transforms.codecs import decode_json, encode_tab
from dovebeam.transforms.config import load_config
from dovebeam.transforms.events.event import TimeRange
from dovebeam.transforms.plan.export_plan import make_plan
from dovebeam.transforms.sources import Block
from support.oracle.cases import case_file, case_names, expected

SESSIONS = [
    name for name in case_names(suffix=".json") if case_file(name, ".conf").is_file() and "matched" in expected(name)
]
ALL_TIME = TimeRange(-(2**62), 2**62)  # with a time range every line is decoded whole


def as_json(line: bytes) -> bytes:
    """The line as it is."""
    return line


def as_tab_text(line: bytes) -> bytes:
    """The event as Dovecot would have exported it in tab-text."""
    return encode_tab(decode_json(line))


WAYS = {
    "glimpsed": ("json", as_json, TimeRange()),
    "whole": ("json", as_json, ALL_TIME),
    "tab-text": ("tab-text", as_tab_text, TimeRange()),
}


def matched(name: str, way: str, lines: Iterable[bytes]) -> dict[str, int]:
    """How many events each metric of the session's configuration matches."""
    format_, rewrite, time_range = WAYS[way]
    plan = make_plan(load_config(case_file(name, ".conf")), time_range)
    counts: Counter[str] = Counter(dict.fromkeys(plan.metrics, 0))
    for line in lines:
        outcome = plan.export_block(Block("session", 0, rewrite(line) + b"\n", format_))
        assert not outcome.rejects
        counts.update(outcome.matched_by_metric)
    return dict(counts)


def test_there_are_sessions() -> None:
    """The loader finds the sessions of the cases, so that the next test is not empty by mistake."""
    assert {"imap-dict", "lmtp-remote-ip"} <= set(SESSIONS)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", SESSIONS)
def test_metrics_match_what_they_matched_in_dovecot(name: str, way: str) -> None:
    """Filters see the types that Dovecot's fields had, however much of a line is decoded and in either format."""
    lines = case_file(name, ".json").read_bytes().splitlines()
    assert matched(name, way, lines) == expected(name)["matched"]


@pytest.mark.parametrize("name", SESSIONS)
def test_metrics_match_in_blocks(name: str) -> None:
    """Lines of a block match as each of them does by itself."""
    data = case_file(name, ".json").read_bytes()
    plan = make_plan(load_config(case_file(name, ".conf")))
    outcome = plan.export_block(Block("session", 0, data, "json"))
    found = {metric: outcome.matched_by_metric.get(metric, 0) for metric in plan.metrics}
    assert found == expected(name)["matched"]
