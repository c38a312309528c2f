"""Google's in-memory Pub/Sub server (pstest of its Go client), as a process, with a topic and a subscription."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Self

from support.programs import HANG_SECS, leave_out, require_program

PSTEST = "pstest-2.9.0"
TOPIC = "projects/test-project/topics/events"
SUBSCRIPTION = "projects/test-project/subscriptions/events-to-dovebeam"

_PORTION = 1000
_TICK_SECS = 0.05


class PubSubServer:
    """A running server; `pubsub_server` starts one.

    Attributes:
        environment: what leads Google's clients to it.
        process: the server.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        import grpc
        from google.pubsub_v1 import PublisherClient, SubscriberClient
        from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
        from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

        assert process.stdout is not None
        address = process.stdout.readline().strip()
        self.process = process
        self.environment = {"PUBSUB_EMULATOR_HOST": address}
        self._channel = grpc.insecure_channel(address)
        self._publisher: Any = PublisherClient(transport=PublisherGrpcTransport(channel=self._channel))
        self._subscriber: Any = SubscriberClient(transport=SubscriberGrpcTransport(channel=self._channel))
        self._publisher.create_topic(name=TOPIC)
        self._subscriber.create_subscription(name=SUBSCRIPTION, topic=TOPIC, ack_deadline_seconds=10)

    def publish(self, messages: Sequence[bytes], **attributes: str) -> list[str]:
        """Publishes messages, all with these attributes; returns their ids."""
        ids: list[str] = []
        for first in range(0, len(messages), _PORTION):
            portion = [{"data": data, "attributes": attributes} for data in messages[first : first + _PORTION]]
            ids += self._publisher.publish(topic=TOPIC, messages=portion).message_ids
        return ids

    def left(self) -> list[bytes]:
        """Messages that nobody has acknowledged and nobody holds."""
        response = self._subscriber.pull(subscription=SUBSCRIPTION, max_messages=_PORTION)
        return [each.message.data for each in response.received_messages]

    def subscriptions(self) -> dict[str, str]:
        """All subscriptions, with their topics."""
        project = TOPIC.partition("/topics/")[0]
        return {each.name: each.topic for each in self._subscriber.list_subscriptions(project=project)}

    def close(self) -> None:
        """Closes the clients."""
        self._channel.close()


@contextlib.contextmanager
def pubsub_server() -> Iterator[PubSubServer]:
    """A server for as long as the block lasts; its memory is gone with it."""
    if shutil.which("go") is None:
        leave_out("no Go on this machine to build Google's Pub/Sub server with")
    process = subprocess.Popen([require_program(PSTEST)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        server = PubSubServer(process)
        try:
            yield server
        finally:
            server.close()
    finally:
        process.kill()
        process.communicate()


class Publisher(threading.Thread):
    """Publishes messages at a steady rate.

    Attributes:
        published: how many so far.
    """

    def __init__(self, server: PubSubServer, messages: Sequence[bytes], per_second: int) -> None:
        super().__init__(name="publisher", daemon=True)
        self._server = server
        self._messages = messages
        self._per_second = per_second
        self._stopping = threading.Event()
        self.published = 0
        self.error: Exception | None = None

    def run(self) -> None:
        """Publishes all messages."""
        begun, batch = time.monotonic(), max(1, int(self._per_second * _TICK_SECS))
        try:
            while self.published < len(self._messages):
                portion = self._messages[self.published : self.published + batch]
                self._server.publish(portion)
                self.published += len(portion)
                if self._stopping.wait(max(0.0, begun + self.published / self._per_second - time.monotonic())):
                    return
        except Exception as error:
            self.error = error

    def wait(self, seconds: float) -> None:
        """Until everything is published."""
        self.join(seconds)
        assert self.error is None, self.error
        assert self.published == len(self._messages), "the publisher was too slow"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.join(HANG_SECS)
