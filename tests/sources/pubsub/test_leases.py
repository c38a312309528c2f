"""What is kept, for how long, and when it is extended."""

from __future__ import annotations

from dovebeam.transforms.sources.pubsub.client import Pulled
from dovebeam.transforms.sources.pubsub.puller import LEASE_SECS, Leases


def pulled(number: int, size: int = 10) -> Pulled:
    """A message of this number."""
    return Pulled(f"a{number}", f"m{number}", b"x" * size, 0, "", ())


def test_extended_before_any_deadline() -> None:
    """First well before 10 s, the shortest deadline there is; then before what was asked for is over."""
    leases = Leases(600)
    leases.add([pulled(0)], now=100)
    assert leases.due(103) == []
    assert leases.due(105) == ["a0"]
    leases.extended(["a0"], now=105)
    assert leases.due(110) == []
    assert leases.due(105 + LEASE_SECS / 2) == ["a0"]


def test_count_and_bytes() -> None:
    """Both are those of what was added and not removed; what is unknown changes nothing."""
    leases = Leases(600)
    leases.add([pulled(0), pulled(1, 30)], now=0)
    assert (len(leases), leases.held_bytes) == (2, 40)
    leases.remove(["a0", "a0", "a7"])
    leases.extended(["a0"], now=1)
    leases.take([pulled(0)], now=1)
    assert (len(leases), leases.held_bytes, leases.all()) == (1, 30, ["a1"])


def test_overdue_is_only_what_was_taken() -> None:
    """A delivery that takes too long is given up; what waits for its turn is not, nor what was put back."""
    leases = Leases(max_taken_secs=60)
    leases.add([pulled(0), pulled(1), pulled(2)], now=0)
    leases.take([pulled(0), pulled(1)], now=10)
    leases.take([pulled(1)], None)
    assert leases.overdue(69) == []
    assert leases.overdue(71) == ["a0"]
