"""Counts of acknowledged bundles, apart from Beam's counters."""

from dovebeam.transforms.plan.decoding import Tally


def test_only_what_was_acknowledged_counts() -> None:
    """A bundle counts when it was acknowledged; one that failed is forgotten when the next begins."""
    tally = Tally()
    tally.begin()
    tally.add("read", 2)
    tally.add("read", 3)
    tally.begin()
    tally.add("read", 1)
    tally.keep()
    tally.begin()
    tally.add("read", 10)
    tally.add("matched", 7)
    tally.keep()
    assert tally.take() == {"read": 11, "matched": 7}
    assert tally.take() == {}


def test_outside_of_bundles_nothing_is_kept() -> None:
    """Jobs that are no streams count on, and nothing grows."""
    tally = Tally()
    tally.add("read", 1)
    tally.keep()
    tally.begin()
    tally.keep()
    tally.add("read", 1)
    assert tally.take() == {}
