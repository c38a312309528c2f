"""The collector as a process: what Dovecot's drivers send is in the spool, whatever happens around it."""

from __future__ import annotations

import base64
import http.client
import json
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from dovebeam.transforms.drivers import UnixDriver
from support.jobs.collector import Collector, run_collector, spooled
from support.jobs.file_jobs import small_disk
from support.oracle.corpus import CORPUS
from support.oracle.corpus_targets import recorded_frames
from support.programs import HANG_SECS, wait_until
from support.servers.certificates import make_authority


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    """A fresh one."""
    with run_collector(tmp_path) as running:
        yield running


def connect(collector: Collector) -> socket.socket:
    """A connection to its unix socket."""
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(str(collector.socket))
    return peer


def post(collector: Collector, body: bytes, method: str = "POST", path: str = "/", **headers: str) -> int:
    """The status of one request."""
    client = http.client.HTTPConnection("127.0.0.1", collector.port, timeout=HANG_SECS)
    try:
        client.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return client.getresponse().status
    finally:
        client.close()


def test_recorded_frames(collector: Collector) -> None:
    """What Dovecot 2.4's unix driver wrote comes out equal, its very pieces as they were."""
    reads = [
        base64.b64decode(read)
        for each in json.loads((CORPUS / "unix-frames.b64.json").read_text())["connections"]
        for read in each["reads"]
    ]
    with connect(collector) as peer:
        for read in reads:
            peer.sendall(read)
    expected = recorded_frames()
    collector.wait_for(expected.count(b"\n"))
    assert collector.stop() == 0
    assert b"".join(line + b"\n" for line in collector.lines) == expected
    assert collector.torn == b""
    assert f"{expected.count(10):,} lines ({len(expected):,} bytes)" in collector.said


def test_many_connections(collector: Collector) -> None:
    """Eight Dovecots at a time, their lines in pieces of any size: no line is torn, mixed up or lost."""
    lines = recorded_frames().split(b"\n")[:-1]

    def send(number: int) -> None:
        chance = random.Random(number)
        with connect(collector) as peer:
            data = b"".join(b"%d %s\n" % (number, line) for line in lines)
            while data:
                size = chance.choice([1, 100, 5000, 70000])
                peer.sendall(data[:size])
                data = data[size:]

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    collector.wait_for(8 * len(lines))
    for number in range(8):
        mine = [line.partition(b" ")[2] for line in collector.lines if line.startswith(b"%d " % number)]
        assert mine == lines


def test_recorded_requests(collector: Collector) -> None:
    """What Dovecot 2.4's http-post driver sent, byte for byte on kept connections: each body is a line, empty ones none."""
    recorded = [json.loads(line) for line in (CORPUS / "http-post.jsonl").read_text().splitlines()]
    with RawHttp(collector) as send:
        for request in recorded:
            head = base64.b64decode(request["raw_head_b64"]).replace(f"POST {request['path']} ".encode(), b"POST / ", 1)
            assert send(head + request["body"].encode()) == 204
    expected = [request["body"].encode() for request in recorded if request["body"]]
    assert len(expected) > 20
    assert collector.lines == expected  # each was written before it was answered


class RawHttp:
    """One connection; called with raw requests, answers with their status."""

    def __init__(self, collector: Collector) -> None:
        self._peer = socket.create_connection(("127.0.0.1", collector.port), timeout=HANG_SECS)

    def __enter__(self) -> RawHttp:
        return self

    def __exit__(self, *_: object) -> None:
        self._peer.close()

    def __call__(self, request: bytes) -> int:
        """Sends it."""
        self._peer.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            data = self._peer.recv(65536)
            assert data, answer
            answer += data
        return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"body": b"line"}, 204),
        ({"body": b"two\nlines\n"}, 204),
        ({"body": b""}, 204),
        ({"body": b"\n\n"}, 204),
        ({"body": b"x", "path": "/other"}, 404),
        ({"body": b"x", "method": "PUT"}, 405),
        ({"body": None, "method": "GET"}, 405),
        ({"body": b"x", "Content_Encoding": "compress"}, 415),
        ({"body": b"no gzip", "Content_Encoding": "gzip"}, 400),
        ({"body": b"x" * 2000}, 413),
    ],
)
def test_requests(request_: dict[str, object], status: int, tmp_path: Path) -> None:
    """What is taken, and what is refused with a status that says why."""
    with run_collector(tmp_path, "--max_body_bytes=1K") as collector:
        assert post(collector, **request_) == status  # type: ignore[arg-type]
        body = request_["body"]
        expected = [line for line in bytes(body or b"").split(b"\n") if line] if status == 204 else []  # type: ignore[call-overload]
        assert collector.lines == expected


