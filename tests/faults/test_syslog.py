"""The log driver against a real rsyslogd that is restarted or killed in the middle, by every way there."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

from support.jobs.delivery_job import DeliveryJob, ids_in
from support.programs import wait_until
from support.servers.certificates import Authority, make_authority
from support.servers.syslog_daemon import SyslogDaemon, run_rsyslogd

EVENTS = 20_000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority."""
    return make_authority(tmp_path_factory.mktemp("ca"))


def settings(daemon: SyslogDaemon, way: str, authority: Authority, folder: Path) -> list[str]:
    """The lines of an exporter."""
    if way == "local":
        return [f"log_target = syslog:{daemon.socket}"]
    if way == "tcp":
        return [f"log_target = syslog+tcp:127.0.0.1:{daemon.tcp_port}"]
    certificate, key = authority.issue("client", "DNS:client")
    return [
        f"log_target = syslog+tls:127.0.0.1:{daemon.tls_port}",
        f"ssl_client_ca_file = {authority.certificate}",
        f"ssl_client_cert_file = {certificate}",
        f"ssl_client_key_file = {key}",
    ]


def messages(folder: Path) -> bytes:
    """What the daemons wrote."""
    path = folder / "messages"
    return path.read_bytes() if path.exists() else b""


@pytest.mark.parametrize("way", ["local", "tcp", "tls"])
def test_restart_in_the_middle(tmp_path: Path, authority: Authority, way: str) -> None:
    """A daemon that is stopped and comes back a moment later has every event in the end, each in a whole record."""
    folder = tmp_path / "rsyslog"
    folder.mkdir()
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        daemon = first.enter_context(run_rsyslogd(folder, authority))
        job = DeliveryJob(
            tmp_path, "log", *settings(daemon, way, authority, folder), "log_retry_budget = 30 s", events=EVENTS
        )

        def restart() -> None:
            wait_until(lambda: len(messages(folder)) > 300_000, "messages")
            first.close()
            time.sleep(0.5)
            ports = daemon.port, daemon.tcp_port, daemon.tls_port
            second.enter_context(run_rsyslogd(folder, authority, ports))

        code, err = job.run(restart)
        assert code == 0, err
        wait_until(lambda: set(ids_in(messages(folder))) >= set(job.ids), "every event")
    assert set(ids_in(messages(folder))) == set(job.ids)
    for line in messages(folder).splitlines():
        assert line.count(b"fault_test") == 1
        assert line.endswith(b"}}")
    job.check_ledger()


def test_daemon_that_stays_away_fails_the_job(tmp_path: Path, authority: Authority) -> None:
    """After the budget the job fails and says where; run again, everything arrives."""
    folder = tmp_path / "rsyslog"
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(run_rsyslogd(folder))
        target = settings(daemon, "tcp", authority, folder)
        job = DeliveryJob(tmp_path, "log", *target, "log_retry_budget = 1 s", events=EVENTS)

        def stop() -> None:
            wait_until(lambda: len(messages(folder)) > 300_000, "messages")
            stack.close()

        code, err = job.run(stop)
    assert code == 1
    assert f"connect(127.0.0.1:{daemon.tcp_port}) failed: Connection refused" in err
    with run_rsyslogd(folder, ports=(daemon.port, daemon.tcp_port, daemon.tls_port)):
        code, err = job.run()
        assert code == 0, err
        wait_until(lambda: set(ids_in(messages(folder))) >= set(job.ids), "every event")


def test_rate_limit(tmp_path: Path) -> None:
    """Records leave no faster than they may, and all of them arrive."""
    folder = tmp_path / "rsyslog"
    folder.mkdir()
    with run_rsyslogd(folder) as daemon:
        lines = [f"log_target = syslog:{daemon.socket}", "log_rate_limit = 2000"]
        job = DeliveryJob(tmp_path, "log", *lines, events=6000)
        begin = time.monotonic()
        code, err = job.run()
        assert time.monotonic() - begin > 2.9
        assert code == 0, err
        wait_until(lambda: len(ids_in(messages(folder))) >= 6000, "every event")
    assert ids_in(messages(folder)) == job.ids
