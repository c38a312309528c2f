"""Certificates, keys and their passwords that are replaced while a connection of http-post is in use."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovebeam.transforms.drivers import HttpPostDriver
from dovebeam.transforms.drivers.base import Connection
from dovebeam.transforms.drivers.http import handles
from dovebeam.transforms.errors import DeliveryError
from support.programs import wait_until
from support.servers.certificates import Authority, make_authority, move_link, rename_over, write_over
from support.servers.server_http import NO_CONTENT, Answer, Request, run_http_server, status

_HERE = "IP:127.0.0.1"
_AMPLE: dict[str, Any] = {"http_client_request_absolute_timeout_msec": 20_000}
_RETRIES: dict[str, Any] = {"http_client_request_max_attempts": 10_000, "http_post_retry_budget_msec": 60_000, **_AMPLE}


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority before."""
    return make_authority(tmp_path_factory.mktemp("old"), "old")


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority after."""
    return make_authority(tmp_path_factory.mktemp("new"), "new")


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at without waiting for the next second."""
    monkeypatch.setattr(handles, "_NOTICE_SECS", 0.0)


def _closing(_: int, _request: Request) -> Answer:
    """Each request gets a connection of its own."""
    return Answer(NO_CONTENT, close=True)


_WAYS = pytest.mark.parametrize("replace", [write_over, rename_over, move_link])


@_WAYS
def test_authority_that_is_replaced_at_once(
    tmp_path: Path, old: Authority, new: Authority, replace: Callable[..., None]
) -> None:
    """Server and file of CAs change together: new connections trust the new authority, and the old one no more."""
    trusted = tmp_path / "ca.pem"
    replace(trusted, old.certificate)
    old_context, new_context = old.context(_HERE), new.context(_HERE)
    with run_http_server(_closing, tls=old_context) as server:
        driver = HttpPostDriver(server.url, ssl_client_ca_file=str(trusted), **_AMPLE)
        with driver.open() as connection:
            assert connection.send([b"1", b"2"]) == []
            server.tls = new_context
            replace(trusted, new.certificate)
            assert connection.send([b"3", b"4"]) == []
            server.tls = old_context
            (failure,) = connection.send([b"5"])
    assert server.bodies == [b"1", b"2", b"3", b"4"]
    assert failure.reason.startswith("the server's certificate is refused: ")


@_WAYS
def test_authorities_that_overlap(tmp_path: Path, old: Authority, new: Authority, replace: Callable[..., None]) -> None:
    """First both are trusted, then the server changes, then only the new one is trusted: nothing is ever refused."""
    trusted = tmp_path / "ca.pem"
    replace(trusted, old.certificate)
    with run_http_server(_closing, tls=old.context(_HERE)) as server:
        driver = HttpPostDriver(server.url, ssl_client_ca_file=str(trusted), **_AMPLE)
        with driver.open() as connection:
            assert connection.send([b"1"]) == []
            replace(trusted, old.certificate, new.certificate)
            assert connection.send([b"2"]) == []
            server.tls = new.context(_HERE)
            assert connection.send([b"3"]) == []
            replace(trusted, new.certificate)
            assert connection.send([b"4"]) == []
    assert server.connections == 4


def test_replaced_files_end_kept_connections(tmp_path: Path, old: Authority) -> None:
    """What was trusted or shown before the change is not used on."""
    trusted = tmp_path / "ca.pem"
    write_over(trusted, old.certificate)
    with run_http_server(tls=old.context(_HERE)) as server:
        driver = HttpPostDriver(server.url, ssl_client_ca_file=str(trusted), **_AMPLE)
        with driver.open() as connection:
            assert connection.send([b"1"]) == []
            assert connection.send([b"2"]) == []
            rename_over(trusted, old.certificate)
            assert connection.send([b"3"]) == []
    assert [request.connection for request in server.requests] == [1, 1, 2]


def test_refused_certificate_is_retried(tmp_path: Path, old: Authority, new: Authority) -> None:
    """The batch waits, with pauses, until the file of CAs has the new authority."""
    trusted = tmp_path / "ca.pem"
    write_over(trusted, old.certificate)
    with run_http_server(_closing, tls=new.context(_HERE)) as server:

        def replace_later() -> None:
            with contextlib.suppress(BaseException):
                wait_until(lambda: server.connections >= 4, "a few refusals")
            rename_over(trusted, new.certificate)

        driver = HttpPostDriver(server.url, ssl_client_ca_file=str(trusted), **_RETRIES)
        thread = threading.Thread(target=replace_later)
        with driver.open() as connection:
            thread.start()
            assert connection.send([b"1", b"2"]) == []
        thread.join()
    assert server.bodies == [b"1", b"2"]
    assert server.connections < 100


@pytest.mark.parametrize("attempts", [1, 4])
def test_attempts_limit_refused_certificates(tmp_path: Path, old: Authority, new: Authority, attempts: int) -> None:
    """Each event is tried as often as the settings say, and is then a reject with that number."""
    with run_http_server(_closing, tls=new.context(_HERE)) as server:
        driver = HttpPostDriver(
            server.url,
            ssl_client_ca_file=str(old.certificate),
            http_client_request_max_attempts=attempts,
            http_client_connect_backoff_time_msec=1,
            **_AMPLE,
        )
        with driver.open() as connection:
            failures = connection.send([b"1", b"2"])
    assert [failure.attempts for failure in failures] == [attempts] * 2
    assert all(failure.reason.startswith("the server's certificate is refused: ") for failure in failures)
    assert server.requests == []


