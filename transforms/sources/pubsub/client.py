"""Client of Google Pub/Sub: pulls, acknowledges and extends messages, manages subscriptions, checks names.

Every call has a time limit, and errors of Google's libraries are raised as `SourceError`.
"""

from __future__ import annotations

import contextlib
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from dovebeam.transforms.sources import SourceError

__all__ = [
    "MAX_PULL_MESSAGES",
    "PubSubRefusedError",
    "PubSubUnavailableError",
    "Pulled",
    "SubscriptionClient",
    "check_pullable",
    "check_subscription",
    "check_topic",
    "create_subscription",
    "delete_subscription",
]


_MAX_TEXT_CHARS: Final = 500
_INSTALL: Final = "reading from Pub/Sub needs Google's client; install dovebeam[gcp]"
_LOG_IN: Final = (
    "there are no credentials for Google Cloud; run `gcloud auth application-default login`, or let "
    "GOOGLE_APPLICATION_CREDENTIALS name a key file"
)
_REPAIRS: Final = {
    "NOT_FOUND": "does not exist; create it or correct the name",
    "PERMISSION_DENIED": "this account may not use it; give it roles/pubsub.subscriber",
    "UNAUTHENTICATED": "the service does not accept the credentials; renew them",
}
"""Messages for errors that an operator must repair, by the code of the status."""

_REFUSED: Final = frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE"})
"""Codes of invalid requests. All codes that are not named here are taken for temporary failures."""


class PubSubUnavailableError(SourceError):
    """The service is temporarily unavailable; a retry may help."""


class PubSubRefusedError(SourceError):
    """The service refuses a request: a push subscription cannot be pulled, or a lease has ended."""


@contextlib.contextmanager
def translated(name: str) -> Iterator[None]:
    """Context that raises exceptions of Google's libraries as errors about `name`.

    Raises:
        PubSubUnavailableError: a temporary failure.
        PubSubRefusedError: this request cannot succeed.
        SourceError: an operator must repair it.
    """
    try:
        from google.api_core.exceptions import GoogleAPICallError, RetryError  # noqa: PLC0415  an extra
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError  # noqa: PLC0415
    except ImportError as error:
        raise SourceError(_INSTALL, name) from error
    try:
        yield
    except ImportError as error:
        raise SourceError(_INSTALL, name) from error
    except DefaultCredentialsError as error:
        raise SourceError(_LOG_IN, name) from error
    except GoogleAPICallError as error:
        raise _of_status(error, name) from error
    except RetryError as error:
        raise PubSubUnavailableError("the service does not answer", name) from error
    except GoogleAuthError as error:
        if getattr(error, "retryable", False):
            raise PubSubUnavailableError("no access token is available now", name) from error
        raise SourceError("the service for access tokens refuses the credentials; renew them", name) from error


def _of_status(error: Exception, name: str) -> SourceError:
    status = getattr(getattr(error, "grpc_status_code", None), "name", "")
    told = str(getattr(error, "message", ""))[:_MAX_TEXT_CHARS]
    if status in _REPAIRS:
        return SourceError(f"{_REPAIRS[status]} ({told})", name)
    if status in _REFUSED:
        return PubSubRefusedError(f"the service refuses the request: {status}: {told}", name)
    what = status or type(error).__name__
    return PubSubUnavailableError(f"the service does not answer properly: {what}: {told}", name)


# Full names of subscriptions and topics, as Google's own tools and templates take them.

# Names of projects of a domain have it in front, as in example.com:project.
_PROJECT: Final = r"projects/[a-z][a-z0-9:.-]{4,61}[a-z0-9]"
# By Pub/Sub's "Guidelines to name a topic or a subscription".
_NAME: Final = r"(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}"
_SUBSCRIPTION: Final = re.compile(f"{_PROJECT}/subscriptions/{_NAME}")
_TOPIC: Final = re.compile(f"{_PROJECT}/topics/{_NAME}")


def check_subscription(name: str) -> str:
    """The full name of a subscription, checked.

    Raises:
        SourceError: it is not one.
    """
    if not _SUBSCRIPTION.fullmatch(name):
        hint = "; that is a topic: give it as --input_topic" if _TOPIC.fullmatch(name) else ""
        raise SourceError(f"is not a subscription; write projects/PROJECT/subscriptions/NAME{hint}", name)
    return name


def check_topic(name: str) -> str:
    """The full name of a topic, checked.

    Raises:
        SourceError: it is not one.
    """
    if not _TOPIC.fullmatch(name):
        hint = "; that is a subscription: give it as --input_subscription" if _SUBSCRIPTION.fullmatch(name) else ""
        raise SourceError(f"is not a topic; write projects/PROJECT/topics/NAME{hint}", name)
    return name


def project_of(name: str) -> str:
    """The project in a checked full name."""
    return name.split("/", 2)[1]


# Reading a subscription: unary calls, and not Google's streaming pull. A call brings no more messages than were asked
# for, so that the memory is bounded also while a target hangs. Google's client for streams was tried: it silently gives
# up leases, takes a failed acknowledgement for a successful one, and holds back messages that have the ordering key of
# one that is not acknowledged yet.

