"""The limit of records a second."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from dovebeam.transforms.drivers import LogDriver
from dovebeam.transforms.drivers.log_rate import RateLimit
from support.syslog_server import run_syslog_server


def test_no_limit_is_one_portion() -> None:
    """Without a limit nothing is cut or held back."""
    assert list(RateLimit(0).portions(1000)) == [range(1000)]


def test_portions_are_all_records_in_order() -> None:
    """Nothing is left out, nothing comes twice."""
    portions = list(RateLimit(1000).portions(350))
    assert [index for portion in portions for index in portion] == list(range(350))
    assert max(map(len, portions)) <= 100


@pytest.mark.parametrize(("rate", "count"), [(500, 300), (3, 3)])
def test_rate_is_kept(rate: int, count: int) -> None:
    """The first tenth of a second's records pass at once, the others at the rate."""
    begin = time.monotonic()
    limit = RateLimit(rate)
    assert sum(map(len, limit.portions(count))) == count
    least = (count - max(1, rate / 10)) / rate
    assert least - 0.01 <= time.monotonic() - begin < least + 1


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
            thread.join(60)
        assert (300 - 40) / 400 - 0.01 <= time.monotonic() - begin < 3
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
