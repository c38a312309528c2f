"""Routers of the `file` driver: they find the path of an event's file, always below the driver's directory.

`PathRouter` is for files that are appended to and for shards of a batch job. `WindowRouter` also tells the window of
the event's time, for shards of a stream, which are written window by window.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from dovebeam.transforms.drivers.base import RoutingError
from dovebeam.transforms.drivers.file.names import encode_value, short_name, split_suffix
from dovebeam.transforms.drivers.file.path_template import (
    CODES,
    Code,
    Component,
    Field,
    PathTemplate,
    finest_step_secs,
    parse_template,
)
from dovebeam.transforms.events.catalogue import Value
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.events.values import IPAddress, Timestamp, format_rfc3339

__all__ = ["PathRouter", "WindowRouter", "split_windowed", "window_start_secs"]


_USEC: Final = 1_000_000
# The years 1 to 9999, which are all that `datetime` can hold.
_FIRST_SECS: Final = -62_135_596_800
_END_SECS: Final = 253_402_300_800
_WEEK_SECS: Final = 604_800
# 1970-01-05; the first day of 1970 was a Thursday.
_FIRST_MONDAY_SECS: Final = 345_600
# Bounds for the memory of the caches: 8192 values (users, mostly) of at most so many characters, and 64 times.
_MAX_CACHED_CHARS: Final = 128
_MAX_CACHED_TIMES: Final = 64

_cached_encoding = lru_cache(maxsize=8192)(encode_value)

# One name of a path with its time filled in: texts and fields, and the suffix.
_Name = tuple[tuple["str | Field", ...], str]


@dataclass(frozen=True, slots=True)
class PathRouter:
    """Finds the file of each event by a template, by the window of its time, or by both.

    Attributes:
        template: a template as the user wrote it, or the name of the one file.
        is_literal: whether `template` is a name to be taken as it is.
        window_secs: length of the windows, whose start becomes part of the name; 0 for none.
        missing: "reject" an event without a field of the template, or use the "fallback".
        fallback: replaces a missing field; encoded as a value is.
    """

    template: str
    is_literal: bool = False
    window_secs: int = 0
    missing: Literal["reject", "fallback"] = "reject"
    fallback: str = "unknown"

    def route(self, event: Event) -> str:
        """The path of the event's file, relative to the driver's directory.

        The time is the event's end, or else its start, in UTC.

        Raises:
            RoutingError: the event lacks a time or a field that the path needs.
        """
        return _compiled(self)(event)


# Beside the router and not in it: a router is pickled as its few settings, and compiled where it is used.
@lru_cache(maxsize=64)
def _compiled(router: PathRouter) -> _CompiledRouter:
    return _CompiledRouter(router)


class _CompiledRouter:
    """A router with its template parsed, made once in each process."""

    def __init__(self, router: PathRouter) -> None:
        self._router = router
        template = _literal(router.template) if router.is_literal else parse_template(router.template)
        self._components = template.components
        self._window_secs = router.window_secs
        # Times within one step give the same names, so those are filled in once a step and not for each event.
        self._step_secs = finest_step_secs(template.codes)
        self._is_timed = bool(template.codes) or router.window_secs > 0
        self._by_time: dict[tuple[int, int], tuple[_Name, ...]] = {}
        self._untimed = None if self._is_timed else self._names(None, 0)

    def __call__(self, event: Event) -> str:
        names = self._untimed or self._names_at(event)
        # Each event passes here: one join a name, without a call of Python code for texts.
        return "/".join(
            [
                short_name("".join([each if type(each) is str else self._value(each, event) for each in pieces]), end)
                for pieces, end in names
            ]
        )

    def _names_at(self, event: Event) -> tuple[_Name, ...]:
        """The names of the path with the event's time filled in."""
        seconds = event_secs(event)
        window = window_start_secs(seconds, self._window_secs) if self._window_secs else 0
        # The window is not implied by the step: windows may be shorter, or start within a step.
        key = seconds // self._step_secs, window
        names = self._by_time.get(key)
        if names is None:
            # Events come nearly in the order of time, so what is thrown away is seldom needed again.
            if len(self._by_time) >= _MAX_CACHED_TIMES:
                self._by_time.clear()
            names = self._by_time[key] = self._names(_utc(seconds), window)
        return names

    def _names(self, time: dt.datetime | None, window: int) -> tuple[_Name, ...]:
        names = [_filled(component, time) for component in self._components]
        if self._window_secs:
            pieces, suffix = names[-1]
            names[-1] = (*pieces, f"-{_utc(window):%Y%m%dT%H%M%SZ}"), suffix
        return tuple(names)

    def _value(self, piece: str | Field, event: Event) -> str:
        assert isinstance(piece, Field)  # noqa: S101  tells mypy what the caller has checked
        value = _part_of(event, piece.name)
        if value is None:
            if self._router.missing == "reject":
                message = f"file_path_template needs {{{piece.name}}}, which the event does not have"
                raise RoutingError(f"{message}; file_missing_field = fallback would write it elsewhere")
            value = self._router.fallback
        return encode_value(value) if len(value) > _MAX_CACHED_CHARS else _cached_encoding(value)


