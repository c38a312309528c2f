"""A bounded number of messages at hand, on a real server: leases are kept, acknowledged, given back."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dovebeam.transforms.sources import SourceError
from dovebeam.transforms.sources.pubsub import Pulled, Puller, PullLimits, SubscriptionClient
from support.programs import HANG_SECS, wait_until
from support.servers.pubsub_server import SUBSCRIPTION, PubSubServer

_ALL = 2**40
_QUICK = PullLimits(wait_secs=0.6)


@contextmanager
def pulling(limits: PullLimits = _QUICK) -> Iterator[Puller]:
    """A puller, closed in the end."""
    puller = Puller(SubscriptionClient(SUBSCRIPTION), limits)
    try:
        yield puller
    finally:
        puller.close()


def take(puller: Puller, count: int) -> list[Pulled]:
    """So many messages."""
    taken: list[Pulled] = []

    def enough() -> bool:
        taken.extend(puller.take(_ALL))
        return len(taken) >= count

    wait_until(enough, f"{count} messages")
    return taken


def test_acknowledged_and_given_back(server: PubSubServer) -> None:
    """At its end what was acknowledged is gone for good, and all else can be had at once by others."""
    server.publish([b"%d" % number for number in range(10)])
    with pulling() as puller:
        taken = take(puller, 10)
        puller.acknowledge(taken[:4])
    assert sorted(server.left()) == sorted(each.data for each in taken[4:])


def test_no_more_than_allowed(server: PubSubServer) -> None:
    """Pulling pauses at the limit of messages, and goes on as they are acknowledged."""
    server.publish([b"%d" % number for number in range(100)])
    with pulling(PullLimits(max_messages=30, wait_secs=0.6)) as puller:
        first = take(puller, 30)
        time.sleep(0.3)
        assert (puller.held, puller.take(_ALL)) == (30, [])
        puller.acknowledge(first)
        assert len(take(puller, 30)) == 30


def test_no_more_bytes_than_allowed(server: PubSubServer) -> None:
    """With one answer's messages the limit of bytes is reached; nothing is pulled until they are gone."""
    server.publish([b"x" * 1000] * 1500)
    with pulling(PullLimits(max_bytes=100_000, wait_secs=0.6)) as puller:
        first = take(puller, 1000)
        time.sleep(0.3)
        assert (puller.held, puller.take(_ALL)) == (1000, [])
        puller.acknowledge(first)
        assert len(take(puller, 500)) == 500


def test_take_is_bounded_and_in_order(server: PubSubServer) -> None:
    """A piece gets about as many bytes as it wants; what is put back comes first."""
    server.publish([b"%010d" % number for number in range(100)])
    with pulling() as puller:
        wait_until(lambda: puller.held == 100, "all messages")
        first = puller.take(195)
        assert len(first) == 20
        puller.put_back(first)
        assert puller.take(45) == first[:5]


def test_lease_is_kept_while_a_delivery_lasts(server: PubSubServer) -> None:
    """A message that is delivered for longer than its subscription's deadline of 10 s comes to nobody else."""
    server.publish([b"slow"])
    with pulling() as puller:
        taken = take(puller, 1)
        time.sleep(11.5)
        assert server.left() == []
        assert puller.take(_ALL) == []
        puller.acknowledge(taken)
    assert server.left() == []


def test_delivery_that_takes_too_long(server: PubSubServer, caplog: pytest.LogCaptureFixture) -> None:
    """It no longer counts as held, and is said; another delivery of the message may come."""
    server.publish([b"stuck"])
    with pulling(PullLimits(wait_secs=0.6, max_taken_secs=0.5)) as puller:
        take(puller, 1)
        wait_until(lambda: puller.held == 0, "the lease to be given up")
    assert "the delivery of 1 messages takes more than" in caplog.text


def test_missing_subscription_is_told(server: PubSubServer) -> None:
    """What somebody must repair is raised where messages are taken."""
    puller = Puller(SubscriptionClient(f"{SUBSCRIPTION}-none"), PullLimits(wait_secs=0.6))

    def fails() -> bool:
        try:
            puller.take(_ALL)
        except SourceError as error:
            assert "does not exist" in str(error)
            return True
        return False

    wait_until(fails, "the error")
    puller.close()


def test_outage_ends_nothing(server: PubSubServer) -> None:
    """While the server does not answer, there are no messages; then it goes on, and acknowledges what was delivered."""
    server.publish([b"1"])
    with pulling() as puller:
        taken = take(puller, 1)
        server.process.send_signal(signal.SIGSTOP)
        puller.acknowledge(taken)
        time.sleep(1.5)
        assert puller.take(_ALL) == []
        server.process.send_signal(signal.SIGCONT)
        server.publish([b"2"])
        assert [each.data for each in take(puller, 1)] == [b"2"]
        puller.flush()
    assert server.left() == [b"2"]


def test_server_that_is_gone(server: PubSubServer, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, not with every try; and closing does not wait for what cannot come."""
    server.publish([b"1"])
    with pulling() as puller:
        take(puller, 1)
        server.process.kill()
        server.process.wait(HANG_SECS)
        wait_until(lambda: "retrying" in caplog.text, "the warning")
        time.sleep(1.5)
        assert puller.take(_ALL) == []
        closing = time.monotonic()
    assert time.monotonic() - closing < 60
    assert caplog.text.count("retrying") == 1
