"""Full names of subscriptions and topics, as Google's own tools and templates take them."""

from __future__ import annotations

import re
from typing import Final

from dovebeam.transforms.sources import SourceError

__all__ = ["check_subscription", "check_topic", "project_of"]

_PROJECT: Final = r"projects/[a-z][a-z0-9:.-]{4,61}[a-z0-9]"
# By Pub/Sub's "Guidelines to name a topic or a subscription".
_NAME: Final = r"(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}"
_SUBSCRIPTION: Final = re.compile(f"{_PROJECT}/subscriptions/{_NAME}")
_TOPIC: Final = re.compile(f"{_PROJECT}/topics/{_NAME}")


def check_subscription(name: str) -> str:
    """The name, if it is one of a subscription.

    Raises:
        SourceError: it is not.
    """
    if not _SUBSCRIPTION.fullmatch(name):
        hint = "; that is a topic: give it as --input_topic" if _TOPIC.fullmatch(name) else ""
        raise SourceError(f"is no subscription; write projects/PROJECT/subscriptions/NAME{hint}", name)
    return name


def check_topic(name: str) -> str:
    """The name, if it is one of a topic.

    Raises:
        SourceError: it is not.
    """
    if not _TOPIC.fullmatch(name):
        hint = "; that is a subscription: give it as --input_subscription" if _SUBSCRIPTION.fullmatch(name) else ""
        raise SourceError(f"is no topic; write projects/PROJECT/topics/NAME{hint}", name)
    return name


def project_of(name: str) -> str:
    """The project of a name that was checked."""
    return name.split("/", 2)[1]
