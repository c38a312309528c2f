"""The `http-post` driver: POST requests, one for each event or for batches of them.

Rules from Dovecot's section "Export drivers", "http-post". `http.settings` holds the settings; `http.transfers`, which
loads libcurl, has the connection.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar, Final

from dovebeam.transforms.drivers.base import Driver
from dovebeam.transforms.drivers.http.settings import HttpPostSettings
from dovebeam.transforms.errors import DeliveryError

if TYPE_CHECKING:
    from dovebeam.transforms.drivers.http.transfers import HttpPostConnection

__all__ = ["HttpPostDriver"]

# The defaults of other drivers, for requests of one event.
_PLAIN_BATCH_EVENTS: Final = 500
_PLAIN_BATCH_BYTES: Final = 1 << 20
_ROUNDS: Final = 8
"""Requests that each connection gets of one batch. At the end of a batch some connections are idle; this keeps that
a small part of the time."""


class HttpPostDriver(HttpPostSettings, Driver):
    """Posts payloads; by default, each is the body of its own request, and a status from 200 to 299 means success.

    Its fields are those of `HttpPostSettings`.

    Parallelism: any number of connections on any number of workers. Each has `http_client_max_parallel_connections` to
    the target. With 1, the default, payloads arrive in order, and a retry delays the payloads after it; with more, they
    can arrive in any order. The connections of a worker process share what they know of an endpoint: `Retry-After`,
    pauses before retries, and how many requests it can take. An endpoint that seems down gets one request at a time. A
    failure of that request counts as an attempt of everything that waits in the batch: if only one attempt is allowed,
    all of it fails.

    Delivery: at least once. A payload counts as delivered when the target has answered its request with success; any
    other end of the last attempt is a `Failure` with status and number of attempts. A request that is too large (413),
    or that the target refuses because of its content (400, 422), is sent again in halves, until only the refused events
    are left. If an answer is lost, a retry or a re-send delivers a payload twice, with the same idempotency key. TLS
    files that cannot be used raise `DeliveryError`.
    """

    __slots__ = ()  # no fields of its own, so the methods of the settings serve as they are

    name: ClassVar[str] = "http-post"

    @property
    def max_batch_events(self) -> int:
        """Maximum number of payloads that a worker collects, enough for full requests on all connections."""
        wanted = self.http_post_batch_max_events * self.http_client_max_parallel_connections * _ROUNDS
        return min(self.http_post_max_in_flight_events, max(_PLAIN_BATCH_EVENTS, wanted))

    @property
    def max_batch_bytes(self) -> int:
        """Maximum size of these payloads in bytes, enough for two full requests on each connection."""
        most = self.http_post_max_in_flight_bytes
        wanted = (self.http_post_batch_max_bytes or _PLAIN_BATCH_BYTES) * self.http_client_max_parallel_connections * 2
        wanted = max(_PLAIN_BATCH_BYTES, wanted)
        return wanted if most is None else min(most, wanted)

    @property
    def max_batch_msec(self) -> int | None:
        """The setting `http_post_batch_max_time`, for all requests of a batch."""
        return self.http_post_batch_max_time_msec

    @property
    def wants_keys(self) -> bool:
        """Whether requests have an idempotency key."""
        return bool(self.http_post_idempotency_header)

    def open(self) -> HttpPostConnection:
        """Prepares libcurl; the first batch connects.

        Raises:
            DeliveryError: a file for TLS cannot be read, or a secret cannot be looked up.
        """
        # Here and not by libcurl, whose error does not name the setting.
        _check_files(self)

        from dovebeam.transforms.drivers.http.transfers import HttpPostConnection  # noqa: PLC0415  loads libcurl

        return HttpPostConnection(self)


def _check_files(settings: HttpPostSettings) -> None:
    """Checks that this worker can read the files that TLS needs.

    Raises:
        DeliveryError: the text names setting and path.
    """
    for attribute in ("ssl_client_ca_file", "ssl_client_cert_file", "ssl_client_key_file"):
        path: str = getattr(settings, attribute)
        if path:
            _check_file(attribute, path, settings.endpoint)
    directory = settings.ssl_client_ca_dir
    if directory and not os.path.isdir(directory):
        message = f"ssl_client_ca_dir: {directory} is not a directory on this worker (create or correct it)"
        raise DeliveryError(message, settings.endpoint)


def _check_file(attribute: str, path: str, endpoint: str) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        message = f"{attribute}: open({path}) failed: {error.strerror} on this worker (provide or correct it)"
        raise DeliveryError(message, endpoint) from error
