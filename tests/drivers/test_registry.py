"""The registry of drivers, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dovebeam.transforms.drivers import DRIVER_NAMES, DRIVERS, driver_class
from support.driver_contract import unknown_name


def test_has_dovecots_five_drivers() -> None:
    """The names are those of event_exporter_driver."""
    assert set(DRIVER_NAMES) == set(DRIVERS) == {"log", "file", "unix", "http-post", "drop"}
    assert all(driver_class(name).name == name for name in DRIVER_NAMES)


@pytest.mark.parametrize(("wrong", "near"), [("http_post", "http-post"), ("flie", "file"), ("File", "file"), ("", "")])
def test_a_miss_names_what_exists(wrong: str, near: str) -> None:
    """An unknown name is an error with the list and the nearest name."""
    error = unknown_name(wrong)
    assert str(error).startswith(f"unknown driver {wrong!r}; supported: drop, file, http-post, log, unix")
    assert near in str(error)


def test_import_loads_no_heavy_module() -> None:
    """libcurl, asyncio and Beam are not loaded by importing the drivers."""
    heavy = "{'pycurl', 'asyncio', 'ssl', 'apache_beam'}"
    code = f"import sys, dovebeam.transforms.drivers; print({heavy} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "set()"
