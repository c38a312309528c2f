"""The outcome of one attempt of a request: reason, whether to retry, and what it means for the endpoint.

Dovecot retries after a lost connection, a timed out attempt, 408, and 503 with `Retry-After`, if more than one attempt
is allowed (`http_client_request_max_attempts`). What dovebeam makes of statuses is in `StatusRules`, of redirects in
`redirect_target`, and of libcurl's errors in `outcome_of_error`.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from dovebeam.transforms.drivers.secrets.secret_url import HttpUrl, parse_http_url, same_site
from dovebeam.transforms.errors import DriverSettingError

__all__ = [
    "DEFAULT_RETRY",
    "DEFAULT_SUCCESS",
    "Outcome",
    "StatusRules",
    "Trouble",
    "Verdict",
    "outcome_of_error",
    "outcome_of_search",
    "outcome_of_status",
    "parse_statuses",
    "redirect_target",
    "too_long",
]


_REQUEST_TIMEOUT: Final = 408
_BUSY_STATUS: Final = frozenset({429, 503})
# Codes of libcurl (CURLE_...), as numbers, so that this module and its tests load no libcurl.
_TIMED_OUT: Final = 28
# A refused certificate (60, 91, 98) is among them: it passes when it is replaced, and concerns no single event.
_UNREACHABLE: Final = frozenset({5, 6, 7, 35, 60, 91, 97, 98})
_SILENT: Final = frozenset({18, 52, 55, 56})

_LOCAL: Final = frozenset({2, 4, 27, 43, 48, 49, 53, 54, 58, 59, 64, 66, 77, 82, 99})
"""libcurl's codes for trouble on this side: certificate and key files, ciphers, engines, options, memory."""

_FILES: Final = frozenset({43, 58, 77})
"""Those of them that may pass: certificate and key are two files, and do not fit while only one is replaced."""

# For each code the start of the reason, and whether it is worth a retry.
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
        60: ("the server's certificate is refused", True),
        63: ("the response is too long", False),
        91: ("the server's certificate is refused", True),
        97: ("the proxy failed", True),
        98: ("the server wants a client certificate", True),
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


# "after 250 milliseconds with 12 out of 345 bytes received" and the like, in which equal errors differ.
_MEASURED: Final = re.compile(
    r" after \d{1,12} (?:ms|milliseconds)| with \d{1,20} (?:out of \d{1,20} )?bytes [a-z ]{1,40}"
)


