"""The log driver over TCP and TLS, against rsyslogd and against a server that can misbehave."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from pathlib import Path

import pytest

from dovebeam.transforms.drivers import Connection, LogDriver
from dovebeam.transforms.errors import DeliveryError, DriverSettingError
from support.oracle.corpus import corpus_lines
from support.programs import HANG_SECS, free_port
from support.servers.certificates import Authority, make_authority
from support.servers.syslog_daemon import run_rsyslogd
from support.servers.syslog_server import parse_message, run_syslog_server, split_frames

SENT = [b"%05d " % number + b"x" * 1000 for number in range(4000)]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority."""
    return make_authority(tmp_path_factory.mktemp("ca"))


def server_context(authority: Authority, name: str = "good", host: str = "IP:127.0.0.1") -> ssl.SSLContext:
    """A server's side, with a certificate for a host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(name, host, expired=name == "expired"))
    return context


def send_and_flush(connection: Connection, payloads: list[bytes]) -> None:
    """A bundle of batches of one payload."""
    for payload in payloads:
        connection.send([payload])
    connection.flush()


@pytest.mark.parametrize("way", ["tcp", "tls"])
def test_rsyslogd_takes_real_events(tmp_path: Path, authority: Authority, way: str) -> None:
    """A real daemon reads counted octets, and with TLS wants and gets a client's certificate; every payload is whole."""
    payloads = [line for line in corpus_lines("events.json.gz")[:3000] if len(line) < 4000]
    certificate, key = authority.issue("client", "DNS:client")
    tls = {
        "ssl_client_ca_file": str(authority.certificate),
        "ssl_client_cert_file": str(certificate),
        "ssl_client_key_file": str(key),
    }
    with run_rsyslogd(tmp_path, authority) as daemon:
        port = daemon.tls_port if way == "tls" else daemon.tcp_port
        driver = LogDriver(f"syslog+{way}:127.0.0.1:{port}", "local3", **(tls if way == "tls" else {}))  # type: ignore[arg-type]
        with driver.open() as connection:
            for start in range(0, len(payloads), 500):
                assert connection.send(payloads[start : start + 500]) == []
            connection.flush()
        messages = daemon.messages(len(payloads))
    assert [message[7].encode("utf-8", "surrogateescape").partition(b" - - ")[2] for message in messages] == payloads
    assert {tuple(message[:3]) for message in messages} == {(str(19 * 8 + 6), "1", "dovebeam")}


def test_frames_are_counted_octets() -> None:
    """Any byte can stand in a payload, a line feed too; an independent reader finds the frames."""
    payloads = [b"one", b"", b"t\nwo 12 <3>", b"\x00\xff" * 10, b"x" * 100_000]
    with run_syslog_server() as server, LogDriver(f"syslog+tcp:127.0.0.1:{server.port}").open() as connection:
        assert connection.send(payloads) == []
        connection.flush()
        assert server.texts() == payloads
        message = parse_message(server.frames()[0])
    assert (message.priority, message.host, message.app) == (2 * 8 + 6, socket.gethostname(), "dovebeam")


def test_bundle_is_done_when_the_daemon_has_read_it() -> None:
    """What lies in the kernel of a daemon that does not read is not delivered."""
    with (
        run_syslog_server(paused=True) as server,
        LogDriver(f"syslog+tcp:127.0.0.1:{server.port}").open() as connection,
    ):
        connection.send([b"one"])
        begin = time.monotonic()
        threading.Timer(0.3, server.resume).start()
        connection.flush()
        assert time.monotonic() - begin >= 0.3
        assert server.texts() == [b"one"]


@pytest.mark.parametrize("way", ["tcp", "tls"])
@pytest.mark.parametrize("limit", [1, 700, 65536, 2_000_001])
@pytest.mark.parametrize("clean", [True, False], ids=["stopped", "killed"])
def test_end_in_the_middle_loses_nothing(authority: Authority, way: str, limit: int, clean: bool) -> None:
    """A daemon that ends in the midst of a record gets all that it is not known to have read, in whole records."""
    context = server_context(authority) if way == "tls" else None
    driver = {"ssl_client_ca_file": str(authority.certificate)} if way == "tls" else {}
    with run_syslog_server(context, read_limit=limit, clean=clean) as server:
        with LogDriver(f"syslog+{way}:127.0.0.1:{server.port}", **driver).open() as connection:  # type: ignore[arg-type]
            for start in range(0, len(SENT), 500):
                assert connection.send(SENT[start : start + 500]) == []
            connection.flush()
        assert len(server.received) > 1
        for data in server.received:
            split_frames(bytes(data))  # asserts that each connection begins with a frame
        texts = server.texts()
    assert set(texts) == set(SENT)
    after = texts[len(split_frames(bytes(server.received[0]))[0]) :]
    assert after == SENT[SENT.index(after[0]) :]


