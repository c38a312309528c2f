"""What became of one attempt of a request, and whether another attempt makes sense.

Dovecot tries again after a lost connection, a timed out attempt, 408, and 503 with `Retry-After`, if it is told to try
again at all (`http_client_request_max_attempts`). Told so, dovebeam also does what other exporters' users expect: 425,
429 and every 5xx but 501 are tried again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

__all__ = ["LOCAL_CODES", "Outcome", "outcome_of_error", "outcome_of_status"]

_REQUEST_TIMEOUT: Final = 408
_RETRIED_STATUS: Final = frozenset({_REQUEST_TIMEOUT, 425, 429, *range(500, 600)} - {501})

LOCAL_CODES: Final = frozenset({2, 4, 27, 43, 48, 49, 53, 54, 58, 59, 64, 66, 77, 82, 99})
"""libcurl's codes for trouble on this side: certificate and key files, ciphers, engines, options, memory."""

_NAMES: Final[Mapping[int, tuple[str, bool]]] = MappingProxyType(
    {
        1: ("bad response", False),
        5: ("host name lookup of the proxy failed", True),
        6: ("host name lookup failed", True),
        7: ("connect failed", True),
        8: ("bad response", False),
        18: ("connection lost", True),
        28: ("timed out", True),
        35: ("TLS handshake failed", True),
        52: ("connection lost", True),
        55: ("connection lost", True),
        56: ("connection lost", True),
        60: ("the server's certificate is refused", False),
        63: ("the response is too long", False),
        91: ("the server's certificate is refused", False),
        97: ("the proxy failed", True),
        98: ("the server wants a client certificate", False),
    }
)
_ADVICE: Final[Mapping[int, str]] = MappingProxyType(
    {
        6: "correct the host in the URL, or the name server",
        7: "start the server, or correct host and port of the URL",
        28: "raise http_client_request_absolute_timeout if the server is only slow",
        98: "set ssl_client_cert_file and ssl_client_key_file",
        60: "check the ssl_client_ca_* settings and the host name in the URL",
    }
)


_MEASURED: Final = re.compile(
    r" after \d{1,12} (?:ms|milliseconds)| with \d{1,20} (?:out of \d{1,20} )?bytes [a-z ]{1,40}"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an attempt that did not deliver.

    Attributes:
        reason: why, for people.
        status: the HTTP status, None without an answer.
        retryable: whether another attempt may succeed.
        retry_after_secs: how long the server wants to be left alone; 0 if it didn't say.
        at_once: whether the next attempt needs no pause.
    """

    reason: str
    status: int | None = None
    retryable: bool = False
    retry_after_secs: float = 0.0
    at_once: bool = False


def outcome_of_status(status: int, retry_after_secs: float = 0.0) -> Outcome:
    """For an answer that is not 2xx."""
    try:
        phrase = f" {HTTPStatus(status).phrase}"
    except ValueError:
        # The server's own words stay out: they are its data, and may repeat the request.
        phrase = ""
    return Outcome(
        f"the target answered {status}{phrase}",
        status,
        retryable=status in _RETRIED_STATUS,
        retry_after_secs=retry_after_secs,
        at_once=status == _REQUEST_TIMEOUT,
    )


def outcome_of_error(code: int, text: str, status: int | None = None) -> Outcome:
    """For a transfer that ended without a whole answer.

    Equal troubles have equal reasons, so that a ledger can count them: libcurl's measured times and sizes are left out.

    Args:
        code: libcurl's code.
        text: libcurl's words, without secrets.
        status: the status line's number if one had arrived.
    """
    text = _MEASURED.sub("", text)
    name, retryable = _NAMES.get(code, ("transfer failed", False))
    advice = f" ({_ADVICE[code]})" if code in _ADVICE else ""
    return Outcome(f"{name}: {text or f'libcurl error {code}'}{advice}", status, retryable=retryable)
