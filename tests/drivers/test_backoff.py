"""Backoff: the pauses between tries, and the time for all of them."""

from __future__ import annotations

import math
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.drivers.backoff import Backoff, RetryBudget

_FIRST = st.floats(0.001, 10)
_LONGEST = st.floats(0.001, 1000) | st.just(math.inf)
_FAILURES = st.integers(1, 100_000)


@given(_FIRST, _LONGEST, _FAILURES)
def test_pauses_double_up_to_a_limit(first: float, longest: float, failures: int) -> None:
    """Each pause is twice the one before or the longest, and finite however many there were."""
    backoff = Backoff(first, longest, jitter=False)
    pause, following = backoff.secs(failures), backoff.secs(failures + 1)
    assert backoff.secs(1) == min(first, longest)
    assert pause <= following <= min(2 * pause, longest)
    assert following in {pause, longest, 2 * pause}
    assert math.isfinite(pause)


@given(_FIRST, _LONGEST, _FAILURES)
def test_full_jitter_is_bounded_by_the_pause_without(first: float, longest: float, failures: int) -> None:
    """Random from nothing to the length of the pause."""
    length = Backoff(first, longest, jitter=False).secs(failures)
    assert 0 <= Backoff(first, longest).secs(failures) <= length


@pytest.mark.parametrize("failures", [1, 4, 50])
def test_full_jitter_is_spread_evenly(failures: int) -> None:
    """All of the span is used, so no two workers wait in step."""
    backoff = Backoff(0.1, 3.0)
    length = Backoff(0.1, 3.0, jitter=False).secs(failures)
    pauses = [backoff.secs(failures) for _ in range(2000)]
    for part in range(4):
        assert 350 < sum(length * part / 4 <= pause <= length * (part + 1) / 4 for pause in pauses) < 650


def test_jitter_leaves_the_random_numbers_of_others_alone() -> None:
    """The state of `random` belongs to the program that imports dovebeam; it may have seeded it."""
    before = random.getstate()
    Backoff(0.1).secs(3)
    assert random.getstate() == before


def test_pauses_that_are_told() -> None:
    """Without jitter they are those that a stream tells: 1, 2, 4 ... 60 seconds."""
    backoff = Backoff(1.0, 60.0, jitter=False)
    assert [backoff.secs(failures) for failures in range(1, 10)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_no_budget_is_no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a budget of 0 there is one try."""
    lengths: list[float] = []
    monkeypatch.setattr(time, "sleep", lengths.append)
    assert not RetryBudget(0).wait()
    assert lengths == []


def test_budget_bounds_the_pauses() -> None:
    """The last pause ends with the budget, so the last try is made then."""
    budget, begin, pauses = RetryBudget(300), time.monotonic(), 0
    while budget.wait():
        pauses += 1
    assert time.monotonic() - begin >= 0.3
    assert pauses >= 1


def test_a_budget_without_end_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is always another try, after at most a second; the first ones come soon."""
    lengths: list[float] = []
    monkeypatch.setattr(time, "sleep", lengths.append)
    for _ in range(20):
        budget = RetryBudget(None)
        for _ in range(10):
            assert budget.wait()
    assert len({round(length, 4) for length in lengths}) > 100
    for place, longest in enumerate((0.05, 0.1, 0.2)):
        assert max(lengths[place::10]) <= longest
    assert 0.4 < max(lengths) <= 1
