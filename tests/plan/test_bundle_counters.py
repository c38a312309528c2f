"""Counters of acknowledged bundles, kept beside Beam's counters."""

from dovebeam.transforms.plan.decoding import BundleCounters


def test_only_what_was_acknowledged_counts() -> None:
    """A bundle counts when it was acknowledged; one that failed is forgotten when the next begins."""
    counters = BundleCounters()
    counters.begin()
    counters.add("read", 2)
    counters.add("read", 3)
    counters.begin()
    counters.add("read", 1)
    counters.keep()
    counters.begin()
    counters.add("read", 10)
    counters.add("matched", 7)
    counters.keep()
    assert counters.take() == {"read": 11, "matched": 7}
    assert counters.take() == {}


def test_outside_of_bundles_nothing_is_kept() -> None:
    """Jobs that are no streams count on, and nothing grows."""
    counters = BundleCounters()
    counters.add("read", 1)
    counters.keep()
    counters.begin()
    counters.keep()
    counters.add("read", 1)
    assert counters.take() == {}
