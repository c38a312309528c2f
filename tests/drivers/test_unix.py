"""The unix driver, against real listeners."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
import time
from pathlib import Path

import pytest

from dovebeam.transforms.drivers import Driver, UnixDriver
from dovebeam.transforms.errors import DeliveryError, DriverSettingError
from support.driver_contract import DriverContract
from support.oracle.corpus import CORPUS
from support.programs import HANG_SECS
from support.servers.server_unix import UnixListener, run_unix_listener


class TestContract(DriverContract):
    @pytest.fixture
    def driver(self, tmp_path: Path) -> Driver:
        return UnixDriver(str(tmp_path / "nobody"))


def test_sends_dovecots_stream(tmp_path: Path) -> None:
    """The payloads that Dovecot sent, sent again, are the very bytes that Dovecot's listener got."""
    connections = json.loads((CORPUS / "unix-frames.b64.json").read_text())["connections"]
    stream = b"".join(base64.b64decode(read) for connection in connections for read in connection["reads"])
    payloads = stream.removesuffix(b"\n").split(b"\n")
    with run_unix_listener(tmp_path / "s") as listener, UnixDriver(str(tmp_path / "s")).open() as connection:
        for start in range(0, len(payloads), 50):
            assert connection.send(payloads[start : start + 50]) == []
        assert listener.wait_for(len(stream)) == stream
        assert len(listener.received) == 1


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda path: None, "No such file or directory (there is no socket; start the listener"),
        (lambda path: path.write_bytes(b""), "Connection refused (nothing listens there"),
        (lambda path: (path.parent / "file").touch() or path.symlink_to("file/x"), "Not a directory"),
    ],
    ids=["missing", "no socket", "bad path"],
)
def test_no_listener(tmp_path: Path, prepare: object, words: str) -> None:
    """Without a listener the batch fails, in Dovecot's words and with advice."""
    path = tmp_path / "s"
    prepare(path)  # type: ignore[operator]
    with (
        UnixDriver(str(path), unix_connect_timeout_msec=0).open() as connection,
        pytest.raises(DeliveryError) as caught,
    ):
        connection.send([b"x"])
    assert str(caught.value).startswith(f"connect({path}) failed: {words}")


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_impossible_path_is_found_at_launch(path: str) -> None:
    """A path that can name nothing is refused where the driver is made."""
    with pytest.raises(DriverSettingError, match="event_exporter_unix_path"):
        UnixDriver(path)


def test_over_long_path_is_an_error(tmp_path: Path) -> None:
    """The kernel's limit for socket paths gives an error, not a crash."""
    with UnixDriver(f"/{'x' * 200}").open() as connection, pytest.raises(DeliveryError, match="too long"):
        connection.send([b"x"])


def test_missing_socket_fails_at_once(tmp_path: Path) -> None:
    """Only a refused or busy socket is worth waiting for."""
    begin = time.monotonic()
    with (
        UnixDriver(str(tmp_path / "s"), unix_connect_timeout_msec=300_000).open() as connection,
        pytest.raises(DeliveryError),
    ):
        connection.send([b"x"])
    assert time.monotonic() - begin < 200


def _stale_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))


def test_stale_socket_is_tried_until_the_timeout(tmp_path: Path) -> None:
    """A refused connection is tried again for unix_connect_timeout, not longer."""
    path = tmp_path / "s"
    _stale_socket(path)
    begin = time.monotonic()
    with (
        UnixDriver(str(path), unix_connect_timeout_msec=250).open() as connection,
        pytest.raises(DeliveryError, match="refused"),
    ):
        connection.send([b"x"])
    assert 0.25 <= time.monotonic() - begin < 60


def test_listener_that_comes_late_is_reached(tmp_path: Path) -> None:
    """A listener that takes over the stale socket within the timeout gets the batch."""
    path = tmp_path / "s"
    _stale_socket(path)
    with UnixDriver(str(path), unix_connect_timeout_msec=10_000).open() as connection:
        sender = threading.Thread(target=connection.send, args=([b"a", b"b"],))
        sender.start()
        time.sleep(0.05)
        replacement = tmp_path / "new"
        with run_unix_listener(replacement) as listener:
            replacement.rename(path)
            sender.join(HANG_SECS)
            assert listener.wait_for(4) == b"a\nb\n"


def test_full_backlog_is_waited_for(tmp_path: Path) -> None:
    """A listener that accepts too slowly (EAGAIN) ends in an error after the timeout, without hanging."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        fillers = [socket.socket(socket.AF_UNIX) for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(str(path))
        with (
            UnixDriver(str(path), unix_connect_timeout_msec=150).open() as connection,
            pytest.raises(DeliveryError, match="accept connections fast enough"),
        ):
            connection.send([b"x"])
        for filler in fillers:
            filler.close()


def test_slow_reader_gets_every_byte(tmp_path: Path) -> None:
    """A batch far beyond the socket's buffer waits for the reader; nothing is cut and nothing dropped."""
    payloads = [b"%d " % number + b"x" * 1000 for number in range(3000)]
    expected = b"".join(payload + b"\n" for payload in payloads)
    with (
        run_unix_listener(tmp_path / "s", paused=True) as listener,
        UnixDriver(str(tmp_path / "s")).open() as connection,
    ):
        threading.Timer(0.3, listener.resume).start()
        assert connection.send(payloads) == []
        assert listener.wait_for(len(expected)) == expected


