"""Events for tests: from keywords, from a line, and as a file that a job reads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from dovebeam.transforms.codecs import decode_json, decode_tab, encode_json
from dovebeam.transforms.codecs.typed import typed_fields
from dovebeam.transforms.events.catalogue import CATALOGUE, Value
from dovebeam.transforms.events.event import Event, make_event

__all__ = ["event_of_line", "sample_event", "write_events"]


def sample_event(
    name: str | None = None,
    /,
    *,
    categories: Sequence[str] | None = None,
    hostname: str | None = None,
    start_time: int | None = None,
    end_time: int | None = None,
    **fields: Value,
) -> Event:
    """An event as a job reads it from an export: `sample_event("imap_command_finished", user="a", duration=5)`.

    Args:
        name: None for an unnamed event.
        categories: ancestors included; None, as for the following: not exported.
        hostname: of the exporting process.
        start_time: microseconds since 1970.
        end_time: microseconds since 1970.
        fields: in this order; a text where Dovecot has an address or a time becomes one, as it does in a line.
    """
    kept = None if categories is None else list(categories)
    typed = typed_fields(fields, name, kept, CATALOGUE)
    return make_event(name, fields=typed, categories=kept, hostname=hostname, start_time=start_time, end_time=end_time)


def event_of_line(line: str | bytes) -> Event:
    """The event of a line that Dovecot exported, in JSON or tab-text.

    Raises:
        DecodeError: it is none.
    """
    data = line.encode("utf-8", "surrogateescape") if isinstance(line, str) else line
    stripped = data.strip(b"\r\n")
    return decode_json(stripped) if stripped.lstrip().startswith(b"{") else decode_tab(stripped)


def write_events(path: str | os.PathLike[str], events: Iterable[Event]) -> Path:
    """Writes events as lines of JSON to a file, as Dovecot's driver `file` does, and returns its path."""
    target = Path(path)
    target.write_bytes(b"".join(encode_json(event) + b"\n" for event in events))
    return target
