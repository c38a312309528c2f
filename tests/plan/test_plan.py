"""The plan: which events go where, in which bytes, and that every one is accounted for."""

import pickle
from pathlib import Path

import pytest

from dovebeam.transforms.codecs import decode_json
from dovebeam.transforms.config import load_config
from dovebeam.transforms.drivers import RoutingError
from dovebeam.transforms.events.event import Event, TimeRange
from dovebeam.transforms.plan.decoding import Outcome
from dovebeam.transforms.plan.export_plan import ExportPlan, make_plan
from dovebeam.transforms.sources import Block
from support.oracle.corpus import corpus_lines

HEAD = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"
EXPORTERS = """
event_exporter json {
  driver = drop
  format = json
}
event_exporter tab {
  driver = drop
  format = tab-text
}
"""
NAMED = """
metric a {
  filter = event=a
  exporter = json
  exporter_include = name fields
  fields = x
}
metric a_and_b {
  filter = event=a OR event=b AND x>1
  exporter = json
  exporter_include = name
}
metric b_tab {
  filter = event=b
  exporter = tab
  exporter_include = name
}
metric statistics_only {
  filter = event=c
}
"""
LINES = (
    b'{"event":"a","fields":{"x":1,"y":2}}\n'
    b'{"event":"b","fields":{"x":5}}\n'
    b'{"event":"c","fields":{}}\n'
    b"not an event\n"
    b'{"event":"d","end_time":"1970-01-01T00:00:02.000000Z"}\n'
)


def plan_of(tmp_path: Path, metrics: str, time_range: TimeRange = TimeRange()) -> ExportPlan:  # noqa: B008
    """The plan of a configuration with these metrics, as it arrives on a worker."""
    path = tmp_path / "dovecot.conf"
    path.write_text(HEAD + EXPORTERS + metrics)
    plan = make_plan(load_config([path]), time_range)
    copy: ExportPlan = pickle.loads(pickle.dumps(plan))
    return copy


def payloads(outcome: Outcome) -> dict[str, list[tuple[str, bytes, int | None]]]:
    """Metric, bytes and offset of every payload by exporter."""
    return {
        name: list(zip(batch.metrics, batch.payloads, batch.offsets, strict=True))
        for name, batch in outcome.batches.items()
    }


def test_one_payload_for_each_metric_that_matches(tmp_path: Path) -> None:
    """An event of two metrics is written twice, each time as that metric selects; order is that of lines, then metrics."""
    plan = plan_of(tmp_path, NAMED)
    outcome = plan.export_block(Block("f", 100, LINES, "json"))
    assert payloads(outcome) == {
        "json": [
            ("a", b'{"event":"a","fields":{"x":1}}', 100),
            ("a_and_b", b'{"event":"b"}', 137),
        ],
        "tab": [("b_tab", b"event:b", 137)],
    }
    assert outcome.batches["json"].source_uri == "f"
    assert outcome.matched_by_metric == {"a": 1, "a_and_b": 1, "b_tab": 1}
    assert (outcome.read, outcome.matched, outcome.unmatched, len(outcome.rejects)) == (5, 2, 2, 1)
    assert (outcome.rejects[0].payload_bytes, outcome.rejects[0].source_offset) == (b"not an event", 194)


def test_a_filter_without_a_name_sees_every_event(tmp_path: Path) -> None:
    """Where one metric asks for no name, unnamed events are looked at, for the other metrics too."""
    metrics = NAMED + "\nmetric all {\n  filter = NOT x=nothing\n  exporter = tab\n  exporter_include = name\n}\n"
    outcome = plan_of(tmp_path, metrics).export_block(Block("f", 0, LINES + b'{"fields":{}}\n', "json"))
    assert [(metric, payload) for metric, payload, _ in payloads(outcome)["tab"]] == [
        ("all", b"event:a"),
        ("b_tab", b"event:b"),
        ("all", b"event:b"),
        ("all", b"event:c"),
        ("all", b"event:d"),
        ("all", b""),
    ]
    assert outcome.unmatched == 0


@pytest.mark.parametrize(
    ("time_range", "in_range"),
    [(TimeRange(2_000_000, 3_000_000), 1), (TimeRange(None, 2_000_000), 0), (TimeRange(2_000_001, None), 0)],
)
def test_a_time_range_leaves_out_other_times(tmp_path: Path, time_range: TimeRange, in_range: int) -> None:
    """Only events of the half-open range are looked at; events without a time are in none."""
    outcome = plan_of(tmp_path, NAMED, time_range).export_block(Block("f", 0, LINES, "json"))
    assert (outcome.read, outcome.unmatched, outcome.out_of_range) == (5, in_range, 4 - in_range)


def test_single_events(tmp_path: Path) -> None:
    """Events of unknown origin are exported like those of a block."""
    plan = plan_of(tmp_path, NAMED)
    outcome = plan.export_events([decode_json(b'{"event":"b","fields":{"x":5}}'), decode_json(b"{}")])
    assert payloads(outcome) == {"json": [("a_and_b", b'{"event":"b"}', None)], "tab": [("b_tab", b"event:b", None)]}
    assert (outcome.read, outcome.matched, outcome.unmatched) == (2, 1, 1)


def test_an_overlong_line_is_a_reject(tmp_path: Path) -> None:
    """Of a line over the limit its head is kept, with the place and the length of the whole."""
    outcome = plan_of(tmp_path, NAMED).export_block(Block("f", 10, b'{"event":', "json", overlong_bytes=5000), 100)
    assert (outcome.read, len(outcome.rejects)) == (1, 1)
    assert "5000 bytes, more than the limit of 100" in outcome.rejects[0].error_message
    assert outcome.rejects[0].source_offset == 10


