"""The token bucket, and the limit of records a second."""

from __future__ import annotations

import logging
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.drivers import LogDriver
from dovebeam.transforms.drivers.rate_limit import TokenBucket, portions, shared_bucket
from support.programs import HANG_SECS
from support.servers.syslog_server import run_syslog_server

_RATES = st.floats(0.01, 10_000)
_STEPS = st.lists(st.tuples(st.integers(1, 500), st.floats(0, 3)), min_size=1, max_size=50)


class Time:
    """A clock that tests move."""

    now = 100.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def _burst(rate: float) -> float:
    return max(1.0, rate / 10)


@given(_STEPS, _RATES)
def test_no_span_has_more_than_the_rate_and_a_burst(steps: list[tuple[int, float]], rate: float) -> None:
    """Whatever is asked for when: from each take to each later one passes what the rate allows, and one burst."""
    clock = Time()
    bucket = TokenBucket(rate, clock)
    taken: list[tuple[float, int]] = []
    for most, idle in steps:
        clock.now += idle
        taken.append((clock.now, bucket.take(most)))
        assert 0 <= taken[-1][1] <= most
    for first in range(len(taken)):
        passed = sum(count for _, count in taken[first:])
        assert passed <= rate * (taken[-1][0] - taken[first][0]) + _burst(rate) + 1e-6


@given(_STEPS, _RATES)
def test_what_is_not_split_passes_when_its_first_token_is_there(steps: list[tuple[int, float]], rate: float) -> None:
    """What has passed before a block is never more than the rate allows and a burst."""
    clock = Time()
    bucket = TokenBucket(rate, clock)
    passed, begin = 0, clock.now
    for count, idle in steps:
        clock.now += idle
        clock.now += bucket.reserve(count)
        assert passed + 1 <= (rate * (clock.now - begin) + _burst(rate)) * (1 + 1e-9) + 1e-6
        passed += count


@given(st.integers(1, 100), _RATES)
def test_a_token_comes_when_it_is_due(times: int, rate: float) -> None:
    """Whoever waits as long as it says finds a token, and not a moment before."""
    clock = Time()
    bucket = TokenBucket(rate, clock)
    for _ in range(times):
        due = bucket.due_secs()
        assert (due == 0) == (bucket.take() == 1)
        clock.now += 0.99 * due
        assert bucket.take() == 0 or due == 0 or due * rate < 1e-6
        clock.now += 0.011 * due + 1e-9
    assert bucket.due_secs() <= 1 / rate


def test_a_bucket_is_full_at_first() -> None:
    """A tenth of a second's worth at once, then evenly; a rest saves up no more than that."""
    clock = Time()
    bucket = TokenBucket(100, clock)
    assert bucket.take(50) == 10
    assert bucket.due_secs() == pytest.approx(0.01)
    clock.now += 0.0101
    assert [bucket.take(), bucket.take()] == [1, 0]
    clock.now += 100
    assert bucket.take(50) == 10


@pytest.mark.parametrize("rate", [1, 5])
def test_slow_rates_begin_with_one(rate: int) -> None:
    """At low rates tokens come one by one from the start."""
    bucket = TokenBucket(rate, Time())
    assert bucket.take(2) == 1
    assert bucket.due_secs() == pytest.approx(1 / rate)


def test_time_is_not_saved_up() -> None:
    """After a long pause there is no burst: the second of two blocks waits for the first one's events."""
    clock = Time()
    bucket = TokenBucket(100, clock)
    clock.now += 60
    assert bucket.reserve(100) == 0
    assert bucket.reserve(100) == pytest.approx(0.91)


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_of_nothing_is_refused(rate: float) -> None:
    """It would never end."""
    with pytest.raises(ValueError, match="more than 0"):
        TokenBucket(rate)


def test_a_thing_has_one_bucket_for_each_rate() -> None:
    """Drivers of one target with the same limit share it; another target or limit has its own."""
    assert shared_bucket("test:a", 5) is shared_bucket("test:a", 5)
    assert shared_bucket("test:a", 5) is not shared_bucket("test:b", 5)
    assert shared_bucket("test:a", 5) is not shared_bucket("test:a", 6)


def test_no_limit_is_one_portion() -> None:
    """Without a limit nothing is cut or held back."""
    assert list(portions(None, 1000)) == [range(1000)]


def test_portions_are_all_records_in_order() -> None:
    """Nothing is left out, nothing comes twice."""
    found = list(portions(TokenBucket(1000), 350))
    assert [index for portion in found for index in portion] == list(range(350))
    assert max(map(len, found)) <= 100


@pytest.mark.parametrize(("rate", "count"), [(500, 300), (3, 3)])
def test_portions_keep_the_rate(rate: int, count: int) -> None:
    """The first tenth of a second's records pass at once, the others at the rate."""
    begin = time.monotonic()
    assert sum(map(len, portions(TokenBucket(rate), count))) == count
    assert time.monotonic() - begin >= (count - _burst(rate)) / rate - 0.01


def test_threads_share_a_log() -> None:
    """Connections of one process to one log keep the rate together; another log has its own."""
    with run_syslog_server() as server:
        driver = LogDriver(f"syslog+tcp:127.0.0.1:{server.port}", log_rate_limit=400)

        def send() -> None:
            with driver.open() as connection:
                connection.send([b"x"] * 100)
                connection.flush()

        begin = time.monotonic()
        threads = [threading.Thread(target=send) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(HANG_SECS)
        assert (300 - 40) / 400 - 0.01 <= time.monotonic() - begin < 60
        assert len(server.texts()) == 300


def test_runners_log_keeps_the_rate(caplog: pytest.LogCaptureFixture) -> None:
    """The limit holds for the runner's log, too."""
    begin = time.monotonic()
    with (
        caplog.at_level(logging.INFO, "dovebeam.export"),
        LogDriver(log_rate_limit=197).open() as connection,
    ):
        connection.send([b"%d" % number for number in range(100)])
    assert time.monotonic() - begin >= 0.38
    assert [record.getMessage() for record in caplog.records] == [str(number) for number in range(100)]
