"""TLS of the http-post driver, against nginx with certificates of a test's own authority."""

from __future__ import annotations

import base64
import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dovebeam.transforms.drivers import HttpPostDriver
from dovebeam.transforms.errors import DeliveryError
from support.driver_contract import SECRET
from support.programs import wait_until
from support.servers.certificates import Authority, make_authority
from support.servers.nginx import Nginx, run_nginx
from support.servers.server_http import run_http_server, status

_AMPLE: dict[str, Any] = {"http_client_request_absolute_timeout_msec": 10_000}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that the servers' certificates are of."""
    return make_authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """A server for localhost and 127.0.0.1, TLS 1.2 and 1.3."""
    with run_nginx(tmp_path_factory.mktemp("nginx"), tls=_tls(*authority.issue("server", _HERE))) as nginx:
        yield nginx


_HERE = "DNS:localhost,IP:127.0.0.1"


def _tls(certificate: Path, key: Path, *more: str) -> str:
    return "\n".join([f"ssl_certificate {certificate};", f"ssl_certificate_key {key};", *more])


def test_trusted_server_gets_the_payload(authority: Authority, server: Nginx) -> None:
    """With its authority in ssl_client_ca_file the server is verified and used, by name and by address."""
    for host in ("localhost", "127.0.0.1"):
        driver = HttpPostDriver(
            f"https://{host}:{server.port}/", ssl_client_ca_file=str(authority.certificate), **_AMPLE
        )
        with driver.open() as connection:
            assert connection.send([b"a", b"b"]) == []


def test_redirect_to_tls_is_verified_as_configured(authority: Authority, server: Nginx) -> None:
    """A redirect that leads from http to https obeys the same settings as a target that is asked by TLS."""
    location = f"Location: https://127.0.0.1:{server.port}/"
    for ca_file, reason in ((str(authority.certificate), ""), ("", "the server's certificate is refused: ")):
        with run_http_server(lambda *_: status(307, location)) as plain:
            driver = HttpPostDriver(
                plain.url, http_client_request_max_redirects=1, ssl_client_ca_file=ca_file, **_AMPLE
            )
            with driver.open() as connection:
                failures = connection.send([b"a"])
        assert [failure.reason[: len(reason)] for failure in failures] == ([reason] if reason else [])


def test_url_by_reference_is_verified(authority: Authority, server: Nginx, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS is set up although the launching process does not know the scheme."""
    monkeypatch.setenv("DOVEBEAM_TEST_URL", f"{server.url}/")
    for ca_file, failed in ((str(authority.certificate), 0), ("", 1)):
        driver = HttpPostDriver("env:DOVEBEAM_TEST_URL", ssl_client_ca_file=ca_file, **_AMPLE)
        with driver.open() as connection:
            assert len(connection.send([b"a"])) == failed


def test_directory_of_authorities(authority: Authority, server: Nginx, tmp_path: Path) -> None:
    """The authority may also be in a prepared directory."""
    (tmp_path / "ca.pem").write_bytes(authority.certificate.read_bytes())
    subprocess.run(["openssl", "rehash", str(tmp_path)], check=True)
    with HttpPostDriver(server.url, ssl_client_ca_dir=str(tmp_path), **_AMPLE).open() as connection:
        assert connection.send([b"a"]) == []


def test_unknown_authority_is_refused(server: Nginx, tmp_path: Path) -> None:
    """Neither the system's trust nor another authority accepts the server; no payload is sent."""
    other = make_authority(tmp_path, "other")
    for ca_file in ("", str(other.certificate)):
        with HttpPostDriver(f"{server.url}/refused", ssl_client_ca_file=ca_file, **_AMPLE).open() as connection:
            (failure,) = connection.send([b"a"])
        assert failure.reason.startswith("the server's certificate is refused: ")
        assert "ssl_client_ca_*" in failure.reason
    with HttpPostDriver(f"{server.url}/last", ssl_client_require_valid_cert=False, **_AMPLE).open() as connection:
        assert connection.send([b"a"]) == []
    wait_until(lambda: "/last" in {entry["uri"] for entry in server.requests(1)}, "the last request in nginx's log")
    assert "/refused" not in {entry["uri"] for entry in server.requests(1)}


def test_ca_file_replaces_the_systems_trust(authority: Authority, server: Nginx, tmp_path: Path) -> None:
    """With a CA file of its own an exporter trusts nothing else, even where the system does."""
    other = make_authority(tmp_path, "other")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(authority.certificate))
        with HttpPostDriver(server.url, **_AMPLE).open() as connection:
            assert connection.send([b"a"]) == []
        with HttpPostDriver(server.url, ssl_client_ca_file=str(other.certificate), **_AMPLE).open() as connection:
            assert len(connection.send([b"a"])) == 1


