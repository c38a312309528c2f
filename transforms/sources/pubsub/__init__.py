"""Messages of a Google Pub/Sub subscription, held until they are acknowledged. Knows nothing of Beam.

`SubscriptionClient` calls the service, `Puller` buffers a bounded number of messages and extends their leases,
`blocks_of` makes blocks of them, and a `Session` hands them out to the short pieces of work that a runner makes of a
stream. Needs the extra `gcp`. Honours PUBSUB_EMULATOR_HOST.
"""

from dovebeam.transforms.sources.pubsub.blocks import Session, SubscribeRequest, blocks_of, close_session, session_of
from dovebeam.transforms.sources.pubsub.client import (
    PubSubUnavailableError,
    Pulled,
    SubscriptionClient,
    check_pullable,
    check_subscription,
    check_topic,
    create_subscription,
    delete_subscription,
)
from dovebeam.transforms.sources.pubsub.puller import Puller, PullLimits

__all__ = [
    "PubSubUnavailableError",
    "PullLimits",
    "Pulled",
    "Puller",
    "Session",
    "SubscribeRequest",
    "SubscriptionClient",
    "blocks_of",
    "check_pullable",
    "check_subscription",
    "check_topic",
    "close_session",
    "create_subscription",
    "delete_subscription",
    "session_of",
]