def test_tab_text_blocks(tmp_path: Path) -> None:
    """Blocks of tab-text are exported like JSON."""
    block = Block("f", 0, b"event:b\tfield:net_in_bytes=5\nevent:a\nbad\n", "tab-text")
    outcome = plan_of(tmp_path, NAMED).export_block(block)
    assert payloads(outcome)["tab"] == [("b_tab", b"event:b", 0)]
    assert (outcome.read, outcome.matched, len(outcome.rejects)) == (3, 2, 1)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("name", ["events.json.gz", "events-unix.json.gz"])
def test_glimpsing_changes_nothing(tmp_path: Path, name: str, end: bytes) -> None:
    """With glimpses or without, the same payloads come from the same places, and the same counts."""
    metrics = "".join(
        f"metric m{number} {{\n  filter = {text}\n  exporter = {exporter}\n}}\n"
        for number, (text, exporter) in enumerate(
            [
                ("category=imap AND user=* AND duration>200", "json"),
                ("event=mail_opened AND NOT reason_code=imap:fetch_body", "tab"),
                ("remote_ip=203.0.113.0/24", "json"),
            ]
        )
    )
    glimpsing, whole = plan_of(tmp_path, metrics), plan_of(tmp_path, metrics, TimeRange(-(2**62), 2**62))
    lines = corpus_lines(name)[:6000]
    for start in range(0, len(lines), 200):
        data = end.join(lines[start : start + 200]) + end
        block = Block("f", start, data, "json")
        expected, got = whole.export_block(block), glimpsing.export_block(block)
        assert payloads(got) == payloads(expected)
        assert (got.read, got.matched, got.unmatched) == (expected.read, expected.matched, expected.unmatched)
        assert got.matched_by_metric == expected.matched_by_metric


def test_a_bad_line_that_matches_is_rejected(tmp_path: Path) -> None:
    """A glimpse is not taken for an event: what matches is decoded whole, and rejected if it is none."""
    lines = b'{"event":"c"}\n{"event":"a","fields":{"y":1,"y":2}}\n{"event":"a","fields":{}}\n{"event":"c"}\n'
    outcome = plan_of(tmp_path, NAMED).export_block(Block("f", 5, lines, "json"))
    assert [reject.source_offset for reject in outcome.rejects] == [19]
    assert payloads(outcome)["json"][0][2] == 56
    assert (outcome.read, outcome.matched, outcome.unmatched, len(outcome.rejects)) == (4, 1, 2, 1)


def test_a_field_name_that_is_no_utf8_is_no_other_field(tmp_path: Path) -> None:
    """A filter on a name that JSON cannot hold finds no field, and takes none for it."""
    path = tmp_path / "dovecot.conf"
    text = HEAD + EXPORTERS + 'metric m {\n  filter = "@"=x\n  exporter = json\n}\n'
    path.write_bytes(text.encode().replace(b"@", b"\xff"))
    plan = make_plan(load_config([path]))
    outcome = plan.export_block(Block("f", 0, b'{"event":"a","fields":{"":"x"}}\n', "json"))
    assert (outcome.matched, outcome.unmatched, outcome.batches) == (0, 1, {})


class ByX:
    """A router that knows no place for an event without x."""

    def route(self, event: Event) -> str:
        """The value of x."""
        if event.get("x") is None:
            raise RoutingError("the event has no x")
        return f"{event.get('x')}.json"


def test_each_payload_travels_with_its_path(tmp_path: Path) -> None:
    """A router's word goes with the payload; an event it has no place for is a reject with payload and origin."""
    path = tmp_path / "dovecot.conf"
    path.write_text(HEAD + EXPORTERS + NAMED)
    plan = pickle.loads(pickle.dumps(make_plan(load_config([path]), routers={"json": ByX()})))
    lines = [b'{"event":"a","fields":{"x":1}}\n', b'{"event":"a","fields":{}}\n', b'{"event":"b","fields":{"x":2}}\n']
    outcome = plan.export_block(Block("f", 100, b"".join(lines), "json"))
    batch = outcome.batches["json"]
    assert batch.paths == ["1.json", "2.json"]
    assert batch.offsets == [100, 100 + len(lines[0]) + len(lines[1])]
    assert [each.error_message for each in outcome.unrouted] == ["the event has no x"]
    assert [(each.metric, each.exporter, each.source_uri, each.source_offset) for each in outcome.unrouted] == [
        ("a", "json", "f", 100 + len(lines[0]))
    ]
    assert [(each.stage, each.payload_bytes) for each in outcome.unrouted] == [("route", lines[1].rstrip())]
    assert outcome.matched_by_metric == {"a": 2, "a_and_b": 1, "b_tab": 1}
    assert outcome.batches["tab"].paths == []


def test_event_without_place_keeps_all_its_bytes(tmp_path: Path) -> None:
    """Its reject holds the whole event, as tab-text where JSON would replace bytes."""
    path = tmp_path / "dovecot.conf"
    path.write_text(HEAD + EXPORTERS + NAMED)
    plan = make_plan(load_config([path]), routers={"json": ByX()})
    line = b"event:a\tfield:name=caf\xe9"
    (reject,) = plan.export_block(Block("f", 0, line + b"\n", "tab-text")).unrouted
    assert reject.payload_bytes == line
