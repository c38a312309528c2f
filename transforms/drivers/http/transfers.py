"""The connection of `http-post`: sends batches by libcurl's multi interface, with redirects, retries and time limits.

Only as many requests are started as there are connections, so libcurl never queues, a time limit never counts waiting,
and the batch given to `send` is all that is held. While nothing is wrong, starting a request is a few calls; as soon as
something is, `_start_with_care` asks the endpoint before each one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from operator import attrgetter
from typing import Final

import pycurl

from dovebeam.transforms.drivers.base import Batch, Connection, Failure
from dovebeam.transforms.drivers.http.access import Access
from dovebeam.transforms.drivers.http.attempts import Attempts
from dovebeam.transforms.drivers.http.endpoint import Endpoint, endpoint_of
from dovebeam.transforms.drivers.http.handles import HandlePool
from dovebeam.transforms.drivers.http.requests import BodyMaker, Request, request_key
from dovebeam.transforms.drivers.http.settings import HttpPostSettings
from dovebeam.transforms.errors import DeliveryError

__all__ = ["Delivery", "HttpPostConnection"]

# The longest sleep; headers have a date of seconds, and files are looked at as often.
_MAX_WAIT_SECS: Final = 1.0
# The sleep while libcurl has no socket to wait for.
_BLIND_WAIT_SECS: Final = 0.002
_POSTFIELDS: Final = pycurl.POSTFIELDS


class HttpPostConnection(Connection):
    """Kept-alive connections to one target, with libcurl's handles kept from one batch to the next.

    Raises:
        DeliveryError: a secret cannot be looked up.
    """

    def __init__(self, settings: HttpPostSettings) -> None:
        super().__init__()
        self._settings = settings
        self._access = Access(settings)
        self._endpoint = endpoint_of(settings.endpoint, settings.proxy.endpoint if settings.proxy else "")
        self._pool: HandlePool | None = None

    def deliver(self, batch: Batch) -> list[Failure]:
        """Posts the payloads, and returns when each has its final answer."""
        try:
            # Kept connections were authenticated with the certificate that has been replaced.
            if self._pool is not None and self._pool.notice_files():
                self._drop_pool()
            if self._pool is None:
                self._pool = HandlePool(self._settings, self._access)
            failures = Delivery(self._settings, self._pool, self._endpoint, batch, self.on_arrival).run()
            self._pool.forget_bodies()
        except pycurl.error as error:
            self._drop_pool()
            text = self._access.credentials.without_secrets(str(error.args[-1]))
            message = f"libcurl refuses the settings of http-post: {text} (check the ssl_* and http_client_* settings)"
            raise DeliveryError(message, self._settings.endpoint) from None
        except BaseException:
            # Requests may be in flight; they end with their connections.
            self._drop_pool()
            raise
        return failures

    def _drop_pool(self) -> None:
        if self._pool is not None:
            pool, self._pool = self._pool, None
            # The pool may have looked up newer credentials.
            self._access = pool.access
            pool.close()

    def release(self) -> None:
        """Closes the connections of the pool."""
        self._drop_pool()


class Delivery(Attempts):
    """The delivery of one batch: starts its requests and handles their answers."""

    def __init__(
        self,
        settings: HttpPostSettings,
        pool: HandlePool,
        endpoint: Endpoint,
        batch: Batch,
        on_arrival: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(settings, pool, endpoint, batch, on_arrival)
        self._payloads = batch.payloads
        self._keys = batch.keys if settings.http_post_idempotency_header else None
        self._bodies = BodyMaker.of(settings)
        self._plain = self._bodies.plain
        # Dovecot's way, one payload as it is a request, has a fast path.
        self._single = self._plain and self._keys is None and settings.http_post_batch_max_events == 1
        self._take, self._add = pool.take, pool.multi.add_handle
        self._bucket = endpoint.bucket(settings.http_post_rate_limit) if settings.http_post_rate_limit else None
        self._nap_secs = _MAX_WAIT_SECS
        self._bodies_at = time.monotonic()

    def run(self) -> list[Failure]:
        """Delivers the batch; returns what failed, in its order.

        Raises:
            DeliveryError: no request can be made on this worker, or credentials cannot be looked up.
            pycurl.error: libcurl refuses a setting.
        """
        self._endpoint.join(self._member)
        try:
            self._loop()
        finally:
            self._endpoint.leave(self._member)
        self._failures.sort(key=attrgetter("index"))
        return self._failures

    def _loop(self) -> None:
        """Starts and ends requests until there are none left."""
        # Every payload passes here: bound methods and constants are looked up once, and little is called.
        multi, idle, on_way, endpoint = self._pool.multi, self._pool.idle, self._on_way, self._endpoint
        perform, info_read, remove = multi.perform, multi.info_read, multi.remove_handle
        response_code, success = pycurl.RESPONSE_CODE, self._rules.success
        backlog, size = self._backlog, self._pool.size
        while True:
            # The common case is written out here, because a single connection comes here for every answer.
            if endpoint.calm and backlog.undisturbed and self._bucket is None:
                if backlog.unsent and len(on_way) < size:
                    self._start_new(size - len(on_way))
                elif not on_way:
                    return
            elif not self._start_with_care():
                return
            perform()
            _, answered, failed = info_read()
            if not answered and not failed:
                self._wait()
                continue
            delivered = events = 0
            for handle in answered:
                status = handle.getinfo(response_code)
                remove(handle)
                request = on_way[handle]
                if status in success and not request.redirects and request.search is None:
                    del on_way[handle]
                    idle.append(handle)
                    delivered += 1
                    events += request.end - request.first
                else:
                    self._answered(handle, status)
            for handle, code, text in failed:
                remove(handle)
                self._broken(handle, code, text)
            if events and self._on_arrival is not None:
                self._on_arrival(events)
            if delivered and not endpoint.calm:
                endpoint.succeeded(delivered)

    def _start_new(self, most: int) -> None:
        """Starts at most so many requests that were never sent."""
        backlog = self._backlog
        self._pool.keep_time()
        if self._single:
            self._start_single(most)
            return
        while most and backlog.unsent:
            self._launch(backlog.take_new())
            most -= 1

    def _start_single(self, most: int) -> None:
        """`_start_new` for requests of one plain payload: does what `_launch` does, with hardly a call."""
        payloads, on_way, idle, take, add = self._payloads, self._on_way, self._pool.idle, self._take, self._add
        fresh = self._pool.is_fresh()
        for index in self._backlog.take_singles(most):
            handle = idle.pop() if fresh and idle else take()
            on_way[handle] = Request(index, index + 1)
            handle.setopt(_POSTFIELDS, payloads[index])
            add(handle)

    def _start_with_care(self) -> bool:
        """Starts requests one by one as permitted: after failures, while others wait, or with a rate limit.

        Returns:
            Whether any request is in flight or waiting.
        """
        self._nap_secs = _MAX_WAIT_SECS
        while len(self._on_way) < self._pool.size:
            now = time.monotonic()
            if self._endpoint.asked_secs(now) > self._policy.longest_wait_secs:
                self._give_up_waiting(now)
            seconds = self._backlog.due_secs(now)
            if seconds is None:
                break
            seconds = seconds or self._endpoint.permit(self._member, now)
            # A token last, so that none is taken for a request that may not start.
            if not seconds and self._bucket is not None:
                seconds = 0.0 if self._bucket.take() else self._bucket.due_secs()
            if seconds:
                self._nap_secs = min(self._nap_secs, seconds)
                break
            self._pool.keep_time()
            self._launch(self._backlog.take(now))
        return bool(self._on_way or self._backlog)

    def _launch(self, request: Request) -> None:
        handle = self._take() if self._keys is None else self._take(self._key(request))
        self._on_way[handle] = request
        events = self._payloads[request.first : request.end]
        handle.setopt(_POSTFIELDS, events[0] if self._plain else self._bodies.body(events))
        self._add(handle)

    def _key(self, request: Request) -> str:
        return request_key(self._payloads, self._keys or (), request.first, request.end)

    def _wait(self) -> None:
        """Sleeps until a socket is ready, a time limit of libcurl ends or a request may be started."""
        seconds = self._nap_secs
        if not self._on_way:
            time.sleep(seconds)
            return
        now = time.monotonic()
        # A scan of all requests, so only once a second.
        if now - self._bodies_at >= _MAX_WAIT_SECS:
            self._bodies_at = now
            if self._end_bodies(now):
                return
        limit = self._pool.multi.timeout()
        if limit >= 0:
            seconds = min(seconds, limit / 1000)
        start = time.monotonic()
        if not self._pool.multi.select(seconds) and time.monotonic() - start < seconds:
            # Without a socket, as while a name is being looked up, select returns at once, and this would spin.
            time.sleep(min(seconds, _BLIND_WAIT_SECS))
