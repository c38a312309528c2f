"""`ReadFromPubSub`: messages of Google Pub/Sub, read by a runner that has a source for them, as Dataflow has."""

from typing import Any

import apache_beam as beam
from apache_beam.io.gcp import pubsub

import dovebeam.transforms.coders  # noqa: F401  registers them
from dovebeam.transforms.sources import Block, SourceError
from dovebeam.transforms.sources.messages import MAX_MESSAGE_BYTES
from dovebeam.transforms.sources.pubsub import Pulled, blocks_of, check_subscription, check_topic

__all__ = ["ReadFromPubSub"]

_USEC = 1_000_000


class ReadFromPubSub(beam.PTransform):
    """Reads messages as Beam's `io.ReadFromPubSub` does and gives each as a block; give it to a pipeline.

    The runner acknowledges a message when it has stored what became of it, reads with as many workers as it likes, and
    gives each element its message's publish time. Origins of events are as those of `PullFromPubSub`.

    Args:
        subscription: its full name.
        topic: instead: the full name of a topic, for which the runner makes a subscription that lasts as long as the
            job.

    Raises:
        SourceError: a name that is none.
    """

    def __init__(self, *, subscription: str | None = None, topic: str | None = None) -> None:
        super().__init__()
        if (subscription is None) == (topic is None):
            raise SourceError("name a subscription or a topic, and only one of them")
        self._subscription = None if subscription is None else check_subscription(subscription)
        self._topic = None if topic is None else check_topic(topic)

    def display_data(self) -> dict[str, Any]:
        """What is read, for a runner's user interface."""
        return {"subscription": self._subscription} if self._subscription else {"topic": self._topic}

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection[Block]:
        """Adds the steps; see the class.

        Raises:
            TypeError: it was given to elements, not to a pipeline.
        """
        if not isinstance(pbegin, beam.pvalue.PBegin):
            raise TypeError("ReadFromPubSub begins a pipeline, found a PCollection")
        read = pubsub.ReadFromPubSub(subscription=self._subscription, topic=self._topic, with_attributes=True)
        to_block = beam.Map(_block, self._subscription or self._topic).with_output_types(Block)
        blocks: beam.PCollection[Block] = pbegin | "Receive" >> read | "To blocks" >> to_block
        return blocks


def _block(message: pubsub.PubsubMessage, source: str) -> Block:
    """One message as a block."""
    pulled = Pulled(
        "",
        message.message_id or "",
        message.data or b"",
        _usec(message.publish_time),
        message.ordering_key or "",
        tuple((message.attributes or {}).items()),
    )
    return next(blocks_of([pulled], source, piece_bytes=MAX_MESSAGE_BYTES))


def _usec(time: Any) -> int:
    """Microseconds since 1970 of a `datetime`, or of nothing."""
    return 0 if time is None else round(time.timestamp() * _USEC)