def test_budget_limits_refused_certificates(old: Authority, new: Authority) -> None:
    """The time for retries ends them, too, and they don't come at full speed."""
    with run_http_server(_closing, tls=new.context(_HERE)) as server:
        driver = HttpPostDriver(
            server.url,
            ssl_client_ca_file=str(old.certificate),
            **_RETRIES | {"http_post_retry_budget_msec": 500},
        )
        with driver.open() as connection:
            failures = connection.send([b"%d" % number for number in range(500)])
    assert len(failures) == 500
    assert server.connections < 100


def _client(folder: Path, **passwords: Any) -> dict[str, Any]:
    return {
        "ssl_client_cert_file": str(folder / "client.pem"),
        "ssl_client_key_file": str(folder / "client.key"),
        **passwords,
        **_AMPLE,
    }


def _shown(connection: Connection, clients: list[str]) -> str:
    """Sends something; the name in the certificate that the server saw."""
    assert connection.send([b"x"]) == []
    return clients[-1]


@_WAYS
@pytest.mark.parametrize("kept", [False, True], ids=["closed", "kept"])
def test_client_certificate_that_is_replaced(
    tmp_path: Path, old: Authority, replace: Callable[..., None], kept: bool
) -> None:
    """Certificate, key and the key's password: the server sees the new one, on connections that were kept, too."""
    clients: list[str] = []

    def answer(_: int, request: Request) -> Answer:
        clients.append(request.client)
        return Answer(NO_CONTENT, close=not kept)

    for folder in ("cert", "key", "password"):
        (tmp_path / folder).mkdir()
    paths = [tmp_path / "cert" / "client.pem", tmp_path / "key" / "client.key", tmp_path / "password" / "text"]

    def install(name: str) -> None:
        certificate, key = old.issue(name, "DNS:client", password=f"password of {name}")
        (tmp_path / "text").write_text(f"password of {name}")
        for path, source in zip(paths, (certificate, key, tmp_path / "text"), strict=True):
            replace(path, source)

    install("first")
    with run_http_server(answer, tls=old.context(_HERE, ask_client=True)) as server:
        driver = HttpPostDriver(
            server.url,
            ssl_client_ca_file=str(old.certificate),
            ssl_client_cert_file=str(paths[0]),
            ssl_client_key_file=str(paths[1]),
            ssl_client_key_password=f"file:{paths[2]}",
            **_AMPLE,
        )
        with driver.open() as connection:
            assert _shown(connection, clients) == "first"
            install("second")
            assert _shown(connection, clients) == "second"


def test_certificate_and_key_between_two_replacements(tmp_path: Path, old: Authority) -> None:
    """While they don't belong together attempts wait; without any the bundle fails, and nothing is rejected."""
    first, second = old.issue("first", "DNS:client"), old.issue("second", "DNS:client")
    for source, name in zip(first, ("client.pem", "client.key"), strict=True):
        shutil.copy(source, tmp_path / name)
    clients: list[str] = []

    def answer(_: int, request: Request) -> Answer:
        clients.append(request.client)
        return Answer(NO_CONTENT, close=True)

    with run_http_server(answer, tls=old.context(_HERE, ask_client=True)) as server:
        common = {"ssl_client_ca_file": str(old.certificate), **_client(tmp_path)}
        shutil.copy(second[0], tmp_path / "client.pem")
        with (
            HttpPostDriver(server.url, **common).open() as connection,
            pytest.raises(DeliveryError, match="no request can be made on this worker"),
        ):
            connection.send([b"x"])
        timer = threading.Timer(0.5, shutil.copy, (second[1], tmp_path / "client.key"))
        timer.start()
        with HttpPostDriver(server.url, **common | _RETRIES).open() as connection:
            assert _shown(connection, clients) == "second"
        timer.join()


def test_token_endpoint_with_a_replaced_authority(tmp_path: Path, old: Authority, new: Authority) -> None:
    """Tokens are fetched with the files as they are then."""
    trusted = tmp_path / "ca.pem"
    write_over(trusted, old.certificate)
    count = iter(range(1, 100))

    def issue(_: int, _request: Request) -> Answer:
        return status(200, body=json.dumps({"access_token": f"t{next(count)}", "token_type": "bearer"}).encode())

    def answer(_: int, request: Request) -> Answer:
        return Answer() if request.headers["authorization"] == wanted[0] else status(401)

    wanted = ["Bearer t1"]
    with run_http_server(issue, tls=old.context(_HERE)) as issuer, run_http_server(answer) as server:
        settings: dict[str, Any] = {
            "http_post_auth": "oauth2",
            "http_post_oauth2_token_url": issuer.url,
            "http_post_oauth2_client_id": "id",
            "http_post_oauth2_client_secret": "secret",
            "ssl_client_ca_file": str(trusted),
            **_AMPLE,
        }
        with pytest.MonkeyPatch.context() as patch, HttpPostDriver(server.url, **settings).open() as connection:
            patch.setattr("dovebeam.transforms.drivers.http.access._RETRY_SECS", 0.0)
            assert connection.send([b"1"]) == []
            issuer.tls = new.context(_HERE)
            rename_over(trusted, new.certificate)
            wanted[0] = "Bearer t2"
            assert connection.send([b"2"]) == []
    assert len(issuer.requests) == 2
