"""libcurl handles for `http-post`: a pool of them, each with every option set that does not change between requests.

Between two requests of a handle only the body changes, the idempotency key if one is sent, and once a second the
headers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import pycurl

from dovebeam.transforms.drivers.http.options import Easy, set_proxy, set_sockets, set_tls, set_url, system_trust

if TYPE_CHECKING:
    from dovebeam.transforms.drivers.http.access import Access
    from dovebeam.transforms.drivers.http.url import HttpUrl
    from dovebeam.transforms.drivers.http_post import HttpPostDriver

__all__ = ["HandlePool", "http_date"]

MAX_RESPONSE_BYTES: Final = 1 << 20
"""A longer answer is cut off; nobody reads it anyway."""

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class HandlePool:
    """Up to `http_client_max_parallel_connections` handles on one multi handle, which keeps their connections.

    Attributes:
        multi: the `pycurl.CurlMulti`.
        access: the credentials.
        idle: handles that no request uses.
        size: how many handles there can be.
    """

    def __init__(self, driver: HttpPostDriver, access: Access) -> None:
        self._driver = driver
        self.access = access
        self._url = access.url
        self.size = driver.http_client_max_parallel_connections
        self.multi = pycurl.CurlMulti()
        self.multi.setopt(pycurl.M_MAXCONNECTS, self.size)
        self.idle: list[Easy] = []
        self._second = -1
        self._headers: list[str] = []
        self._key_header = driver.http_post_idempotency_header
        self._all: list[Easy] = []
        self._elsewhere: set[Easy] = set()  # those whose URL has another query than the one that holds now
        self._stale: set[Easy] = set()  # those whose headers are not of this second
        self._system_trust = system_trust() if driver.may_use_tls else ("", "")

    def keep_time(self) -> None:
        """Makes the headers of this second; asked before handles are taken."""
        second = int(time.time())
        if second != self._second:
            self._headers = self._headers_at(second)
            self._second = second
            self._stale.update(self._all)

    def is_fresh(self) -> bool:
        """Whether idle handles have the newest headers and URL, so that they can be used as they are."""
        return not self._stale and not self._elsewhere

    def take(self, key: str = "") -> Easy:
        """A handle with the newest headers; made if none is idle, so the caller must know that one is free.

        Args:
            key: the request's idempotency key, if the settings name a header for it.
        """
        handle = self.idle.pop() if self.idle else self._make()
        if self._elsewhere and handle in self._elsewhere:
            self._elsewhere.discard(handle)
            self._aim(handle, self._url)
        if key:
            handle.setopt(pycurl.HTTPHEADER, [*self._headers, f"{self._key_header}: {key}"])
        elif self._stale and handle in self._stale:
            handle.setopt(pycurl.HTTPHEADER, self._headers)
            self._stale.discard(handle)
        return handle

    def renew(self) -> bool:
        """Whether there is another credential after a 401, which requests that start from now on have."""
        if not self.access.refused():
            return False
        if self._url.without_credentials != self.access.url.without_credentials:
            self._url = self.access.url
            self._elsewhere.update(self._all)
        self._second = -1
        return True

    def divert(self, handle: Easy, url: HttpUrl, *, without_body: bool, timeout_msec: int) -> None:
        """Points a handle at the target of a redirect."""
        self._aim(handle, url)
        handle.setopt(pycurl.TIMEOUT_MS, timeout_msec)
        if without_body:
            handle.setopt(pycurl.HTTPGET, 1)

    def restore(self, handle: Easy) -> None:
        """Undoes `divert`."""
        self._aim(handle, self._url)
        handle.setopt(pycurl.TIMEOUT_MS, self._driver.attempt_timeout_msec)
        handle.setopt(pycurl.POST, 1)

    def forget_bodies(self) -> None:
        """Lets go of the bodies that idle handles were used with last."""
        for handle in self.idle:
            handle.setopt(pycurl.POSTFIELDS, b"")

    def close(self) -> None:
        """Closes every connection."""
        for handle in self._all:
            handle.close()
        for handles in (self.idle, self._all, self._stale, self._elsewhere):
            handles.clear()
        self.multi.close()

    def _aim(self, handle: Easy, url: HttpUrl) -> None:
        set_url(handle, url, by_proxy=self.access.proxy is not None)

    def _headers_at(self, second: int) -> list[str]:
        """Dovecot's headers, in its order as far as libcurl keeps it; a bare name stops libcurl's own header."""
        direct = self._driver.proxy is None
        bodies = self._driver.body_maker
        return [
            f"Date: {http_date(second)}",
            *self.access.headers(),
            "Connection: Keep-Alive" if direct else "Proxy-Connection:",
            f"Content-Type: {bodies.content_type}",
            *([f"Content-Encoding: {bodies.content_encoding}"] if bodies.content_encoding else []),
            "Accept:",
            "Expect:",
        ]

    def _make(self) -> Easy:
        driver = self._driver
        handle = pycurl.Curl()
        handle.setopt(pycurl.NOSIGNAL, 1)
        self._aim(handle, self._url)
        handle.setopt(pycurl.PATH_AS_IS, 1)
        handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.USERAGENT, driver.http_client_user_agent)
        handle.setopt(pycurl.HEADEROPT, pycurl.HEADER_SEPARATE)
        # `len` takes an answer's piece and returns how much of it was taken: thrown away without a call into Python
        # code.
        handle.setopt(pycurl.WRITEFUNCTION, len)
        handle.setopt(pycurl.MAXFILESIZE_LARGE, MAX_RESPONSE_BYTES)
        handle.setopt(pycurl.TIMEOUT_MS, driver.attempt_timeout_msec)
        if driver.http_client_connect_timeout_msec:
            handle.setopt(pycurl.CONNECTTIMEOUT_MS, driver.http_client_connect_timeout_msec)
        if driver.http_client_max_idle_time_msec:
            handle.setopt(pycurl.MAXAGE_CONN, max(1, driver.http_client_max_idle_time_msec // 1000))
        ttl = driver.http_client_dns_ttl_msec
        handle.setopt(pycurl.DNS_CACHE_TIMEOUT, -1 if ttl is None else ttl // 1000)
        set_proxy(handle, self.access)
        set_sockets(handle, driver)
        if driver.may_use_tls:
            set_tls(handle, driver, self.access, self._system_trust)
        self._all.append(handle)
        self._stale.add(handle)
        return handle


def http_date(second: int) -> str:
    """A Date header's value (RFC 9110, IMF-fixdate), whatever the locale."""
    t = time.gmtime(second)
    return (
        f"{_DAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon - 1]} {t.tm_year:04} "
        f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} GMT"
    )
