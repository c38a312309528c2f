"""Why a filter matched, or why not."""

from __future__ import annotations

from dovebeam.transforms.events.event import ExportedEvent, make_event
from dovebeam.transforms.events.values import IPAddress
from dovebeam.transforms.filters import explain, parse_filter

EVENT = make_event(
    "x",
    fields={"a": "1", "n": 5, "duration": 7},
    categories=["imap"],
    log_type="info",
    source=("a.c", 3),
)


def test_outcomes() -> None:
    """Each comparison is true, false or was never reached."""
    explanation = explain(parse_filter("event=x AND (a=2 OR n>4) AND NOT gone=1 OR b=1"), EVENT)
    assert explanation.matched
    outcomes = [(str(finding.comparison), finding.outcome) for finding in explanation.findings]
    assert outcomes == [
        ("event=x", "true"),
        ("a=2", "false"),
        ("n>4", "true"),
        ("gone=1", "false"),
        ("b=1", "not evaluated"),
    ]


def test_what_was_found_and_wanted() -> None:
    """The event's side and the value as it is understood."""
    text = "NOT a=010 AND duration<1s AND NOT gone=1 AND category=imap AND source_location=a.c AND event=x"
    found = [
        (finding.wanted and finding.wanted.text, finding.found)
        for finding in explain(parse_filter(text), EVENT).findings
    ]
    assert found == [
        ("10", "1"),
        ("1000000", 7),
        ("1", None),
        (None, ["imap", "info"]),
        (None, "a.c:3"),
        (None, "x"),
    ]


def test_mismatches_are_named_every_time() -> None:
    """An explanation shows the warning even if the filter has had it; the filter itself gets none."""
    filter_ = parse_filter("n=fish OR NOT n=fish")
    for _ in range(2):
        explanation = explain(filter_, EVENT)
        assert explanation.matched
        assert [finding.warning.code for finding in explanation.findings if finding.warning] == ["W3", "W3"]
    assert filter_.warnings == ()


def test_types_of_exported_events() -> None:
    """What is shown is the recovered value."""
    event = ExportedEvent("x", raw_fields={"remote_ip": "10.0.0.1"})
    (finding,) = explain(parse_filter("remote_ip=10.0.0.0/8"), event).findings
    assert finding.found == IPAddress("10.0.0.1")
    assert finding.outcome == "true"


def test_blank_filter() -> None:
    """There is nothing to say."""
    explanation = explain(parse_filter(""), EVENT)
    assert not explanation.matched
    assert explanation.findings == ()
