"""http-post over TLS to targets that must not be trusted: nothing is sent, everything is in the rejects."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from support.jobs.fault_server_job import PATIENT, FaultJob
from support.servers.certificates import Authority, make_authority, rename_over, write_over
from support.servers.fault_server_control import fault_server

_NAMES = "DNS:localhost,IP:127.0.0.1"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that the configuration trusts."""
    return make_authority(tmp_path_factory.mktemp("trusted"))


def _settings(authority: Authority) -> tuple[str, ...]:
    return (*PATIENT, f"ssl_client_ca_file = {authority.certificate}", "http_client_max_parallel_connections = 4")


def test_trusted_target_gets_everything(job: FaultJob, tmp_path: Path, authority: Authority) -> None:
    """The control: with a certificate that is right, the same events arrive."""
    with fault_server(tmp_path, certificate=authority.issue("right", _NAMES)) as server:
        job.prepare(server.url, _settings(authority), events=100)
        job.check(job.run(), server, delivered=100)


@pytest.mark.parametrize("case", ["unknown authority", "expired", "wrong host name"])
def test_target_that_is_not_trusted_gets_nothing(
    job: FaultJob, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, authority: Authority, case: str
) -> None:
    """No request leaves before the certificate was found right; the reason names what to look at."""
    certificates = {
        "unknown authority": lambda: make_authority(tmp_path_factory.mktemp("unknown")).issue("server", _NAMES),
        "expired": lambda: authority.issue("expired", _NAMES, expired=True),
        "wrong host name": lambda: authority.issue("other", "DNS:other.example,IP:192.0.2.1"),
    }
    with fault_server(tmp_path, certificate=certificates[case]()) as server:
        job.prepare(server.url, _settings(authority), events=100)
        job.check(job.run(), server, delivered=0)
        assert server.seen() == []
        for reject in job.rejects():
            assert reject["errorMessage"].startswith("the server's certificate is refused: ")
            assert "ssl_client_ca_" in reject["errorMessage"]


def test_authority_that_is_replaced_under_a_job(
    job: FaultJob, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> None:
    """While the server's certificate is refused events wait; when the file of CAs is replaced all of them arrive."""
    new = make_authority(tmp_path_factory.mktemp("new"), "new")
    trusted = tmp_path / "ca.pem"
    write_over(trusted, authority.certificate)
    settings = (*PATIENT, "http_client_request_max_attempts = 1000000", "http_post_retry_budget = 150 s")
    more = ("http_client_connect_backoff_max_time = 500 ms", f"ssl_client_ca_file = {trusted}")
    with fault_server(tmp_path, certificate=new.issue("right", _NAMES)) as server:
        job.prepare(server.url, (*settings, *more), events=100)
        later = threading.Timer(5, rename_over, (trusted, new.certificate))
        later.start()
        job.check(job.run(), server, delivered=100)
        later.join()
