"""Tokens that a worker fetches: one for all connections of a process, renewed before it ends or when it is refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from dovebeam.transforms.errors import DeliveryError

__all__ = ["Token", "TokenCache"]

_EARLY_SECS: Final = 60.0
"""So long before its end a token is replaced, if it lives for longer than twice that; else at half its life."""

_RETRY_SECS: Final = 5.0
"""How long a failed or just finished fetch keeps the next one waiting."""


class Token(NamedTuple):
    """A token and how long it can be used, None if its server did not say."""

    text: str
    lifetime_secs: float | None


class TokenCache:
    """Keeps a token; any number of threads may use it.

    Args:
        fetch: gets a new token; raises `DeliveryError` if it cannot.
    """

    def __init__(self, fetch: Callable[[], Token]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._fetched = 0.0
        self._tried = 0.0

    def text(self) -> str:
        """A token that can be used now.

        Raises:
            DeliveryError: there is none, and none can be had.
        """
        with self._lock:
            now = time.monotonic()
            left = self._left(now)
            if self._token is not None and (left > 0 or (left > -self._margin() and now - self._tried < _RETRY_SECS)):
                return self._token.text
            return self._renewed(now)

    def refuse(self, text: str) -> None:
        """A target refused this token: another one is fetched, unless there is one already or this one came just now.

        Requests that are on their way together are refused together. Only the first of them fetches a token.

        Raises:
            DeliveryError: none can be had.
        """
        with self._lock:
            now = time.monotonic()
            if self._token is not None and self._token.text == text and now - self._fetched >= _RETRY_SECS:
                self._token = None
                self._renewed(now)

    def _renewed(self, now: float) -> str:
        """Fetches a token; one that has not ended yet is used on if that fails."""
        self._tried = now
        try:
            token = self._fetch()
        except DeliveryError:
            if self._token is None or self._left(now) <= -self._margin():
                raise
        else:
            self._token, self._fetched = token, time.monotonic()
        return self._token.text if self._token is not None else ""

    def _left(self, now: float) -> float:
        """Seconds until the token should be replaced."""
        lifetime = self._token.lifetime_secs if self._token is not None else 0.0
        return float("inf") if lifetime is None else self._fetched + lifetime - self._margin() - now

    def _margin(self) -> float:
        """Seconds between a token's replacement and its end."""
        lifetime = self._token.lifetime_secs if self._token is not None else None
        return 0.0 if lifetime is None else min(_EARLY_SECS, lifetime / 2)
