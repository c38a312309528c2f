"""What `tests/bench/export.py` compares dovebeam with: a Beam pipeline of stock transforms, and a plain loop.

    python -c 'import rivals; rivals.stock_beam("named", "events.json", "out.json")'

Each is as one would write it. Both decode to the same Struct with msgspec and test by hand; neither counts, rejects or
checks anything.
"""

from __future__ import annotations

from typing import Final

import msgspec

FILTERS: Final = {
    "named": "event=imap_command_finished AND tagged_reply_state=OK AND duration>1000",
    "unnamed": "category=imap AND user=* AND duration>20",
}
"""The three terms that all sides select by. The first names its event, as most metrics do, and takes about one event in
thirty of the corpus; the second must look into every event, and takes one in five."""


class PlainEvent(msgspec.Struct):
    """An event as one would declare it."""

    event: str
    hostname: str
    start_time: str
    end_time: str
    categories: list[str]
    fields: dict[str, str | int | list[str]]


_decode = msgspec.json.Decoder(PlainEvent).decode
_encode = msgspec.json.Encoder().encode


def matches_named(event: PlainEvent) -> bool:
    """The first filter by hand."""
    return (
        event.event == "imap_command_finished"
        and event.fields.get("tagged_reply_state") == "OK"
        and event.fields["duration"] > 1000
    )


def matches_unnamed(event: PlainEvent) -> bool:
    """The second filter by hand."""
    return "imap" in event.categories and event.fields.get("user", "") != "" and event.fields.get("duration", 0) > 20


_TESTS: Final = {"named": matches_named, "unnamed": matches_unnamed}


def decode(line: str) -> PlainEvent:
    """A line's event."""
    return _decode(line)


def encode(event: PlainEvent) -> str:
    """An event's line."""
    return _encode(event).decode()


def stock_beam(filter_name: str, source: str, target: str) -> None:
    """ReadFromText, Map, Filter, Map, WriteToText, in one process."""
    import apache_beam as beam
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        _ = (
            pipeline
            | beam.io.ReadFromText(source)
            | beam.Map(decode)
            | beam.Filter(_TESTS[filter_name])
            | beam.Map(encode)
            | beam.io.WriteToText(target, shard_name_template="")
        )


def plain_loop(filter_name: str, source: str, target: str) -> None:
    """One loop over the lines of the file."""
    matches = _TESTS[filter_name]
    with open(source, "rb") as lines, open(target, "wb") as out:
        for line in lines:
            event = _decode(line)
            if matches(event):
                out.write(_encode(event) + b"\n")
