"""Paths of events together with the windows of their times, for files that are written window by window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dovebeam.transforms.drivers.file.routing import PathRouter, event_secs, window_start_secs
from dovebeam.transforms.events.event import Event

__all__ = ["WindowRouter", "split_windowed"]

_SEPARATOR: Final = ":"


@dataclass(frozen=True, slots=True)
class WindowRouter:
    """Says of an event the window as well as the path, in one text for `split_windowed`.

    Attributes:
        paths: finds the path; it has windows.
    """

    paths: PathRouter

    def route(self, event: Event) -> str:
        """The start of the event's window, seconds since 1970, and the path that `paths` says.

        Raises:
            RoutingError: the event has no time, or not a field, that the path needs.
        """
        path = self.paths.route(event)
        return f"{window_start_secs(event_secs(event), self.paths.window_secs)}{_SEPARATOR}{path}"


def split_windowed(text: str) -> tuple[int, str]:
    """The start of the window, seconds since 1970, and the path, from what `WindowRouter` said."""
    window, _, path = text.partition(_SEPARATOR)
    return int(window), path
