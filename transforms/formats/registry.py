"""Registry of the formats, and `make_formatter`, which compiles one for a metric and its exporter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from dovebeam.transforms.errors import UnknownNameError
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.formats.json import compile_json
from dovebeam.transforms.formats.selection import Selection
from dovebeam.transforms.formats.tab_text import compile_tab_text

__all__ = [
    "CONTENT_TYPES",
    "FORMAT_NAMES",
    "INCLUDE_PARTS",
    "LOG_MAX_STRING_BYTES",
    "TIME_FORMATS",
    "FormatName",
    "Formatter",
    "IncludePart",
    "TimeFormat",
    "make_formatter",
]

FormatName = Literal["json", "tab-text", "none"]
TimeFormat = Literal["rfc3339", "unix"]
IncludePart = Literal["name", "hostname", "timestamps", "categories", "fields"]

FORMAT_NAMES: Final[tuple[FormatName, ...]] = get_args(FormatName)
TIME_FORMATS: Final[tuple[TimeFormat, ...]] = get_args(TimeFormat)
INCLUDE_PARTS: Final[tuple[IncludePart, ...]] = get_args(IncludePart)

CONTENT_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {"json": "application/json", "tab-text": "text/plain", "none": "application/octet-stream"}
)
"""The media type of each format, as Dovecot's http-post driver names it."""

LOG_MAX_STRING_BYTES: Final = 1000
"""Length from which the log driver cuts strings, each format in its own way; no other driver cuts anything."""

_COMPILERS: Final[Mapping[str, Callable[[Selection], Callable[[Event], bytes]]]] = MappingProxyType(
    {"json": compile_json, "tab-text": compile_tab_text, "none": lambda _selection: lambda _event: b""}
)


class Formatter:
    """A compiled formatter.

    It is pickled as its settings and compiled again when it is unpickled, so closures are not sent to other processes.

    Attributes:
        format: a closure, `Event -> bytes`, that returns the event in this format, without a trailing newline.
        settings: what `make_formatter` was called with.
    """

    __slots__ = ("format", "settings")

    def __init__(self, settings: Mapping[str, Any], function: Callable[[Event], bytes]) -> None:
        self.settings = settings
        self.format = function

    def __call__(self, event: Event) -> bytes:
        """The event's bytes; `format` is the same without the cost of a method."""
        return self.format(event)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (dict(self.settings),)

    def __repr__(self) -> str:
        return f"make_formatter({', '.join(f'{key}={value!r}' for key, value in self.settings.items())})"


def make_formatter(
    format: str,  # noqa: A002  the setting's own name
    *,
    time_format: str = "rfc3339",
    include: Iterable[str] = INCLUDE_PARTS,
    fields: Sequence[str] = (),
    max_string_bytes: int | None = None,
) -> Formatter:
    """Compiles the formatter of one metric and its exporter.

    Args:
        format: "json", "tab-text" or "none" (`event_exporter_format`).
        time_format: "rfc3339" or "unix" (`event_exporter_time_format`).
        include: the parts to write (`metric_exporter_include`). Their order has no effect, unknown words are ignored as
            in Dovecot, and an empty value writes nothing.
        fields: the fields to write and their order (`metric_fields`); empty means all.
        max_string_bytes: `LOG_MAX_STRING_BYTES` for the log driver, None for every other.

    Raises:
        UnknownNameError: for an unknown format or time format; its text lists what exists.
    """
    compiler = _COMPILERS.get(format)
    if compiler is None:
        raise UnknownNameError("format", format, FORMAT_NAMES)
    if time_format not in TIME_FORMATS:
        raise UnknownNameError("time format", time_format, TIME_FORMATS)
    parts = frozenset(include)
    # Of a repeated key the first place counts ("Inputs that steer a formatter").
    ordered_fields = tuple(dict.fromkeys(fields))
    selection = Selection(parts, ordered_fields, time_format == "unix", max_string_bytes)
    # In normal form, so that a formatter that was pickled and compiled again has equal settings.
    settings = {
        "format": format,
        "time_format": time_format,
        "include": tuple(part for part in INCLUDE_PARTS if part in parts),
        "fields": ordered_fields,
        "max_string_bytes": max_string_bytes,
    }
    return Formatter(settings, compiler(selection))


def _rebuild(settings: dict[str, Any]) -> Formatter:
    return make_formatter(**settings)
