"""What http-post puts on the wire, compared with what a real Dovecot put there."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
from pathlib import Path
from typing import Any

import pycurl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dovebeam.transforms.drivers import HttpPostDriver
from dovebeam.transforms.drivers.http.access import Access
from dovebeam.transforms.drivers.http.handles import HandlePool, http_date
from support.oracle.corpus import CORPUS, corpus_lines
from support.servers.nginx import run_nginx
from support.servers.server_http import HttpServer, run_http_server

_FORMATS = {"application/json": "json", "text/plain": "tab-text", "application/octet-stream": "none"}
_ANY_TIME = 10_000


def _dovecot_requests() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CORPUS / "http-post.jsonl").read_text().splitlines()]


def _lines(head: bytes, port: int) -> list[str]:
    """The lines of a head, the date and the port replaced."""
    text = re.sub(r"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", "Date: now", head.decode("latin-1"))
    return text.replace(f"127.0.0.1:{port}", "host").removesuffix("\r\n\r\n").split("\r\n")


def test_requests_equal_dovecots() -> None:
    """Every real request, sent again: the same lines and the same body.

    One difference: Dovecot ends with Content-Length, Connection, Content-Type, libcurl orders these three by itself.
    """
    requests = _dovecot_requests()
    port = int(re.search(rb"Host: 127\.0\.0\.1:(\d+)", base64.b64decode(requests[0]["raw_head_b64"]))[1])  # type: ignore[index]
    with run_http_server() as server:
        connections = {}
        for request in requests:
            kind = dict(request["headers"])["Content-Type"]
            if request["path"] not in connections:
                driver = HttpPostDriver(
                    server.url + request["path"],
                    format=_FORMATS[kind],
                    http_client_request_absolute_timeout_msec=_ANY_TIME,
                )
                connections[request["path"]] = driver.open()
            assert connections[request["path"]].send([request["body"].encode()]) == []
        for connection in connections.values():
            connection.close()
        assert server.connections == len(connections) == 3
    for ours, dovecots in zip(server.requests, requests, strict=True):
        expected = _lines(base64.b64decode(dovecots["raw_head_b64"]), port)
        actual = _lines(ours.head, server.port)
        assert actual[:3] == expected[:3]
        assert sorted(actual[3:]) == sorted(expected[3:])
        assert ours.body == dovecots["body"].encode()


def test_basic_authentication_stands_where_dovecot_puts_it() -> None:
    """User and password, %XX decoded, go into the header and not into the request line."""
    with (
        run_http_server() as server,
        HttpPostDriver(
            f"http://us%40er:p%3Ass@127.0.0.1:{server.port}/x?y=1", http_client_request_absolute_timeout_msec=_ANY_TIME
        ).open() as connection,
    ):
        assert connection.send([b"{}"]) == []
    lines = server.requests[0].lines
    assert lines[0] == "POST /x?y=1 HTTP/1.1"
    names = [line.partition(":")[0] for line in lines[1:]]
    assert names[:3] == ["Host", "Date", "Authorization"]
    assert sorted(names[3:]) == ["Connection", "Content-Length", "Content-Type"]
    assert server.requests[0].headers["authorization"] == "Basic " + base64.b64encode(b"us@er:p:ss").decode()


def test_user_agent_only_if_set() -> None:
    """A User-Agent is sent when http_client_user_agent is set."""
    with (
        run_http_server() as server,
        HttpPostDriver(
            server.url, http_client_user_agent="dovebeam/1", http_client_request_absolute_timeout_msec=_ANY_TIME
        ).open() as connection,
    ):
        connection.send([b""])
    assert server.requests[0].headers["user-agent"] == "dovebeam/1"


@pytest.fixture(scope="module")
def echo_server() -> Any:
    """One server for many examples."""
    with run_http_server() as server:
        yield server


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.lists(st.binary(max_size=200) | st.sampled_from([b"", b"\0", b"a\0b\r\n\r\n"]), max_size=12))
def test_bodies_arrive_as_they_are(echo_server: HttpServer, batch: list[bytes]) -> None:
    """Any bytes, NUL and empty ones too, arrive in order, each in a request of its own."""
    echo_server.requests.clear()
    with HttpPostDriver(echo_server.url, http_client_request_absolute_timeout_msec=_ANY_TIME).open() as connection:
        assert connection.send(batch) == []
    assert echo_server.bodies == batch
    assert all(request.headers["content-length"] == str(len(request.body)) for request in echo_server.requests)


def test_large_body_has_no_expect_and_is_not_chunked() -> None:
    """A body beyond libcurl's limit for Expect goes out at once, with its length."""
    body = b"x" * 5_000_000
    with (
        run_http_server() as server,
        HttpPostDriver(server.url, http_client_request_absolute_timeout_msec=_ANY_TIME).open() as connection,
    ):
        assert connection.send([body]) == []
    assert server.bodies == [body]
    assert {"expect", "transfer-encoding", "accept", "user-agent"}.isdisjoint(server.requests[0].headers)


