"""The end of each attempt of a batch: delivered, retried, halved, redirected, or failed for good."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import pycurl

from dovebeam.transforms.drivers.base import Batch, Failure
from dovebeam.transforms.drivers.http.backlog import Backlog, RetryPolicy
from dovebeam.transforms.drivers.http.endpoint import Endpoint, Member
from dovebeam.transforms.drivers.http.handles import HandlePool
from dovebeam.transforms.drivers.http.options import Easy
from dovebeam.transforms.drivers.http.outcome import (
    Outcome,
    Trouble,
    Verdict,
    outcome_of_error,
    outcome_of_search,
    outcome_of_status,
    redirect_target,
    too_long,
)
from dovebeam.transforms.drivers.http.requests import ALIKE, Request, Search
from dovebeam.transforms.drivers.http.settings import HttpPostSettings
from dovebeam.transforms.errors import DeliveryError

__all__ = ["Attempts"]

# Troubles of an endpoint that did not answer; only these decide about requests that were not sent.
_LIFELESS: Final = frozenset({Trouble.UNREACHABLE, Trouble.SLOW, Trouble.LOST})
_BODY_NOT_WANTED: Final = frozenset({pycurl.E_FILESIZE_EXCEEDED, pycurl.E_BAD_CONTENT_ENCODING})
"""libcurl's errors because of a header about the body: it is too long, or in an unknown coding."""

_BODY_SECS: Final = 2.0
"""How long the body of an answer is read, which only serves to use the connection again; its content is ignored."""

_UNAUTHORIZED: Final = 401
# Statuses after which credentials are looked up again: they may have been replaced.
_REFUSED: Final = frozenset({_UNAUTHORIZED, 403, 407})


