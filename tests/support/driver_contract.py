"""The laws that every driver obeys; the test of a driver inherits them and says how to make one."""

from __future__ import annotations

import dataclasses
import inspect
import pickle

import pytest

from dovebeam.transforms.drivers import DRIVERS, Connection, Driver
from dovebeam.transforms.errors import UnknownNameError

SECRET = "hunter2-never-shown"


class DriverContract:
    """Inherit, and give a fixture `driver` whose settings hold `SECRET` wherever a secret can be."""

    def test_is_registered_under_its_name(self, driver: Driver) -> None:
        """The registry finds the class by the name that it has itself."""
        assert DRIVERS[driver.name] is type(driver)

    def test_is_a_frozen_value(self, driver: Driver) -> None:
        """A driver cannot be changed and is equal to one with the same settings."""
        assert dataclasses.replace(driver) == driver  # type: ignore[type-var]  # all drivers are dataclasses
        assert hash(dataclasses.replace(driver)) == hash(driver)  # type: ignore[type-var]
        for field in dataclasses.fields(driver):  # type: ignore[arg-type]
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(driver, field.name, None)

    @pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
    def test_travels_to_a_worker(self, driver: Driver, protocol: int) -> None:
        """Pickling gives an equal driver, before and after it was opened."""
        with driver.open():
            assert pickle.loads(pickle.dumps(driver, protocol)) == driver

    def test_shows_no_secret(self, driver: Driver) -> None:
        """Neither the representation nor the display items nor the endpoint holds a secret."""
        items = driver.display_items()
        assert SECRET not in f"{driver!r} {driver} {items} {driver.endpoint}"
        assert items["driver"] == driver.name
        assert all(isinstance(value, str | int | bool) for value in items.values())

    def test_empty_batch_touches_nothing(self, driver: Driver) -> None:
        """An empty batch has no failures and needs no target."""
        with driver.open() as connection:
            assert connection.send([]) == []
            connection.flush()

    def test_closes_twice(self, driver: Driver) -> None:
        """The second close does nothing."""
        connection = driver.open()
        connection.close()
        connection.close()

    def test_send_after_close_is_an_error(self, driver: Driver) -> None:
        """A closed connection refuses batches, empty ones too."""
        connection: Connection = driver.open()
        connection.close()
        for batch in ([b"x"], []):
            with pytest.raises(ValueError, match="closed"):
                connection.send(batch)

    def test_documents_parallelism_and_guarantee(self, driver: Driver) -> None:
        """The docstring ends with a paragraph on parallelism and one on delivery."""
        paragraphs = (inspect.getdoc(type(driver)) or "").split("\n\n")
        assert [paragraph.split(":")[0] for paragraph in paragraphs[-2:]] == ["Parallelism", "Delivery"]


def unknown_name(name: str) -> UnknownNameError:
    """The error of the registry for a name."""
    from dovebeam.transforms.drivers import driver_class

    with pytest.raises(UnknownNameError) as caught:
        driver_class(name)
    return caught.value
