"""Calls to a real server, and what its refusals become."""

from __future__ import annotations

import sys
import time

import pytest
from google.api_core.exceptions import Cancelled

from dovebeam.transforms.sources import SourceError
from dovebeam.transforms.sources.pubsub import (
    PubSubUnavailableError,
    SubscriptionClient,
    check_pullable,
    check_subscription,
    check_topic,
    create_subscription,
    delete_subscription,
)
from support.programs import free_port
from support.servers.pubsub_server import SUBSCRIPTION, TOPIC, PubSubServer

MISSING = "projects/test-project/subscriptions/missing"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("events", "write projects/PROJECT/subscriptions/NAME"),
        ("projects/project/subscriptions/", "write projects"),
        ("projects/p/subscriptions/events", "write projects"),
        ("projects/project/subscriptions/9xy", "write projects"),
        ("projects/project/subscriptions/google-x", "write projects"),
        ("projects/project/subscriptions/xyz\n", "write projects"),
        ("projects/project/topics/events", "that is a topic: give it as --input_topic"),
    ],
)
def test_names_of_subscriptions(name: str, text: str) -> None:
    """A wrong one is told before any server is asked."""
    with pytest.raises(SourceError, match=text):
        check_subscription(name)


def test_names_of_topics() -> None:
    """The same; and a good name is given back."""
    with pytest.raises(SourceError, match="that is a subscription: give it as --input_subscription"):
        check_topic(SUBSCRIPTION)
    with pytest.raises(SourceError, match="is not a topic"):
        check_topic("projects/project/topics/a b")
    assert check_topic(name := "projects/example.com:project-1/topics/a.b~c%2F+_-") == name


def test_pull_and_acknowledge(server: PubSubServer) -> None:
    """A message comes with all that it has; once acknowledged it never comes again, once given back at once."""
    ids = server.publish([b"one", b"two"], host="a")
    client = SubscriptionClient(SUBSCRIPTION)
    messages = sorted(client.pull(10, 5), key=lambda message: message.data)
    assert [(each.message_id, each.data, each.attributes) for each in messages] == [
        (ids[0], b"one", (("host", "a"),)),
        (ids[1], b"two", (("host", "a"),)),
    ]
    assert abs(messages[0].publish_time / 1e6 - time.time()) < 60
    client.acknowledge([messages[0].ack_id])
    client.extend([messages[1].ack_id], 0)
    assert [each.data for each in client.pull(10, 5)] == [b"two"]
    assert client.pull(10, 0.2) == []
    client.close()


def test_many_ids_at_once(server: PubSubServer) -> None:
    """Requests have a limit, which is kept."""
    server.publish([b"%d" % number for number in range(2500)])
    client = SubscriptionClient(SUBSCRIPTION)
    messages = [message for _ in range(3) for message in client.pull(5000, 5)]
    assert len(messages) == 2500
    client.extend([each.ack_id for each in messages], 30)
    client.acknowledge([each.ack_id for each in messages])
    assert server.left() == []
    client.close()


def test_what_is_missing(server: PubSubServer) -> None:
    """No error of a library, but what to repair."""
    client = SubscriptionClient(MISSING)
    for call in (
        lambda: client.pull(1, 5),
        lambda: client.acknowledge(["x"]),
        lambda: check_pullable(MISSING),
        lambda: delete_subscription(MISSING),
    ):
        with pytest.raises(SourceError, match=f"{MISSING}: does not exist; create it or correct the name") as caught:
            call()
        assert not isinstance(caught.value, PubSubUnavailableError)
    with pytest.raises(SourceError, match="topics/missing: does not exist"):
        create_subscription("projects/test-project/topics/missing")
    client.close()


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """That may pass, and is told apart from what does not."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{free_port()}")
    client = SubscriptionClient(SUBSCRIPTION)
    with pytest.raises(PubSubUnavailableError, match="UNAVAILABLE"):
        client.acknowledge(["x"])
    client.close()


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """Without an emulator and without credentials it says how to log in."""
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(SourceError, match="gcloud auth application-default login"):
        SubscriptionClient(SUBSCRIPTION)


def test_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra it says what to install."""
    monkeypatch.setitem(sys.modules, "google.cloud.pubsub_v1", None)
    with pytest.raises(SourceError, match=r"install dovebeam\[gcp\]"):
        SubscriptionClient(SUBSCRIPTION)


def test_subscription_of_a_topic(server: PubSubServer) -> None:
    """It gets what is published from then on, and is gone when it is removed."""
    server.publish([b"before"])
    name = create_subscription(TOPIC)
    assert server.subscriptions()[name] == TOPIC
    check_pullable(name)
    server.publish([b"after"])
    client = SubscriptionClient(name)
    assert [each.data for each in client.pull(10, 5)] == [b"after"]
    client.close()
    delete_subscription(name)
    assert list(server.subscriptions()) == [SUBSCRIPTION]


def test_subscription_that_pushes(server: PubSubServer) -> None:
    """It has no messages to pull, which is told at launch, with a way out."""
    name = "projects/test-project/subscriptions/pushes"
    server._subscriber.create_subscription(
        name=name, topic=TOPIC, push_config={"push_endpoint": "https://localhost/push"}
    )
    with pytest.raises(SourceError, match=f"go elsewhere \\(push_config\\); create another subscription of {TOPIC}"):
        check_pullable(name)


def test_cancelled_calls(server: PubSubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that the server cancels at its time limit has brought nothing; one that it cancels before is trouble."""

    def cancelled(timeout: float, **_: object) -> None:
        time.sleep(pause * timeout)
        raise Cancelled("stream removed")

    client = SubscriptionClient(SUBSCRIPTION)
    monkeypatch.setattr(client._client, "pull", cancelled)
    pause = 0.95
    assert client.pull(10, 0.2) == []
    pause = 0.0
    with pytest.raises(PubSubUnavailableError):
        client.pull(10, 0.2)
    client.close()