def test_reader_that_stalls_ends_in_an_error(tmp_path: Path) -> None:
    """A listener that reads nothing for the write timeout fails the batch."""
    with (
        run_unix_listener(tmp_path / "s", paused=True),
        UnixDriver(str(tmp_path / "s"), unix_write_timeout_msec=100).open() as connection,
        pytest.raises(DeliveryError, match="read nothing for 100 ms"),
    ):
        connection.send([b"x" * 100_000] * 100)


def test_reconnects_between_batches(tmp_path: Path) -> None:
    """A peer that closed is noticed before the next batch is written, so nothing of it is lost."""
    with run_unix_listener(tmp_path / "s") as listener, UnixDriver(str(tmp_path / "s")).open() as connection:
        connection.send([b"one"])
        listener.wait_for(4)
        listener.drop_connections()
        connection.send([b"two"])
        assert listener.wait_for(8) == b"one\ntwo\n"
        assert len(listener.received) == 2


@pytest.mark.parametrize("limit", [1, 700, 65536, 300_001])
def test_peer_that_closes_inside_a_batch_gets_it_again_from_its_start(tmp_path: Path, limit: int) -> None:
    """After a reconnect the first byte is the first of a line, and the whole batch arrives."""
    payloads = [b"%05d " % number + b"x" * 1000 for number in range(2000)]
    expected = b"".join(payload + b"\n" for payload in payloads)
    with (
        run_unix_listener(tmp_path / "s", read_limit=limit) as listener,
        UnixDriver(str(tmp_path / "s")).open() as connection,
    ):
        assert connection.send(payloads) == []
        listener.wait_for(limit + len(expected))
        assert expected.startswith(bytes(listener.received[0]))
        assert bytes(listener.received[1]) == expected


def test_peer_that_always_closes_is_given_up(tmp_path: Path) -> None:
    """A listener that closes every connection cannot hold the driver for ever."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(16)

        def slam() -> None:
            for _ in range(20):
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                peer.recv(1)
                peer.close()

        threading.Thread(target=slam, daemon=True).start()
        with UnixDriver(str(path)).open() as connection, pytest.raises(DeliveryError, match=r"write\(.*failed"):
            connection.send([b"x" * 1_000_000] * 3)
        listener.shutdown(socket.SHUT_RDWR)


def test_chatty_listener_does_no_harm(tmp_path: Path) -> None:
    """What a listener writes back is thrown away and not taken for its end."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener, UnixDriver(str(path)).open() as connection:
        listener.bind(str(path))
        listener.listen(1)
        data = b""

        def chat() -> None:
            nonlocal data
            peer, _ = listener.accept()
            with peer:
                while len(data) < 8:
                    peer.sendall(b"hello " * 100)
                    data += peer.recv(100)

        thread = threading.Thread(target=chat, daemon=True)
        thread.start()
        for text in (b"a", b"b", b"b", b"b"):
            connection.send([text])
        thread.join(HANG_SECS)
        assert data == b"a\nb\nb\nb\n"


def test_batch_counts_when_it_was_read(tmp_path: Path) -> None:
    """Small batches too are not done while they lie in the kernel's buffer, which would die with the listener."""
    with (
        run_unix_listener(tmp_path / "s", paused=True) as listener,
        UnixDriver(str(tmp_path / "s")).open() as connection,
    ):
        begin = time.monotonic()
        threading.Timer(0.3, listener.resume).start()
        assert connection.send([b"one"]) == []
        assert time.monotonic() - begin >= 0.3
        assert listener.data == b"one\n"


@pytest.mark.parametrize("accepts", [True, False], ids=["accepted", "in the backlog"])
def test_what_a_dead_listener_had_not_read_is_sent_again(tmp_path: Path, accepts: bool) -> None:
    """Its successor gets the whole batch, and the sender knows that the first listener read none of it."""
    path = tmp_path / "s"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.listen(4)

    def die_and_come_back() -> None:
        peer = dead.accept()[0] if accepts else None
        time.sleep(0.2)
        path.unlink()
        successor.append(stack.enter_context(run_unix_listener(path)))
        if peer is not None:
            peer.close()
        dead.close()

    successor: list[UnixListener] = []
    with contextlib.ExitStack() as stack, UnixDriver(str(path)).open() as connection:
        thread = threading.Thread(target=die_and_come_back)
        thread.start()
        assert connection.send([b"one", b"two"]) == []
        thread.join(HANG_SECS)
        assert successor[0].wait_for(8) == b"one\ntwo\n"


def test_listener_that_is_away_is_waited_for_within_the_budget(tmp_path: Path) -> None:
    """A restart that removes the socket and takes its time loses nothing and fails nothing."""
    path = tmp_path / "s"
    with contextlib.ExitStack() as stack, UnixDriver(str(path), unix_retry_budget_msec=300_000).open() as connection:
        first = stack.enter_context(run_unix_listener(path))
        connection.send([b"one"])
        first.close()
        path.unlink()
        listeners: list[UnixListener] = []
        threading.Timer(0.5, lambda: listeners.append(stack.enter_context(run_unix_listener(path)))).start()
        assert connection.send([b"two"]) == []
        assert listeners[0].wait_for(4) == b"two\n"


def test_budget_ends(tmp_path: Path) -> None:
    """A listener that never comes fails the batch when the budget is used up, with the connection's own error."""
    driver = UnixDriver(str(tmp_path / "s"), unix_retry_budget_msec=300)
    begin = time.monotonic()
    with driver.open() as connection, pytest.raises(DeliveryError, match="No such file or directory"):
        connection.send([b"x"])
    assert 0.3 <= time.monotonic() - begin < 60