class Attempts:
    """The requests of one batch that are in flight, and the rules for how each ends."""

    def __init__(
        self,
        settings: HttpPostSettings,
        pool: HandlePool,
        endpoint: Endpoint,
        batch: Batch,
        on_arrival: Callable[[int], None] | None,
    ) -> None:
        self._settings = settings
        self._place = settings.endpoint
        self._pool = pool
        self._rules = settings.status_rules
        self._policy = RetryPolicy(settings)
        self._on_way: dict[Easy, Request] = {}
        self._backlog = Backlog(
            batch.payloads,
            settings.http_post_batch_max_events,
            settings.http_post_batch_max_bytes,
            ordered=pool.size == 1,
        )
        self._endpoint = endpoint
        self._member = Member(self._on_way, pool.size)
        self._failures: list[Failure] = []
        self._on_arrival = on_arrival

    def _answered(self, handle: Easy, status: int) -> None:
        """Handles an answer that is not simply success; `handle` was removed from the multi handle."""
        request = self._on_way[handle]
        verdict = self._rules.verdict(status, len(request))
        # Dovecot follows each 3xx but 304 that has a Location; a status that the user calls success is not followed.
        if verdict is not Verdict.SUCCESS and 300 <= status < 400 and status != 304:
            location = handle.getinfo(pycurl.REDIRECT_URL)
            if location:
                self._redirect(handle, request, status, location)
                return
        if verdict is Verdict.SUCCESS:
            self._finish(handle, None)
        elif verdict is Verdict.SPLIT:
            self._split(handle)
        elif verdict is Verdict.SEARCH:
            self._search(handle, request, status)
        elif status in _REFUSED and not request.renewed and self._pool.renew(handle, token=status == _UNAUTHORIZED):
            # Not an attempt, so that rotating a secret rejects nothing; once, so that this cannot go on forever.
            request.renewed = True
            self._free(handle)
            self._backlog.retry(request, 0.0)
        else:
            after = float(handle.getinfo(pycurl.RETRY_AFTER))
            self._finish(handle, outcome_of_status(status, retryable=verdict is Verdict.RETRY, retry_after_secs=after))

    def _broken(self, handle: Easy, code: int, text: str) -> None:
        """Handles a transfer that failed with an error of libcurl."""
        text = self._pool.without_secrets(text)
        status = int(handle.getinfo(pycurl.RESPONSE_CODE))
        if self._pool.has_final_head(handle) or (status >= 200 and code in _BODY_NOT_WANTED):
            # The target has answered, and its body does not matter: Dovecot, too, decides by the head.
            self._answered(handle, status)
            return
        self._finish(handle, outcome_of_error(code, text))

    def _end_bodies(self, now: float) -> bool:
        """Ends transfers whose head has come but whose body does not end: the head has decided.

        Returns:
            Whether there were any.
        """
        ended = False
        for handle in [handle for handle in self._on_way if self._pool.has_final_head(handle)]:
            request = self._on_way[handle]
            request.head_at = request.head_at or now
            if now - request.head_at >= _BODY_SECS:
                self._pool.multi.remove_handle(handle)
                self._answered(handle, int(handle.getinfo(pycurl.RESPONSE_CODE)))
                ended = True
        return ended

    def _redirect(self, handle: Easy, request: Request, status: int, location: str) -> None:
        """Follows a redirect, or ends the attempt with the reason why not."""
        settings = self._settings
        target = redirect_target(
            self._pool.credentials.url, status, location, request.redirects, settings.max_redirects
        )
        if isinstance(target, Outcome):
            self._finish(handle, target)
            return
        request.redirects += 1
        request.head_at = 0.0
        request.redirect_secs += handle.getinfo(pycurl.TOTAL_TIME)
        # A redirect is a part of its attempt, so all of them share its time limit; 0 would mean no limit.
        timeout = settings.attempt_timeout_msec
        left = max(1, timeout - int(request.redirect_secs * 1000)) if timeout else 0
        # Dovecot's rule for 303: GET without a body, for all others the same request again.
        self._pool.divert(handle, target, without_body=status == 303, timeout_msec=left)
        self._pool.multi.add_handle(handle)

    def _free(self, handle: Easy) -> Request:
        """Takes a request off its handle, which is idle then."""
        request = self._on_way.pop(handle)
        request.head_at = 0.0
        if request.redirects:
            self._pool.restore(handle)
            request.redirects, request.redirect_secs = 0, 0.0
        self._pool.idle.append(handle)
        return request

    def _search(self, handle: Easy, request: Request, status: int) -> None:
        """Searches for the refused events of a request by halving it, as long as others may be accepted."""
        search = request.search = request.search or Search(status)
        if not search.sets_aside(request, status):
            self._split(handle)
            return
        # "Trouble: none" resets the endpoint's state: a server that refuses is alive.
        self._endpoint.failed(Trouble.NONE, 0.0, adaptive=False)
        self._free(handle)
        self._go_on(search)

    def _leave_search(self, request: Request, status: int | None = None, *, delivered: bool = False) -> None:
        """Tells the search that a request is a part of, if there is one, that it has ended for good."""
        search = request.search
        if search is not None:
            search.ended(request, status, delivered=delivered)
            self._go_on(search)

    def _go_on(self, search: Search[Request]) -> None:
        for part in search.taken_up():
            if len(part) > 1:
                self._backlog.split(part)
            else:
                self._backlog.put(part)
        for sample in search.samples():
            self._backlog.put(sample)
        for part in search.given_up():
            part.search = None
            part.tries += 1
            self._fail(part, outcome_of_search(search.status, ALIKE))

    def _split(self, handle: Easy) -> None:
        self._endpoint.failed(Trouble.NONE, 0.0, adaptive=False)
        self._backlog.split(self._free(handle))

    def _finish(self, handle: Easy, outcome: Outcome | None) -> None:
        """Ends an attempt; None is success."""
        now = time.monotonic()
        # libcurl's time is that of the last transfer, without earlier redirects of the attempt.
        began = now - self._on_way[handle].redirect_secs - float(handle.getinfo(pycurl.TOTAL_TIME))
        request = self._free(handle)
        if outcome is None:
            self._endpoint.succeeded(1)
            if self._on_arrival is not None:
                self._on_arrival(len(request))
            self._leave_search(request, delivered=True)
            return
        # Asked before `failed`, which may end the probing.
        probed = self._endpoint.probed(self._member)
        self._endpoint.failed(outcome.trouble, began, adaptive=self._settings.http_post_adaptive_concurrency)
        if outcome.retryable and outcome.retry_after_secs:
            self._endpoint.close_for(outcome.retry_after_secs, outcome)
            if outcome.retry_after_secs > self._policy.longest_wait_secs:
                outcome = too_long(outcome)
        if probed and outcome.trouble in _LIFELESS:
            self._count_for_all(outcome, began, now)
        request.tries += 1
        request.since = request.since or began
        pause = self._policy.pause(outcome, request.tries, request.since, now)
        if pause is None:
            self._fail(request, outcome)
        else:
            self._backlog.retry(request, now + pause)
            # All connections pause, or others would go on asking a server that needs time.
            if not outcome.at_once:
                self._endpoint.close_for(pause)

    def _count_for_all(self, outcome: Outcome, began: float, now: float) -> None:
        """Counts a failed attempt for all requests that wait in this delivery, as Dovecot after a failed connect."""

        def is_last(tries: int, since: float) -> bool:
            return self._policy.pause(outcome, tries, since, now) is None

        for request in self._backlog.count_attempt(began, is_last):
            self._fail(request, outcome)

    def _give_up_waiting(self, now: float) -> None:
        """Fails all requests that wait, because the endpoint's Retry-After is longer than the settings allow."""
        closing = self._endpoint.closing
        if closing is not None:
            self._count_for_all(too_long(closing), now, now)

    def _fail(self, request: Request, outcome: Outcome) -> None:
        # Trouble of this worker is not the fault of any payload, so the bundle fails.
        if outcome.local:
            raise DeliveryError(outcome.reason, self._place)
        self._failures += [
            Failure(index, outcome.reason, request.tries, outcome.status, self._place)
            for index in range(request.first, request.end)
        ]
        self._leave_search(request, outcome.status)
