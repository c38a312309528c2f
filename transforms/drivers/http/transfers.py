"""`http-post` at work: one batch through libcurl's multi interface, with redirects, retries and time limits.

Only as many requests are started as there are connections, so libcurl never queues, a time limit never counts waiting,
and the batch given to `send` is all that is held.
"""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import pycurl

from dovebeam.transforms.drivers.base import Batch, Connection, Failure
from dovebeam.transforms.drivers.http.handles import Easy, HandlePool
from dovebeam.transforms.drivers.http.outcome import LOCAL_CODES, Outcome, outcome_of_error, outcome_of_status
from dovebeam.transforms.drivers.http.url import HttpUrl, parse_http_url, same_site
from dovebeam.transforms.errors import DeliveryError, DriverSettingError

if TYPE_CHECKING:
    from dovebeam.transforms.drivers.http_post import HttpPostDriver

__all__ = ["HttpPostConnection"]

_MAX_WAIT_SECS: Final = 1.0
_BLIND_WAIT_SECS: Final = 0.002
_POSTFIELDS: Final = pycurl.POSTFIELDS
_BODY_CUT_SHORT: Final = frozenset({pycurl.E_PARTIAL_FILE, pycurl.E_FILESIZE_EXCEEDED})


class HttpPostConnection(Connection):
    """Kept-alive connections to one target."""

    def __init__(self, driver: HttpPostDriver) -> None:
        super().__init__()
        self._driver = driver
        self._pool: HandlePool | None = None

    def _deliver(self, batch: Batch) -> list[Failure]:
        try:
            if self._pool is None:
                self._pool = HandlePool(self._driver)
            return _Delivery(self._driver, self._pool, batch.payloads).run()
        except pycurl.error as error:
            self._drop_pool()
            text = _without_secrets(str(error.args[-1]), self._driver.secrets)
            message = f"libcurl refuses the settings of http-post: {text} (check the ssl_* and http_client_* settings)"
            raise DeliveryError(message, self._driver.endpoint) from None
        except BaseException:
            # Requests may be on their way; they end with their connections.
            self._drop_pool()
            raise

    def _drop_pool(self) -> None:
        if self._pool is not None:
            pool, self._pool = self._pool, None
            pool.close()

    def _release(self) -> None:
        self._drop_pool()


