"""Exact decoder of one exported JSON line: slow, strict, and with the byte offset of whatever is wrong.

The fast path of `json_lines` leaves every line that it is not sure of to this scanner, so that one module decides what
an exported event is: an object with the members of Dovecot's json format, each at most once, fields holding strings,
64-bit integers, lists of strings, or (time format unix) timestamps. It never goes deeper than that shape, so hostile
nesting ends at the first bracket that does not belong there.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec

from dovebeam.transforms.codecs.causes import with_json_cause
from dovebeam.transforms.codecs.lines import NOT_A_NAME, is_possible_name, typed_event
from dovebeam.transforms.errors import DecodeError, closest_name
from dovebeam.transforms.events.catalogue import CATALOGUE, Catalogue
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.events.values import (
    INT64_MAX,
    INT64_MIN,
    USEC_PER_SEC,
    Timestamp,
    parse_rfc3339,
    usec_of_datetime,
    usec_of_seconds,
)

__all__ = ["scan_event"]

_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_NUMBER: Final = re.compile(rb"-?(?:0|[1-9][0-9]*)((?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")
_CONTROL: Final = re.compile(rb"[\x00-\x1f]")
_ESCAPE: Final = re.compile(rb"\\(u[0-9a-fA-F]{4}|[\"\\/bfnrt])?", re.DOTALL)
_LONGEST_NUMBER: Final = 64  # Python refuses to convert integers of more than 4,300 digits, and slows down before
_LAST_SECOND: Final = 2**63 - 1

_decode_string: Final = msgspec.json.Decoder(str).decode


def scan_event(line: bytes, catalogue: Catalogue = CATALOGUE) -> Event:
    """The event of one JSON line.

    Raises:
        DecodeError: with the byte offset of the first thing that does not belong in an exported event.
    """
    try:
        return _Scanner(line).event(catalogue)
    except DecodeError as error:
        raise with_json_cause(error, line) from None


class _Scanner:
    """One pass over a line; `pos` is the offset of the next byte to read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pos = 0

    def event(self, catalogue: Catalogue) -> Event:
        readers: dict[str, Callable[[], Any]] = {
            "event": self.name,
            "hostname": lambda: self.string("the host name"),
            "start_time": self.time,
            "end_time": self.time,
            "categories": lambda: self.strings("a category"),
            "fields": lambda: self.members(None, self.field_value),
        }
        self.skip_space()
        if not self.data[self.pos :]:
            raise self.error("the line is empty, expected a JSON object")
        members = self.members(readers, None)
        self.skip_space()
        if self.pos != len(self.data):
            raise self.error("something follows the event's closing '}'; a line holds one event")
        return typed_event(members, catalogue)

    def members(
        self, readers: dict[str, Callable[[], Any]] | None, read_any: Callable[[], Any] | None
    ) -> dict[str, Any]:
        """An object; `readers` has the members it may have, `read_any` reads a member of any name."""
        self.expect(b"{", "an object '{'")
        out: dict[str, Any] = {}
        self.skip_space()
        if self.accept(b"}"):
            return out
        while True:
            self.skip_space()
            start = self.pos
            key = self.string("the name of a member")
            if key in out:
                raise DecodeError(f"the member {key[:80]!r} occurs twice in one object", start)
            # JSON parsers keep the last of two equal members and drop the other silently; nothing may be lost here.
            reader = read_any if readers is None else readers.get(key)
            if reader is None:
                raise DecodeError(_unknown_member(key, readers or {}), start)
            self.skip_space()
            self.expect(b":", "':'")
            self.skip_space()
            out[key] = reader()
            self.skip_space()
            if self.accept(b"}"):
                return out
            self.expect(b",", "',' or '}'")

    def name(self) -> str:
        start = self.pos
        name = self.string("the name of the event")
        if not is_possible_name(name):
            raise DecodeError(NOT_A_NAME, start)
        return name

    def field_value(self) -> Any:
        first = self.data[self.pos : self.pos + 1]
        if first == b'"':
            return self.string("a value")
        if first == b"[":
            return self.strings("an element of a list")
        if first == b"-" or first.isdigit():
            return self.number()
        raise self.error("a field holds a string, an integer, a Unix time or a list of strings")

    def strings(self, what: str) -> list[str]:
        self.expect(b"[", "a list '['")
        out: list[str] = []
        self.skip_space()
        if self.accept(b"]"):
            return out
        while True:
            self.skip_space()
            out.append(self.string(what))
            self.skip_space()
            if self.accept(b"]"):
                return out
            self.expect(b",", "',' or ']'")

    def time(self) -> int:
        start = self.pos
        if self.data[start : start + 1] != b'"':
            value = self.number("a time: an RFC 3339 string or a number of seconds since 1970")
            return value.usec if isinstance(value, Timestamp) else value * USEC_PER_SEC
        text = self.string("a time")
        usec = _rfc3339_usec(text)
        if usec is None:
            raise DecodeError(f"{text[:40]!r} is not an RFC 3339 time with a zone", start)
        return usec

    def number(self, what: str = "a number") -> int | Timestamp:
        start = self.pos
        # Dovecot's integers never have a fraction, and its Unix times always do ("Parsing back").
        match = _NUMBER.match(self.data, start)
        if match is None:
            raise self.error(f"expected {what}")
        self.pos = match.end()
        text = match[0].decode("ascii")
        if match[1]:
            return Timestamp(_unix_usec(text, start))
        if len(text) > _LONGEST_NUMBER:
            raise DecodeError(f"a number of {len(text)} digits does not fit in 64 bits", start)
        number = int(text)
        if not INT64_MIN <= number <= INT64_MAX:
            raise DecodeError(f"the integer {text} does not fit in 64 bits", start)
        return number

    def string(self, what: str) -> str:
        start = self.pos
        if self.data[start : start + 1] != b'"':
            raise self.error(f"expected {what}, a string in double quotes")
        token = self.data[start : self.end_of_string(start)]
        self.pos = start + len(token)
        try:
            return _decode_string(token)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _string_error(token, start) from None

    def end_of_string(self, start: int) -> int:
        """The offset behind the closing quote of the string that opens at `start`."""
        data, quote = self.data, start
        while True:
            search_from = quote + 1
            quote = data.find(b'"', search_from)
            if quote < 0:
                raise DecodeError("the string that begins here has no end; the line may be torn", start)
            # The quote is escaped if an odd number of backslashes stands before it.
            backslashes = quote
            while backslashes > search_from and data[backslashes - 1] == 0x5C:
                backslashes -= 1
            if (quote - backslashes) % 2 == 0:
                return quote + 1

    def skip_space(self) -> None:
        match = _SPACE.match(self.data, self.pos)
        assert match is not None  # noqa: S101  the pattern matches nothing at least
        self.pos = match.end()

    def accept(self, byte: bytes) -> bool:
        if self.data[self.pos : self.pos + 1] != byte:
            return False
        self.pos += 1
        return True

    def expect(self, byte: bytes, what: str) -> None:
        if not self.accept(byte):
            raise self.error(f"expected {what}")

    def error(self, reason: str) -> DecodeError:
        if self.pos >= len(self.data):
            reason += ", but the line ends here; it may be torn"
        return DecodeError(reason, self.pos)


