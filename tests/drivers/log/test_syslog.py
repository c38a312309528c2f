"""The log driver's syslog side, against rsyslogd and bare sockets."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from dovebeam.transforms.drivers import LogDriver
from dovebeam.transforms.drivers.log.settings import FACILITIES
from dovebeam.transforms.errors import DeliveryError
from support.oracle.corpus import corpus_lines
from support.programs import free_port, leave_out
from support.servers.server_unix import bound, run_unix_listener
from support.servers.syslog_daemon import run_rsyslogd

_MESSAGE = re.compile(rb"<(\d+)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z ([!-~]+) dovebeam (\d+) - - (.*)\Z", re.DOTALL)


@pytest.mark.parametrize("way", ["socket", "udp"])
def test_rsyslogd_takes_real_events(tmp_path: Path, way: str) -> None:
    """A real daemon reads each part where RFC 5424 puts it, and the payload whole."""
    payloads = [line for line in corpus_lines("events.json.gz")[:300] if len(line) < 4000]
    with run_rsyslogd(tmp_path) as daemon:
        target = f"syslog:{daemon.socket}" if way == "socket" else f"syslog:127.0.0.1:{daemon.port}"
        with LogDriver(target, "local3").open() as connection:
            for start in range(0, len(payloads), 20):
                assert connection.send(payloads[start : start + 20]) == []
                daemon.messages(min(start + 20, len(payloads)))  # UDP has no flow control
            connection.flush()
        messages = daemon.messages(len(payloads))
    assert len(messages) == len(payloads)
    for message, payload in zip(messages, payloads, strict=True):
        assert message[:6] == [str(19 * 8 + 6), "1", "dovebeam", str(os.getpid()), "-", "-"]
        assert message[6] == socket.gethostname()
        assert message[7].encode("utf-8", "surrogateescape").endswith(b" - - " + payload)


@pytest.mark.parametrize(("facility", "code"), [("mail", 2), ("kern", 0), ("local7", 23)])
def test_message_is_rfc_5424(tmp_path: Path, facility: str, code: int) -> None:
    """Priority, time in UTC, host, program, process; the payload's bytes follow untouched."""
    path = tmp_path / "log"
    payload = b"100% caf\xc3\xa9 \xff\x01\t"
    with bound(socket.AF_UNIX, str(path)) as receiver, LogDriver(f"syslog:{path}", facility).open() as connection:
        assert connection.send([payload, b""]) == []
        for expected in (payload, b""):
            found = _MESSAGE.match(receiver.recv(65536))
            assert found is not None
            assert int(found[1]) == code * 8 + 6 == FACILITIES[facility] * 8 + 6
            assert int(found[3]) == os.getpid()
            assert found[4] == expected


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_udp_datagrams(family: int, host: str) -> None:
    """One datagram a payload, over IPv4 and IPv6."""
    if family == socket.AF_INET6 and not Path("/proc/net/if_inet6").exists():
        leave_out("this machine has no IPv6")
    with bound(family, (host, 0)) as receiver:
        address = f"[{host}]" if ":" in host else host
        with LogDriver(f"syslog:{address}:{receiver.getsockname()[1]}").open() as connection:
            assert connection.send([b"one", b"two"]) == []
            assert [receiver.recv(65536).rpartition(b" ")[2] for _ in range(2)] == [b"one", b"two"]


def test_over_long_datagram_is_a_failure(tmp_path: Path) -> None:
    """What does not fit is named, never cut, and does not stop the others."""
    with bound(socket.AF_INET, ("127.0.0.1", 0)) as receiver:
        port = receiver.getsockname()[1]
        with LogDriver(f"syslog:127.0.0.1:{port}").open() as connection:
            failures = connection.send([b"before", b"x" * 70_000, b"after"])
        assert [receiver.recv(65536).rpartition(b" ")[2] for _ in range(2)] == [b"before", b"after"]
    assert [(f.index, f.endpoint) for f in failures] == [(1, f"127.0.0.1:{port}")]
    assert "does not fit into one datagram" in failures[0].reason


def test_stream_socket_gets_lines(tmp_path: Path) -> None:
    """A socket of type stream gets one line a record; a line break in a payload is a failure, as it would split it."""
    path = tmp_path / "log"
    with run_unix_listener(path) as listener, LogDriver(f"syslog:{path}").open() as connection:
        failures = connection.send([b"one", b"t\nwo", b"three"])
        assert [failure.index for failure in failures] == [1]
        connection.send([b"x" * 100_000])
        connection.close()
        data = listener.wait_for(100_000)
    lines = data.splitlines()
    assert [_MESSAGE.match(line)[4] for line in lines] == [b"one", b"three", b"x" * 100_000]  # type: ignore[index]


def test_missing_socket_fails_the_batch(tmp_path: Path) -> None:
    """No daemon is an infrastructure error that names the socket."""
    path = tmp_path / "log"
    with (
        LogDriver(f"syslog:{path}", log_retry_budget_msec=0).open() as connection,
        pytest.raises(DeliveryError, match=r"connect\(.*log\) failed: No such file or directory \(there is no socket"),
    ):
        connection.send([b"x"])


def test_restarted_daemon_gets_the_rest(tmp_path: Path) -> None:
    """A daemon that comes back under the same path is found again."""
    path = tmp_path / "log"
    with LogDriver(f"syslog:{path}").open() as connection:
        for text in (b"one", b"two"):
            with bound(socket.AF_UNIX, str(path)) as receiver:
                assert connection.send([text]) == []
                assert receiver.recv(65536).endswith(b" one")
                if text != b"one":  # nothing told that the first daemon had read it
                    assert receiver.recv(65536).endswith(text)
            path.unlink()


def test_closed_udp_port_is_noticed() -> None:
    """A refused datagram fails a batch: the one after it, or the flush."""
    with LogDriver(f"syslog:127.0.0.1:{free_port()}").open() as connection:
        connection.send([b"x"])
        with pytest.raises(DeliveryError, match="Connection refused"):
            connection.flush()
        connection.send([b"y"])
        with pytest.raises(DeliveryError, match="Connection refused"):
            connection.send([b"z"])


def test_unknown_host_fails_the_batch() -> None:
    """A name that cannot be looked up is an infrastructure error that names the setting."""
    with (
        LogDriver("syslog:nonexistent.invalid:514").open() as connection,
        pytest.raises(DeliveryError, match=r"nonexistent\.invalid.*event_exporter_log_target"),
    ):
        connection.send([b"x"])


def test_daemon_that_stalls_ends_in_an_error(tmp_path: Path) -> None:
    """A local daemon that takes nothing cannot hold the driver for ever."""
    path = tmp_path / "log"
    with (
        bound(socket.AF_UNIX, str(path)),
        LogDriver(f"syslog:{path}", log_write_timeout_msec=100).open() as connection,
        pytest.raises(DeliveryError, match="read nothing for 100 ms"),
    ):
        connection.send([b"x" * 1000] * 2000)
