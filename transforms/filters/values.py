"""Values of comparisons, classified from the text alone: number, size, interval, address, network, text or pattern.

Rules from Dovecot's event filter language, "For fields: the value is classified once, at parse time".
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from dovebeam.transforms.events.values import INT64_MAX, INT64_MIN, pack_ip
from dovebeam.transforms.filters.wildcards import has_wildcard, unescape

__all__ = [
    "INTERVAL_UNITS_MSEC",
    "MAX_INTERVAL_MSEC",
    "SIZE_UNITS",
    "Value",
    "classify",
    "escape_value",
    "in_network",
    "parse_integer",
    "parse_interval",
    "parse_network",
    "parse_size",
]

Kind = Literal["literal", "integer", "ip", "ambiguous", "numeric pattern", "pattern"]

_NUMERIC_PATTERN: Final = re.compile(r"[0-9*?]+")
_NEEDS_BACKSLASH: Final = re.compile(r'[\\"*?]')


@dataclass(frozen=True, slots=True)
class Value:
    """A classified value.

    Attributes:
        kind: which tests it takes part in; sizes and intervals are integers, `1m` is ambiguous.
        text: normalised, as it is compared with text and shown in warnings; a pattern keeps its backslashes.
        number: of an integer: itself, bytes or microseconds.
        network: of an IP address or range.
    """

    kind: Kind
    text: str
    number: int = 0
    network: Network | None = None

    @property
    def is_empty(self) -> bool:
        """Whether this is the literal empty text, which is what a missing field equals."""
        return self.kind == "literal" and not self.text


def classify(text: str) -> Value:
    """Classifies the value `text` of a field comparison, backslashes still in it. Never fails."""
    # The order is Dovecot's, the first success decides: `10` is a number, not the address 0.0.0.10.
    number = parse_integer(text)
    if number is not None:
        return Value("integer", str(number), number)
    network = parse_network(text)
    if network is not None:
        return Value("ip", network.text, network=network)
    size = parse_size(text)
    if size is not None and text[-1:] in ("m", "M"):
        return Value("ambiguous", text)
    # A size of more than 63 bits fits in no field; Dovecot goes on, and it ends as literal text.
    number = size if size is not None and size <= INT64_MAX else parse_interval(text)
    if number is not None:
        return Value("integer", str(number), number)
    if not has_wildcard(text):
        return Value("literal", unescape(text))
    return Value("numeric pattern" if _NUMERIC_PATTERN.fullmatch(text) else "pattern", text)


def escape_value(text: str) -> str:
    """Writes literal text so that a string field equals it, whatever it looks like: the inverse of `unescape`.

    The result belongs between double quotes: `f'user="{escape_value(user)}"'`. Wildcards lose their meaning; text that
    Dovecot would change because it looks like a number, an address, a size or an interval is forced to stay text.
    """
    escaped = _NEEDS_BACKSLASH.sub(r"\\\g<0>", text)
    # A backslash before the first character hides the text from every test but the one for literals.
    return escaped if classify(escaped).text == text else "\\" + escaped


# Integers, sizes ("Sizes") and intervals ("Intervals").

_UINT64_MAX: Final = 2**64 - 1
MAX_INTERVAL_MSEC: Final = 2**32 - 1  # Dovecot keeps an interval in an unsigned int of milliseconds: 49 days
_INTEGER: Final = re.compile(r"(-?)([0-9]+)")
_AMOUNT: Final = re.compile(r"([0-9]+) *([A-Za-z]*)")

SIZE_UNITS: Final[dict[str, int]] = {"": 1, "b": 1} | {
    letter + rest: 1024**power for power, letter in enumerate("kmgt", 1) for rest in ("", "i", "b", "ib")
}


def _prefixes(words: str, shortest: int) -> set[str]:
    return {word[:length] for word in words.split() for length in range(shortest, len(word) + 1)}


# Dovecot takes every prefix of a unit, except what would be ambiguous: `m` is minutes or megabytes, `mi` is mebibytes.
INTERVAL_UNITS_MSEC: Final[dict[str, int]] = {
    spelling: msec
    for words, shortest, msec in (
        ("msecs mseconds", 2, 1),
        ("millisecs milliseconds", 3, 1),
        ("secs seconds", 1, 1_000),
        ("mins minutes", 3, 60_000),
        ("hours", 1, 3_600_000),
        ("days", 1, 86_400_000),
        ("weeks", 1, 604_800_000),
    )
    for spelling in _prefixes(words, shortest)
}


def parse_integer(text: str) -> int | None:
    """Signed 64-bit decimal number, leading zeros allowed; None if `text` is not one."""
    match = _INTEGER.fullmatch(text)
    amount = None if match is None else _bounded(match[2])
    if match is None or amount is None:
        return None
    number = -amount if match[1] else amount
    return number if INT64_MIN <= number <= INT64_MAX else None


def parse_size(text: str) -> int | None:
    """Size in bytes, up to 2^64 - 1; None if `text` is not a size. `M` alone counts as megabytes here."""
    amount, factor = _split(text, SIZE_UNITS)
    if amount is None or factor is None or amount * factor > _UINT64_MAX:
        return None
    return amount * factor


def parse_interval(text: str) -> int | None:
    """Interval in microseconds; None if `text` is not one or is more than 2^32 - 1 milliseconds."""
    amount, msec = _split(text, INTERVAL_UNITS_MSEC)
    if amount is None or msec is None or amount * msec > MAX_INTERVAL_MSEC:
        return None
    return amount * msec * 1_000


def _split(text: str, units: dict[str, int]) -> tuple[int | None, int | None]:
    match = _AMOUNT.fullmatch(text)
    if match is None:
        return None, None
    return _bounded(match[1]), units.get(match[2].lower())


def _bounded(digits: str) -> int | None:
    """The number, or None if it needs more than 64 bits."""
    # Before int(), which raises for texts of more than 4,300 digits.
    digits = digits.lstrip("0")
    if len(digits) > 20:
        return None
    number = int(digits or "0")
    return number if number <= _UINT64_MAX else None


# IP addresses and ranges ("IP addresses and ranges", "Network test"). Dovecot accepts what the C library accepts as a
# numeric host, legacy IPv4 forms such as `127.1` and `0x7f000001` included; Python's `ipaddress` does not.

_MAX_SCOPE_ID: Final = 2**32 - 1
_NETWORK_LENGTH: Final = re.compile(r"0*([0-9]{1,3})")
_DOTTED_QUAD: Final = re.compile(r"0*([0-9]{1,3})\.0*([0-9]{1,3})\.0*([0-9]{1,3})\.0*([0-9]{1,3})")
_LEGACY_PART: Final = re.compile(r"0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*)")


class Network(NamedTuple):
    """An address with a prefix length.

    Attributes:
        bits: 32 or 128, the family.
        number: the address.
        length: number of leading bits that count.
        scope: the interface of a link-local address or a number, '' for any.
        text: Dovecot's normal form, `/LENGTH` only if not all bits count.
    """

    bits: int
    number: int
    length: int
    scope: str
    text: str


def parse_network(text: str) -> Network | None:
    """Address or range that the value `text` stands for, or None.

    Interface names count only if this machine has such an interface, as in Dovecot.
    """
    # str.isdigit below takes Unicode digits, and the socket module raises other errors for NUL and non-ASCII text.
    if not text.isascii() or "\0" in text:
        return None
    address, slash, length_text = text.partition("/")
    parsed = _parse_ipv4(address) or _parse_ipv6(address)
    if parsed is None:
        return None
    bits, number, scope = parsed
    length = bits if not slash else _parse_length(length_text, bits)
    if length is None:
        return None
    suffix = "" if length == bits else f"/{length}"
    return Network(bits, number, length, scope, _canonical(bits, number, scope) + suffix)


def in_network(address: str, network: Network) -> bool:
    """Whether an event's `address` is in `network`; an IPv4-mapped IPv6 address of an event counts as IPv4."""
    packed = pack_ip(address)
    if packed is None or packed.bits != network.bits:
        return False
    if network.scope and packed.scope != network.scope:
        return False
    return (packed.number ^ network.number) >> (network.bits - network.length) == 0


