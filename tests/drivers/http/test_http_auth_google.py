"""Google's secrets and ID tokens, by Google's own libraries against a metadata server and Secret Manager on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from support.driver_contract import SECRET
from support.programs import HANG_SECS
from support.servers.google_metadata import Cloud, id_token, run_cloud
from support.servers.server_http import run_http_server, status

_SEND = """
import json, sys
from dovebeam.transforms.drivers import HttpPostDriver
from dovebeam.transforms.drivers.http import access
access._LOOK_AGAIN_SECS = 0.0
url, settings = json.loads(sys.argv[1])
with HttpPostDriver(url, http_client_request_absolute_timeout_msec=5000, **settings).open() as connection:
    for payload in (b"1", b"2"):
        print([(failure.status, failure.attempts) for failure in connection.send([payload])])
"""
_NAME = "projects/p/secrets/s/versions/latest"
_BEARER = {"http_post_auth": "bearer", "http_post_auth_token": f"gsm:{_NAME}"}


def _send(cloud: Cloud, url: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _SEND, json.dumps([url, settings])]
    return subprocess.run(
        command, env=cloud.environment, capture_output=True, text=True, check=False, timeout=HANG_SECS
    )


@pytest.mark.parametrize("spelling", [f"gsm:{_NAME}", f"type:GcpSecret;version_name:{_NAME}"])
def test_secret_manager(spelling: str) -> None:
    """A secret is fetched once with the worker's own credentials."""
    with run_cloud(s=SECRET.encode()) as cloud, run_http_server() as server:
        done = _send(cloud, server.url, http_post_auth="bearer", http_post_auth_token=spelling)
        asked = [request for request in cloud.server.requests if request.lines[0].startswith("GET /v1/")]  # type: ignore[union-attr]
    assert done.stdout == "[]\n[]\n", done.stderr
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {SECRET}"}
    assert [request.lines[0] for request in asked] == [f"GET /v1/{_NAME}:access HTTP/1.1"]


def test_rotated_secret_is_fetched_again() -> None:
    """A 401 makes the worker look for a newer version, and the payload is sent with it."""
    with run_cloud(s=b"old") as cloud:

        def answer(number: int, request: Any) -> Any:
            cloud.secrets[_NAME] = b"new"
            return status(204 if request.headers["authorization"] == "Bearer new" else 401)

        with run_http_server(answer) as server:
            done = _send(cloud, server.url, **_BEARER)
    assert done.stdout == "[]\n[]\n", done.stderr
    assert server.bodies == [b"1", b"1", b"2"]


@pytest.mark.parametrize(
    ("secrets", "damaged", "words"),
    [
        ({}, False, "Secret Manager answered 404 (create the secret, or correct its name)"),
        ({"s": SECRET.encode()}, True, "its checksum differs"),
        ({"s": f"{SECRET}\n".encode()}, False, "the value has a character that is not allowed in a header"),
    ],
)
def test_secret_that_cannot_be_had(secrets: dict[str, bytes], damaged: bool, words: str) -> None:
    """The error says which setting and secret, and what to do."""
    with run_cloud(**secrets) as cloud, run_http_server() as server:
        cloud.damaged = damaged
        done = _send(cloud, server.url, **_BEARER)
    assert "DeliveryError: event_exporter_http_post_auth_token: " in done.stderr
    assert words in done.stderr
    assert SECRET not in done.stderr
    assert not server.requests


def test_no_credentials_on_this_machine() -> None:
    """Without a metadata server and key file the error says what to do, and comes soon."""
    with run_cloud() as cloud, run_http_server() as server:
        assert cloud.server is not None
        environment = {**cloud.environment, "NO_GCE_CHECK": "true", "GCE_METADATA_TIMEOUT": "1"}
        cloud.server.close()
        command = [sys.executable, "-c", _SEND]
        secret = [*command, json.dumps([server.url, _BEARER])]
        token = [*command, json.dumps([server.url, {"http_post_auth": "google-id-token"}])]
        for arguments, words in ((secret, "the request to Secret Manager failed"), (token, "cannot get a token")):
            done = subprocess.run(
                arguments, env=environment, capture_output=True, text=True, check=False, timeout=HANG_SECS
            )
            assert words in done.stderr
            assert "DeliveryError" in done.stderr


@pytest.mark.parametrize(
    ("setting", "audience"), [({}, None), ({"http_post_google_audience": "https://a"}, "https://a")]
)
def test_google_id_token(setting: dict[str, str], audience: str | None) -> None:
    """One token for the audience of the settings, or for scheme and host of the target."""
    with run_cloud() as cloud, run_http_server() as server:
        done = _send(cloud, f"{server.url}/path?x=1", http_post_auth="google-id-token", **setting)
    assert done.stdout == "[]\n[]\n", done.stderr
    assert cloud.audiences[-1] == (audience or server.url)
    assert len(set(cloud.audiences)) == 1
    (authorization,) = {request.headers["authorization"] for request in server.requests}
    assert authorization.startswith(f"Bearer {id_token(cloud.audiences[0]).partition('.')[0]}.")
