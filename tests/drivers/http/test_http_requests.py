"""Cutting a batch into requests, and keys of requests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.drivers.http.backlog import Backlog
from dovebeam.transforms.drivers.http.requests import Request, end_of_request, request_key

_PAYLOADS = st.lists(st.binary(max_size=30), min_size=1, max_size=40)


@given(payloads=_PAYLOADS, events=st.integers(1, 10), size=st.none() | st.integers(1, 100))
def test_requests_cover_the_batch(payloads: list[bytes], events: int, size: int | None) -> None:
    """Every payload is in one request, in order; requests keep both limits and could not take one more."""
    first = 0
    while first < len(payloads):
        end = end_of_request(payloads, first, events, size)
        assert first < end <= min(len(payloads), first + events)
        framed = sum(map(len, payloads[first:end])) + end - first + 1
        assert size is None or framed <= size or end == first + 1
        if end < min(len(payloads), first + events):
            assert size is not None
            assert framed + len(payloads[end]) + 1 > size
        first = end


@given(end=st.integers(2, 600))
def test_halves(end: int) -> None:
    """Two halves are the whole, neither is empty, and single payloads are reached in as few steps as can be."""
    steps, request = 0, Request(0, end)
    while len(request) > 1:
        first, second = request.halves()
        assert (first.first, first.end, second.end) == (request.first, second.first, request.end)
        assert min(len(first), len(second)) >= 1
        request, steps = second, steps + 1
    assert steps <= (end - 1).bit_length()


def test_keys_are_of_what_is_in_a_request() -> None:
    """Other payloads, another order or another cut give another key; the batch around makes no difference."""
    payloads, keys = [b"a", b"b", b"c"], ["1", "2", "3"]
    parts = [(0, 1), (0, 2), (0, 3), (1, 3), (1, 2)]
    assert len({request_key(payloads, keys, *part) for part in parts}) == len(parts)
    assert request_key(payloads, keys, 1, 3) == request_key([b"x", *payloads], ["0", *keys], 2, 4)
    assert request_key(payloads, keys, 0, 2) != request_key([b"b", b"a"], ["2", "1"], 0, 2)
    assert request_key(payloads, (), 0, 3) == request_key(list(payloads), (), 0, 3)


def test_order_of_the_backlog() -> None:
    """With one connection a waiting retry holds back all else; halves go before the rest of the batch."""
    backlog = Backlog([b"x"] * 6, 2, None, ordered=True)
    first = backlog.take_new()
    backlog.split(first)
    left = backlog.take(0.0)
    assert (left.first, left.end) == (0, 1)
    backlog.retry(left, 5.0)
    assert backlog.due_secs(1.0) == 4.0
    assert backlog.due_secs(5.0) == 0.0
    assert backlog.take(5.0) is left
    assert [(r.first, r.end) for r in (backlog.take(5.0), backlog.take(5.0), backlog.take(5.0))] == [
        *((1, 2), (2, 4), (4, 6))
    ]
    assert backlog.due_secs(5.0) is None
    assert not backlog


def test_retries_of_several_connections_do_not_hold_back() -> None:
    """With several connections other requests go on while one waits."""
    backlog = Backlog([b"x"] * 2, 1, None, ordered=False)
    first = backlog.take_new()
    backlog.retry(first, 5.0)
    assert backlog.due_secs(1.0) == 0.0
    assert backlog.take(1.0).first == 1
    assert backlog.due_secs(1.0) == 4.0
    assert backlog.take(6.0) is first


def test_an_attempt_counts_for_all() -> None:
    """An attempt that decides about all is counted by waiting, split and unsent requests; who has none left is given up."""
    backlog = Backlog([b"x"] * 10, 2, None, ordered=False)
    one, two = backlog.take_new(), backlog.take_new()
    one.tries = 2
    backlog.retry(one, 5.0)
    backlog.split(two)
    given_up = backlog.count_attempt(1.0, lambda tries, _since: tries >= 3)
    assert given_up == [one]
    assert [(r.first, r.tries, r.since) for r in (backlog.take(2.0), backlog.take(2.0), backlog.take(2.0))] == [
        *((2, 1, 1.0), (3, 1, 1.0), (4, 1, 1.0))
    ]
    (rest,) = backlog.count_attempt(3.0, lambda _tries, _since: True)
    assert (rest.first, rest.end, rest.tries) == (6, 10, 2)
    assert not backlog
