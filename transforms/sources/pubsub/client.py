"""The few calls to Pub/Sub that reading a subscription takes, each with a time limit of its own.

Messages are pulled by single calls and not by Google's streaming pull. A call brings no more messages than were asked
for, so that what is held is bounded also while a target hangs. Google's client for streams was tried: it gives leases
up without a word, takes an acknowledgement that failed for done, and holds back messages that have the ordering key of
one that is not acknowledged yet.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from dovebeam.transforms.pubsub.errors import translated
from dovebeam.transforms.pubsub.names import check_subscription

__all__ = ["MAX_PULL_MESSAGES", "Pulled", "SubscriptionClient", "make_client"]

MAX_PULL_MESSAGES: Final = 1000
"""The most that the service gives in one answer."""

_MAX_IDS: Final = 1000
"""In one request: ids of some 200 characters stay far below the limit of 512 KiB for a request."""

_CALL_SECS: Final = 10.0
_NEARLY: Final = 0.9  # of a time limit; the two ends of a call do not notice its end together
_USEC: Final = 1_000_000


class Pulled(NamedTuple):
    """A message, and for how long it is ours.

    Attributes:
        ack_id: names this delivery of the message.
        message_id: names the message in its topic.
        data: its payload.
        publish_time: microseconds since 1970.
        ordering_key: empty if it has none.
        attributes: what its publisher said of it.
    """

    ack_id: str
    message_id: str
    data: bytes
    publish_time: int
    ordering_key: str
    attributes: tuple[tuple[str, str], ...]


class SubscriptionClient:
    """Calls about one subscription; may be used by several threads at once.

    Args:
        subscription: its full name.

    Raises:
        SourceError: no subscription, no client library or no credentials.
    """

    def __init__(self, subscription: str) -> None:
        self.subscription: Final = check_subscription(subscription)
        self._client = make_client(subscription)

    def pull(self, max_messages: int, timeout_secs: float) -> list[Pulled]:
        """Some messages as soon as there are any; none after some time.

        Args:
            max_messages: at most so many, and never more than `MAX_PULL_MESSAGES`.
            timeout_secs: how long to wait for the first.

        Raises:
            SourceError: see `translated`.
        """
        from google.api_core.exceptions import Cancelled, DeadlineExceeded  # noqa: PLC0415  an extra
        from google.pubsub_v1.types import PullResponse  # noqa: PLC0415

        request = {"subscription": self.subscription, "max_messages": min(max_messages, MAX_PULL_MESSAGES)}
        begin = time.monotonic()
        with translated(self.subscription):
            try:
                response = self._client.pull(request=request, retry=None, timeout=timeout_secs)
            except DeadlineExceeded:
                return []
            except Cancelled:  # by the server if it is the first to notice that the time is over
                if time.monotonic() - begin < _NEARLY * timeout_secs:
                    raise
                return []
            # The plain protobuf message: Google's wrapper around it makes every access several times slower.
            return [_pulled(each) for each in PullResponse.pb(response).received_messages]

    def acknowledge(self, ack_ids: Sequence[str]) -> None:
        """Ends these deliveries for good.

        Raises:
            SourceError: see `translated`; some of them may have been acknowledged.
        """
        for part in _parts(ack_ids):
            request = {"subscription": self.subscription, "ack_ids": part}
            with translated(self.subscription):
                self._client.acknowledge(request=request, retry=None, timeout=_CALL_SECS)

    def extend(self, ack_ids: Sequence[str], seconds: int) -> None:
        """Keeps these messages ours for so many seconds from now; 0 gives them back.

        Raises:
            SourceError: see `translated`; some of them may have been extended.
        """
        for part in _parts(ack_ids):
            request = {"subscription": self.subscription, "ack_ids": part, "ack_deadline_seconds": seconds}
            with translated(self.subscription):
                self._client.modify_ack_deadline(request=request, retry=None, timeout=_CALL_SECS)

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()


def make_client(name: str) -> Any:
    """Google's client, for the emulator if PUBSUB_EMULATOR_HOST says so.

    Raises:
        SourceError: about `name`; the library or credentials are missing.
    """
    with translated(name):
        from google.cloud.pubsub_v1 import SubscriberClient  # noqa: PLC0415  an extra, and slow to load

        return SubscriberClient()


def _pulled(received: Any) -> Pulled:
    message = received.message
    time = message.publish_time
    return Pulled(
        received.ack_id,
        message.message_id,
        message.data,
        time.seconds * _USEC + time.nanos // 1000,
        message.ordering_key,
        tuple(message.attributes.items()),
    )


def _parts(ack_ids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(ack_ids), _MAX_IDS):
        yield list(ack_ids[start : start + _MAX_IDS])
