"""The sockets of collectors: each path has one owner, and who sees one of a collector's sockets is heard by all."""

from __future__ import annotations

import contextlib
import http.client
import multiprocessing
import os
import socket
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from dovebeam.pipelines.collect.options import Address
from dovebeam.pipelines.collect.sockets import Bound, bind, listen
from dovebeam.transforms.errors import DeliveryError
from support.jobs.collector import run_collector
from support.programs import HANG_SECS, wait_until

PAIRS = 300


@contextlib.contextmanager
def listening(path: Path) -> Iterator[Bound]:
    """A socket with an owner."""
    (bound,) = bind(Address(path=str(path)), 0o600)
    try:
        listen([bound])
        yield bound
    finally:
        bound.close()


def try_all(folder: Path, barrier: Barrier, won: multiprocessing.Queue[int]) -> None:
    """One half of each pair; reports which paths it got."""
    for number in range(PAIRS):
        barrier.wait(HANG_SECS)
        with contextlib.suppress(DeliveryError), listening(folder / str(number % 7)):
            won.put(number)
            barrier.wait(HANG_SECS)
            continue
        barrier.wait(HANG_SECS)


def test_of_two_that_start_together_one_listens(tmp_path: Path) -> None:
    """However the two meet, one gets the socket and the other is refused."""
    context = multiprocessing.get_context("fork")
    barrier, won = context.Barrier(2), context.Queue()
    processes = [context.Process(target=try_all, args=(tmp_path, barrier, won)) for _ in range(2)]
    for process in processes:
        process.start()
    assert sorted(won.get(timeout=HANG_SECS) for _ in range(PAIRS)) == list(range(PAIRS))
    for process in processes:
        process.join(HANG_SECS)
        assert process.exitcode == 0
    assert won.empty()
    assert list(tmp_path.iterdir()) == []


def test_a_successor_keeps_its_socket(tmp_path: Path) -> None:
    """One that ends removes its own socket only, not what stands in its place by then."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as successor:
        with listening(path):
            path.unlink()
            successor.bind(str(path))
        assert path.exists()
    path.unlink()
    with listening(path) as first:
        first.withdraw()
        with listening(path):
            first.close()
            assert path.is_socket()
            with pytest.raises(DeliveryError, match="another program listens"), listening(path):
                pass
    assert list(tmp_path.iterdir()) == []


def test_a_successor_with_another_spool(tmp_path: Path) -> None:
    """It may start while the first one still drains, and its socket stays."""
    other = tmp_path / "other"
    other.mkdir()
    with run_collector(tmp_path) as first:
        path = first.socket
        first.process.terminate()
        wait_until(lambda: not path.exists(), "the first to withdraw")
        with run_collector(other, f"--listen=unix:{path}") as second:
            assert first.process.wait(HANG_SECS) == 0
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(str(path))
                peer.sendall(b"x\n")
            assert second.wait_for(1) == [b"x"]


def test_what_a_killed_one_left(tmp_path: Path) -> None:
    """Neither a socket that nobody listens to nor the files beside it are in the way."""
    path = tmp_path / "s"
    for name in ("s", ".s.new"):
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(tmp_path / name))
    (tmp_path / ".s.lock").touch()
    with listening(path), socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(path))
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_swept_away(tmp_path: Path) -> None:
    """Who cleans up directories of temporary files does not give a live socket to another."""
    path = tmp_path / "s"
    with listening(path):
        (tmp_path / ".s.lock").unlink()
        with pytest.raises(DeliveryError, match="another program listens"), listening(path):
            pass
        assert path.is_socket()


def test_a_path_of_the_greatest_length(tmp_path: Path) -> None:
    """What a client can connect to can be listened to."""
    path = tmp_path / ("s" * (107 - len(os.fsencode(tmp_path)) - 1))
    with listening(path), socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(path))


def test_permissions(tmp_path: Path) -> None:
    """The socket has them from the moment that it is seen."""
    (bound,) = bind(Address(path=str(tmp_path / "s")), 0o660)
    with contextlib.closing(bound):
        assert not (tmp_path / "s").exists()
        listen([bound])
        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o660


def test_who_sees_the_socket_is_heard_everywhere(tmp_path: Path) -> None:
    """Http is listened to before a unix socket can be seen."""
    with run_collector(tmp_path, ready=lambda collector: collector.socket.exists()) as collector:
        client = http.client.HTTPConnection("127.0.0.1", collector.port, timeout=HANG_SECS)
        client.request("POST", "/", b"first")
        assert client.getresponse().status == 204
        client.close()
        assert collector.lines == [b"first"]


def test_all_addresses_or_none(tmp_path: Path) -> None:
    """A collector that cannot have one of its addresses is never seen at another, and leaves nothing there."""
    seen = tmp_path / "seen"
    with listening(tmp_path / "taken"):
        more = (f"--listen=unix:{seen}", f"--listen=unix:{tmp_path / 'taken'}")
        with run_collector(tmp_path, *more, wait=False) as collector:
            assert collector.process.wait(HANG_SECS) == 1
            assert f"another program listens to {tmp_path / 'taken'}" in collector.said
    assert not [path for path in tmp_path.iterdir() if path.name not in {"spool", "collector.log"}]
