"""Which names in a server's certificate are taken for its host, by http-post and by a syslog over TLS."""

from __future__ import annotations

import pytest

from dovebeam.transforms.drivers import HttpPostDriver, LogDriver
from dovebeam.transforms.errors import DeliveryError
from support.servers.certificates import Authority, make_authority
from support.servers.server_http import run_http_server
from support.servers.syslog_server import run_syslog_server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that is trusted."""
    return make_authority(tmp_path_factory.mktemp("ca"))


@pytest.mark.parametrize(
    ("common_name", "alternative", "host", "by_http", "by_syslog"),
    [
        ("x", "DNS:localhost", "localhost", True, True),
        ("x", "IP:127.0.0.1", "127.0.0.1", True, True),
        ("x", "DNS:127.0.0.1", "127.0.0.1", False, False),
        # Dovecot asks OpenSSL's X509_check_host, which takes the CN where the certificate has no names of hosts.
        ("localhost", "", "localhost", True, True),
        ("localhost", "email:a@b.example", "localhost", True, True),
        ("localhost", "DNS:other.example", "localhost", False, False),
        ("other", "", "localhost", False, False),
        # Where the libraries differ, one of them is stricter than Dovecot, which accepts both.
        ("127.0.0.1", "", "127.0.0.1", True, False),
        ("localhost", "IP:127.0.0.1", "localhost", False, True),
    ],
)
def test_names(
    authority: Authority, common_name: str, alternative: str, host: str, by_http: bool, by_syslog: bool
) -> None:
    """Names of the subjectAltName, and as in Dovecot the CN of a certificate without any."""
    context, trusted = authority.context(alternative, name=common_name), str(authority.certificate)
    with run_http_server(tls=context) as server:
        http = HttpPostDriver(
            f"https://{host}:{server.port}/",
            ssl_client_ca_file=trusted,
            http_client_request_absolute_timeout_msec=20_000,
        )
        with http.open() as connection:
            assert (connection.send([b"x"]) == []) is by_http
    with run_syslog_server(context) as syslog:
        log = LogDriver(f"syslog+tls:{host}:{syslog.port}", ssl_client_ca_file=trusted, log_retry_budget_msec=0)
        with log.open() as connection:
            try:
                connection.send([b"x"])
                connection.flush()
            except DeliveryError:
                assert not by_syslog
            else:
                assert by_syslog