class Trouble(enum.Enum):
    """Trouble of the endpoint as a whole, as the end of an attempt shows it."""

    NONE = "it answers"
    BUSY = "it asks for less"
    SLOW = "it did not answer in time"
    LOST = "it took the connection, and dropped it"
    UNREACHABLE = "there is no connection to it"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an attempt that did not deliver.

    Attributes:
        reason: why, for people.
        status: the HTTP status, None without an answer.
        retryable: whether another attempt may succeed.
        retry_after_secs: the server's `Retry-After`; 0 without one.
        at_once: whether the next attempt needs no pause.
        trouble: what it tells about the endpoint.
        local: whether it is trouble of this worker, which fails the bundle and rejects no payload.
    """

    reason: str
    status: int | None = None
    retryable: bool = False
    retry_after_secs: float = 0.0
    at_once: bool = False
    trouble: Trouble = Trouble.NONE
    local: bool = False


def outcome_of_status(status: int, *, retryable: bool = False, retry_after_secs: float = 0.0) -> Outcome:
    """The outcome of an answer that is not a success."""
    try:
        phrase = f" {HTTPStatus(status).phrase}"
    except ValueError:
        # The server's own phrase is not used: it may repeat the request.
        phrase = ""
    return Outcome(
        f"the target answered {status}{phrase}",
        status,
        retryable=retryable,
        retry_after_secs=retry_after_secs,
        # 408 is about an idle connection, not about load; Dovecot retries it immediately.
        at_once=status == _REQUEST_TIMEOUT,
        trouble=Trouble.BUSY if status in _BUSY_STATUS else Trouble.NONE,
    )


def outcome_of_search(status: int, refused: int) -> Outcome:
    """The outcome of events that were refused together, after so many were refused alone with the same status."""
    advice = "repair what is refused, then send the rejects again"
    reason = outcome_of_status(status).reason
    return Outcome(
        f"{reason}, as to the first {refused} events alone, so these were not tried alone ({advice})", status
    )


def outcome_of_error(code: int, text: str) -> Outcome:
    """The outcome of a transfer that ended without the head of an answer.

    Equal errors have equal reasons, so that a ledger can count them: libcurl's measured times and sizes are left out.

    Args:
        code: libcurl's code.
        text: libcurl's error text, without secrets.
    """
    text = _MEASURED.sub("", text)
    if code in _LOCAL:
        reason = f"no request can be made on this worker: {text} (check the ssl_client_* and ssl_* settings)"
        return Outcome(reason, retryable=code in _FILES, local=True)
    name, retryable = _NAMES.get(code, ("transfer failed", False))
    advice = f" ({_ADVICE[code]})" if code in _ADVICE else ""
    reason = f"{name}: {text or f'libcurl error {code}'}{advice}"
    return Outcome(reason, retryable=retryable, trouble=_trouble(code))


def too_long(outcome: Outcome) -> Outcome:
    """The outcome of requests that would have to wait for longer than is allowed."""
    advice = "raise http_client_max_auto_retry_delay, or send the rejects later"
    reason = f"{outcome.reason}: its Retry-After is longer than is allowed ({advice})"
    return replace(outcome, reason=reason, retryable=False)


def _trouble(code: int) -> Trouble:
    if code == _TIMED_OUT:
        return Trouble.SLOW
    if code in _UNREACHABLE:
        return Trouble.UNREACHABLE
    return Trouble.LOST if code in _SILENT else Trouble.NONE


# Redirects: refused by default, followed within one site if the settings allow it, never to another one.

# Longer than any real URL; the server chooses it, and the parser takes time for each character.
_MAX_CHARS: Final = 8000


def redirect_target(origin: HttpUrl, status: int, location: str, followed: int, limit: int) -> HttpUrl | Outcome:
    """The target of a redirect, or the outcome if it is not followed.

    Args:
        origin: the URL of the settings.
        status: the status of the answer.
        location: its `Location`, as an absolute URL.
        followed: number of redirects that this attempt has followed.
        limit: how many it may follow.
    """
    reason = outcome_of_status(status).reason
    if followed >= limit:
        why = f"more than {limit} redirects" if limit else "redirects are refused"
        return Outcome(f"{reason}: {why} (correct the URL, or raise http_client_request_max_redirects)", status)
    target = _parse(location)
    # Elsewhere, mail data and credentials would go to a host that no one has configured.
    if target is None or not same_site(origin, target):
        return Outcome(f"{reason}: a redirect to another place is refused (correct the URL)", status)
    return target


def _parse(location: str) -> HttpUrl | None:
    """The target of a redirect; None if it is not a valid URL, or has credentials, which Dovecot refuses."""
    if len(location) > _MAX_CHARS:
        return None
    try:
        target = parse_http_url("Location", location.partition("#")[0])
    except DriverSettingError:
        return None
    return None if target.has_userinfo else target


# Statuses: the lists that users write, and the rules for all others.
#
# Dovecot takes 2xx for success and retries after 408, and after 503 with `Retry-After`. Exporters of other systems also
# retry after 425, 429 and the 5xx that can pass, if more than one attempt is allowed; so does dovebeam. Not every
# endpoint uses statuses as the standard has them, so the lists are settings.

DEFAULT_SUCCESS: Final = "200-299"
DEFAULT_RETRY: Final = "408 425 429 500 502-599"

_SUCCESS: Final = "event_exporter_http_post_success_statuses"
_RETRY: Final = "event_exporter_http_post_retry_statuses"
_REJECT: Final = "event_exporter_http_post_reject_statuses"

_ITEM: Final = re.compile(r"([0-9]{3})(?:-([0-9]{3}))?\Z")
_LOWEST, _HIGHEST = 200, 599
_TOO_LARGE: Final = frozenset({413})
# What servers answer to one bad event; others, such as 401 and 404, concern the request as a whole.
_PERHAPS_ONE: Final = frozenset({400, 422})


class Verdict(enum.Enum):
    """Next step for a request after its answer."""

    SUCCESS = "all of the body is delivered"
    RETRY = "send it again later"
    SPLIT = "the body is too large: send halves"
    SEARCH = "something in the body is refused: send halves, to find it"
    FINAL = "reject all of it"


@dataclass(frozen=True, slots=True)
class StatusRules:
    """The rules of one exporter.

    Attributes:
        success: statuses that deliver.
        retry: statuses after which the same request may succeed.
        reject: statuses that reject the whole body at once, without halving it.
    """

    success: frozenset[int]
    retry: frozenset[int]
    reject: frozenset[int]

    @classmethod
    @functools.cache
    def parse(cls, success: str = DEFAULT_SUCCESS, retry: str = DEFAULT_RETRY, reject: str = "") -> StatusRules:
        """Parses the three settings. A status in a list that is written is removed from the defaults of the others.

        Raises:
            DriverSettingError: a list has something else than statuses, or two written lists share one.
        """
        lists = {
            _SUCCESS: parse_statuses(_SUCCESS, success),
            _RETRY: parse_statuses(_RETRY, retry),
            _REJECT: parse_statuses(_REJECT, reject),
        }
        if not lists[_SUCCESS]:
            raise DriverSettingError(_SUCCESS, f"no status would be success; write for example {DEFAULT_SUCCESS}")
        defaults = {_SUCCESS: success == DEFAULT_SUCCESS, _RETRY: retry == DEFAULT_RETRY, _REJECT: not reject}
        written = [name for name in lists if not defaults[name]]
        _check_overlaps({name: lists[name] for name in written})
        taken = frozenset[int]().union(*(lists[name] for name in written))
        lists.update({name: statuses - taken for name, statuses in lists.items() if defaults[name]})
        return cls(lists[_SUCCESS], lists[_RETRY], lists[_REJECT])

    def verdict(self, status: int, events: int) -> Verdict:
        """Next step after a status, for a request with so many events."""
        # The order matters only for written lists: they win over the rules for single statuses.
        if status in self.success:
            return Verdict.SUCCESS
        if status in self.retry:
            return Verdict.RETRY
        if status in self.reject or events == 1:
            return Verdict.FINAL
        if status in _TOO_LARGE:
            return Verdict.SPLIT
        return Verdict.SEARCH if status in _PERHAPS_ONE else Verdict.FINAL


def parse_statuses(setting: str, text: str) -> frozenset[int]:
    """Parses a list such as `408 425 429 500-599`; commas may separate the items.

    Raises:
        DriverSettingError: an item is wrong; the text says which.
    """
    statuses: set[int] = set()
    for item in text.replace(",", " ").split():
        found = _ITEM.match(item)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not _LOWEST <= first <= last <= _HIGHEST:
            message = f"'{item[:20]}' is not a status from 200 to 599 or a range; write for example 429 500-599"
            raise DriverSettingError(setting, message)
        statuses.update(range(first, last + 1))
    return frozenset(statuses)


def _check_overlaps(lists: dict[str, frozenset[int]]) -> None:
    """Refuses a status that is in two written lists."""
    names = list(lists)
    for place, name in enumerate(names):
        for other in names[place + 1 :]:
            shared = lists[name] & lists[other]
            if shared:
                message = f"{min(shared)} is in {name} as well; a status has only one meaning, remove it from one"
                raise DriverSettingError(other, message)