def _parse_length(text: str, bits: int) -> int | None:
    match = _NETWORK_LENGTH.fullmatch(text)
    return int(match[1]) if match and int(match[1]) <= bits else None


def _parse_ipv4(text: str) -> tuple[int, int, str] | None:
    # Leading zeros are decimal in four parts, and octal in the legacy forms: 010.1.1.1 is 10.1.1.1, 010.1 is 8.0.0.1.
    quad = _DOTTED_QUAD.fullmatch(text)
    if quad and all(int(part) <= 255 for part in quad.groups()):
        return 32, int.from_bytes(bytes(int(part) for part in quad.groups()), "big"), ""
    parts = text.split(".", 4)
    numbers = [_legacy_part(part) for part in parts]
    if len(parts) > 4:
        return None
    value = 0
    for number in numbers[:-1]:
        if number is None or number > 255:
            return None
        value = value << 8 | number
    # The last part fills all the bytes that are left: 127.1 is 127.0.0.1.
    last, last_bits = numbers[-1], 8 * (5 - len(numbers))
    if last is None or last >= 1 << last_bits:
        return None
    return 32, value << last_bits | last, ""


def _legacy_part(text: str) -> int | None:
    """One part of an address: decimal, octal with a leading 0 or hexadecimal with a leading 0x."""
    match = _LEGACY_PART.fullmatch(text)
    if match is None:
        return None
    hexadecimal, octal, decimal = match.groups()
    digits = (hexadecimal or octal or decimal).lstrip("0") or "0"
    if len(digits) > 11:  # 32 bits have 11 octal digits at most
        return None
    return int(digits, 16 if hexadecimal else 8 if octal else 10)


def _parse_ipv6(text: str) -> tuple[int, int, str] | None:
    if ":" in text and text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    address, percent, scope_text = text.partition("%")
    try:
        packed = socket.inet_pton(socket.AF_INET6, address)
    except OSError:
        return None
    scope = _normalise_scope(packed, scope_text) if percent else ""
    return None if scope is None else (128, int.from_bytes(packed, "big"), scope)


def _normalise_scope(packed: bytes, text: str) -> str | None:
    """The interface's name if it has one here, else its number; '' for number 0, None if `text` is neither."""
    # fe80::/10 and multicast of link scope, ff?2::/16; only these may name an interface.
    is_link_local = (packed[0] == 0xFE and packed[1] & 0xC0 == 0x80) or (packed[0] == 0xFF and packed[1] & 0x0F == 2)
    if is_link_local and _interface_exists(text):
        return text
    digits = text.lstrip("0")
    if not text.isdigit() or len(digits) > 10 or int(digits or "0") > _MAX_SCOPE_ID:
        return None
    if is_link_local and digits:
        try:
            return socket.if_indextoname(int(digits))
        except OSError:
            return digits
    return digits


def _interface_exists(name: str) -> bool:
    try:
        return bool(name) and socket.if_nametoindex(name) > 0
    except OSError:
        return False


def _canonical(bits: int, number: int, scope: str) -> str:
    # `ipaddress` prints embedded IPv4 addresses differently from inet_ntop, which Dovecot uses.
    family = socket.AF_INET if bits == 32 else socket.AF_INET6
    text = socket.inet_ntop(family, number.to_bytes(bits // 8, "big"))
    return f"{text}%{scope}" if scope else text