def test_daemon_that_stops_before_the_last_record() -> None:
    """It has closed before what is sent last comes, and that is noticed: nothing acknowledged it."""
    for _ in range(20):
        with run_syslog_server(read_limit=5, clean=True) as server:
            with LogDriver(f"syslog+tcp:127.0.0.1:{server.port}").open() as connection:
                connection.send([b"one"])
                connection.send([b"two"])
                connection.flush()
            assert set(server.texts()) == {b"one", b"two"}


def test_daemon_that_is_away_is_waited_for() -> None:
    """Within the budget a restart costs time, and nothing else; after it, the batch fails."""
    port = free_port()
    with LogDriver(f"syslog+tcp:127.0.0.1:{port}", log_retry_budget_msec=200).open() as connection:
        begin = time.monotonic()
        with pytest.raises(DeliveryError, match=r"connect\(127\.0\.0\.1:\d+\) failed: Connection refused"):
            connection.send([b"x"])
        assert time.monotonic() - begin >= 0.2
    with run_syslog_server() as server:
        reserved = server.port
    with LogDriver(f"syslog+tcp:127.0.0.1:{reserved}").open() as connection:
        received = bytearray()

        def come_late() -> None:
            time.sleep(0.4)
            with socket.create_server(("127.0.0.1", reserved)) as listener, listener.accept()[0] as peer:
                while data := peer.recv(1000):
                    received.extend(data)

        thread = threading.Thread(target=come_late)
        thread.start()
        connection.send([b"late"])
        connection.flush()
        thread.join(HANG_SECS)
    assert [parse_message(frame).text for frame in split_frames(bytes(received))[0]] == [b"late"]


def test_daemon_that_reads_nothing_ends_in_an_error() -> None:
    """Neither a batch nor the end of a bundle waits longer than the write timeout."""
    for batches in (1, 30):
        with (
            run_syslog_server(paused=True) as server,
            LogDriver(f"syslog+tcp:127.0.0.1:{server.port}", log_write_timeout_msec=200).open() as connection,
        ):
            begin = time.monotonic()
            with pytest.raises(DeliveryError, match=r"within 200 ms|nothing for 200 ms"):
                send_and_flush(connection, [b"x" * 500_000] * batches)
            assert time.monotonic() - begin < 50


def test_daemon_that_never_closes_confirms_nothing() -> None:
    """A server that ignores the end of the connection is told of, in words that say what to do."""
    with (
        run_syslog_server(deaf=True) as server,
        LogDriver(f"syslog+tcp:127.0.0.1:{server.port}", log_write_timeout_msec=200).open() as connection,
    ):
        connection.send([b"x"])
        with pytest.raises(DeliveryError, match=r"did not close the connection within 200 ms .*log_write_timeout"):
            connection.flush()


def test_closing_confirms_what_was_not_flushed() -> None:
    """Whoever forgets to flush learns at the latest from close that something did not arrive."""
    with run_syslog_server(deaf=True) as server:
        connection = LogDriver(f"syslog+tcp:127.0.0.1:{server.port}", log_write_timeout_msec=200).open()
        connection.send([b"x"])
        with pytest.raises(DeliveryError, match="did not close"):
            connection.close()


@pytest.mark.parametrize(
    ("name", "host", "trusted", "words"),
    [
        (
            "unknown",
            "IP:127.0.0.1",
            False,
            "its certificate is refused: .*self.signed|its certificate is refused: unable",
        ),
        ("expired", "IP:127.0.0.1", True, "its certificate is refused: certificate has expired"),
        ("other", "DNS:elsewhere.example", True, "its certificate is refused: IP address mismatch"),
    ],
)
def test_server_that_is_not_to_be_trusted(
    authority: Authority, name: str, host: str, trusted: bool, words: str
) -> None:
    """An unknown CA, an expired certificate, another host's: the batch fails and nothing was sent."""
    trust = {"ssl_client_ca_file": str(authority.certificate)} if trusted else {}
    with run_syslog_server(server_context(authority, name, host)) as server:
        driver = LogDriver(
            f"syslog+tls:127.0.0.1:{server.port}",
            log_retry_budget_msec=0,
            **trust,  # type: ignore[arg-type]
        )
        with driver.open() as connection, pytest.raises(DeliveryError, match=words):
            connection.send([b"x"])
        assert server.connections == 1
        assert server.received == []


