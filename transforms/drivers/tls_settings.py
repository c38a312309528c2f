"""Dovecot's `ssl_client_*` settings, shared by the drivers that speak TLS. Loads no TLS library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dovebeam.transforms.drivers.secrets.secret import NOTHING, Secret
from dovebeam.transforms.drivers.setting import Kind, setting
from dovebeam.transforms.errors import DriverSettingError

__all__ = ["TLS_VERSIONS", "TlsSettings", "check_python_tls"]

TLS_VERSIONS: Final = ("ANY", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", "LATEST")
"""The values of `ssl_min_protocol`."""


# Keyword-only, so that the fields of a driver that inherits these stay in front of them.
@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """The TLS settings of an exporter; names and meanings as in Dovecot's section "HTTP and TLS settings"."""

    ssl_client_ca_file: str = setting(
        Kind.FILE,
        "",
        "file with trusted CA certificates; without it and `ssl_client_ca_dir`, those of the system are trusted",
        dovecot=True,
    )
    ssl_client_ca_dir: str = setting(
        Kind.STRING, "", "directory with trusted CA certificates, prepared by `openssl rehash`", dovecot=True
    )
    ssl_client_cert_file: str = setting(Kind.FILE, "", "client certificate with its chain, in PEM", dovecot=True)
    ssl_client_key_file: str = setting(
        Kind.FILE, "", "private key of the client certificate", dovecot=True, guarded=True
    )
    ssl_client_key_password: str | Secret = setting(
        Kind.STRING, "", "password of the private key", secret=True, dovecot=True
    )
    ssl_client_require_valid_cert: bool = setting(
        Kind.BOOL, "yes", "whether the certificate and the host name of the server are verified", dovecot=True
    )
    ssl_min_protocol: str = setting(Kind.STRING, "TLSv1.2", "minimum version of TLS", TLS_VERSIONS, dovecot=True)
    ssl_cipher_list: str = setting(
        Kind.STRING, "", "ciphers for TLS 1.2 and older; empty for the defaults of the TLS library", dovecot=True
    )
    ssl_cipher_suites: str = setting(
        Kind.STRING, "", "ciphers for TLS 1.3; empty for the defaults of the TLS library", dovecot=True
    )
    ssl_curve_list: str = setting(
        Kind.STRING, "", "elliptic curves; empty for the defaults of the TLS library", dovecot=True
    )

    def secret(self, name: str) -> Secret:
        """The secret in a field; `NOTHING` if it is not set."""
        # The field's type allows text, but `__post_init__` of the driver has made a `Secret` of it.
        value = getattr(self, name)
        return value if isinstance(value, Secret) else NOTHING


def check_python_tls(settings: TlsSettings) -> None:
    """Refuses at launch what could never work, and what Python's ssl module cannot do.

    Raises:
        DriverSettingError: naming the setting.
    """
    if bool(settings.ssl_client_cert_file) != bool(settings.ssl_client_key_file):
        lacking = "ssl_client_key_file" if settings.ssl_client_cert_file else "ssl_client_cert_file"
        raise DriverSettingError(lacking, "a client certificate needs its key and the other way round; set both")
    # Python's ssl module has no call for TLS 1.3 ciphers, and none for a list of curves. To ignore such a setting would
    # silently weaken the connection.
    for name in ("ssl_cipher_suites", "ssl_curve_list"):
        if getattr(settings, name):
            message = "it is not available over syslog+tls; set it to nothing inside of this event_exporter block"
            raise DriverSettingError(name, message)
