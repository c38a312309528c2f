"""Authentication of http-post: headers, basic, bearer, OAuth2 client credentials; what is wrong with settings."""

from __future__ import annotations

import base64
import json
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from dovebeam.transforms.drivers import Failure, HttpPostDriver
from dovebeam.transforms.drivers.http import access, handles
from dovebeam.transforms.errors import DeliveryError, DriverSettingError
from support.driver_contract import SECRET
from support.programs import wait_until
from support.servers.certificates import make_authority
from support.servers.nginx import run_nginx
from support.servers.server_http import Answer, HttpServer, Request, run_http_server, status

_AMPLE: dict[str, Any] = {"http_client_request_absolute_timeout_msec": 5000}
_URL = "http://127.0.0.1:9/"


def _send(url: str, *payloads: bytes, **settings: Any) -> list[Failure]:
    with HttpPostDriver(url, **{**_AMPLE, **settings}).open() as connection:
        return connection.send(payloads or [b"x"])


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.mark.parametrize(
    ("settings", "authorization"),
    [
        ({}, None),
        ({"http_post_auth": "basic", "http_post_auth_user": "u", "http_post_auth_password": "p:ä"}, _basic("u", "p:ä")),
        ({"http_post_auth": "bearer", "http_post_auth_token": SECRET}, f"Bearer {SECRET}"),
        ({"http_post_auth": "bearer", "http_post_auth_token": "env:DOVEBEAM_TEST_TOKEN"}, "Bearer from-environment"),
        ({"http_post_headers": {"Authorization": "Token a b"}}, "Token a b"),
    ],
)
def test_authorization(settings: dict[str, Any], authorization: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The header that each method sends."""
    monkeypatch.setenv("DOVEBEAM_TEST_TOKEN", "from-environment")
    with run_http_server() as server:
        assert _send(server.url, **settings) == []
    assert server.requests[0].headers.get("authorization") == authorization


def test_headers_and_query_by_reference(tmp_path: Path) -> None:
    """Headers of the settings are sent as they are written, and the query where the URL has none."""
    (tmp_path / "query").write_text("?token=a%20b&x=1\n")
    headers = {"X-Api-Key": SECRET, "X-Tenant": "plain:acme", "Accept": "plain:*/*"}
    with run_http_server() as server:
        assert _send(f"{server.url}/in", http_post_headers=headers, http_post_query=f"file:{tmp_path}/query") == []
    (request,) = server.requests
    assert request.lines[0] == "POST /in?token=a%20b&x=1 HTTP/1.1"
    assert {request.headers[name] for name in ("x-api-key", "x-tenant", "accept")} == {SECRET, "acme", "*/*"}
    assert len(request.lines) == len({line.partition(":")[0].lower() for line in request.lines})


def test_whole_url_by_reference(tmp_path: Path) -> None:
    """As webhooks need it, whose path is the secret: nothing of the URL is in what travels or is shown."""
    (tmp_path / "url").write_text("unset")
    driver = HttpPostDriver(f"file:{tmp_path}/url", **_AMPLE)
    assert driver.endpoint == f"file:{tmp_path}/url"
    with run_http_server(lambda number, _: status(404 if number == 1 else 200)) as server:
        (tmp_path / "url").write_text(f"{server.url.replace('//', '//u:p@')}/services/{SECRET}?a=b\n")
        with pickle.loads(pickle.dumps(driver)).open() as connection:
            (failure,) = connection.send([b"refused"])
            assert connection.send([b"taken"]) == []
    assert (failure.status, failure.endpoint) == (404, driver.endpoint)
    assert SECRET not in repr(failure)
    assert SECRET not in repr(driver)
    assert server.requests[1].lines[0] == f"POST /services/{SECRET}?a=b HTTP/1.1"
    assert server.requests[1].headers["authorization"] == _basic("u", "p")
    with driver.open() as connection:
        (failure,) = connection.send([b"nobody listens"])
    assert failure.reason.startswith("connect failed: ")
    assert "127.0.0.1" not in repr(failure)


def test_replaced_url_is_used_after_a_401(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it leads to another place; the request that was refused is sent there, which is no attempt."""
    monkeypatch.setattr(handles, "_LOOK_AGAIN_SECS", 0.0)
    with run_http_server(lambda *_: status(401)) as old, run_http_server() as new:
        (tmp_path / "url").write_text(f"{old.url}/old")
        with HttpPostDriver(f"file:{tmp_path}/url", **_AMPLE).open() as connection:
            (tmp_path / "url").write_text(f"{new.url}/new?x=y")
            assert connection.send([b"a"]) == []
    assert [request.lines[0] for request in (*old.requests, *new.requests)] == [
        "POST /old HTTP/1.1",
        "POST /new?x=y HTTP/1.1",
    ]


@pytest.mark.parametrize(
    ("content", "settings", "words"),
    [
        (SECRET, {}, "is not a URL to post to: Invalid HTTP URL: Relative HTTP URL"),
        (f"ftp://h/{SECRET}", {}, "is not a URL to post to: Invalid HTTP URL: Not an HTTP URL"),
        ("", {}, "is not a URL to post to: Invalid HTTP URL: Relative HTTP URL"),
        (f"http://h/?{SECRET}", {"http_post_query": "x"}, "http_post_query is set"),
        (f"http://u:{SECRET}@h/", {"http_post_headers": {"Authorization": "x"}}, "keep one of both"),
        (
            f"http://u:{SECRET}@h/",
            {"http_post_auth": "bearer", "http_post_auth_token": "x"},
            "keep one of both",
        ),
        (None, {}, "url) failed: No such file or directory on this worker"),
    ],
)
def test_url_that_only_the_worker_sees(
    tmp_path: Path, content: str | None, settings: dict[str, Any], words: str
) -> None:
    """What is wrong with it fails the bundle, in words that name setting and reference and no secret."""
    if content is not None:
        (tmp_path / "url").write_text(content)
    with pytest.raises(DeliveryError) as caught:
        HttpPostDriver(f"file:{tmp_path}/url", **settings).open()
    assert words in str(caught.value)
    assert str(caught.value).startswith("event_exporter_http_post_url: ")
    assert caught.value.endpoint.endswith(f"{tmp_path}/url")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "setting", "advice"),
    [
        ({"http_post_url": "env:A B"}, "url", "after env: stands the name"),
        ({"http_post_url": "file:relative"}, "url", "an absolute path"),
        ({"http_post_auth": "digest"}, "auth", "write one of: none, basic"),
        ({"http_post_auth": "basic", "http_post_auth_user": "u"}, "auth_password", "needs it"),
        ({"http_post_auth": "bearer"}, "auth_token", "needs it"),
        ({"http_post_auth_token": SECRET}, "auth_token", "write http_post_auth = bearer"),
        ({"http_post_auth": "oauth2"}, "oauth2_token_url", "needs it"),
        ({"http_post_google_audience": "x"}, "google_audience", "write http_post_auth = google-id-token"),
        ({"http_post_url": "http://u:p@h/", "http_post_auth": "google-id-token"}, "auth", "keep one"),
        ({"http_post_url": f"http://h/?{SECRET}", "http_post_query": "x"}, "query", "none in the URL"),
        ({"http_post_headers": {"Content-Length": "1"}}, "headers", "the driver writes it itself"),
        ({"http_post_headers": {"Host": "x"}}, "headers", "the driver writes it itself"),
        ({"http_post_headers": {"transfer-encoding": "chunked"}}, "headers", "the driver writes it itself"),
        ({"http_post_headers": {"Content-Type": "x"}}, "headers", "use http_post_content_type"),
        ({"http_post_headers": {"X": f"{SECRET}\r\nY: z"}}, "headers", "header X: it has a control character"),
        ({"http_post_headers": {"X: y": "z"}}, "headers", "characters that are not allowed"),
        ({"http_post_headers": {"X": ""}}, "headers", "it is empty"),
        ({"http_post_headers": {"X": "a", "x": "b"}}, "headers", "set twice"),
        ({"http_post_url": "http://u:p@h/", "http_post_headers": {"Authorization": "x"}}, "headers", "keep one"),
        (
            {"http_post_headers": {"X-Id": "1"}, "http_post_idempotency_header": "x-id"},
            "headers",
            "http_post_idempotency_header sends it",
        ),
        ({"http_post_auth_password": "a\nb"}, "auth_password", "control character"),
        (
            {
                "http_post_auth": "oauth2",
                "http_post_oauth2_token_url": f"https://u:{SECRET}@h/",
                "http_post_oauth2_client_id": "i",
                "http_post_oauth2_client_secret": "s",
            },
            "oauth2_token_url",
            "remove them",
        ),
    ],
)
def test_wrong_settings_are_found_at_launch(settings: dict[str, Any], setting: str, advice: str) -> None:
    """Each error names the setting and what to do, and no secret."""
    with pytest.raises(DriverSettingError) as caught:
        HttpPostDriver(**{"http_post_url": _URL, **settings})
    assert caught.value.setting == f"event_exporter_http_post_{setting}"
    assert advice in str(caught.value)
    assert SECRET not in str(caught.value)


