"""Lines: JSON and tab-text events."""

from __future__ import annotations

from pathlib import Path

from fuzzing import Target

from dovebeam.transforms.codecs import decode_json, decode_json_block, decode_tab, encode_json, encode_tab
from dovebeam.transforms.codecs.json_scan import scan_event
from dovebeam.transforms.codecs.last_resort import UNEXPECTED
from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.event import Event
from support.corpus import corpus_lines


def targets(_folder: Path) -> list[Target]:
    """Both formats, of the corpus."""
    json_lines = corpus_lines("events.json.gz")[::97] + corpus_lines("events-unix.json.gz")[::97]
    tab_lines = corpus_lines("events.tab.gz")[::97] + corpus_lines("events-unix.tab.gz")[::97]
    return [Target(check_json, json_lines, 10), Target(check_tab, tab_lines, 5)]


def check_json(line: bytes) -> None:
    """The fast way and the scanner agree, and what decodes survives its own encoding."""
    try:
        event: Event | DecodeError = decode_json(line)
    except DecodeError as error:
        event = error
    try:
        exact: Event | DecodeError = scan_event(line)
    except DecodeError as error:
        exact = error
    if isinstance(event, Event) and isinstance(exact, Event):
        assert event == exact, (event, exact)
        written = encode_json(event, time_format="unix")  # which keeps what is a timestamp, whatever its name
        assert "\ufffd" in written.decode() or decode_json(written) == event
    else:
        assert str(event) == str(exact), (event, exact)
        assert UNEXPECTED not in str(event), event
    decoded = decode_json_block(b"{}\n" + line.replace(b"\n", b" ") + b"\n{}")
    assert len(decoded.events) + len(decoded.bad_lines) == 2 + bool(line.strip(b" \t\r\n"))


def check_tab(line: bytes) -> None:
    """What decodes survives its own encoding."""
    try:
        event = decode_tab(line)
    except DecodeError as error:
        assert UNEXPECTED not in error.reason, error
        return
    if not any("=" in key for key in event.fields):
        assert decode_tab(encode_tab(event)) == event, event
