"""What a later Dovecot has and this dovebeam does not know: one policy for every closed list of the reader.

A name is of a later Dovecot, and not a mistake, in two cases:

1. It is in the table of what Dovecot has announced or released after the versions that dovebeam knows, whatever version
   the configuration states.
2. The configuration states a version that is newer than those, and no name that dovebeam knows is similar.

Everything else that is not known is an error, with the nearest known name. An exporter or a metric with something
of a later Dovecot cannot be done faithfully: it is left out with a warning, and everything else is done. With `strict`
it is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from dovebeam.transforms.config.builtin import SUPPORTED_VERSIONS
from dovebeam.transforms.config.hints import near_miss

__all__ = ["Later", "is_announced", "is_newer", "later_filter_key"]

_VERSION = re.compile(r"2\.([0-9]{1,4})\.([0-9]{1,4})")

_WORD = re.compile(r"[a-z][a-z0-9_\-]{1,60}")

_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "opentelemetry": "2.4.6",
        "protobuf": "2.4.6",
        "metric_export_sample_by": "2.4.6",
        "export_sample_by": "2.4.6",
    }
)
"""Drivers, formats and settings of later versions, with the first one that has them."""

_BEGINNINGS: Final[Mapping[str, str]] = MappingProxyType(
    {"event_exporter_opentelemetry": "2.4.6", "opentelemetry_": "2.4.6", "metric_export_sample_": "2.4.6"}
)
_FILTER_KEYS: Final[Mapping[str, str]] = MappingProxyType({"log_level": "2.4.6"})


def _numbers(version: str) -> tuple[int, int]:
    found = _VERSION.fullmatch(version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


_NEWEST: Final = max(_numbers(version) for version in SUPPORTED_VERSIONS)


def is_newer(version: str) -> bool:
    """Whether this is a version of Dovecot 2 after those that dovebeam knows."""
    return _numbers(version) > _NEWEST


def later_filter_key(keys: Iterable[str]) -> str:
    """What to say of the first key of a filter that means something else in a later Dovecot; empty if none does."""
    for key in keys:
        if key in _FILTER_KEYS:
            return f"'{key}' in a filter is of Dovecot {_FILTER_KEYS[key]}, where it is no field of the event"
    return ""


def is_announced(name: str) -> bool:
    """Whether a name is one that Dovecot has announced for a later version."""
    return name in _NAMES


@dataclass(frozen=True, slots=True)
class Later:
    """The policy for one configuration; `version` is what it states."""

    version: str

    def about(self, name: str, known: Iterable[str]) -> str:
        """Where an unknown name comes from, to follow the name in a message; empty if it is a mistake.

        Args:
            name: it is in none of the lists.
            known: what it could be a misspelling of.
        """
        if not _WORD.fullmatch(name):
            return ""
        since = _NAMES.get(name) or next((v for start, v in _BEGINNINGS.items() if name.startswith(start)), "")
        if since:
            return f"is of Dovecot {since}, which this dovebeam does not know"
        if is_newer(self.version) and not near_miss(name, known):
            return f"is perhaps of Dovecot {self.version}, which this dovebeam does not know"
        return ""