class _Delivery:
    """One batch."""

    def __init__(self, driver: HttpPostDriver, pool: HandlePool, batch: Sequence[bytes]) -> None:
        self._driver = driver
        self._url = driver.url
        self._endpoint = self._url.endpoint
        self._ordered = pool.size == 1
        self._pool = pool
        self._batch = batch
        self._next = 0
        self._index_of: dict[Easy, int] = {}
        self._tries: dict[int, int] = {}
        self._waiting: list[tuple[float, int]] = []  # a heap of (when, index)
        self._redirects: dict[Easy, tuple[int, float]] = {}  # how many, and the seconds that they took
        self._failures: list[Failure] = []

    def run(self) -> list[Failure]:
        """Delivers the batch; the loop that every payload passes, so it calls little."""
        multi, idle, index_of = self._pool.multi, self._pool.idle, self._index_of
        perform, info_read, remove = multi.perform, multi.info_read, multi.remove_handle
        response_code = pycurl.RESPONSE_CODE
        while self._start():
            perform()
            _, answered, failed = info_read()
            if not answered and not failed:
                self._wait()
                continue
            for handle in answered:
                status = handle.getinfo(response_code)
                remove(handle)
                if 200 <= status < 300 and handle not in self._redirects:
                    del index_of[handle]
                    idle.append(handle)
                else:
                    self._answered(handle, status)
            for handle, code, text in failed:
                remove(handle)
                self._broken(handle, code, text)
        self._failures.sort(key=_index)
        return self._failures

    def _start(self) -> bool:
        """Starts as many requests as there are free connections; whether any is on its way or waiting."""
        size, index_of, payloads = self._pool.size, self._index_of, len(self._batch)
        if self._waiting:
            self._start_due()
            if self._ordered and self._waiting:
                return True
        while self._next < payloads and len(index_of) < size:
            self._launch(self._next)
            self._next += 1
        return bool(index_of or self._waiting)

    def _start_due(self) -> None:
        """Starts the retries whose time has come."""
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now and len(self._index_of) < self._pool.size:
            self._launch(heapq.heappop(self._waiting)[1])

    def _launch(self, index: int) -> None:
        pool = self._pool
        handle = pool.take()
        self._index_of[handle] = index
        handle.setopt(_POSTFIELDS, self._batch[index])
        pool.multi.add_handle(handle)

    def _wait(self) -> None:
        """Sleeps until a socket is ready, a time limit of libcurl ends or a retry is due."""
        seconds = _MAX_WAIT_SECS
        if self._waiting and len(self._index_of) < self._pool.size:
            seconds = min(seconds, max(0.0, self._waiting[0][0] - time.monotonic()))
        if not self._index_of:
            time.sleep(seconds)
            return
        limit = self._pool.multi.timeout()
        if limit >= 0:
            seconds = min(seconds, limit / 1000)
        begin = time.monotonic()
        if not self._pool.multi.select(seconds) and time.monotonic() - begin < seconds:
            # Without a socket to look at (a name is being looked up) select returns at once.
            time.sleep(min(seconds, _BLIND_WAIT_SECS))

    def _answered(self, handle: Easy, status: int) -> None:
        """An answer that is not simply success; `handle` is no longer with libcurl."""
        outcome: Outcome | None = None
        if 300 <= status < 400 and status != 304:
            target = handle.getinfo(pycurl.REDIRECT_URL)
            if target:
                outcome = self._redirect(handle, status, target)
                if outcome is None:
                    return
        if not 200 <= status < 300 and outcome is None:
            outcome = outcome_of_status(status, float(handle.getinfo(pycurl.RETRY_AFTER)))
        self._finish(handle, outcome)

    def _broken(self, handle: Easy, code: int, text: str) -> None:
        """A transfer that libcurl gave up."""
        text = _without_secrets(text, self._driver.secrets)
        if code in LOCAL_CODES:
            message = f"no request can be made on this worker: {text} (check the ssl_client_* and ssl_* settings)"
            raise DeliveryError(message, self._endpoint)
        status = handle.getinfo(pycurl.RESPONSE_CODE)
        # Once the body had begun the head was complete, and Dovecot ignores bodies.
        if status >= 200 and (code in _BODY_CUT_SHORT or handle.getinfo(pycurl.SIZE_DOWNLOAD_T) > 0):
            self._answered(handle, status)
        else:
            self._finish(handle, outcome_of_error(code, text, status or None))

    def _redirect(self, handle: Easy, status: int, location: str) -> Outcome | None:
        """Follows a redirect (None), or says why not."""
        count, spent = self._redirects.get(handle, (0, 0.0))
        limit = self._driver.max_redirects
        reason = outcome_of_status(status).reason
        if count >= limit:
            why = f"more than {limit} redirects" if limit else "redirects are refused"
            return Outcome(f"{reason}: {why} (correct the URL, or raise http_client_request_max_redirects)", status)
        target = _redirect_target(location)
        if target is None or not same_site(self._url, target):
            return Outcome(f"{reason}: a redirect to another place is refused (correct the URL)", status)
        spent += handle.getinfo(pycurl.TOTAL_TIME)
        timeout = self._driver.attempt_timeout_msec
        left = max(1, timeout - int(spent * 1000)) if timeout else 0
        self._redirects[handle] = (count + 1, spent)
        # Dovecot's rule for 303: GET without a body, for all others the same request again.
        self._pool.divert(handle, target.without_credentials, without_body=status == 303, timeout_msec=left)
        self._pool.multi.add_handle(handle)
        return None

    def _finish(self, handle: Easy, outcome: Outcome | None) -> None:
        """Ends an attempt and frees its handle; None is success."""
        index = self._index_of.pop(handle)
        if self._redirects.pop(handle, None):
            self._pool.restore(handle)
        self._pool.idle.append(handle)
        if outcome is None:
            return
        tries = self._tries[index] = self._tries.get(index, 0) + 1
        pause = self._pause(outcome, tries)
        if pause is None:
            self._failures.append(Failure(index, outcome.reason, tries, outcome.status, self._endpoint))
        else:
            heapq.heappush(self._waiting, (time.monotonic() + pause, index))

    def _pause(self, outcome: Outcome, tries: int) -> float | None:
        """Seconds until the next attempt; None for no further one."""
        driver = self._driver
        if not outcome.retryable or tries >= driver.max_attempts:
            return None
        if outcome.retry_after_secs:
            return outcome.retry_after_secs if outcome.retry_after_secs <= driver.max_retry_after_secs else None
        if outcome.at_once:
            return 0.0
        base, most = driver.http_client_connect_backoff_time_msec, driver.http_client_connect_backoff_max_time_msec
        ceiling = min((base or 100) * 2 ** min(tries - 1, 32), 2**32 if most is None else most)
        return random.uniform(0, ceiling / 1000)  # noqa: S311  spreads clients, no secret


def _redirect_target(location: str) -> HttpUrl | None:
    """The place that a redirect names; None if it cannot be requested, or brings credentials of its own."""
    try:
        target = parse_http_url("Location", location.partition("#")[0])
    except DriverSettingError:
        return None
    return target if target.credentials is None else None


def _without_secrets(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _index(failure: Failure) -> int:
    return failure.index
