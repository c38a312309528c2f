"""Pieces of a stream: what failed comes again first, what succeeded is acknowledged, and nothing is acknowledged twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dovebeam.transforms.sources.pubsub import PullLimits, Session, SubscribeRequest, close_session, session_of
from support.programs import wait_until
from support.servers.pubsub_server import SUBSCRIPTION, PubSubServer

_MANY = 2**30
REQUEST = SubscribeRequest(SUBSCRIPTION, PullLimits(wait_secs=0.6))


@pytest.fixture
def session(server: PubSubServer) -> Iterator[Session]:
    """The session of this process."""
    yield session_of(REQUEST)
    close_session(REQUEST)


def read(session: Session, count: int, max_bytes: int = _MANY) -> list[bytes]:
    """The lines of so many messages of the piece that was begun."""
    lines: list[bytes] = []

    def enough() -> bool:
        lines.extend(line for block in session.read(max_bytes) for line in block.data.splitlines())
        return len(lines) >= count

    wait_until(enough, f"{count} messages")
    return lines


def test_one_session_of_a_request(session: Session) -> None:
    """All pieces of a process share it, until it is closed."""
    assert session_of(REQUEST) is session


def test_succeeded(session: Session, server: PubSubServer) -> None:
    """What is acknowledged is gone; of a later piece, that waits, all comes back to the server at the end."""
    server.publish([b"{1}", b"{2}"])
    session.begin(0, 0)
    first = read(session, 2)
    acknowledge = session.end(0)
    session.begin(1, 0)
    server.publish([b"{3}"])
    assert (sorted(first), read(session, 1)) == ([b"{1}", b"{2}"], [b"{3}"])
    session.end(1)
    acknowledge()
    close_session(REQUEST)
    assert server.left() == [b"{3}"]


def test_begun_again(session: Session, server: PubSubServer) -> None:
    """A piece that failed gets the same messages; what its first attempt would acknowledge no longer counts."""
    server.publish([b"{1}", b"{2}"])
    session.begin(0, 0)
    first = read(session, 2)
    late = session.end(0)
    session.begin(0, 0)
    assert read(session, 2) == first
    late()
    session.end(0)
    close_session(REQUEST)
    assert sorted(server.left()) == [b"{1}", b"{2}"]


def test_new_pipeline(session: Session, server: PubSubServer) -> None:
    """It first gets, in their order, what all pieces of the pipeline before it did not acknowledge."""
    server.publish([b"{%d}" % number for number in range(4)])
    lines = []
    for place in (0, 1, 2, 3):
        session.begin(place, 0)
        lines += read(session, 1, max_bytes=1)
        acknowledge = session.end(place)
        if place == 1:
            acknowledge()
    session.begin(100, 100)
    assert read(session, 3) == [lines[0], *lines[2:]]
    session.end(100)()
    close_session(REQUEST)
    assert server.left() == []


def test_size_of_a_piece(session: Session, server: PubSubServer) -> None:
    """Several looks of one piece give no more than one would."""
    server.publish([b"{%08d}" % number for number in range(20)])
    session.begin(0, 0)
    lines = read(session, 5, max_bytes=45)
    assert list(session.read(45)) == []
    session.begin(1, 0)
    assert len(lines) + len(read(session, 15)) == 20


def test_rest(session: Session, server: PubSubServer) -> None:
    """At a drain all that was pulled is given out, nothing is pulled any more, and the acknowledgement has arrived."""
    server.publish([b"{%d}" % number for number in range(50)])
    session.begin(0, 0)
    read(session, 1, max_bytes=1)
    wait_until(lambda: session._puller.held == 50, "all messages")
    assert sum(len(block.messages) for block in session.read_rest()) == 49
    session.end(0)()
    server.publish([b"{late}"])
    assert server.left() == [b"{late}"]
