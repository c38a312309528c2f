"""Addresses in canonical text and packed for network tests."""

import pytest

from dovebeam.transforms.events.values import PackedAddress, canonical_ip, pack_ip

CANONICAL = ["192.0.2.1", "0.0.0.0", "2001:db8::1:0:0:1", "::ffff:1.2.3.4", "::10.1.2.3", "::", "fe80::1%eth0", "::1"]
OTHER = ["", "1.2.3", "1.2.3.4.5", "01.2.3.4", "2001:DB8::1", "2001:0:0:0:0:0:0:1", "::ffff:102:304", "fe80::1%"]
NEITHER = ["1.2.3.4%lo", "1.2.3.256", "gg::", "1.2.3.4\0", "host", "١.2.3.4", ":" * 500, " 1.2.3.4"]


@pytest.mark.parametrize("text", CANONICAL)
def test_canonical(text: str) -> None:
    """What the C library prints for an address is canonical."""
    assert canonical_ip(text)


@pytest.mark.parametrize("text", OTHER + NEITHER)
def test_not_canonical(text: str) -> None:
    """Other spellings and other texts are not what Dovecot exports for an address."""
    assert not canonical_ip(text)


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        ("10.0.0.1", PackedAddress(32, 0x0A000001, "")),
        ("::ffff:10.0.0.1", PackedAddress(32, 0x0A000001, "")),
        ("2001:0:0:0:0:0:0:1", PackedAddress(128, 0x2001 << 112 | 1, "")),
        ("fe80::1%lo", PackedAddress(128, 0xFE80 << 112 | 1, "lo")),
        ("1.2.3.4%lo", None),
        ("nonsense", None),
    ],
)
def test_pack(text: str, packed: PackedAddress | None) -> None:
    """An address is packed with its family and scope; an IPv4-mapped one counts as IPv4."""
    assert pack_ip(text) == packed
