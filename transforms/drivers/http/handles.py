"""The pool of libcurl handles of `http-post`; each has all options set that do not change between requests.

Between two requests of a handle only the body changes, the idempotency key if one is sent, and once a second the
headers.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

import pycurl

from dovebeam.transforms.drivers.http.access import Access, Shown
from dovebeam.transforms.drivers.http.credentials import Credentials
from dovebeam.transforms.drivers.http.options import Easy, set_proxy, set_sockets, set_tls, set_url, system_trust
from dovebeam.transforms.drivers.http.requests import BodyMaker
from dovebeam.transforms.drivers.http.settings import HttpPostSettings
from dovebeam.transforms.errors import DeliveryError

if TYPE_CHECKING:
    from dovebeam.transforms.drivers.secrets.secret_url import HttpUrl

__all__ = ["HandlePool", "http_date"]

MAX_RESPONSE_BYTES: Final = 1 << 20
"""A longer answer is cut off; its content is ignored anyway."""

_SUPPRESS_CONNECT_HEADERS: Final = 265
"""CURLOPT_SUPPRESS_CONNECT_HEADERS, for which pycurl has no name: a proxy's answer is not that of the target."""

_LOOK_AGAIN_SECS: Final = 5.0
"""Least time between two look-ups of credentials after refused requests."""

_NOTICE_SECS: Final = 1.0
"""Least time between two looks at files of secrets and certificates."""

