"""Assertions on filters: their failure says what each comparison saw."""

import pytest

from dovebeam.transforms.testing import assert_matches, assert_no_match, sample_event, why


def test_why_a_filter_does_not_match() -> None:
    """Each comparison with its outcome and what it saw, and Dovecot's warnings."""
    event = sample_event("a", user="u", duration=5, remote_ip="192.0.2.1")
    with pytest.raises(AssertionError) as caught:
        assert_matches("event=a AND duration > 10 AND user=x", event)
    assert str(caught.value).splitlines() == [
        "the filter event=a AND duration > 10 AND user=x does not match the event a",
        "  true           event=a  (the event has 'a')",
        "  false          duration>10  (the event has 5)",
        "  not evaluated  user=x  (the event has 'u')",
    ]
    assert "(the event has 192.0.2.1)" in why("remote_ip=10.0.0.0/8", event)
    assert "(the event has no session)" in why("session=x", event)
    assert "Event filter for string field 'user' only supports equality" in why("user > 5", event)
    with pytest.raises(AssertionError, match="the filter event=a matches the event a"):
        assert_no_match("event=a", event)
    assert_matches("event=a", event)
    assert_no_match("event=b", event)
    assert why("x=1", sample_event()).startswith("the filter x=1 does not match the event (unnamed)")
