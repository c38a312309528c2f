"""IP addresses as Dovecot's events carry them: canonical text, IPv4 or IPv6, link-local ones with a scope.

The canonical text is what the C library's inet_ntop writes (Dovecot's export formats, "Common value texts"). Python's
`ipaddress` prints embedded IPv4 addresses differently, so it is not used.
"""

from __future__ import annotations

import socket
from functools import lru_cache
from typing import NamedTuple

import msgspec

__all__ = ["IPAddress", "PackedAddress", "canonical_ip", "pack_ip"]

_MAX_TEXT = 100  # an address of 45 characters and an interface name
_IPV4_MAPPED = b"\x00" * 10 + b"\xff\xff"


class IPAddress(msgspec.Struct, frozen=True, gc=False):
    """A field of Dovecot's type IP: the canonical text, `192.0.2.1`, `2001:db8::1` or `fe80::1%eth0`."""

    text: str


class PackedAddress(NamedTuple):
    """An address ready for network tests: 4 or 16 bytes, as a number, and the scope of a link-local one or ''."""

    bits: int
    number: int
    scope: str


@lru_cache(maxsize=16_384)
def pack_ip(text: str) -> PackedAddress | None:
    """The address that the canonical or otherwise valid text `text` names, or None.

    Accepts dotted quads and IPv6 texts with an optional `%SCOPE`; the shorter legacy forms of IPv4 are the business of
    the filter language. An IPv4-mapped IPv6 address is packed as IPv4, as Dovecot does with the address of an event.
    """
    packed = _to_bytes(text)
    if packed is None:
        return None
    _, _, scope = text.partition("%")
    if packed.startswith(_IPV4_MAPPED) and len(packed) == 16:
        packed = packed[12:]
    return PackedAddress(len(packed) * 8, int.from_bytes(packed, "big"), scope)


@lru_cache(maxsize=16_384)
def canonical_ip(text: str) -> bool:
    """Whether `text` is exactly what Dovecot would export for some IP address."""
    packed = _to_bytes(text)
    if packed is None:
        return False
    address, percent, scope = text.partition("%")
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, packed) == address and bool(scope) == bool(percent)


def _to_bytes(text: str) -> bytes | None:
    address, percent, _ = text.partition("%")
    if len(text) > _MAX_TEXT or not text.isascii() or "\0" in text:
        return None
    try:
        if ":" in address:
            return socket.inet_pton(socket.AF_INET6, address)
        return None if percent else socket.inet_pton(socket.AF_INET, address)
    except OSError:
        return None
