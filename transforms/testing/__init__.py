"""Helpers for tests of pipelines that use dovebeam; they need nothing beyond dovebeam itself, and no test framework.

`sample_event` and `event_of_line` make events, `KeepingDriver` and `HttpTarget` take the place of targets,
`assert_matches` says why a filter did not match, `holds_rejects` and `assert_balanced` check what a pipeline did.
"""

from dovebeam.transforms.testing.events import (
    ExpectedReject,
    assert_balanced,
    assert_matches,
    assert_no_match,
    counters_of,
    event_of_line,
    holds_rejects,
    sample_event,
    why,
    write_events,
)
from dovebeam.transforms.testing.targets import Answer, HttpRequest, HttpTarget, KeepingDriver

__all__ = [
    "Answer",
    "ExpectedReject",
    "HttpRequest",
    "HttpTarget",
    "KeepingDriver",
    "assert_balanced",
    "assert_matches",
    "assert_no_match",
    "counters_of",
    "event_of_line",
    "holds_rejects",
    "sample_event",
    "why",
    "write_events",
]