def _unknown_member(key: str, known: dict[str, Any]) -> str:
    near = closest_name(key, known)
    hint = f"; did you mean {near!r}?" if near else ""
    return f"an exported event has no member {key[:80]!r}, only {', '.join(known)}{hint}"


def _string_error(token: bytes, start: int) -> DecodeError:
    """The error in a string that does not decode, with the offset of the byte itself."""
    # msgspec's own message has neither the offset nor the repair. What is left at the end can only be a surrogate.
    control = _CONTROL.search(token)
    if control is not None:
        code = control[0][0]
        return DecodeError(
            f"control character 0x{code:02x} in a string, in JSON it is \\u{code:04x}", start + control.start()
        )
    try:
        token.decode("utf-8")
    except UnicodeDecodeError as error:
        return DecodeError("a string is not valid UTF-8", start + error.start)
    for escape in _ESCAPE.finditer(token):
        if escape[1] is None:
            return DecodeError("unknown escape in a string", start + escape.start())
    return DecodeError("half of a surrogate pair is escaped in a string", start)


def _rfc3339_usec(text: str) -> int | None:
    # Dovecot's form first; other RFC 3339 times come from what people write or other programs rewrite.
    usec = parse_rfc3339(text)
    if usec is not None:
        return usec
    try:
        return usec_of_datetime(msgspec.convert(text, Annotated[dt.datetime, msgspec.Meta(tz=True)]))
    except (msgspec.ValidationError, OverflowError):
        return None


def _unix_usec(text: str, start: int) -> int:
    """Microseconds of Unix time as Dovecot writes it: signed seconds and, after the point, microseconds to add."""
    usec = usec_of_seconds(float(text))
    if usec is not None:
        return usec
    # A double does not hold this microsecond exactly, so the digits themselves are read.
    if len(text) > _LONGEST_NUMBER:
        raise _out_of_range(text, start)
    try:
        value = Decimal(text)
    except ArithmeticError:  # an exponent beyond Decimal's own limit
        raise _out_of_range(text, start) from None
    if value.adjusted() > 18 or abs(int(value)) > _LAST_SECOND:
        raise _out_of_range(text, start)
    seconds = int(value)
    # "-0.5": Dovecot writes half a second before 1970 as -1.500000, so a minus before 0 seconds is not its own.
    if value < 0 and seconds == 0:
        raise DecodeError(f"{text} is not a Unix time: the fraction counts upwards from whole seconds", start)
    return seconds * USEC_PER_SEC + round(abs(value - seconds) * USEC_PER_SEC)


def _out_of_range(text: str, start: int) -> DecodeError:
    shown = text if len(text) <= _LONGEST_NUMBER else f"{text[:_LONGEST_NUMBER]}..."
    return DecodeError(f"{shown} is out of range; a number with a fraction or an exponent is a Unix time", start)
