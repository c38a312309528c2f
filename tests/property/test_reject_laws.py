"""What a line comes to depends on the line and the configuration, never on the lines around it."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.config import load_config
from dovebeam.transforms.plan.export_plan import ExportPlan, make_plan
from dovebeam.transforms.sources import Block

CONFIG = """
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
event_exporter out {
  driver = drop
  format = json
}
metric m {
  filter = FILTER
  exporter = out
}
"""
FILTERS = ["event=wanted", "event=wanted AND x=1", "event=* AND x=1", "category=c", "remote_ip=10.0.0.0/8", "event=*"]
WANTED = b'{"event":"wanted","categories":["c"],"fields":{"x":1,"remote_ip":"10.0.0.1"}}'
OTHER = b'{"event":"other","hostname":"h","start_time":"2026-11-30T00:00:00.000001Z","fields":{"x":2}}'
UNIX = b'{"event":"other","start_time":1795335555.550147,"fields":{"t":1795335555.550147}}'
EVENT = {"event": "other", "fields": {"x": 2}}

# Lines that no event looks like: a reject under every filter.
FOREIGN = [
    {"message": json.dumps(EVENT)},
    {"log": EVENT},
    {**EVENT, "@timestamp": "2026-11-30T00:00:00Z"},
    {"level": "info", "msg": "hello"},
    {"event": "user logged in", "fields": {}},
    {"event": "a#011hostname:h"},
    {"event": {"kind": "event"}},
    {"event": "other", "hostname": {"name": "h"}},
    {"event": "other", "start_time": "30/Nov/2026:00:00:00"},
    {"event": "other", "start_time": True},
    {"event": "other", "categories": "c"},
    {"event": "other", "categories": [1]},
    {"event": "other", "fields": ["x"]},
    {"event": None},
]
# Lines that are wrong in a field or twice in a member: rejects if a metric matches them.
PARTLY_WRONG = [
    b'{"event":"other","fields":{"y":1,"y":2}}',
    b'{"event":"other","fields":{"y":true}}',
    b'{"event":"other","fields":{"y":{"z":1}}}',
    b'{"event":"other","fields":{"y":1e9999999999999999999}}',
    b'{"event":"other","event":"other"}',
    b'{"event":"wanted","fields":{"x":1,"x":1}}',
    b'{"event":"wanted","fields":{"x":null}}',
]
GOOD = [WANTED, OTHER, UNIX, b"{}", b' {"event":"other"}', b'{"event" :"other"}', b'{"fields":{"x":"\\u0031"}}']


@cache
def plan_of(filter_: str) -> ExportPlan:
    """The plan of one metric with this filter; it remembers nothing that matters between blocks."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dovecot.conf"
        path.write_text(CONFIG.replace("FILTER", filter_).lstrip())
        return make_plan(load_config(path))


def counts(filter_: str, lines: list[bytes]) -> tuple[int, int, int, int]:
    """How many lines of a block are read, matched, unmatched and rejected."""
    outcome = plan_of(filter_).export_block(Block("f", 0, b"\n".join(lines) + b"\n", "json"))
    return outcome.read, outcome.matched, outcome.unmatched, len(outcome.rejects)


def check_everywhere(filter_: str, line: bytes) -> int:
    """The line comes to the same alone and among lines of all kinds; how many rejects it is."""
    alone = counts(filter_, [line])
    for neighbours in ([WANTED] * 3, [OTHER] * 3, [UNIX, OTHER], [b"nonsense"], [PARTLY_WRONG[0]], [b"{}", WANTED]):
        around = counts(filter_, [*neighbours, *neighbours])
        together = counts(filter_, [*neighbours, line, *neighbours])
        assert tuple(a - b for a, b in zip(together, around, strict=True)) == alone, neighbours
    return alone[3]


@pytest.mark.parametrize("filter_", FILTERS)
@pytest.mark.parametrize("members", FOREIGN, ids=json.dumps)
def test_foreign_lines_are_rejects(filter_: str, members: dict[str, Any]) -> None:
    """A member that no event has, one of another type, or an impossible name: a reject wherever the line stands."""
    assert check_everywhere(filter_, json.dumps(members).encode()) == 1
    assert check_everywhere(filter_, json.dumps(members, separators=(",", ":")).encode()) == 1


@pytest.mark.parametrize("filter_", FILTERS)
@pytest.mark.parametrize("line", [*PARTLY_WRONG, *GOOD])
def test_neighbours_change_nothing(filter_: str, line: bytes) -> None:
    """Damage in what no filter looks at is found where a metric matches, and nowhere else."""
    rejected = check_everywhere(filter_, line)
    assert not (rejected and line in GOOD)
    assert not (filter_ == "event=*" and b'"event"' in line and line in PARTLY_WRONG and not rejected)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(0, 10**12) | st.sampled_from(["", "x", "a b", "1"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2),
    max_leaves=4,
)
members = st.lists(
    st.tuples(st.sampled_from(["event", "hostname", "start_time", "categories", "fields", "y"]), values)
    | st.tuples(st.just("event"), st.sampled_from(["wanted", "other", "a b"]))
    | st.tuples(st.just("fields"), st.dictionaries(st.sampled_from(["x", "y", "remote_ip"]), values, max_size=3))
    | st.tuples(st.just("categories"), st.just(["c"])),
    max_size=4,
)


@given(members, st.sampled_from(FILTERS), st.sampled_from([b"", b" "]))
def test_any_object_comes_to_the_same(pairs: list[tuple[str, Any]], filter_: str, space: bytes) -> None:
    """Objects of any members, some of them twice, alone and among others."""
    parts = [json.dumps(key).encode() + space + b":" + json.dumps(value).encode() for key, value in pairs]
    check_everywhere(filter_, b"{" + b",".join(parts) + b"}")
