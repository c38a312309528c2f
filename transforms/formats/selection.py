"""What a metric and its exporter want of an event: which parts, which fields, which time text, which string length."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Selection"]


@dataclass(frozen=True, slots=True)
class Selection:
    """The settings that steer a formatter.

    Attributes:
        include: the parts of `exporter_include`; an empty set means that nothing is written.
        fields: the keys of `fields` in their order, without duplicates; empty means all fields in the event's order.
        unix_time: whether times are written as Unix time instead of RFC 3339.
        max_string_bytes: length at which the log driver cuts strings, None for no limit.
    """

    include: frozenset[str]
    fields: tuple[str, ...]
    unix_time: bool
    max_string_bytes: int | None

    @property
    def name(self) -> bool:
        """Whether the event's name is written."""
        return "name" in self.include

    @property
    def hostname(self) -> bool:
        """Whether the host name is written."""
        return "hostname" in self.include

    @property
    def timestamps(self) -> bool:
        """Whether both times are written."""
        return "timestamps" in self.include

    @property
    def categories(self) -> bool:
        """Whether the categories are written."""
        return "categories" in self.include

    @property
    def all_fields(self) -> bool:
        """Whether every field is written."""
        return "fields" in self.include and not self.fields
