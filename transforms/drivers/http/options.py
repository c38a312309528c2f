"""libcurl's options for proxy, TLS and sockets: settings of `http-post` that hold for all requests of a handle."""

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
    whole = by_proxy and url.scheme == "http"  # a proxy gets https through a tunnel
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
        settings: its settings.
        credentials: have the password of the key.
        trust_without_settings: file and directory that hold without trusted certificates in the settings.
        resume: whether a session may go on that began with earlier files.
    """
    # Without this libcurl would trust for 24 hours what a CA file held once; where it has no such option, it doesn't.
    with contextlib.suppress(pycurl.error):
        handle.setopt(_CA_CACHE_TIMEOUT, 0)
    handle.setopt(pycurl.SSL_SESSIONID_CACHE, int(resume))
    handle.setopt(pycurl.SSLVERSION, _TLS[settings.ssl_min_protocol])
    verify = settings.ssl_client_require_valid_cert
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
    """Sets when the host's next address is tried as well, and the sizes of the sockets' buffers."""
    if settings.http_client_soft_connect_timeout_msec:
        handle.setopt(_HAPPY_EYEBALLS_TIMEOUT_MS, settings.http_client_soft_connect_timeout_msec)
    sizes = (
        (socket.SO_SNDBUF, settings.http_client_socket_send_buffer_size),
        (socket.SO_RCVBUF, settings.http_client_socket_recv_buffer_size),
    )
    wanted = [(option, size) for option, size in sizes if size]
    if wanted:
        handle.setopt(pycurl.SOCKOPTFUNCTION, _buffer_setter(wanted))


def system_trust() -> tuple[str, str]:
    """File and directory of this system's CAs; the libcurl in a wheel looks where its builder's system had them."""
    paths = ssl.get_default_verify_paths()
    file, directory = paths.cafile or "", paths.capath or ""
    return file if os.path.isfile(file) else "", directory if os.path.isdir(directory) else ""


def _buffer_setter(wanted: list[tuple[int, int]]) -> Callable[[int, int], int]:
    """What libcurl calls with each new socket, before it connects."""

    def set_buffers(descriptor: int, _purpose: int) -> int:
        # A duplicate of the descriptor, which libcurl owns, is the same socket.
        with socket.socket(fileno=os.dup(descriptor)) as duplicate:
            for option, size in wanted:
                duplicate.setsockopt(socket.SOL_SOCKET, option, size)
        return int(pycurl.SOCKOPT_OK)

    return set_buffers
