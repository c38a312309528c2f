"""Redirects of `http-post`: refused by default, followed within one place if the settings say so, never elsewhere."""

from __future__ import annotations

from typing import Final

from dovebeam.transforms.drivers.http.outcome import Outcome, outcome_of_status
from dovebeam.transforms.drivers.http.url import HttpUrl, parse_http_url, same_site
from dovebeam.transforms.errors import DriverSettingError

__all__ = ["redirect_target"]

_MAX_CHARS: Final = 8000


def redirect_target(origin: HttpUrl, status: int, location: str, followed: int, limit: int) -> HttpUrl | Outcome:
    """Where a redirect leads, or why it is not followed.

    Args:
        origin: the URL of the settings.
        status: the answer's.
        location: the absolute URL that it names.
        followed: how many redirects this attempt has followed.
        limit: how many it may follow.
    """
    reason = outcome_of_status(status).reason
    if followed >= limit:
        why = f"more than {limit} redirects" if limit else "redirects are refused"
        return Outcome(f"{reason}: {why} (correct the URL, or raise http_client_request_max_redirects)", status)
    target = _parse(location)
    if target is None or not same_site(origin, target):
        return Outcome(f"{reason}: a redirect to another place is refused (correct the URL)", status)
    return target


def _parse(location: str) -> HttpUrl | None:
    """The place that a redirect names; None if it cannot be requested, or brings credentials of its own."""
    if len(location) > _MAX_CHARS:
        return None
    try:
        target = parse_http_url("Location", location.partition("#")[0])
    except DriverSettingError:
        return None
    return None if target.has_userinfo else target