@pytest.mark.parametrize(("name", "expired"), [("DNS:other.example", False), (_HERE, True)])
def test_wrong_certificate_is_refused_unless_told_otherwise(
    authority: Authority, tmp_path: Path, name: str, expired: bool
) -> None:
    """A wrong host name or an expired certificate; ssl_client_require_valid_cert = no takes both."""
    trust: dict[str, Any] = {"ssl_client_ca_file": str(authority.certificate), **_AMPLE}
    with run_nginx(tmp_path, tls=_tls(*authority.issue("wrong", name, expired=expired))) as nginx:
        with HttpPostDriver(nginx.url, **trust).open() as connection:
            (failure,) = connection.send([b"a"])
        assert failure.reason.startswith("the server's certificate is refused: ")
        assert failure.attempts == 1
        with HttpPostDriver(nginx.url, ssl_client_require_valid_cert=False, **trust).open() as connection:
            assert connection.send([b"a"]) == []
        assert len(nginx.requests(1)) == 1


def test_client_certificate(authority: Authority, tmp_path: Path) -> None:
    """Mutual TLS: with certificate, key and the key's password the server accepts, without it refuses."""
    certificate, key = authority.issue("client", "DNS:client", password=SECRET)
    verify = (f"ssl_client_certificate {authority.certificate};", "ssl_verify_client on;")
    settings: dict[str, Any] = {"ssl_client_ca_file": str(authority.certificate), **_AMPLE}
    with run_nginx(tmp_path, tls=_tls(*authority.issue("mutual", _HERE), *verify)) as nginx:
        with HttpPostDriver(nginx.url, **settings).open() as connection:
            assert [failure.status for failure in connection.send([b"a"])] == [400]
        settings |= {"ssl_client_cert_file": str(certificate), "ssl_client_key_file": str(key)}
        with HttpPostDriver(nginx.url, ssl_client_key_password=SECRET, **settings).open() as connection:
            assert connection.send([b"a"]) == []
        with (
            HttpPostDriver(nginx.url, ssl_client_key_password=f"{SECRET}wrong", **settings).open() as connection,
            pytest.raises(DeliveryError) as caught,
        ):
            connection.send([b"a"])
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize("attribute", ["ssl_client_ca_file", "ssl_client_cert_file"])
def test_file_without_a_certificate_fails_the_batch(server: Nginx, tmp_path: Path, attribute: str) -> None:
    """A file that holds no certificate is trouble of this side, not of a payload."""
    path = tmp_path / "garbage.pem"
    path.write_text("garbage\n")
    settings: dict[str, Any] = {attribute: str(path), **_AMPLE}
    driver = HttpPostDriver(server.url, **settings)
    with driver.open() as connection, pytest.raises(DeliveryError, match=r"no request can be made.*ssl_client_\*"):
        connection.send([b"a"])


def test_wrong_ciphers_fail_the_batch(authority: Authority, server: Nginx) -> None:
    """A cipher list that libcurl refuses is trouble of this side."""
    driver = HttpPostDriver(
        server.url, ssl_client_ca_file=str(authority.certificate), ssl_cipher_list="NO-SUCH-CIPHER", **_AMPLE
    )
    with driver.open() as connection, pytest.raises(DeliveryError):
        connection.send([b"a"])


@pytest.mark.parametrize(("minimum", "works"), [("TLSv1.2", True), ("TLSv1.3", False), ("LATEST", False)])
def test_oldest_version(authority: Authority, tmp_path: Path, minimum: str, works: bool) -> None:
    """A server that speaks TLS 1.2 only is good enough unless ssl_min_protocol says otherwise."""
    tls = _tls(*authority.issue("old", _HERE), "ssl_protocols TLSv1.2;")
    settings: dict[str, Any] = {"ssl_client_ca_file": str(authority.certificate), **_AMPLE}
    with run_nginx(tmp_path, tls=tls) as nginx:
        with HttpPostDriver(nginx.url, ssl_min_protocol=minimum, **settings).open() as connection:
            failures = connection.send([b"a"])
        assert not failures if works else failures[0].reason.startswith("TLS handshake failed: ")


def _tunnel(listener: socket.socket, seen: list[bytes]) -> None:
    """Serves one CONNECT."""
    client, _ = listener.accept()
    with client:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        seen.append(head)
        with socket.create_connection(("127.0.0.1", int(head.split(b" ")[1].rpartition(b":")[2]))) as target:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(target, client), daemon=True)
            back.start()
            _pump(client, target)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_RDWR)


def test_tunnel_through_a_proxy(authority: Authority, server: Nginx) -> None:
    """Https goes through CONNECT: the proxy sees host, port and its own credentials, nothing of the request."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_tunnel, args=(listener, seen), daemon=True).start()
        driver = HttpPostDriver(
            f"https://u:p@127.0.0.1:{server.port}/secret-path",
            http_client_proxy_url=f"http://pu:{SECRET}@127.0.0.1:{listener.getsockname()[1]}",
            ssl_client_ca_file=str(authority.certificate),
            **_AMPLE,
        )
        with driver.open() as connection:
            assert connection.send([b"a", b"b"]) == []
    (head,) = seen
    assert head.startswith(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % server.port)
    assert base64.b64encode(f"pu:{SECRET}".encode()) in head
    for private in (b"secret-path", b"Content-Type", base64.b64encode(b"u:p")):
        assert private not in head


def test_plain_http_on_a_tls_port_is_a_failure(server: Nginx) -> None:
    """The wrong scheme in the URL is refused by the server, with its status."""
    with HttpPostDriver(server.url.replace("https", "http"), **_AMPLE).open() as connection:
        assert [failure.status for failure in connection.send([b"a"])] == [400]
