"""The event times that a job is asked for."""

from __future__ import annotations

from typing import NamedTuple

from dovebeam.transforms.events.event import Event

__all__ = ["TimeRange"]


class TimeRange(NamedTuple):
    """Event times from `start` up to, but not including, `end`, microseconds since 1970; None for no limit."""

    start: int | None = None
    end: int | None = None

    def holds(self, event: Event) -> bool:
        """Whether the event's time is in the range; an event without times is not."""
        time = event.time
        if time is None:
            return False
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)
