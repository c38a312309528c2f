"""Lines: JSON and tab-text events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fuzzing import Target

from dovebeam.transforms.codecs import decode_json, decode_json_block, decode_tab, encode_json, encode_tab
from dovebeam.transforms.codecs.json_scan import scan_event
from dovebeam.transforms.codecs.lines import UNEXPECTED
from dovebeam.transforms.config import load_config
from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.plan.export_plan import ExportPlan, make_plan
from dovebeam.transforms.sources import Block
from support.oracle.corpus import corpus_lines

CONFIG = """\
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
event_exporter out {
  driver = drop
  format = json
}
metric m {
  filter = event=imap_* AND remote_ip=203.0.113.0/24 AND net_in_bytes>10
  exporter = out
}
"""


def targets(folder: Path) -> list[Target]:
    """Both formats, of the corpus."""
    json_lines = corpus_lines("events.json.gz")[::97] + corpus_lines("events-unix.json.gz")[::97]
    tab_lines = corpus_lines("events.tab.gz")[::97] + corpus_lines("events-unix.tab.gz")[::97]
    path = folder / "dovecot.conf"
    path.write_text(CONFIG)
    return [
        Target(check_json, json_lines, 10),
        Target(check_tab, tab_lines, 5),
        Target(neighbour_check(make_plan(load_config(path)), json_lines), json_lines, 5),
    ]


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


def neighbour_check(plan: ExportPlan, lines: Sequence[bytes]) -> Callable[[bytes], None]:
    """What a line comes to does not depend on the lines around it."""

    def counts(*block: bytes) -> list[int]:
        outcome = plan.export_block(Block("f", 0, b"\n".join(block) + b"\n", "json"))
        return [outcome.read, outcome.matched, outcome.unmatched, len(outcome.rejects)]

    neighbours = [(lines[0], lines[len(lines) // 2]), (lines[-1], b"nonsense")]
    around = [counts(*before_and_after) for before_and_after in neighbours]

    def check(data: bytes) -> None:
        line = data.replace(b"\n", b" ")
        alone = counts(line)
        for (before, after), without in zip(neighbours, around, strict=True):
            assert counts(before, line, after) == [a + b for a, b in zip(alone, without, strict=True)]

    return check
