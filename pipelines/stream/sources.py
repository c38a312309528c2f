"""Sources of a stream: followed files, a Pub/Sub subscription or a topic; checked at launch, and closed at the end."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Protocol, Self

import apache_beam as beam

from dovebeam.pipelines.stream.options import StreamOptions
from dovebeam.pipelines.terminal.logs import say
from dovebeam.transforms.read_from_streams import PullFromPubSub, ReadFromFollowedFiles, Segment
from dovebeam.transforms.sources import SourceError
from dovebeam.transforms.sources.follow import FollowRequest, FollowSettings, StateStore
from dovebeam.transforms.sources.follow import close_session as close_follow_session
from dovebeam.transforms.sources.pubsub import (
    SubscribeRequest,
    check_pullable,
    check_subscription,
    check_topic,
    close_session,
    create_subscription,
    delete_subscription,
)

__all__ = ["FollowSource", "StreamSource", "SubscriptionSource", "TopicSource", "make_source"]


class StreamSource(Protocol):
    """Source of a stream; a context manager around the job."""

    def check_apart(self, what: str, path: str) -> None:
        """Refuses an output that the stream would read again.

        Args:
            what: the output, for the message.
            path: that it writes; absolute.

        Raises:
            SourceError: the path is among what is read.
        """
        ...  # pragma: no cover

    def blocks(self, segment: Segment) -> beam.PTransform:
        """The first step of a pipeline that processes this segment."""
        ...  # pragma: no cover

    def __enter__(self) -> Self: ...  # pragma: no cover

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...  # pragma: no cover


class FollowSource:
    """Source of followed files on this machine (`tail -F`).

    Args:
        paths: files, directories and patterns.
        state: directory for the positions in the files.
        settings: of their lines.

    Raises:
        SourceError: a file that can never be followed.
    """

    def __init__(self, paths: Sequence[str], state: str, settings: FollowSettings) -> None:
        self._request: Final = FollowRequest.of(paths, state, settings)

    def check_apart(self, what: str, path: str) -> None:
        """See `StreamSource`."""
        if target := self._request.target_of(path):
            raise SourceError(f"{what} writes {path}, which would be read again; choose another path", target.path)

    def blocks(self, segment: Segment) -> beam.PTransform:
        """See `StreamSource`."""
        return ReadFromFollowedFiles(self._request, segment)

    def __enter__(self) -> Self:
        # Fails at once if another stream uses the state; the reading worker takes the lock again.
        with StateStore(self._request.directory):
            pass
        say(f"following {', '.join(target.path for target in self._request.targets)}")
        for path in self._absent():
            say(f"warning: {path} is not there yet; it is followed when it appears")
        return self

    def _absent(self) -> list[str]:
        """Paths that do not exist yet, or are misspelt."""
        paths = [target.path for target in self._request.targets]
        return [path for path in paths if not os.path.exists(path) and not glob.glob(path)]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            close_follow_session(self._request.directory)


class SubscriptionSource:
    """Source of messages of a Pub/Sub subscription.

    Args:
        subscription: its full name.

    Raises:
        SourceError: the name is not valid.
    """

    def __init__(self, subscription: str) -> None:
        self._request = SubscribeRequest(check_subscription(subscription))

    def check_apart(self, what: str, path: str) -> None:
        """See `StreamSource`; no file is read."""

    def blocks(self, segment: Segment) -> beam.PTransform:
        """See `StreamSource`."""
        return PullFromPubSub(self._request, segment)

    def __enter__(self) -> Self:
        check_pullable(self._request.subscription)
        say(f"reading {self._request.subscription}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        close_session(self._request)


class TopicSource(SubscriptionSource):
    """Source of messages of a Pub/Sub topic, by a temporary subscription.

    The subscription is removed when the job was drained. After a failure it stays for a day, since it holds what was
    published meanwhile.

    Args:
        topic: its full name.

    Raises:
        SourceError: the name is not valid.
    """

    def __init__(self, topic: str) -> None:
        self._topic = check_topic(topic)

    def __enter__(self) -> Self:
        subscription = create_subscription(self._topic)
        self._request = SubscribeRequest(subscription)
        say(
            f"reading what is published to {self._topic} from now on; if this job is killed, go on with "
            f"--input_subscription {subscription}, which is kept for a day"
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subscription = self._request.subscription
        close_session(self._request)
        if error is not None:
            say(f"{subscription} holds what was not delivered; go on with --input_subscription {subscription}")
            return
        try:
            delete_subscription(subscription)
        except SourceError as failed:
            say(f"warning: {failed}; {subscription} is left, and is removed by the service after a day")


def make_source(options: StreamOptions) -> StreamSource:
    """The source that the options name.

    Raises:
        SourceError: a source that can never be read.
    """
    if options.input_subscription:
        return SubscriptionSource(options.input_subscription)
    if options.input_topic:
        return TopicSource(options.input_topic)
    settings = FollowSettings(options.input_format, options.max_line_bytes)
    return FollowSource(options.follow, options.state, settings)
