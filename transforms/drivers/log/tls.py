"""TLS of `syslog+tls`: the context of Python's ssl module for `TlsSettings`, renewed when its files change."""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dovebeam.transforms.drivers.secrets.secret import Scheme, file_identities
from dovebeam.transforms.drivers.tls_settings import TlsSettings
from dovebeam.transforms.errors import DeliveryError

__all__ = ["RenewedContext", "make_context"]

_VERSIONS: Final[Mapping[str, ssl.TLSVersion]] = MappingProxyType(
    {
        "ANY": ssl.TLSVersion.MINIMUM_SUPPORTED,
        "TLSv1": ssl.TLSVersion.TLSv1,
        "TLSv1.1": ssl.TLSVersion.TLSv1_1,
        "TLSv1.2": ssl.TLSVersion.TLSv1_2,
        "TLSv1.3": ssl.TLSVersion.TLSv1_3,
        "LATEST": ssl.TLSVersion.TLSv1_3,
    }
)
# These are opened once before OpenSSL reads them, whose errors do not tell which file is missing.
_FILES: Final = ("ssl_client_ca_file", "ssl_client_cert_file", "ssl_client_key_file")


class RenewedContext:
    """The TLS context for new connections, made again when certificates or keys were replaced.

    Raises:
        DeliveryError: as `make_context`.
    """

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._paths = _paths(settings)
        # Taken before the files are read, so that one that is replaced meanwhile is noticed.
        self._identities = file_identities(self._paths)
        self._context = make_context(settings)

    def current(self) -> ssl.SSLContext:
        """The context for the files as they are now; the one before while they are being replaced."""
        now = file_identities(self._paths)
        if now != self._identities:
            # Certificate and key are two files, and between their renames they do not fit together.
            with contextlib.suppress(DeliveryError):
                self._context = make_context(self._settings)
                self._identities = now
        return self._context


def make_context(settings: TlsSettings) -> ssl.SSLContext:
    """Makes a TLS context, on the worker that connects.

    Raises:
        DeliveryError: a file cannot be read, or does not contain what it should.
    """
    # Not `create_default_context`, which trusts the system's CAs beside those of the settings.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = _VERSIONS[settings.ssl_min_protocol]
    if not settings.ssl_client_require_valid_cert:
        # In this order: Python refuses CERT_NONE while host names are checked.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for name in _FILES:
        _check_readable(name, getattr(settings, name))
    if settings.ssl_client_ca_file or settings.ssl_client_ca_dir:
        _trust(context, settings)
    else:
        context.set_default_verify_paths()
    if settings.ssl_client_cert_file:
        _present(context, settings)
    if settings.ssl_cipher_list:
        _limit_ciphers(context, settings.ssl_cipher_list)
    return context


def _paths(settings: TlsSettings) -> tuple[str, ...]:
    """The files and directories that a context is made of, and the file of the key's password."""
    trust = (settings.ssl_client_ca_file, settings.ssl_client_ca_dir)
    if not any(trust):
        system = ssl.get_default_verify_paths()
        trust = (system.cafile or "", system.capath or "")
    password = settings.secret("ssl_client_key_password")
    secret = password.name if password.scheme is Scheme.FILE else ""
    paths = (*trust, settings.ssl_client_cert_file, settings.ssl_client_key_file, secret)
    return tuple(path for path in paths if path)


def _check_readable(setting: str, path: str) -> None:
    if path:
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            message = f"{setting}: open({path}) failed: {error.strerror} (correct it, or give the worker the file)"
            raise DeliveryError(message, path) from error


def _trust(context: ssl.SSLContext, settings: TlsSettings) -> None:
    directory = settings.ssl_client_ca_dir
    if directory and not os.path.isdir(directory):
        raise DeliveryError(f"ssl_client_ca_dir: {directory} is not a directory (correct it)", directory)
    try:
        context.load_verify_locations(settings.ssl_client_ca_file or None, directory or None)
    except ssl.SSLError as error:
        path = settings.ssl_client_ca_file
        message = f"ssl_client_ca_file: {path} does not contain certificates in PEM (replace it)"
        raise DeliveryError(message, path) from error


def _present(context: ssl.SSLContext, settings: TlsSettings) -> None:
    # Never without a password: OpenSSL would ask for one on the terminal.
    password = settings.secret("ssl_client_key_password").reveal("ssl_client_key_password")
    certificate, key = settings.ssl_client_cert_file, settings.ssl_client_key_file
    try:
        context.load_cert_chain(certificate, key, lambda: password)
    except ssl.SSLError as error:
        message = (
            f"ssl_client_cert_file: {certificate} and the key {key} cannot be used (they must be PEM and belong "
            "together, and ssl_client_key_password must open the key)"
        )
        raise DeliveryError(message, certificate) from error


def _limit_ciphers(context: ssl.SSLContext, ciphers: str) -> None:
    try:
        context.set_ciphers(ciphers)
    except ssl.SSLError as error:
        message = f"ssl_cipher_list: OpenSSL does not know any cipher in {ciphers!r} (correct it)"
        raise DeliveryError(message) from error
