"""Dovecot's export formats: an event becomes exactly the bytes that Dovecot would write, without a trailing newline.

The driver adds the framing (a newline, a request). A formatter is compiled once for a metric and its exporter.
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
