"""What an exporter says about TLS for `syslog+tls`: Dovecot's `ssl_client_*` settings. Loads no TLS library."""

from __future__ import annotations

from dataclasses import dataclass, field

from dovebeam.transforms.drivers.http.settings import TLS_VERSIONS
from dovebeam.transforms.drivers.secrets import NOTHING, Secret
from dovebeam.transforms.errors import DriverSettingError

__all__ = ["TlsSettings", "check_tls_settings"]


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """What an exporter says about TLS; names and meanings as in Dovecot's section "HTTP and TLS settings".

    Attributes:
        ssl_client_ca_file: trusted CA certificates; without file and directory the system's.
        ssl_client_ca_dir: directory of trusted CA certificates, prepared by `openssl rehash`.
        ssl_client_cert_file: client certificate in PEM, with its chain.
        ssl_client_key_file: its key.
        ssl_client_key_password: password of that key.
        ssl_client_require_valid_cert: whether chain and host name of the server are verified.
        ssl_min_protocol: oldest TLS version.
        ssl_cipher_list: ciphers up to TLS 1.2; empty: the library's.
    """

    ssl_client_ca_file: str = ""
    ssl_client_ca_dir: str = ""
    ssl_client_cert_file: str = ""
    ssl_client_key_file: str = ""
    ssl_client_key_password: Secret = field(default=NOTHING, repr=False)
    ssl_client_require_valid_cert: bool = True
    ssl_min_protocol: str = "TLSv1.2"
    ssl_cipher_list: str = ""


def check_tls_settings(settings: TlsSettings, cipher_suites: str, curves: str) -> None:
    """Refuses at launch what could never work, and what Python's ssl module has no way to obey.

    Raises:
        DriverSettingError: naming the setting.
    """
    if settings.ssl_min_protocol not in TLS_VERSIONS:
        message = f"{settings.ssl_min_protocol!r} is no TLS version; supported: {', '.join(TLS_VERSIONS)}"
        raise DriverSettingError("ssl_min_protocol", message)
    if bool(settings.ssl_client_cert_file) != bool(settings.ssl_client_key_file):
        lacking = "ssl_client_key_file" if settings.ssl_client_cert_file else "ssl_client_cert_file"
        raise DriverSettingError(lacking, "a client certificate needs its key and the other way round; set both")
    for setting, value in (("ssl_cipher_suites", cipher_suites), ("ssl_curve_list", curves)):
        if value:
            message = "it cannot be had over syslog+tls; set it to nothing inside of this event_exporter block"
            raise DriverSettingError(setting, message)
