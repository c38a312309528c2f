"""IP addresses and ranges as filter values, and the test whether the address of an event is in one.

Rules from Dovecot's event filter language, "IP addresses and ranges" and "Network test". Dovecot accepts what the C
library accepts as a numeric host, legacy IPv4 forms such as `127.1` and `0x7f000001` included; Python's `ipaddress`
does not.
"""

from __future__ import annotations

import re
import socket
from typing import Final, NamedTuple

from dovebeam.transforms.values.addresses import pack_ip

__all__ = ["Network", "in_network", "parse_network"]

_MAX_SCOPE_ID: Final = 2**32 - 1
_NETWORK_LENGTH: Final = re.compile(r"0*([0-9]{1,3})")
_DOTTED_QUAD: Final = re.compile(r"0*([0-9]{1,3})\.0*([0-9]{1,3})\.0*([0-9]{1,3})\.0*([0-9]{1,3})")
_LEGACY_PART: Final = re.compile(r"0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*)")


class Network(NamedTuple):
    """An address with a prefix length.

    Attributes:
        bits: 32 or 128, the family.
        number: the address.
        length: how many leading bits count.
        scope: the interface of a link-local address or a number, '' if any will do.
        text: what Dovecot normalises it to, `/LENGTH` only if not all bits count.
    """

    bits: int
    number: int
    length: int
    scope: str
    text: str


def parse_network(text: str) -> Network | None:
    """The address or range that the value `text` stands for, or None.

    Interface names count only if this machine has such an interface, as in Dovecot.
    """
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
    if len(digits) > 11:
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
    family = socket.AF_INET if bits == 32 else socket.AF_INET6
    text = socket.inet_ntop(family, number.to_bytes(bits // 8, "big"))
    return f"{text}%{scope}" if scope else text
