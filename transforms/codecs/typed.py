"""Builds events with recovered types from the members of a line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from msgspec import UNSET

from dovebeam.transforms.events.catalogue import Catalogue
from dovebeam.transforms.events.event import Event

__all__ = ["typed_event", "typed_fields"]


def typed_fields(
    fields: Mapping[str, Any], event_name: str | None, categories: Collection[str] | None, catalogue: Catalogue
) -> dict[str, Any]:
    """The fields with every string that stands for an address or a timestamp turned into one."""
    recover, is_candidate = catalogue.recover, catalogue.is_candidate
    return {
        key: recover(key, value, event_name, categories) if type(value) is str and is_candidate(key) else value
        for key, value in fields.items()
    }


def typed_event(members: Mapping[str, Any], catalogue: Catalogue) -> Event:
    """The event with these members (named as in Dovecot's json format, times in microseconds)."""
    name = members.get("event", UNSET)
    fields = members.get("fields", UNSET)
    categories = members.get("categories", UNSET)
    known_name, known_categories = (None if part is UNSET else part for part in (name, categories))
    return Event(
        name,
        members.get("hostname", UNSET),
        members.get("start_time", UNSET),
        members.get("end_time", UNSET),
        categories,
        UNSET if fields is UNSET else typed_fields(fields, known_name, known_categories, catalogue),
    )
