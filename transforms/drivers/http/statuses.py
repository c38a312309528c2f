"""What each HTTP status means for a request: the lists of statuses that users write, and the rules behind them.

Dovecot takes 2xx for success and tries again after 408, and after 503 with `Retry-After`. Its users' other exporters
also try again after 425, 429 and the 5xx that can pass, if they are told to try again at all; so does dovebeam. Which
statuses an endpoint answers with is not always what the standard says, so the lists can be written.
"""

from __future__ import annotations

import enum
import functools
import re
from dataclasses import dataclass
from typing import Final

from dovebeam.transforms.errors import DriverSettingError

__all__ = ["DEFAULT_RETRY", "DEFAULT_SUCCESS", "StatusRules", "Verdict", "parse_statuses"]

DEFAULT_SUCCESS: Final = "200-299"
DEFAULT_RETRY: Final = "408 425 429 500 502-599"

_SUCCESS: Final = "event_exporter_http_post_success_statuses"
_RETRY: Final = "event_exporter_http_post_retry_statuses"
_REJECT: Final = "event_exporter_http_post_reject_statuses"

_ITEM: Final = re.compile(r"([0-9]{3})(?:-([0-9]{3}))?\Z")
_LOWEST, _HIGHEST = 200, 599
_TOO_LARGE: Final = frozenset({413})
_PERHAPS_ONE: Final = frozenset({400, 422})


class Verdict(enum.Enum):
    """What to do after an answer."""

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
        """Reads the three settings. A status that one of them names is taken out of the others' defaults.

        Raises:
            DriverSettingError: a list is not of statuses, or two written lists share one.
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
        """What a status means for a request with a body of so many events."""
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
    """Reads a list such as `408 425 429 500-599`; commas may stand between the items.

    Raises:
        DriverSettingError: the text says which item is wrong.
    """
    statuses: set[int] = set()
    for item in text.replace(",", " ").split():
        found = _ITEM.match(item)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not _LOWEST <= first <= last <= _HIGHEST:
            message = f"'{item[:20]}' is no status from 200 to 599 and no range of them; write for example 429 500-599"
            raise DriverSettingError(setting, message)
        statuses.update(range(first, last + 1))
    return frozenset(statuses)


def _check_overlaps(lists: dict[str, frozenset[int]]) -> None:
    """Two lists that somebody wrote must not share a status."""
    names = list(lists)
    for place, name in enumerate(names):
        for other in names[place + 1 :]:
            shared = lists[name] & lists[other]
            if shared:
                message = f"{min(shared)} stands in {name} as well; a status can have one meaning, remove it from one"
                raise DriverSettingError(other, message)
