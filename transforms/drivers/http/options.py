"""Options of libcurl handles for URL, proxy, TLS and sockets, from the settings of `http-post`."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

import pycurl

from dovebeam.transforms.drivers.http.credentials import Credentials
from dovebeam.transforms.drivers.http.settings import HttpPostSettings
from dovebeam.transforms.drivers.secrets.secret_url import HttpUrl

__all__ = ["Easy", "set_proxy", "set_sockets", "set_tls", "set_url", "system_trust"]

Easy = Any
"""A `pycurl.Curl`; pycurl has no types."""

_HAPPY_EYEBALLS_TIMEOUT_MS: Final = 271
"""CURLOPT_HAPPY_EYEBALLS_TIMEOUT_MS, for which pycurl has no name."""

_CA_CACHE_TIMEOUT: Final = 321
"""CURLOPT_CA_CACHE_TIMEOUT, in seconds, for which pycurl has no name."""

# LATEST is 1.3 until there is a later version.
_TLS: Final = {
    "ANY": pycurl.SSLVERSION_TLSv1_0,
    "TLSv1": pycurl.SSLVERSION_TLSv1_0,
    "TLSv1.1": pycurl.SSLVERSION_TLSv1_1,
    "TLSv1.2": pycurl.SSLVERSION_TLSv1_2,
    "TLSv1.3": pycurl.SSLVERSION_TLSv1_3,
    "LATEST": pycurl.SSLVERSION_TLSv1_3,
}


def set_url(handle: Easy, url: HttpUrl, *, by_proxy: bool) -> None:
    """Sets what is requested, byte for byte: libcurl would write a %2f of the URL as %2F."""
    handle.setopt(pycurl.URL, url.without_credentials)
    # A proxy needs the whole URL to know the host; https goes through a tunnel, so the target itself reads the line.
    whole = by_proxy and url.scheme == "http"
    handle.setopt(pycurl.REQUEST_TARGET, url.without_credentials if whole else url.target)


def set_proxy(handle: Easy, credentials: Credentials) -> None:
    """Sends requests through the proxy of the settings, or through none."""
    # Empty, not unset: http_proxy and no_proxy of the worker's environment must not decide where mail data goes.
    handle.setopt(pycurl.NOPROXY, "")
    proxy = credentials.proxy
    if proxy is None:
        handle.setopt(pycurl.PROXY, "")
        return
    handle.setopt(pycurl.PROXY, proxy.endpoint)
    if credentials.proxy_user:
        # The only one that Dovecot has; with libcurl's choice a request might be sent twice to find out.
        handle.setopt(pycurl.PROXYAUTH, pycurl.HTTPAUTH_BASIC)
        handle.setopt(pycurl.PROXYUSERNAME, credentials.proxy_user)
        handle.setopt(pycurl.PROXYPASSWORD, credentials.proxy_password)


def set_tls(
    handle: Easy,
    settings: HttpPostSettings,
    credentials: Credentials,
    trust_without_settings: tuple[str, str],
    *,
    resume: bool = True,
) -> None:
    """Sets the ssl_* settings; each new connection reads their files as they are then.

    Args:
        handle: the handle.
        settings: the exporter's.
        credentials: for the password of the key.
        trust_without_settings: file and directory of the CAs to trust if the settings name none.
        resume: whether a TLS session that was started with earlier files may be resumed.
    """
    # Without this libcurl would trust for 24 hours what a CA file held once; where it has no such option, it doesn't.
    with contextlib.suppress(pycurl.error):
        handle.setopt(_CA_CACHE_TIMEOUT, 0)
    handle.setopt(pycurl.SSL_SESSIONID_CACHE, int(resume))
    handle.setopt(pycurl.SSLVERSION, _TLS[settings.ssl_min_protocol])
    verify = settings.ssl_client_require_valid_cert
    # VERIFYHOST is 2 for yes; 1 was a mode for debugging.
    handle.setopt(pycurl.SSL_VERIFYPEER, int(verify))
    handle.setopt(pycurl.SSL_VERIFYHOST, 2 if verify else 0)
    trust = (settings.ssl_client_ca_file, settings.ssl_client_ca_dir)
    trust = trust if any(trust) else trust_without_settings
    # Both are always set or unset: the paths that were built into libcurl would be trusted as well.
    for option, path in zip((pycurl.CAINFO, pycurl.CAPATH), trust, strict=True):
        if path:
            handle.setopt(option, path)
        else:
            handle.unsetopt(option)
    # Set even if empty: without it OpenSSL asks for the password of a key on the terminal, and waits.
    handle.setopt(pycurl.KEYPASSWD, credentials.key_password)
    for option, value in (
        (pycurl.SSLCERT, settings.ssl_client_cert_file),
        (pycurl.SSLKEY, settings.ssl_client_key_file),
        (pycurl.SSL_CIPHER_LIST, settings.ssl_cipher_list),
        (pycurl.TLS13_CIPHERS, settings.ssl_cipher_suites),
        (pycurl.SSL_EC_CURVES, settings.ssl_curve_list),
    ):
        if value:
            handle.setopt(option, value)


def set_sockets(handle: Easy, settings: HttpPostSettings) -> None:
    """Sets the sizes of socket buffers, and after how long the host's next address is tried beside the first."""
    if settings.http_client_soft_connect_timeout_msec:
        handle.setopt(_HAPPY_EYEBALLS_TIMEOUT_MS, settings.http_client_soft_connect_timeout_msec)
    sizes = (
        (socket.SO_SNDBUF, settings.http_client_socket_send_buffer_size),
        (socket.SO_RCVBUF, settings.http_client_socket_recv_buffer_size),
    )
    wanted = [(option, size) for option, size in sizes if size]
    # libcurl has no option for these, and a callback for each new socket is not free.
    if wanted:
        handle.setopt(pycurl.SOCKOPTFUNCTION, _buffer_setter(wanted))


def system_trust() -> tuple[str, str]:
    """File and directory of this system's CAs; the libcurl in a wheel looks where its builder's system had them."""
    paths = ssl.get_default_verify_paths()
    file, directory = paths.cafile or "", paths.capath or ""
    return file if os.path.isfile(file) else "", directory if os.path.isdir(directory) else ""


def _buffer_setter(wanted: list[tuple[int, int]]) -> Callable[[int, int], int]:
    """A callback for libcurl, which calls it with each new socket before it connects."""

    def set_buffers(descriptor: int, _purpose: int) -> int:
        # A duplicate of the descriptor, which libcurl owns, is the same socket.
        with socket.socket(fileno=os.dup(descriptor)) as duplicate:
            for option, size in wanted:
                duplicate.setsockopt(socket.SOL_SOCKET, option, size)
        return int(pycurl.SOCKOPT_OK)

    return set_buffers