def test_unverified_server_on_demand(authority: Authority) -> None:
    """`ssl_client_require_valid_cert = no` is obeyed."""
    with run_syslog_server(server_context(authority, "other", "DNS:elsewhere.example")) as server:
        driver = LogDriver(f"syslog+tls:127.0.0.1:{server.port}", ssl_client_require_valid_cert=False)
        with driver.open() as connection:
            connection.send([b"x"])
            connection.flush()
        assert server.texts() == [b"x"]


@pytest.mark.parametrize("with_certificate", [True, False])
def test_client_certificate(authority: Authority, with_certificate: bool) -> None:
    """A server that wants a certificate gets it, its key's password included; without one its alert fails the bundle."""
    context = server_context(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.certificate)
    certificate, key = authority.issue("client", "DNS:client", password="open sesame")
    own = {
        "ssl_client_cert_file": str(certificate),
        "ssl_client_key_file": str(key),
        "ssl_client_key_password": "open sesame",
    }
    with run_syslog_server(context) as server:
        driver = LogDriver(
            f"syslog+tls:127.0.0.1:{server.port}",
            log_retry_budget_msec=300,
            ssl_client_ca_file=str(authority.certificate),
            **(own if with_certificate else {}),  # type: ignore[arg-type]
        )
        with driver.open() as connection:
            if with_certificate:
                connection.send([b"x"])
                connection.flush()
                assert server.texts() == [b"x"]
            else:
                with pytest.raises(DeliveryError):
                    send_and_flush(connection, [b"x"])
                assert server.received == []


def test_server_without_tls_is_told() -> None:
    """Plain syslog is not taken for TLS, and nothing hangs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(b"220 mail.example.net ESMTP\r\n")
                peer.recv(1000)

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        driver = LogDriver(f"syslog+tls:127.0.0.1:{listener.getsockname()[1]}", log_retry_budget_msec=0)
        with driver.open() as connection, pytest.raises(DeliveryError, match="no TLS connection: "):
            connection.send([b"x"])
        thread.join(HANG_SECS)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ssl_client_ca_file": "{dir}/none"}, "ssl_client_ca_file: open(.*) failed: No such file"),
        ({"ssl_client_ca_file": "{dir}/junk"}, "ssl_client_ca_file: .* does not contain certificates"),
        ({"ssl_client_ca_dir": "{dir}/none"}, "ssl_client_ca_dir: .* is not a directory"),
        (
            {"ssl_client_cert_file": "{dir}/junk", "ssl_client_key_file": "{dir}/junk"},
            "ssl_client_cert_file: .* cannot",
        ),
        ({"ssl_cipher_list": "NONSENSE"}, "ssl_cipher_list: OpenSSL does not know any cipher"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, settings: dict[str, str], words: str) -> None:
    """They are told where the connection is opened, by the name of their setting."""
    (tmp_path / "junk").write_text("junk")
    values = {name: value.format(dir=tmp_path) for name, value in settings.items()}
    with pytest.raises(DeliveryError, match=words):
        LogDriver("syslog+tls:127.0.0.1:6514", **values).open()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [
        {"ssl_min_protocol": "SSLv3"},
        {"ssl_client_key_file": "/key"},
        {"ssl_client_cert_file": "/cert"},
        {"ssl_cipher_suites": "TLS_AES_128_GCM_SHA256"},
        {"ssl_curve_list": "P-256"},
    ],
)
def test_settings_that_cannot_work(settings: dict[str, str]) -> None:
    """Found at launch for syslog+tls; where there is no TLS they are somebody else's."""
    with pytest.raises(DriverSettingError, match="ssl_"):
        LogDriver("syslog+tls:127.0.0.1:6514", **settings)  # type: ignore[arg-type]
    LogDriver("syslog+tcp:127.0.0.1:6514", **settings)  # type: ignore[arg-type]
