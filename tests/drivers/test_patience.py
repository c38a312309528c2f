"""Pauses between tries."""

from __future__ import annotations

import time

from dovebeam.transforms.drivers.patience import Patience


def test_no_budget_is_no_pause() -> None:
    """With a budget of 0 there is one try."""
    begin = time.monotonic()
    assert not Patience(0).pause()
    assert time.monotonic() - begin < 0.02


def test_budget_bounds_the_pauses() -> None:
    """The last pause ends with the budget, so the last try is made then."""
    patience, begin, pauses = Patience(300), time.monotonic(), 0
    while patience.pause():
        pauses += 1
    assert 0.3 <= time.monotonic() - begin < 0.5
    assert pauses >= 3


def test_pauses_are_spread_and_grow() -> None:
    """No two workers wait in step, and no pause is longer than a second."""
    lengths = []
    for _ in range(5):
        patience = Patience(None)
        for _ in range(3):
            begin = time.monotonic()
            assert patience.pause()
            lengths.append(time.monotonic() - begin)
    assert len({round(length, 4) for length in lengths}) > 5
    assert max(lengths) < 0.4
