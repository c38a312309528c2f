"""http-post over TLS to targets that must not be trusted: nothing is sent, everything is in the rejects."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.certificates import Authority, make_authority
from support.fault_server_control import fault_server
from support.fault_server_job import PATIENT, FaultJob

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