# Not by strftime, which writes names of days and months in the language of the worker's locale.
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class HandlePool:
    """Up to `http_client_max_parallel_connections` handles on one multi handle, which keeps their connections.

    Attributes:
        multi: the `pycurl.CurlMulti`.
        access: the credentials that requests are sent with now.
        idle: handles that no request uses.
        size: most handles.
    """

    def __init__(self, settings: HttpPostSettings, access: Access) -> None:
        self._settings = settings
        self.access = access
        self.size = settings.http_client_max_parallel_connections
        self.multi = pycurl.CurlMulti()
        self.multi.setopt(pycurl.M_MAXCONNECTS, self.size)
        self.idle: list[Easy] = []
        self._second = -1
        self._headers: list[str] = []
        self._key_header = settings.http_post_idempotency_header
        self._all: list[Easy] = []
        # Handles with options of an earlier `access`, and those whose headers are not of this second.
        self._outdated: set[Easy] = set()
        self._stale: set[Easy] = set()
        # What is in the headers of this second, and in those of each handle: a refusal concerns what was sent.
        self._shown: Shown | None = None
        self._sent: dict[Easy, Shown | None] = {}
        self._last_lines: dict[Easy, deque[bytes]] = {}
        self._system_trust = system_trust() if settings.may_use_tls else ("", "")
        self._refused_at = float("-inf")
        self._noticed_at = time.monotonic()
        self._tls_replaced = False

    @property
    def credentials(self) -> Credentials:
        """The credentials that requests are sent with now."""
        return self.access.credentials

    def notice_files(self) -> bool:
        """Looks for secrets and certificates in files that were replaced, and uses them from now on.

        A secret that cannot be read is being replaced at this moment; until it can, the one before is used.

        Returns:
            Whether certificates or keys were replaced, so that new connections should be made.
        """
        now = time.monotonic()
        if now - self._noticed_at >= _NOTICE_SECS:
            self._noticed_at = now
            tls = self.credentials.has_other_tls_files()
            if tls or self.credentials.has_other_secret_files():
                try:
                    fresh = Access(self._settings)
                except DeliveryError:
                    return self._tls_replaced
                self._tls_replaced |= tls or fresh.credentials.key_password != self.credentials.key_password
                self._adopt(fresh)
        return self._tls_replaced

    def keep_time(self) -> None:
        """Makes the headers of this second, if that was not done yet; called before handles are taken."""
        second = int(time.time())
        if second != self._second:
            self.notice_files()
            self._shown = self.access.shown()
            self._headers = self._headers_at(second, self._shown)
            self._second = second
            self._stale.update(self._all)

    def is_fresh(self) -> bool:
        """Whether all idle handles have the newest headers and options, so that they can be used as they are."""
        return not self._stale and not self._outdated

    def take(self, key: str = "") -> Easy:
        """Takes a handle with the newest headers; makes one if none is idle, so the caller must keep to `size`.

        Args:
            key: the request's idempotency key, if the settings name a header for it.
        """
        handle = self.idle.pop() if self.idle else self._make()
        if self._outdated and handle in self._outdated:
            self._outdated.discard(handle)
            self._set_access(handle)
        stale = bool(self._stale) and handle in self._stale
        if key:
            handle.setopt(pycurl.HTTPHEADER, [*self._headers, f"{self._key_header}: {key}"])
        elif stale:
            handle.setopt(pycurl.HTTPHEADER, self._headers)
        if stale:
            self._stale.discard(handle)
            self._sent[handle] = self._shown
        return handle

    def renew(self, handle: Easy, *, token: bool) -> bool:
        """Looks for newer credentials after a request was refused; returns whether there are any.

        Requests that start from now on are sent with them.

        Args:
            handle: the request's.
            token: whether the refusal may concern a token that was fetched.

        Raises:
            DeliveryError: credentials cannot be looked up any more.
        """
        sent = self._sent[handle]
        # Another request may have been refused before, and have renewed them.
        if self.access.shown() == sent:
            now = time.monotonic()
            if self.credentials.can_change and now - self._refused_at >= _LOOK_AGAIN_SECS:
                self._refused_at = now
                self._adopt(Access(self._settings))
            if token and sent is not None:
                self.access.refuse_token(sent.token)
        # The headers of this second are to be made again.
        self._second = -1
        return self.access.shown() != sent

    def without_secrets(self, text: str) -> str:
        """The text with `***` in place of every secret."""
        return self.credentials.without_secrets(text)

    def has_final_head(self, handle: Easy) -> bool:
        """Whether the head of a final answer has come whole; one of 1xx is not final."""
        last = self._last_lines[handle]
        return int(handle.getinfo(pycurl.RESPONSE_CODE)) >= 200 and bool(last) and not last[0].strip()

    def divert(self, handle: Easy, url: HttpUrl, *, without_body: bool, timeout_msec: int) -> None:
        """Points a handle at the target of a redirect."""
        self._aim(handle, url)
        handle.setopt(pycurl.TIMEOUT_MS, timeout_msec)
        if without_body:
            handle.setopt(pycurl.HTTPGET, 1)

    def restore(self, handle: Easy) -> None:
        """Undoes `divert`."""
        self._aim(handle, self.credentials.url)
        handle.setopt(pycurl.TIMEOUT_MS, self._settings.attempt_timeout_msec)
        handle.setopt(pycurl.POST, 1)

    def forget_bodies(self) -> None:
        """Releases the bodies of the last requests, which pycurl keeps for its handles."""
        for handle in self.idle:
            handle.setopt(pycurl.POSTFIELDS, b"")

    def close(self) -> None:
        """Closes every connection."""
        for handle in self._all:
            handle.close()
        for handles in (self.idle, self._all, self._stale, self._outdated, self._sent, self._last_lines):
            handles.clear()
        self.multi.close()

    def _aim(self, handle: Easy, url: HttpUrl) -> None:
        set_url(handle, url, by_proxy=self.credentials.proxy is not None)

    def _adopt(self, access: Access) -> None:
        """Uses other credentials; each handle gets them when it is taken next, and not while a request uses it."""
        self.access = access
        self._second = -1
        self._outdated.update(self._all)

    def _set_access(self, handle: Easy) -> None:
        """Sets the options that depend on credentials, on a new handle or again."""
        self._aim(handle, self.credentials.url)
        set_proxy(handle, self.credentials)
        if self._settings.may_use_tls:
            set_tls(handle, self._settings, self.credentials, self._system_trust, resume=not self._tls_replaced)

    def _headers_at(self, second: int, shown: Shown) -> list[str]:
        """Dovecot's headers, in its order as far as libcurl keeps it; a bare name stops libcurl's own header."""
        direct = self._settings.proxy is None
        bodies = BodyMaker.of(self._settings)
        return [
            f"Date: {http_date(second)}",
            *shown.headers,
            "Connection: Keep-Alive" if direct else "Proxy-Connection:",
            f"Content-Type: {bodies.content_type}",
            *([f"Content-Encoding: {bodies.content_encoding}"] if bodies.content_encoding else []),
            "Accept:",
            "Expect:",
        ]

    def _make(self) -> Easy:
        settings = self._settings
        handle = pycurl.Curl()
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.PATH_AS_IS, 1)
        handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.USERAGENT, settings.http_client_user_agent)
        handle.setopt(pycurl.HEADEROPT, pycurl.HEADER_SEPARATE)
        # `len` returns that a piece of an answer was taken whole, and so discards it without running Python code.
        handle.setopt(pycurl.WRITEFUNCTION, len)
        # The same for lines of the head, of which the last one is kept: it is blank when the head is complete.
        last_line = self._last_lines[handle] = deque[bytes](maxlen=1)
        handle.setopt(pycurl.HEADERFUNCTION, last_line.append)
        handle.setopt(_SUPPRESS_CONNECT_HEADERS, 1)
        handle.setopt(pycurl.MAXFILESIZE_LARGE, MAX_RESPONSE_BYTES)
        handle.setopt(pycurl.TIMEOUT_MS, settings.attempt_timeout_msec)
        if settings.http_client_connect_timeout_msec:
            handle.setopt(pycurl.CONNECTTIMEOUT_MS, settings.http_client_connect_timeout_msec)
        if settings.http_client_max_idle_time_msec:
            # libcurl counts in whole seconds; a time below one must not become 0.
            handle.setopt(pycurl.MAXAGE_CONN, max(1, settings.http_client_max_idle_time_msec // 1000))
        ttl = settings.http_client_dns_ttl_msec
        handle.setopt(pycurl.DNS_CACHE_TIMEOUT, -1 if ttl is None else ttl // 1000)
        set_sockets(handle, settings)
        self._set_access(handle)
        self._all.append(handle)
        self._stale.add(handle)
        return handle


def http_date(second: int) -> str:
    """The value of a Date header (RFC 9110, IMF-fixdate)."""
    t = time.gmtime(second)
    return (
        f"{_DAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon - 1]} {t.tm_year:04} "
        f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} GMT"
    )