@pytest.mark.parametrize("parallel", [1, 8])
def test_nginx_takes_real_events(tmp_path: Path, parallel: int) -> None:
    """A real server gets each event of the corpus once, whole, over as many kept-alive connections as allowed."""
    payloads = [line for line in corpus_lines("events.json.gz")[:1000] if line.isascii()]
    driver_settings: dict[str, Any] = {
        "http_client_max_parallel_connections": parallel,
        "http_client_request_absolute_timeout_msec": _ANY_TIME,
    }
    with run_nginx(tmp_path) as server, HttpPostDriver(f"{server.url}/in?a=b", **driver_settings).open() as connection:
        for start in range(0, len(payloads), 100):
            assert connection.send(payloads[start : start + 100]) == []
        log = server.requests(len(payloads))
    assert len(log) == len(payloads)
    assert {(entry["method"], entry["uri"], entry["type"], entry["agent"]) for entry in log} == {
        ("POST", "/in?a=b", "application/json", "")
    }
    lengths = [int(entry["length"]) for entry in log]
    assert (lengths if parallel == 1 else sorted(lengths)) == (
        [len(p) for p in payloads] if parallel == 1 else sorted(map(len, payloads))
    )
    assert len({entry["connection"] for entry in log}) <= parallel


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where mail data goes is the configuration's business alone."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with (
        run_http_server() as server,
        HttpPostDriver(server.url, http_client_request_absolute_timeout_msec=_ANY_TIME).open() as connection,
    ):
        assert connection.send([b"{}"]) == []


def test_http_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configured proxy gets the absolute URL and its own credentials, no Connection header; no_proxy changes nothing."""
    monkeypatch.setenv("no_proxy", "*")
    with run_http_server() as proxy:
        driver = HttpPostDriver(
            "http://u:p@target.example/path",
            http_client_proxy_url=proxy.url,
            http_client_proxy_username="pu",
            http_client_proxy_password="pp",
            http_client_request_absolute_timeout_msec=_ANY_TIME,
        )
        with driver.open() as connection:
            assert connection.send([b"{}"]) == []
    request = proxy.requests[0]
    assert request.lines[0] == "POST http://target.example/path HTTP/1.1"
    assert request.headers["proxy-authorization"] == "Basic " + base64.b64encode(b"pu:pp").decode()
    assert request.headers["authorization"] == "Basic " + base64.b64encode(b"u:p").decode()
    assert {"connection", "proxy-connection"}.isdisjoint(request.headers)


@pytest.mark.parametrize(
    ("second", "text"),
    [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (1_795_335_547, "Sun, 22 Nov 2026 08:19:07 GMT"),
        (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT"),
    ],
)
def test_date_header(second: int, text: str) -> None:
    """IMF-fixdate, in English whatever the locale."""
    assert http_date(second) == text


def _socket_option(handle: Any, option: int) -> int:
    """An option of the socket of a handle's connection."""
    with socket.socket(fileno=os.dup(handle.getinfo(pycurl.ACTIVESOCKET))) as duplicate:
        return duplicate.getsockopt(socket.SOL_SOCKET, option)


def test_sizes_of_socket_buffers() -> None:
    """The settings reach the sockets; Linux doubles what is asked for."""
    with run_http_server() as server:
        driver = HttpPostDriver(
            server.url,
            http_client_socket_send_buffer_size=20_000,
            http_client_socket_recv_buffer_size=30_000,
            http_client_request_absolute_timeout_msec=_ANY_TIME,
        )
        pool = HandlePool(driver, Access(driver))
        pool.keep_time()
        handle = pool.take()
        handle.setopt(pycurl.POSTFIELDS, b"{}")
        handle.perform()
        assert _socket_option(handle, socket.SO_SNDBUF) in {20_000, 40_000}
        assert _socket_option(handle, socket.SO_RCVBUF) in {30_000, 60_000}
        pool.close()
    assert server.bodies == [b"{}"]


def test_soft_connect_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next address of a host is tried as well when the first one has not answered for the set time."""
    with run_http_server() as server, socket.socket() as silent:
        # A listener whose queue is full answers nobody: what the kernel does with an address that is not reachable.
        silent.bind(("127.0.0.2", server.port))
        silent.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.2", server.port))
        seconds = {}
        for soft_msec in (50, 1500):
            driver = HttpPostDriver(
                f"http://two.test:{server.port}/",
                http_client_soft_connect_timeout_msec=soft_msec,
                http_client_request_absolute_timeout_msec=_ANY_TIME,
            )
            pool = HandlePool(driver, Access(driver))
            pool.keep_time()
            handle = pool.take()
            handle.setopt(pycurl.RESOLVE, [f"two.test:{server.port}:127.0.0.2,127.0.0.1"])
            handle.setopt(pycurl.POSTFIELDS, b"{}")
            handle.perform()
            seconds[soft_msec] = handle.getinfo(pycurl.CONNECT_TIME)
            pool.close()
        for filler in fillers:
            filler.close()
    assert 0.05 <= seconds[50] < seconds[1500]
    assert seconds[1500] >= 1.5