def test_the_token(tmp_path: Path) -> None:
    """Bearer or, as Dovecot sends what is in its URL, basic; nothing is taken without it, and it is told to nobody."""
    token = "s3cret/=+"
    basic = base64.b64encode(f"dovecot:{token}".encode()).decode()
    with run_collector(tmp_path, "--token=env:TEST_TOKEN", env={"TEST_TOKEN": token}) as collector:
        assert post(collector, b"no") == 401
        for wrong in ("Bearer wrong", "Basic !", "Basic d3Jvbmc6", f"Digest {token}", token):
            assert post(collector, b"no", Authorization=wrong) == 401
        assert post(collector, b"1", Authorization=f"Bearer {token}") == 204
        assert post(collector, b"2", Authorization=f"Basic {basic}") == 204
        assert collector.lines == [b"1", b"2"]
        collector.stop()
        assert token not in collector.said
        assert "6 requests were refused" in collector.said


def test_tls(tmp_path: Path) -> None:
    """TLS with a certificate of one's own; who speaks no TLS is not heard."""
    certificate, key = make_authority(tmp_path).issue("server", "IP:127.0.0.1")
    with run_collector(tmp_path, f"--tls_cert={certificate}", f"--tls_key={key}", http="https") as collector:
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        client = http.client.HTTPSConnection("127.0.0.1", collector.port, timeout=HANG_SECS, context=context)
        client.request("POST", "/", b"line")
        assert client.getresponse().status == 204
        client.close()
        with pytest.raises((http.client.HTTPException, OSError)):
            post(collector, b"plain")
        assert collector.lines == [b"line"]


def test_torn_lines(collector: Collector) -> None:
    """A piece without an end is no event: aside and counted, at an orderly end as well as at a kill."""
    with connect(collector) as peer:
        peer.sendall(b"whole\ntor")
    with connect(collector) as peer:
        peer.sendall(b"next\n")
    collector.wait_for(2)
    wait_until(lambda: collector.torn == b"tor\n", "the piece aside")
    assert collector.stop() == 0
    assert "1 torn" in collector.said
    assert Counter(collector.lines) == Counter([b"whole", b"next"])


def test_stopping(collector: Collector) -> None:
    """What was sent before the stop is in the spool, also what nobody had read yet; then connections end, files too."""
    peers = [connect(collector) for _ in range(5)]
    for peer in peers:
        peer.sendall(b"".join(b"%d\n" % number for number in range(10_000)) + b"tor")
    assert collector.stop() == 0
    assert len(collector.lines) == 50_000
    assert collector.torn == b"tor\n" * 5
    assert all(peer.recv(1) == b"" for peer in peers)
    assert not collector.socket.exists()
    for peer in peers:
        peer.close()


def test_stopping_with_waiting_connections(tmp_path: Path) -> None:
    """Those that were never accepted have sent something, too."""
    with run_collector(tmp_path, "--max_connections=1") as collector:
        peers = [connect(collector) for _ in range(4)]
        for number, peer in enumerate(peers):
            peer.sendall(b"%d\n" % number)
        assert collector.stop() == 0
        assert set(collector.lines) == {b"0", b"1", b"2", b"3"}
        for peer in peers:
            peer.close()


