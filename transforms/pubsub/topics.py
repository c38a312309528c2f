"""Subscriptions as things of their own: looked at before a job begins, made for a topic, and removed again."""

from __future__ import annotations

import uuid
from typing import Final

from dovebeam.transforms.pubsub.errors import translated
from dovebeam.transforms.pubsub.names import check_subscription, check_topic, project_of
from dovebeam.transforms.sources import SourceError
from dovebeam.transforms.sources.pubsub.client import make_client

__all__ = ["check_pullable", "create_subscription", "delete_subscription"]

_ADMIN_CALL_SECS: Final = 20.0
_ACK_DEADLINE_SECS: Final = 20
_EXPIRES_SECS: Final = 24 * 60 * 60
"""The shortest time without a pull after which the service removes a subscription by itself."""

_ELSEWHERE: Final = {"push_config": "push_endpoint", "bigquery_config": "table", "cloud_storage_config": "bucket"}
"""Where messages may go instead of waiting, and what is set in there if they do."""


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
        if isinstance(error.__cause__, PermissionDenied):  # whoever may pull need not be allowed to look
            return
        raise
    finally:
        client.close()
    where = [config for config, what in _ELSEWHERE.items() if getattr(getattr(found, config), what)]
    if where or found.detached:
        what = f"its messages go elsewhere ({where[0]})" if where else "it is detached from its topic"
        raise SourceError(f"cannot be pulled: {what}; create another subscription of {found.topic}", subscription)


def create_subscription(topic: str) -> str:
    """A new subscription of a topic, in the project of the topic; its name.

    It gets what is published from now on, and is removed by the service a day after nobody has pulled any more.

    Raises:
        SourceError: it cannot be made.
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
    """Removes it with all that it holds.

    Raises:
        SourceError: it cannot be removed.
    """
    client = make_client(subscription)
    try:
        with translated(subscription):
            client.delete_subscription(request={"subscription": subscription}, retry=None, timeout=_ADMIN_CALL_SECS)
    finally:
        client.close()
