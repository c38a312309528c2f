"""The drop driver."""

from __future__ import annotations

import pytest

from dovebeam.transforms.drivers import Driver, DropDriver
from support.driver_contract import DriverContract


class TestContract(DriverContract):
    @pytest.fixture
    def driver(self) -> Driver:
        return DropDriver()


def test_counts_and_discards() -> None:
    """Everything counts as delivered, and is counted."""
    with DropDriver().open() as connection:
        assert connection.send([b"one", b"", b"three"]) == []
        assert connection.send([b"four"]) == []
        assert (connection.payloads, connection.bytes) == (4, 12)