def test_a_socket_of_systemd(tmp_path: Path) -> None:
    """While nobody collects, connections and lines wait at a socket that another process holds open."""
    path = tmp_path / "held"
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(str(path))
        held.listen(8)
        command = [sys.executable, "-m", "dovebeam.pipelines.cli", "collect", f"--listen=unix:{path}"]
        command.append(f"--spool={tmp_path / 'spool'}")
        script = 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3<&0 0</dev/null'  # as systemd would
        for start in range(3):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(str(path))
                peer.sendall(b"%d\n" % start)
                collect_from(held, ["sh", "-c", script, "-", *command], tmp_path / "spool", start + 1)
        assert path.exists()
    assert spooled(tmp_path / "spool") == [b"0", b"1", b"2"]


def collect_from(held: socket.socket, command: list[str], spool: Path, count: int) -> None:
    """Runs a collector until so many lines are there."""
    with subprocess.Popen(command, stdin=held) as process:
        wait_until(lambda: process.poll() is not None or len(spooled(spool)) >= count, "the line")
        process.terminate()
        assert process.wait(HANG_SECS) == 0


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x00garbage\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"x" * 20_000,
    ],
)
def test_garbage(garbage: bytes, collector: Collector) -> None:
    """Who speaks no HTTP is told so, and fills neither spool nor log."""
    with socket.create_connection(("127.0.0.1", collector.port), timeout=HANG_SECS) as peer:
        peer.sendall(garbage)
        assert peer.recv(65536).startswith(b"HTTP/1.0 400 ")
    assert post(collector, b"fine") == 204
    assert collector.lines == [b"fine"]
    assert collector.said.count("\n") == 1


def test_our_own_driver(collector: Collector) -> None:
    """Dovebeam's unix driver delivers to it as Dovecot's does."""
    connection = UnixDriver(str(collector.socket), 1000).open()
    assert connection.send([b"1", b"2"]) == []
    connection.close()
    assert collector.wait_for(2) == [b"1", b"2"]


def test_killed_and_started_again(tmp_path: Path) -> None:
    """What was answered with 204 is there after SIGKILL; the stale socket and the lock are no obstacles."""
    with run_collector(tmp_path) as collector:
        for number in range(100):
            assert post(collector, b"%d" % number) == 204
        collector.process.kill()
        collector.process.wait(HANG_SECS)
    with run_collector(tmp_path) as collector:
        assert post(collector, b"again") == 204
        with connect(collector) as peer:
            peer.sendall(b"unix\n")
        assert collector.wait_for(102) == [*(b"%d" % number for number in range(100)), b"again", b"unix"]


def test_one_collector_per_spool_and_socket(collector: Collector, tmp_path: Path) -> None:
    """A second one is refused, and does not take the socket from the first."""
    with run_collector(tmp_path, wait=False) as second:
        assert second.process.wait(HANG_SECS) == 1
        assert "another collector writes to" in second.said
    other = tmp_path / "other"
    other.mkdir()
    with run_collector(other, f"--listen=unix:{collector.socket}", wait=False) as second:
        assert second.process.wait(HANG_SECS) == 1
        assert f"another program listens to {collector.socket}" in second.said
    with connect(collector) as peer:
        peer.sendall(b"still here\n")
    assert collector.wait_for(1) == [b"still here"]


def test_waiting_connections(tmp_path: Path) -> None:
    """Beyond the limit connections wait, and are served when others end; nothing of them is lost."""
    with run_collector(tmp_path, "--max_connections=2") as collector:
        peers = [connect(collector) for _ in range(4)]
        for number, peer in enumerate(peers):
            peer.sendall(b"%d\n" % number)
        collector.wait_for(2)
        time.sleep(0.3)
        assert set(collector.lines) == {b"0", b"1"}
        for peer in peers:
            peer.close()
        assert set(collector.wait_for(4)) == {b"0", b"1", b"2", b"3"}


