"""Pauses between tries."""

from __future__ import annotations

import time

import pytest

from dovebeam.transforms.drivers.patience import Patience


def test_no_budget_is_no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a budget of 0 there is one try."""
    lengths: list[float] = []
    monkeypatch.setattr(time, "sleep", lengths.append)
    assert not Patience(0).pause()
    assert lengths == []


def test_budget_bounds_the_pauses() -> None:
    """The last pause ends with the budget, so the last try is made then."""
    patience, begin, pauses = Patience(300), time.monotonic(), 0
    while patience.pause():
        pauses += 1
    assert time.monotonic() - begin >= 0.3
    assert pauses >= 3


def test_pauses_are_spread_and_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """No two workers wait in step, and no pause is longer than a second."""
    lengths: list[float] = []
    monkeypatch.setattr(time, "sleep", lengths.append)
    for _ in range(20):
        patience = Patience(None)
        for _ in range(10):
            assert patience.pause()
    assert len({round(length, 4) for length in lengths}) > 100
    for place, longest in enumerate((0.05, 0.1, 0.2)):
        assert max(lengths[place::10]) <= longest
    assert 0.4 < max(lengths) <= 1
