"""URLs of http-post as a real Dovecot requested or refused them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from dovebeam.transforms.config import make_driver
from dovebeam.transforms.config.loading import Reading, read_config
from dovebeam.transforms.drivers import HttpPostDriver
from support.oracle.cases import case_file, case_names, expected
from support.servers.server_http import run_http_server

_RECORDED_HOST = "in.example.com"
_REASON = re.compile(r"9001 Invalid HTTP URL: (.*?)(?: \(\d+ more errors suppressed\))?$")


def _reading(tmp_path: Path, text: str) -> Reading:
    path = tmp_path / "dovecot.conf"
    path.write_text(text)
    return read_config(path, environ={})


def _driver(found: Reading) -> HttpPostDriver:
    """The driver, with more time than Dovecot's 250 ms, which this machine may need for itself."""
    driver = make_driver(found.config.exporters["f"])
    assert isinstance(driver, HttpPostDriver)
    return replace(driver, http_client_request_absolute_timeout_msec=20_000)


@pytest.mark.parametrize("name", case_names("url-"))
def test_url(tmp_path: Path, name: str) -> None:
    """The request line and the authorization that Dovecot sent, or its reason before anything is sent."""
    text, answer = case_file(name, ".conf").read_text(), expected(name)
    if not answer["sent"]:
        errors = _reading(tmp_path, text).report.problems(fatal=True)
        reason = _REASON.search(answer["error"])
        assert reason is not None
        assert [error for error in errors if reason[1] in error.message]
        return
    with run_http_server() as server:
        text = re.sub(rf"{re.escape(_RECORDED_HOST)}(?::[0-9]+)?", f"127.0.0.1:{server.port}", text)
        found = _reading(tmp_path, text)
        assert not found.report.problems(fatal=True)
        with _driver(found).open() as connection:
            assert connection.send([b"{}"]) == []
    (request,) = server.requests
    assert request.lines[0] == answer["request_line"]
    assert request.headers.get("authorization") == answer["authorization"]


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("/%2f%0a%2E", "POST /%2f%0a%2E HTTP/1.1"),
        ("?", "POST /? HTTP/1.1"),
        ("/a/../?b=%2f", "POST /?b=%2f HTTP/1.1"),
        ("//x/..", "POST // HTTP/1.1"),
    ],
)
@pytest.mark.parametrize("by_proxy", [False, True])
def test_request_line(tmp_path: Path, target: str, line: str, by_proxy: bool) -> None:
    """Escapes stay as they are written, directly and in the absolute form for a proxy."""
    with run_http_server() as server:
        place = "http://in.test:81" if by_proxy else server.url
        proxy = f"\n http_client_proxy_url = {server.url}" if by_proxy else ""
        found = _reading(
            tmp_path,
            "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\nevent_exporter f {\n driver = http-post\n"
            f" format = json\n http_post_url = {place}{target}{proxy}\n}}\n"
            "metric m {\n filter = event=*\n exporter = f\n}\n",
        )
        with _driver(found).open() as connection:
            assert connection.send([b"{}"]) == []
    assert server.requests[0].lines[0] == (line.replace(" /", f" {place}/", 1) if by_proxy else line)
