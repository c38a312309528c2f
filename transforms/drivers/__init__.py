"""Dovecot's export drivers: they deliver the bytes that a formatter made, and say what could not be delivered.

A `Driver` is a value that travels to the workers; its `open()` gives the `Connection` that sends batches there.
"""

from dovebeam.transforms.drivers.base import Batch, Connection, Driver, Failure, Router, RoutingError
from dovebeam.transforms.drivers.drop import DropDriver
from dovebeam.transforms.drivers.file.driver import FileDriver
from dovebeam.transforms.drivers.http.driver import HttpPostDriver
from dovebeam.transforms.drivers.log.driver import LogDriver
from dovebeam.transforms.drivers.registry import DRIVER_NAMES, DRIVER_SETTINGS, DRIVERS, driver_class
from dovebeam.transforms.drivers.unix import UnixDriver

__all__ = [
    "DRIVERS",
    "DRIVER_NAMES",
    "DRIVER_SETTINGS",
    "Batch",
    "Connection",
    "Driver",
    "DropDriver",
    "Failure",
    "FileDriver",
    "HttpPostDriver",
    "LogDriver",
    "Router",
    "RoutingError",
    "UnixDriver",
    "driver_class",
]