def test_slow_requests(tmp_path: Path) -> None:
    """A connection that never asks is closed, a body that never comes is 408; a kept connection may be idle longer."""
    with run_collector(tmp_path, "--request_timeout=1s") as collector:
        address = ("127.0.0.1", collector.port)
        with socket.create_connection(address) as silent, socket.create_connection(address) as slow:
            silent.settimeout(HANG_SECS)
            slow.settimeout(HANG_SECS)
            slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab")
            with RawHttp(collector) as kept:
                request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"
                assert kept(request + b"1") == 204
                assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")
                assert silent.recv(1000) == b""
                time.sleep(1.5)
                assert kept(request + b"2") == 204
        assert collector.lines == [b"1", b"2"]


def test_a_full_disk(tmp_path: Path) -> None:
    """Http is answered 503 with Retry-After, the unix socket is not read; with room again, nothing is missing."""
    with small_disk(tmp_path / "disk", "256k") as disk:
        (disk / "room").write_bytes(b"x" * (160 << 10))
        with run_collector(disk) as collector, connect(collector) as peer:
            sent = [b"%d %s" % (number, b"x" * 990) for number in range(180)]

            def send() -> None:
                peer.sendall(b"".join(line + b"\n" for line in sent))

            sender = threading.Thread(target=send)
            sender.start()
            wait_until(lambda: "the disk is full" in collector.said, "the full disk")
            with RawHttp(collector) as ask:
                assert ask(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 102400\r\n\r\n" + b"y" * 102400) == 503
            client = http.client.HTTPConnection("127.0.0.1", collector.port, timeout=HANG_SECS)
            client.request("POST", "/", b"y" * 102400)
            assert client.getresponse().getheader("Retry-After") == "10"
            client.close()
            (disk / "room").unlink()
            sender.join(HANG_SECS)
            assert collector.wait_for(len(sent)) == sent
            wait_until(lambda: "can be written to again" in collector.said, "the good news")
            assert post(collector, b"end") == 204
            assert collector.stop() == 0


def test_a_full_disk_at_the_end(tmp_path: Path) -> None:
    """What a unix peer sent and no disk could take is counted as lost, and the exit code says so; it does not hang."""
    with small_disk(tmp_path / "disk", "64k") as disk:
        (disk / "room").write_bytes(b"x" * (40 << 10))
        with run_collector(disk) as collector, connect(collector) as peer:
            peer.sendall(b"x" * 60_000 + b"\n")
            wait_until(lambda: "the disk is full" in collector.said, "the full disk")
            assert collector.stop() == 1
            assert "60,001 bytes could not be written and are LOST" in collector.said


@pytest.mark.parametrize("delay_msec", [0, 1, 2, 5, 10, 20, 50, 100])
def test_a_second_signal(delay_msec: int, tmp_path: Path) -> None:
    """It ends at once, whatever the collector is doing just then, and says so."""
    with small_disk(tmp_path / "disk", "64k") as disk:
        (disk / "room").write_bytes(b"x" * (40 << 10))
        with run_collector(disk) as collector, connect(collector) as peer:
            peer.sendall(b"x" * 60_000 + b"\n")
            wait_until(lambda: "the disk is full" in collector.said, "the full disk")
            collector.process.send_signal(signal.SIGINT)
            wait_until(lambda: "stopping" in collector.said, "it to stop")
            time.sleep(delay_msec / 1000)
            collector.process.send_signal(signal.SIGINT)
            assert collector.process.wait(HANG_SECS) == 130
            assert "ended at once" in collector.said


@pytest.mark.parametrize("fsync", ["none", "batch", "always"])
def test_many_requests(fsync: str, tmp_path: Path) -> None:
    """Requests of many connections are written together, each answered after it was."""
    with run_collector(tmp_path, f"--fsync={fsync}", "--rotate_size=10K") as collector:

        def send(number: int) -> None:
            with RawHttp(collector) as ask:
                for nth in range(100):
                    body = b"%d/%d" % (number, nth)
                    assert ask(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)) == 204

        threads = [threading.Thread(target=send, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert Counter(spooled(collector.spool)) == Counter(b"%d/%d" % (a, b) for a in range(10) for b in range(100))
