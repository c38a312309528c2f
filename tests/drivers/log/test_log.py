"""The log driver through Python's logging, and what can be wrong with its settings."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from dovebeam.transforms.drivers import Driver, LogDriver
from dovebeam.transforms.errors import DriverSettingError
from support.driver_contract import DriverContract
from support.oracle.corpus import CORPUS


class TestContract(DriverContract):
    @pytest.fixture
    def driver(self) -> Driver:
        return LogDriver()


class TestSyslogContract(DriverContract):
    @pytest.fixture
    def driver(self) -> Driver:
        return LogDriver("syslog:/nowhere/log", "local3")


def test_formatter_must_cut_strings() -> None:
    """Dovecot's log driver is the only one with a limit, 1000 bytes a string."""
    assert LogDriver.max_string_length == 1000


def test_logs_dovecots_payloads(caplog: pytest.LogCaptureFixture) -> None:
    """Every payload of the real log lines becomes one record at INFO of logger dovebeam.export, text unchanged."""
    lines = (CORPUS / "log-lines.txt").read_bytes().removesuffix(b"\n").split(b"\n")
    payloads = [line.partition(b"stats: Info: ")[2] for line in lines]
    with caplog.at_level(logging.INFO, "dovebeam.export"), LogDriver().open() as connection:
        assert connection.send(payloads) == []
    assert caplog.record_tuples == [
        ("dovebeam.export", logging.INFO, payload.decode("utf-8", "backslashreplace")) for payload in payloads
    ]


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"100%s %d %(name)s %%", "100%s %d %(name)s %%"),
        (b"", ""),
        (b"caf\xc3\xa9 \xff\xfe", "café \\xff\\xfe"),
        (b"{curly} \\ \x01\t", "{curly} \\ \x01\t"),
    ],
)
def test_payload_is_data(caplog: pytest.LogCaptureFixture, payload: bytes, text: str) -> None:
    """No character of a payload is interpreted, and bytes that are not UTF-8 stay readable."""
    with caplog.at_level(logging.INFO, "dovebeam.export"), LogDriver().open() as connection:
        assert connection.send([payload]) == []
    assert [record.getMessage() for record in caplog.records] == [text]


def test_program_without_logging_loses_nothing() -> None:
    """In a program that configured no logging the records still come out."""
    code = "from dovebeam.transforms.drivers import LogDriver\nwith LogDriver().open() as c: c.send([b'%d seen'])"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stderr == "%d seen\n"


def test_level_of_the_operator_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    """Somebody who silences this very logger means it."""
    with caplog.at_level(logging.ERROR, "dovebeam.export"), LogDriver().open() as connection:
        connection.send([b"x"])
        connection.flush()
        assert logging.getLogger("dovebeam.export").level == logging.ERROR
    assert caplog.records == []


@pytest.mark.parametrize(
    "target",
    [
        *("/dev/log", "syslog:", "syslog:host", "syslog:host:0", "syslog:host:65536", "syslog:a b:514", "udp:host:514"),
        *("syslog:::1:514", "syslog:[::1]", "syslog:/dev/l\0og", "syslog:host:514\n"),
    ],
)
def test_wrong_target_is_found_at_launch(target: str) -> None:
    """A target that is neither a socket nor HOST:PORT is refused with what can be written."""
    with pytest.raises(DriverSettingError, match=r"event_exporter_log_target: .*syslog:HOST:PORT"):
        LogDriver(target)


@pytest.mark.parametrize(
    ("target", "endpoint"),
    [("", "dovebeam.export"), ("syslog:/dev/log", "syslog:/dev/log"), ("syslog:[::1]:514", "syslog:[::1]:514")],
)
def test_endpoint(target: str, endpoint: str) -> None:
    """The endpoint is the logger's name or the target."""
    assert LogDriver(target).endpoint == endpoint


def test_wrong_facility_is_found_at_launch() -> None:
    """An unknown facility is refused with the nearest known one."""
    with pytest.raises(DriverSettingError, match=r"event_exporter_log_facility: .*'local1'|did you mean"):
        LogDriver("syslog:/dev/log", "locall")
