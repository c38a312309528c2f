"""Dovecot's export formats: an event becomes the very bytes that Dovecot would write, without the line's end.

Framing (a newline, a request) is the driver's business. A formatter is compiled once for a metric and its exporter.
"""

from dovebeam.transforms.formats.registry import (
    CONTENT_TYPES,
    FORMAT_NAMES,
    INCLUDE_PARTS,
    LOG_MAX_STRING_BYTES,
    TIME_FORMATS,
    FormatName,
    Formatter,
    IncludePart,
    TimeFormat,
    make_formatter,
)

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