def window_start_secs(seconds: int, window_secs: int) -> int:
    """Start of the window that a time is in, seconds since 1970.

    Windows follow each other from midnight of 1970-01-01 UTC on; those of whole weeks start on a Monday.
    """
    first = _FIRST_MONDAY_SECS if window_secs % _WEEK_SECS == 0 else 0
    return (seconds - first) // window_secs * window_secs + first


def _literal(name: str) -> PathTemplate:
    stem, suffix = split_suffix(name)
    return PathTemplate((Component((stem,), suffix),))


def _filled(component: Component, time: dt.datetime | None) -> _Name:
    pieces: list[str | Field] = []
    for piece in component.pieces:
        if isinstance(piece, Code):
            pieces.append("" if time is None else CODES[piece.letter](time))
        else:
            pieces.append(piece)
    return tuple(pieces), component.suffix


def event_secs(event: Event) -> int:
    """Seconds since 1970 of the event's time, which decides about its path.

    Raises:
        RoutingError: the event has no time, or one outside of the years 1 to 9999.
    """
    usec = event.time
    if usec is None:
        raise RoutingError("the path needs a time, and the event has neither an end_time nor a start_time")
    seconds = usec // _USEC
    if not _FIRST_SECS <= seconds < _END_SECS:
        raise RoutingError("the path needs a time, and that of the event is not in the years 1 to 9999")
    return seconds


def _utc(seconds: int) -> dt.datetime:
    # Not `fromtimestamp`, which fails before 1970 on some systems. The first window may start before the year 1.
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=max(seconds, _FIRST_SECS))


def _part_of(event: Event, name: str) -> str | None:
    # These two names win over fields of the same name, as in Dovecot's formats.
    if name == "event":
        return event.name
    if name == "hostname":
        return event.hostname
    value = event.get(name)
    return None if value is None else _text(value)


def _text(value: Value) -> str:
    """The value as Dovecot's formats write it; the strings of a list separated by commas."""
    if isinstance(value, str):
        return value
    if isinstance(value, IPAddress):
        return value.text
    if isinstance(value, Timestamp):
        return format_rfc3339(value.usec)
    return ",".join(value) if isinstance(value, list) else str(value)


# Routes with a window. A router returns one text, so window and path are joined; a number has no colon.

_SEPARATOR: Final = ":"


@dataclass(frozen=True, slots=True)
class WindowRouter:
    """Finds the window and the path of an event, in one text for `split_windowed`.

    Attributes:
        paths: finds the path; its `window_secs` is not 0.
    """

    paths: PathRouter

    def route(self, event: Event) -> str:
        """The start of the event's window, seconds since 1970, and the path from `paths`.

        Raises:
            RoutingError: the event lacks a time or a field that the path needs.
        """
        path = self.paths.route(event)
        return f"{window_start_secs(event_secs(event), self.paths.window_secs)}{_SEPARATOR}{path}"


def split_windowed(text: str) -> tuple[int, str]:
    """The start of the window, seconds since 1970, and the path, from a route of `WindowRouter`."""
    window, _, path = text.partition(_SEPARATOR)
    return int(window), path