MAX_PULL_MESSAGES: Final = 1000
"""Most messages in one answer of the service."""

_MAX_IDS: Final = 1000
"""In one request: ids of some 200 characters stay far below the limit of 512 KiB for a request."""

_CALL_SECS: Final = 10.0
_NEARLY: Final = 0.9  # of a time limit, since client and server do not notice its end at the same moment
_USEC: Final = 1_000_000


class Pulled(NamedTuple):
    """A message that was pulled.

    Attributes:
        ack_id: id of this delivery of the message, for acknowledgement and lease.
        message_id: id of the message in its topic.
        data: its payload.
        publish_time: microseconds since 1970.
        ordering_key: empty if it has none.
        attributes: given by the publisher.
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
        SourceError: the name is not valid, or the client library or credentials are missing.
    """

    def __init__(self, subscription: str) -> None:
        self.subscription: Final = check_subscription(subscription)
        self._client = make_client(subscription)

    def pull(self, max_messages: int, timeout_secs: float) -> list[Pulled]:
        """Waits for messages and returns some of them; none if the time is over.

        Args:
            max_messages: limit for their number; never more than `MAX_PULL_MESSAGES`.
            timeout_secs: time to wait for the first message.

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
            except Cancelled:  # sent by the server, if it is the first to notice that the time is over
                if time.monotonic() - begin < _NEARLY * timeout_secs:
                    raise
                return []
            # The plain protobuf message: Google's wrapper around it makes every access several times slower.
            return [_pulled(each) for each in PullResponse.pb(response).received_messages]

    def acknowledge(self, ack_ids: Sequence[str]) -> None:
        """Acknowledges deliveries, so that the service does not repeat them.

        Raises:
            SourceError: see `translated`; some of them may have been acknowledged.
        """
        for part in _parts(ack_ids):
            request = {"subscription": self.subscription, "ack_ids": part}
            with translated(self.subscription):
                self._client.acknowledge(request=request, retry=None, timeout=_CALL_SECS)

    def extend(self, ack_ids: Sequence[str], seconds: int) -> None:
        """Extends the leases of messages to so many seconds from now; 0 gives the messages back.

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


# Administration of subscriptions: checked before a job starts, created for a topic, and deleted again.

_ADMIN_CALL_SECS: Final = 20.0
_ACK_DEADLINE_SECS: Final = 20
_EXPIRES_SECS: Final = 24 * 60 * 60
"""The shortest expiration time that the service allows for a subscription without pulls."""

_ELSEWHERE: Final = {"push_config": "push_endpoint", "bigquery_config": "table", "cloud_storage_config": "bucket"}
"""Settings by which the service sends messages elsewhere, and the member that is set then."""


def check_pullable(subscription: str) -> None:
    """Looks at a subscription before a job begins, if this account may look.

    Raises:
        PubSubUnavailableError: the service does not answer.
        SourceError: it does not exist or cannot be pulled from.
    """
    check_subscription(subscription)
    from google.api_core.exceptions import PermissionDenied  # noqa: PLC0415  an extra

    client = make_client(subscription)
    try:
        with translated(subscription):
            found = client.get_subscription(
                request={"subscription": subscription}, retry=None, timeout=_ADMIN_CALL_SECS
            )
    except SourceError as error:
        # The role roles/pubsub.subscriber may pull a subscription, but not get its settings.
        if isinstance(error.__cause__, PermissionDenied):
            return
        raise
    finally:
        client.close()
    where = [config for config, what in _ELSEWHERE.items() if getattr(getattr(found, config), what)]
    if where or found.detached:
        what = f"its messages go elsewhere ({where[0]})" if where else "it is detached from its topic"
        raise SourceError(f"cannot be pulled: {what}; create another subscription of {found.topic}", subscription)


def create_subscription(topic: str) -> str:
    """Creates a subscription of a topic, in the topic's project; returns its name.

    It gets messages that are published from now on. The service removes it after a day without pulls.

    Raises:
        SourceError: it cannot be created.
    """
    check_topic(topic)
    name = f"projects/{project_of(topic)}/subscriptions/dovebeam-{uuid.uuid4().hex}"
    client = make_client(topic)
    request = {
        "name": name,
        "topic": topic,
        "ack_deadline_seconds": _ACK_DEADLINE_SECS,
        "expiration_policy": {"ttl": {"seconds": _EXPIRES_SECS}},
        "message_retention_duration": {"seconds": _EXPIRES_SECS},
    }
    try:
        with translated(topic):
            client.create_subscription(request=request, retry=None, timeout=_ADMIN_CALL_SECS)
    finally:
        client.close()
    return name


def delete_subscription(subscription: str) -> None:
    """Deletes a subscription with all of its messages.

    Raises:
        SourceError: it cannot be deleted.
    """
    client = make_client(subscription)
    try:
        with translated(subscription):
            client.delete_subscription(request={"subscription": subscription}, retry=None, timeout=_ADMIN_CALL_SECS)
    finally:
        client.close()
