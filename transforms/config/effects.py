"""Settings of Dovecot that dovebeam accepts and that change nothing in it: each says why, so that nobody relies on one.

Rules from Dovecot's section "HTTP and TLS settings". What concerns requests other than POST is not in here, for it has
no effect on event export in Dovecot either.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dovebeam.transforms.config.blocks import Context
from dovebeam.transforms.config.conversion import convert
from dovebeam.transforms.config.levels import layers_of, lookup
from dovebeam.transforms.config.model import Exporter
from dovebeam.transforms.config.places import Report
from dovebeam.transforms.config.settings import SETTINGS

__all__ = ["WITHOUT_EFFECT", "warn_without_effect"]

_HEADER_LIMITS: Final = "answers are limited to 300 KiB of header and 100 KiB a field"

WITHOUT_EFFECT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "http_client_max_connect_attempts": "each address of the host is tried once in an attempt; set "
        "http_client_request_max_attempts",
        "http_client_max_pipelined_requests": "requests are not pipelined; set http_client_max_parallel_connections",
        "http_client_rawlog_dir": "requests hold credentials and mail data, and are not logged",
        "http_client_response_hdr_max_size": _HEADER_LIMITS,
        "http_client_response_hdr_max_field_size": _HEADER_LIMITS,
        "http_client_response_hdr_max_fields": f"the number of fields is only limited by their size; {_HEADER_LIMITS}",
        "ssl_options": "OpenSSL's own defaults hold",
        "ssl_crypto_device": "OpenSSL's engines are not used",
        "ssl_peer_certificate_fingerprint_hash": "no fingerprints are logged",
    }
)
"""Why each such setting of http-post has none."""


def warn_without_effect(report: Report, exporter: Exporter, contexts: list[Context]) -> None:
    """Warns of settings of an http-post exporter that somebody set, to something else than the default, in vain.

    Args:
        report: gets the warnings, one for a setting that several exporters inherit.
        exporter: the exporter.
        contexts: all places where its block was opened.
    """
    layers = layers_of(contexts)
    for name, reason in WITHOUT_EFFECT.items():
        found = lookup(layers, name)
        if found is None or exporter.settings[name] == convert(SETTINGS[name], SETTINGS[name].default):
            continue
        place = found[0].value.place
        message = f"{name} has no effect in dovebeam: {reason}"
        known = {(w.problem.message, w.problem.path, w.problem.line) for w in report.warnings}
        if (message, place.path, place.line) not in known:
            report.warning(place, message)
