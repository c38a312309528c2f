"""libcurl handles for `http-post`: a pool of them, each with every option set that does not change between requests.

Between two requests of a handle only the body changes, once a second the Date header.
"""

from __future__ import annotations

import os
import ssl
import time
from typing import TYPE_CHECKING, Any, Final

import pycurl

from dovebeam.transforms.drivers.http_post import CONTENT_TYPES

if TYPE_CHECKING:
    from dovebeam.transforms.drivers.http_post import HttpPostDriver

__all__ = ["Easy", "HandlePool", "http_date"]

Easy = Any
"""A `pycurl.Curl`; pycurl has no types."""

MAX_RESPONSE_BYTES: Final = 1 << 20
"""A longer answer is cut off; nobody reads it anyway."""

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TLS: Final = {
    "ANY": pycurl.SSLVERSION_TLSv1_0,
    "TLSv1": pycurl.SSLVERSION_TLSv1_0,
    "TLSv1.1": pycurl.SSLVERSION_TLSv1_1,
    "TLSv1.2": pycurl.SSLVERSION_TLSv1_2,
    "TLSv1.3": pycurl.SSLVERSION_TLSv1_3,
    "LATEST": pycurl.SSLVERSION_TLSv1_3,
}


class HandlePool:
    """Up to `http_client_max_parallel_connections` handles on one multi handle, which keeps their connections.

    Attributes:
        multi: the `pycurl.CurlMulti`.
        idle: handles that no request uses.
        size: how many handles there can be.
    """

    def __init__(self, driver: HttpPostDriver) -> None:
        self._driver = driver
        self._url = driver.url.without_credentials
        self.size = driver.http_client_max_parallel_connections
        self.multi = pycurl.CurlMulti()
        self.multi.setopt(pycurl.M_MAXCONNECTS, self.size)
        self.idle: list[Easy] = []
        self._second = -1
        self._headers: list[str] = []
        self._dated: dict[Easy, int] = {}  # every handle, and the second that its headers are of
        self._system_trust = _system_trust() if driver.url.scheme == "https" else ("", "")

    def take(self) -> Easy:
        """A handle with this second's headers; made if none is idle, so the caller must know that one is free."""
        handle = self.idle.pop() if self.idle else self._make()
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._headers = self._headers_at(second)
        if self._dated.get(handle) != second:
            self._dated[handle] = second
            handle.setopt(pycurl.HTTPHEADER, self._headers)
        return handle

    def divert(self, handle: Easy, url: str, *, without_body: bool, timeout_msec: int) -> None:
        """Points a handle at the target of a redirect."""
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.TIMEOUT_MS, timeout_msec)
        if without_body:
            handle.setopt(pycurl.HTTPGET, 1)

    def restore(self, handle: Easy) -> None:
        """Undoes `divert`."""
        handle.setopt(pycurl.URL, self._url)
        handle.setopt(pycurl.TIMEOUT_MS, self._driver.attempt_timeout_msec)
        handle.setopt(pycurl.POST, 1)

    def close(self) -> None:
        """Closes every connection."""
        for handle in self._dated:
            handle.close()
        self.idle.clear()
        self._dated.clear()
        self.multi.close()

    def _headers_at(self, second: int) -> list[str]:
        """Dovecot's headers, in its order as far as libcurl keeps it; a bare name stops libcurl's own header."""
        authorization = self._driver.url.basic_authorization
        direct = self._driver.proxy is None
        return [
            f"Date: {http_date(second)}",
            *([f"Authorization: {authorization}"] if authorization else []),
            "Connection: Keep-Alive" if direct else "Proxy-Connection:",
            f"Content-Type: {CONTENT_TYPES[self._driver.format]}",
            "Accept:",
            "Expect:",
        ]

    def _make(self) -> Easy:
        driver = self._driver
        handle = pycurl.Curl()
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.URL, self._url)
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
        self._set_proxy(handle)
        if driver.url.scheme == "https":
            self._set_tls(handle)
        return handle

    def _set_proxy(self, handle: Easy) -> None:
        # Empty, not unset: http_proxy and no_proxy of the worker's environment must not decide where mail data goes.
        handle.setopt(pycurl.NOPROXY, "")
        proxy = self._driver.proxy
        if proxy is None:
            handle.setopt(pycurl.PROXY, "")
            return
        handle.setopt(pycurl.PROXY, proxy.endpoint)
        user, _, password = (proxy.credentials or b"").decode("utf-8", "surrogateescape").partition(":")
        user, password = (
            self._driver.http_client_proxy_username or user,
            self._driver.http_client_proxy_password or password,
        )
        if user:
            handle.setopt(pycurl.PROXYAUTH, pycurl.HTTPAUTH_BASIC)
            handle.setopt(pycurl.PROXYUSERNAME, user)
            handle.setopt(pycurl.PROXYPASSWORD, password)

    def _set_tls(self, handle: Easy) -> None:
        driver = self._driver
        handle.setopt(pycurl.SSLVERSION, _TLS[driver.ssl_min_protocol])
        verify = driver.ssl_client_require_valid_cert
        handle.setopt(pycurl.SSL_VERIFYPEER, int(verify))
        handle.setopt(pycurl.SSL_VERIFYHOST, 2 if verify else 0)
        trust = (driver.ssl_client_ca_file, driver.ssl_client_ca_dir)
        trust = trust if any(trust) else self._system_trust
        # Both are always set or unset: the paths that were built into libcurl would be trusted as well.
        for option, path in zip((pycurl.CAINFO, pycurl.CAPATH), trust, strict=True):
            if path:
                handle.setopt(option, path)
            else:
                handle.unsetopt(option)
        # Set even if empty: without it OpenSSL asks for the password of a key on the terminal, and waits.
        handle.setopt(pycurl.KEYPASSWD, driver.ssl_client_key_password)
        for option, value in (
            (pycurl.SSLCERT, driver.ssl_client_cert_file),
            (pycurl.SSLKEY, driver.ssl_client_key_file),
            (pycurl.SSL_CIPHER_LIST, driver.ssl_cipher_list),
            (pycurl.TLS13_CIPHERS, driver.ssl_cipher_suites),
            (pycurl.SSL_EC_CURVES, driver.ssl_curve_list),
        ):
            if value:
                handle.setopt(option, value)


def http_date(second: int) -> str:
    """A Date header's value (RFC 9110, IMF-fixdate), whatever the locale."""
    t = time.gmtime(second)
    return (
        f"{_DAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon - 1]} {t.tm_year:04} "
        f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} GMT"
    )


def _system_trust() -> tuple[str, str]:
    """File and directory of this system's CAs; the libcurl in a wheel looks where its builder's system had them."""
    paths = ssl.get_default_verify_paths()
    file, directory = paths.cafile or "", paths.capath or ""
    return file if os.path.isfile(file) else "", directory if os.path.isdir(directory) else ""
