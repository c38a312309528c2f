"""Certificates, keys and their passwords that are replaced while a connection to a syslog by TLS is in use."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dovebeam.transforms.drivers import Connection, LogDriver
from dovebeam.transforms.errors import DeliveryError
from support.programs import wait_until
from support.servers.certificates import Authority, make_authority, move_link, rename_over, write_over
from support.servers.syslog_server import run_syslog_server

_HERE = "IP:127.0.0.1"
_WAYS = pytest.mark.parametrize("replace", [write_over, rename_over, move_link])


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority before."""
    return make_authority(tmp_path_factory.mktemp("old"), "old")


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority after."""
    return make_authority(tmp_path_factory.mktemp("new"), "new")


def _send(connection: Connection, text: bytes) -> None:
    """A bundle of one record; its end ends the connection to the server."""
    connection.send([text])
    connection.flush()


@_WAYS
def test_authority_that_is_replaced_at_once(
    tmp_path: Path, old: Authority, new: Authority, replace: Callable[..., None]
) -> None:
    """Server and file of CAs change together: new connections trust the new authority, and the old one no more."""
    trusted = tmp_path / "ca.pem"
    replace(trusted, old.certificate)
    old_context = old.context(_HERE)
    with run_syslog_server(old_context) as server:
        target = f"syslog+tls:127.0.0.1:{server.port}"
        driver = LogDriver(target, ssl_client_ca_file=str(trusted), log_retry_budget_msec=500)
        with driver.open() as connection:
            _send(connection, b"1")
            server.context = new.context(_HERE)
            replace(trusted, new.certificate)
            _send(connection, b"2")
            server.context = old_context
            with pytest.raises(DeliveryError, match="its certificate is refused"):
                _send(connection, b"3")
        assert server.texts() == [b"1", b"2"]


@_WAYS
def test_authorities_that_overlap(tmp_path: Path, old: Authority, new: Authority, replace: Callable[..., None]) -> None:
    """First both are trusted, then the server changes, then only the new one is trusted: nothing is ever refused."""
    trusted = tmp_path / "ca.pem"
    replace(trusted, old.certificate)
    with run_syslog_server(old.context(_HERE)) as server:
        driver = LogDriver(
            f"syslog+tls:127.0.0.1:{server.port}", ssl_client_ca_file=str(trusted), log_retry_budget_msec=0
        )
        with driver.open() as connection:
            _send(connection, b"1")
            replace(trusted, old.certificate, new.certificate)
            _send(connection, b"2")
            server.context = new.context(_HERE)
            _send(connection, b"3")
            replace(trusted, new.certificate)
            _send(connection, b"4")
        assert server.texts() == [b"1", b"2", b"3", b"4"]


def test_refused_certificate_is_waited_for(tmp_path: Path, old: Authority, new: Authority) -> None:
    """A batch waits within log_retry_budget until the file of CAs has the server's authority."""
    trusted = tmp_path / "ca.pem"
    write_over(trusted, old.certificate)
    with run_syslog_server(new.context(_HERE)) as server:

        def replace_later() -> None:
            with contextlib.suppress(BaseException):
                wait_until(lambda: server.connections >= 3, "a few refusals")
            rename_over(trusted, new.certificate)

        driver = LogDriver(
            f"syslog+tls:127.0.0.1:{server.port}", ssl_client_ca_file=str(trusted), log_retry_budget_msec=60_000
        )
        thread = threading.Thread(target=replace_later)
        with driver.open() as connection:
            thread.start()
            _send(connection, b"x")
        thread.join()
        assert server.texts() == [b"x"]
        assert server.connections < 100


@_WAYS
def test_client_certificate_that_is_replaced(tmp_path: Path, old: Authority, replace: Callable[..., None]) -> None:
    """Certificate, key and the key's password; while they don't belong together the ones before are shown."""
    for folder in ("cert", "key", "password"):
        (tmp_path / folder).mkdir()
    paths = [tmp_path / "cert" / "client.pem", tmp_path / "key" / "client.key", tmp_path / "password" / "text"]

    def made(name: str) -> list[Path]:
        text = tmp_path / f"{name}.password"
        text.write_text(f"password of {name}")
        return [*old.issue(name, "DNS:client", password=f"password of {name}"), text]

    for path, source in zip(paths, made("first"), strict=True):
        replace(path, source)
    with run_syslog_server(old.context(_HERE, ask_client=True)) as server:
        driver = LogDriver(
            f"syslog+tls:127.0.0.1:{server.port}",
            ssl_client_ca_file=str(old.certificate),
            ssl_client_cert_file=str(paths[0]),
            ssl_client_key_file=str(paths[1]),
            ssl_client_key_password=f"file:{paths[2]}",  # type: ignore[arg-type]
        )
        with driver.open() as connection:
            _send(connection, b"x")
            for path, source in zip(paths, made("second"), strict=True):
                assert server.clients[-1] == "first"
                replace(path, source)
                _send(connection, b"x")
        assert server.clients == ["first", "first", "first", "second"]