def test_all_that_is_wrong_is_told_at_once() -> None:
    """The first error carries the others, also after pickling."""
    with pytest.raises(DriverSettingError) as caught:
        HttpPostDriver("ftp://h/", http_post_auth_user="env:-", http_post_headers={"Host": "x", "Date": "y"})
    error = pickle.loads(pickle.dumps(caught.value))
    names = [problem.setting.removeprefix("event_exporter_http_post_") for problem in (error, *error.others)]
    assert names == ["auth_user", "url", "headers", "headers"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"http_post_auth": "bearer", "http_post_auth_token": "env:DOVEBEAM_UNSET"}, "DOVEBEAM_UNSET is not set"),
        ({"http_post_headers": {"X": "file:/nonexistent"}}, "http_post_headers/X: open"),
        ({"http_post_query": "env:DOVEBEAM_BAD"}, "http_post_query: it cannot be a query: Query component"),
        ({"http_post_headers": {"X": "env:DOVEBEAM_BAD"}}, "http_post_headers/X: the value has a character"),
        ({"http_post_auth": "bearer", "http_post_auth_token": "env:DOVEBEAM_EMPTY"}, "auth_token: the value is empty"),
        (
            {"http_post_auth": "basic", "http_post_auth_user": "a:b", "http_post_auth_password": "c"},
            "auth_user: a user name with a colon",
        ),
    ],
)
def test_what_only_the_worker_sees(settings: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that is missing or cannot be sent is an infrastructure error when the connection opens."""
    monkeypatch.setenv("DOVEBEAM_BAD", f"{SECRET}\r\nX-Evil: 1")
    monkeypatch.setenv("DOVEBEAM_EMPTY", "")
    monkeypatch.delenv("DOVEBEAM_UNSET", raising=False)
    with pytest.raises(DeliveryError, match=words) as caught:
        HttpPostDriver(_URL, **settings).open()
    assert SECRET not in str(caught.value)


def _demand(token: Callable[[], str]) -> Callable[[int, Request], Answer]:
    """A target that answers 401 unless the token is right."""
    return lambda _, request: Answer() if request.headers.get("authorization") == token() else status(401)


def test_replaced_file_is_read_again_after_a_401(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that was rotated costs no payload and no attempt; one that stays wrong is asked for once and rejects."""
    monkeypatch.setattr(handles, "_LOOK_AGAIN_SECS", 0.0)
    path = tmp_path / "token"
    path.write_text("old")
    wanted = ["Bearer old"]
    with run_http_server(_demand(lambda: wanted[0])) as server:
        driver = HttpPostDriver(server.url, http_post_auth="bearer", http_post_auth_token=f"file:{path}", **_AMPLE)
        with driver.open() as connection:
            assert connection.send([b"1"]) == []
            wanted[0] = "Bearer new"
            path.write_text("new")
            assert connection.send([b"2", b"3"]) == []
            wanted[0] = "Bearer newest"
            (failure,) = connection.send([b"4"])
    assert server.bodies == [b"1", b"2", b"2", b"3", b"4"]
    assert (failure.status, failure.attempts) == (401, 1)


def test_replaced_query_is_used_after_a_401(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token in the query can be rotated as well, on connections that are in use."""
    monkeypatch.setattr(handles, "_LOOK_AGAIN_SECS", 0.0)
    path = tmp_path / "query"
    path.write_text("key=old")
    wanted = ["key=old"]

    def answer(_: int, request: Request) -> Answer:
        return Answer() if f"?{wanted[0]} " in request.lines[0] else status(401)

    with run_http_server(answer) as server:
        driver = HttpPostDriver(server.url, http_post_query=f"file:{path}", **_AMPLE)
        with driver.open() as connection:
            assert connection.send([b"1"]) == []
            path.write_text("key=new")
            wanted[0] = "key=new"
            assert connection.send([b"2", b"3"]) == []
    assert server.connections == 1


class _Issuer:
    """A token endpoint; its tokens are t1, t2 ..., or what `answers` says."""

    def __init__(self, *answers: Answer, lifetime: object = 3600, in_body: bool = False) -> None:
        self.answers = list(answers)
        self.lifetime = lifetime
        self.in_body = in_body
        self.issued = 0

    def __call__(self, _: int, request: Request) -> Answer:
        if self.answers:
            return self.answers.pop(0)
        form = parse_qs(request.body.decode())
        known = form.get("client_secret") == [SECRET] if self.in_body else "authorization" in request.headers
        if not known:
            return status(401, body=b'{"error":"invalid_client"}')
        self.issued += 1
        token = {"access_token": f"t{self.issued}", "token_type": "Bearer", "expires_in": self.lifetime}
        return status(200, "Content-Type: application/json", body=json.dumps(token).encode())


def _oauth2(issuer: HttpServer, **more: Any) -> dict[str, Any]:
    return {
        "http_post_auth": "oauth2",
        "http_post_oauth2_token_url": f"{issuer.url}/token?v=1",
        "http_post_oauth2_client_id": "client id",
        "http_post_oauth2_client_secret": SECRET,
        **more,
    }


def test_oauth2_token_is_fetched_once() -> None:
    """One token serves all requests and connections of a process; the request for it is as RFC 6749 says."""
    with run_http_server(_Issuer()) as issuer, run_http_server() as server:
        settings = _oauth2(issuer, http_post_oauth2_scope="a b", http_post_oauth2_audience="https://in")
        assert _send(server.url, b"1", b"2", **settings) == []
        assert _send(server.url, b"3", **settings) == []
    (request,) = issuer.requests
    assert request.lines[0] == "POST /token?v=1 HTTP/1.1"
    assert request.headers["authorization"] == _basic("client+id", SECRET)
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["client_credentials"],
        "scope": ["a b"],
        "audience": ["https://in"],
    }
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer t1"}


def test_oauth2_client_in_the_body() -> None:
    """A server that wants the client in the body refuses Basic first, and is asked again."""
    with run_http_server(_Issuer(in_body=True)) as issuer, run_http_server() as server:
        assert _send(server.url, **_oauth2(issuer)) == []
    assert [("authorization" in request.headers) for request in issuer.requests] == [True, False]


def test_oauth2_token_is_replaced_before_it_ends() -> None:
    """A token at half of a short life is not used for new requests."""
    with (
        run_http_server(_Issuer(lifetime=0.2)) as issuer,
        run_http_server() as server,
        HttpPostDriver(server.url, **_AMPLE, **_oauth2(issuer)).open() as connection,
    ):
        assert connection.send([b"1"]) == []
        time.sleep(1.1)  # the headers of a second are made once
        assert connection.send([b"2"]) == []
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer t1", "Bearer t2"]


def test_oauth2_refused_token_is_replaced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a 401 one new token is fetched and the payload sent once more; a target that refuses that too rejects."""
    monkeypatch.setattr(access, "_RETRY_SECS", 0.0)
    with run_http_server(_Issuer()) as issuer, run_http_server(_demand(lambda: "Bearer t2")) as server:
        driver = HttpPostDriver(server.url, **_AMPLE, **_oauth2(issuer))
        with driver.open() as connection:
            assert connection.send([b"1", b"2"]) == []
    assert len(issuer.requests) == 2
    with run_http_server(_Issuer()) as issuer, run_http_server(lambda *_: status(401)) as server:
        (failure,) = _send(server.url, b"x", **_oauth2(issuer))
    assert (failure.status, failure.attempts, len(server.requests), len(issuer.requests)) == (401, 1, 2, 2)


def test_requests_that_are_refused_together_share_a_new_token() -> None:
    """Twenty refused requests on their way at once do not fetch twenty tokens, and are not sent again with the same."""
    with run_http_server(_Issuer()) as issuer, run_http_server(lambda *_: status(401)) as server:
        settings = _oauth2(issuer, http_client_max_parallel_connections=20)
        assert len(_send(server.url, *[b"x"] * 20, **settings)) == 20
    assert len(issuer.requests) == 1
    assert len(server.requests) == 20


_SAME_TOKEN = status(200, body=b'{"access_token":"same","token_type":"bearer","expires_in":3600}')


@pytest.mark.parametrize("parallel", [1, 8])
@pytest.mark.parametrize(
    "kind", ["plain", "env", "file", "header", "query", "url", "basic", "oauth2", "oauth2 rotating"]
)
@pytest.mark.parametrize("refusal", [401, 403])
def test_nothing_is_sent_twice_with_the_same_credentials(
    kind: str, parallel: int, refusal: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever kind of credential a target refuses, a payload is sent again only with another one."""
    monkeypatch.setattr(handles, "_LOOK_AGAIN_SECS", 0.0)
    monkeypatch.setattr(access, "_RETRY_SECS", 0.0)
    monkeypatch.setenv("DOVEBEAM_TEST_TOKEN", "t")
    (tmp_path / "secret").write_text("t")
    issue = (lambda *_: _SAME_TOKEN) if kind == "oauth2" else _Issuer()
    with run_http_server(issue) as issuer, run_http_server(lambda *_: status(refusal)) as server:
        (tmp_path / "url").write_text(f"{server.url}/x")
        bearer: dict[str, Any] = {"http_post_auth": "bearer"}
        settings: dict[str, Any] = {
            "plain": bearer | {"http_post_auth_token": "t"},
            "env": bearer | {"http_post_auth_token": "env:DOVEBEAM_TEST_TOKEN"},
            "file": bearer | {"http_post_auth_token": f"file:{tmp_path}/secret"},
            "header": {"http_post_headers": {"X-Key": f"file:{tmp_path}/secret"}},
            "query": {"http_post_query": f"file:{tmp_path}/secret"},
            "url": {},
            "basic": {
                "http_post_auth": "basic",
                "http_post_auth_user": "u",
                "http_post_auth_password": f"file:{tmp_path}/secret",
            },
        }.get(kind, _oauth2(issuer))
        url = f"file:{tmp_path}/url" if kind == "url" else server.url
        payloads = [b"%d" % number for number in range(30)]
        failures = _send(url, *payloads, http_client_max_parallel_connections=parallel, **settings)
    assert [(failure.status, failure.attempts) for failure in failures] == [(refusal, 1)] * 30
    sent = [(request.body, request.headers.get("authorization")) for request in server.requests]
    assert len(sent) == len(set(sent))
    if kind != "oauth2 rotating" or refusal != 401:
        assert len(sent) == 30


def test_replaced_secret_is_noticed_without_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was replaced is read again, a symbolic link that was moved too, and one that is away for a while."""
    monkeypatch.setattr(handles, "_NOTICE_SECS", 0.0)
    link = tmp_path / "token"
    for name in ("one", "two", "three"):
        (tmp_path / name).write_text(name)
    link.symlink_to(tmp_path / "one")
    with run_http_server() as server:
        driver = HttpPostDriver(server.url, http_post_headers={"X-Key": f"file:{link}"}, **_AMPLE)
        with driver.open() as connection:

            def key() -> str:
                assert connection.send([b"x"]) == []
                return server.requests[-1].headers["x-key"]

            assert key() == "one"
            (tmp_path / "next").symlink_to(tmp_path / "two")
            (tmp_path / "next").rename(link)
            wait_until(lambda: key() == "two", "the key that the link leads to now")
            link.unlink()
            assert key() == "two"
            link.symlink_to(tmp_path / "three")
            wait_until(lambda: key() == "three", "the key that came back")
    assert server.connections == 1


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([status(400, body=b'{"error":"invalid_scope"}')] * 2, "answered 400 invalid_scope .check scope"),
        (
            [status(401, body=b'{"error":"' + SECRET.encode() + b'"}')] * 2,
            "answered 401 .check http_post_oauth2_client",
        ),
        ([status(302, "Location: http://127.0.0.1:9/")], "answered 302"),
        ([status(200, body=b"<html>")], "does not contain an access_token"),
        ([status(200, body=b"[" * 100_000)], "does not contain an access_token"),
        ([status(200, body=b'{"access_token":"a\\r\\nX: y"}')], "does not contain an access_token"),
        ([status(200, body=b'{"access_token":"a","token_type":"mac"}')], "other than bearer"),
        ([status(503)] * 3, "answered 503"),
        ([Answer(b"", close=True)] * 3, "the request to the token endpoint failed"),
    ],
)
def test_no_token_is_an_infrastructure_error(answers: list[Answer], words: str) -> None:
    """Nothing is sent to the target, and the error says where and why without repeating the answer."""
    with (
        run_http_server(_Issuer(*answers)) as issuer,
        run_http_server() as server,
        pytest.raises(DeliveryError, match=words) as caught,
    ):
        _send(server.url, **_oauth2(issuer))
    assert issuer.url in str(caught.value)
    assert SECRET not in str(caught.value)
    assert not server.requests


def test_token_endpoint_that_returns_is_waited_for() -> None:
    """Two failures of the endpoint cost time, not payloads."""
    with run_http_server(_Issuer(status(503), Answer(b"", close=True))) as issuer, run_http_server() as server:
        assert _send(server.url, **_oauth2(issuer)) == []


def test_token_endpoint_by_tls_is_verified(tmp_path: Path) -> None:
    """The exporter's TLS settings hold for the token endpoint: an unknown authority gets no client secret."""
    authority = make_authority(tmp_path)
    certificate, key = authority.issue("server", "IP:127.0.0.1")
    folder = tmp_path / "nginx"
    folder.mkdir()
    tls = f"ssl_certificate {certificate};\nssl_certificate_key {key};"
    body = """default_type application/json; return 200 '{"access_token":"t","token_type":"bearer"}';"""
    with run_nginx(folder, tls=tls, location=body) as nginx, run_http_server() as server:
        settings = {**_oauth2(server), "http_post_oauth2_token_url": nginx.url}
        with pytest.raises(DeliveryError, match="the request to the token endpoint failed"):
            _send(server.url, **settings)
        assert _send(server.url, ssl_client_ca_file=str(authority.certificate), **settings) == []
    assert server.requests[0].headers["authorization"] == "Bearer t"


def test_client_certificate_and_its_keys_password_by_reference(tmp_path: Path) -> None:
    """A client certificate through the whole driver: refused without the certificate, accepted with it and the password of its key."""
    authority = make_authority(tmp_path)
    certificate, key = authority.issue("server", "IP:127.0.0.1")
    client, client_key = authority.issue("client", "DNS:client", password=SECRET)
    (tmp_path / "password").write_text(f"{SECRET}\n")
    folder = tmp_path / "nginx"
    folder.mkdir()
    tls = (
        f"ssl_certificate {certificate};\nssl_certificate_key {key};\n"
        f"ssl_client_certificate {authority.certificate};\nssl_verify_client on;"
    )
    files = {"ssl_client_cert_file": str(client), "ssl_client_key_file": str(client_key)}
    with run_nginx(folder, tls=tls) as nginx:
        common = {"ssl_client_ca_file": str(authority.certificate)}
        (failure,) = _send(nginx.url, b"x", **common)
        assert failure.status == 400
        assert _send(nginx.url, ssl_client_key_password=f"file:{tmp_path}/password", **common, **files) == []
        with pytest.raises(DeliveryError) as caught:
            _send(nginx.url, ssl_client_key_password=f"{SECRET}2", **common, **files)
    assert SECRET not in str(caught.value)


def test_driver_pickles_without_credentials() -> None:
    """Whatever holds a credential is in the pickle only as a reference or an id."""
    driver = HttpPostDriver(
        f"https://user:{SECRET}@h/path?token={SECRET}",
        http_post_headers={"X-Key": SECRET},
        http_client_proxy_url=f"http://pu:{SECRET}@proxy:3128",
        http_client_proxy_password=SECRET,
        ssl_client_key_password=SECRET,
    )
    for protocol in (0, 2, pickle.HIGHEST_PROTOCOL):
        assert SECRET.encode() not in pickle.dumps(driver, protocol)
