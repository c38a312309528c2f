"""The assertion on rejects: it says what is missing and what is too many."""

import pytest

from dovebeam.transforms.events.reject import make_reject
from dovebeam.transforms.testing import ExpectedReject, holds_rejects


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ([], r"not expected: b'x' at deliver by e: why"),
        ([ExpectedReject(b"x"), ExpectedReject(b"y")], r"missing: ExpectedReject\(payload=b'y'"),
        ([ExpectedReject(reason="other")], r"missing: .*reason='other'.*\nnot expected: b'x'"),
        ([ExpectedReject(stage="decode")], "missing"),
        ([ExpectedReject(exporter="f")], "missing"),
        ([ExpectedReject(http_status=500)], "missing"),
    ],
)
def test_rejects_that_are_others(expected: list[ExpectedReject], text: str) -> None:
    """The text says what is missing and what is too many."""
    reject = make_reject("deliver", b"x", "why", exporter="e", http_status=503)
    with pytest.raises(AssertionError, match=text):
        holds_rejects(expected)([reject])


def test_rejects_that_are_these() -> None:
    """Each expectation is one reject, whatever the order."""
    rejects = [make_reject("decode", payload, "why") for payload in (b"a", b"b", b"b")]
    holds_rejects([ExpectedReject(b"b"), ExpectedReject(b"a", "decode", "wh"), ExpectedReject()])(rejects)
