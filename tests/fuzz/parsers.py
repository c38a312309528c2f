"""Random and mutated inputs to every parser: nothing may escape but dovebeam's own exceptions, and fast equals exact.

    python tests/fuzz/parsers.py [--inputs 1000000] [--seconds N] [--seed N]

Ends after that many inputs or seconds, whichever comes first; prints the seed, and for a finding the input. Exits with 1
on a finding.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from dovebeam.transforms.codecs import decode_json, decode_json_block, decode_tab, encode_json, encode_tab
from dovebeam.transforms.codecs.json_scan import scan_event
from dovebeam.transforms.config import load_config
from dovebeam.transforms.errors import ConfigError, DecodeError, FilterSyntaxError
from dovebeam.transforms.event import Event
from dovebeam.transforms.filters import parse_filter
from support.corpus import CORPUS, corpus_lines

FILTERS = [
    b"event=imap_command_finished AND tagged_reply_state=OK AND duration>1000",
    b'event=mail_* AND category=mailbox AND NOT (event=a OR event=b_*)',
    b'user="*@northwind.example" AND (remote_ip=203.0.113.0/24 OR remote_ip="2001:db8::/32")',
    b'a="x\\*y" OR b>=5 AND NOT c<1k OR d=1.5 AND e="1 min" OR source_location=foo.c:12 OR f="" OR g=1m OR h=4*',
]  # fmt: skip
PIECES = [
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"(",
    b")",
    b"=",
    b"<",
    b">",
    b"*",
    b"?",
    b" ",
    b"\t",
    b"\r",
    b"\n",
]
PIECES += [
    b"#",
    b"$ENV:A",
    b"$SET:metric_filter",
    b"%{env:A}",
    b"!include x",
    b"<<E",
    b"</dev/null",
    b"@a = b",
    b"group @a b {",
]
PIECES += [
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xe2\x80\xa8",
    b"\\ud800",
    b"NaN",
    b"1e999",
    b"-0",
    b"9" * 30,
    b"AND",
    b"NOT",
    b"1m",
]


def mutated(rng: random.Random, seed: bytes, other: bytes) -> bytes:
    """The seed with some bytes changed, cut, repeated, or replaced by what parsers find hard."""
    data = bytearray(seed)
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(data))
        match rng.randrange(6):
            case 0:
                data[at:at] = rng.choice(PIECES)
            case 1:
                del data[at : at + rng.randint(1, 8)]
            case 2:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 3:
                data[at : at + rng.randint(0, 20)] = rng.choice(PIECES)
            case 4:
                start = rng.randint(0, len(other))
                data[at:at] = other[start : start + rng.randint(1, 40)]
            case _:
                data[at:at] = data[max(0, at - rng.randint(1, 30)) : at]
    return bytes(data)


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
    decoded = decode_json_block(b"{}\n" + line.replace(b"\n", b" ") + b"\n{}")
    assert len(decoded.events) + len(decoded.bad_lines) == 2 + bool(line.strip(b" \t\r\n"))


def check_tab(line: bytes) -> None:
    """What decodes survives its own encoding."""
    try:
        event = decode_tab(line)
    except DecodeError:
        return
    if not any("=" in key for key in event.fields):
        assert decode_tab(encode_tab(event)) == event, event


def filter_check(events: list[Event]) -> Callable[[bytes], None]:
    """A filter that parses matches without an exception, and its canonical text is the same filter."""

    def check(text: bytes) -> None:
        try:
            parsed = parse_filter(text.decode("utf-8", "surrogateescape"))
        except FilterSyntaxError as error:
            assert 0 <= error.offset <= len(error.text)
            assert str(error)
            return
        assert parse_filter(str(parsed)) == parsed
        for event in events:
            parsed.matches(event)

    return check


def config_check(folder: Path) -> Callable[[bytes], None]:
    """A configuration is read or is refused with all its problems."""
    path = folder / "dovecot.conf"

    def check(text: bytes) -> None:
        path.write_bytes(text)
        try:
            load_config([path])
        except ConfigError as error:
            assert error.problems
            assert str(error)

    return check


def blocks_of_config() -> list[bytes]:
    """Parts of the real configuration, each with the lines that must come first."""
    head = b"dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"
    blocks = (CORPUS / "dovecot.conf").read_bytes().split(b"\n\n")
    return [head + block + b"\n" for block in blocks if b"{" in block]


def main() -> int:
    """Runs the parsers in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    print(f"seed {arguments.seed}")
    json_lines = list(corpus_lines("events.json.gz")[::97] + corpus_lines("events-unix.json.gz")[::97])
    tab_lines = list(corpus_lines("events.tab.gz")[::97] + corpus_lines("events-unix.tab.gz")[::97])
    with tempfile.TemporaryDirectory() as folder:
        targets = [
            (check_json, json_lines, 10),
            (check_tab, tab_lines, 5),
            (filter_check([decode_json(line) for line in json_lines[:5]]), FILTERS, 10),
            (config_check(Path(folder)), blocks_of_config(), 1),
        ]
        turns = [target for target in targets for _ in range(target[2])]
        deadline = time.monotonic() + arguments.seconds
        done = 0
        while done < arguments.inputs and time.monotonic() < deadline:
            check, seeds, _ = turns[done % len(turns)]
            data = mutated(rng, rng.choice(seeds), rng.choice(seeds))
            try:
                check(data)
            except Exception:
                print(f"finding after {done} inputs: {check.__qualname__} of {data!r}")
                raise
            done += 1
    print(f"{done} inputs, no finding")
    return 0


if __name__ == "__main__":
    sys.exit(main())
