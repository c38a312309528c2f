"""Addresses and ranges as Dovecot's C library reads them."""

from __future__ import annotations

import socket

import pytest

from dovebeam.transforms.filters.values import in_network, parse_network


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("0177.0.0.1", "177.0.0.1"),
        ("0377.1.1.1", "255.1.1.1"),  # too big in decimal, so the legacy rules apply
        ("000000000001.02.03.004", "1.2.3.4"),
        ("127.1", "127.0.0.1"),
        ("1.5", "1.0.0.5"),
        ("1.2.3", "1.2.0.3"),
        ("1.256", "1.0.1.0"),
        ("10.1.515", "10.1.2.3"),
        ("010.1", "8.0.0.1"),
        ("0x1F", "0.0.0.31"),
        ("0X0a.0x0.0.0xff", "10.0.0.255"),
        ("0xffffffff", "255.255.255.255"),
        ("10/8", "0.0.0.10/8"),
        ("2024/05", "0.0.7.232/5"),
        ("1.2.3.4/32", "1.2.3.4"),
        ("1.2.3.4/0000", "1.2.3.4/0"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("a::b", "a::b"),
        ("DEAD::", "dead::"),
        ("::", "::"),
        ("::5/128", "::5"),
        ("::/0", "::/0"),
        ("2001:0:0:0:0:0:0:1", "2001::1"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("[2001::1]", "2001::1"),
        ("[2001::]/16", "2001::/16"),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
        ("::1.2.3.4", "::1.2.3.4"),
        ("fe80::1%lo", "fe80::1%lo"),
        ("fe80::1%lo/64", "fe80::1%lo/64"),
        ("ff02::1%lo", "ff02::1%lo"),
        ("fe80::1%4294967295", "fe80::1%4294967295"),
        ("2001::1%5", "2001::1%5"),
        ("2001::1%05", "2001::1%5"),
    ],
)
def test_normalised_text(text: str, normalised: str) -> None:
    """What the C library accepts as a numeric host, and the text that Dovecot makes of it."""
    network = parse_network(text)
    assert network is not None
    assert network.text == normalised


@pytest.mark.parametrize(
    "text",
    [
        *["", "abc", "1.", ".1", "1..2", "08.1", "0x.1", "256.1.1.1", "1.2.3.256", "1.2.3.4.5", "1.2.3.4 ", " 1.2.3.4"],
        *["1.16777216", "1.2.65536", "0x100000000", "-1.2.3.4", "+1.2", "1.2.3.4/", "1.2.3.4/33", "1.2.3.4/-1"],
        *["1.2.3.4/8/8", "1.2.3.4/8x", "1.2.3.4/9999999999", "1.2.3.4%lo", "[1.2.3.4]", "1:2", ":::", "::/129", "::/"],
        *["2001::1%lo", "fe80::1%nosuchif0", "fe80::1%", "fe80::1%4294967296", "fe80::1%0x5", "2001::1% 5", "g::1"],
        *["[::1", "::1]", "[[::1]]", "1.2.3.4\0", "fe80::1%lo\0", "٣.1", "::ä", "1.2.3.4\n", "\udcff::"],
    ],
)
def test_not_an_address(text: str) -> None:
    """Everything else stays text."""
    assert parse_network(text) is None


def test_numeric_scope_of_an_existing_interface_is_its_name() -> None:
    """A link-local address with the number of an interface is printed with its name."""
    index, name = socket.if_nameindex()[0]
    network = parse_network(f"fe80::1%{index}")
    assert network is not None
    assert network.text == f"fe80::1%{name}"


@pytest.mark.parametrize(
    ("address", "text", "inside"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.9.9.9/8", True),
        ("10.1.2.3", "11.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.2/31", True),
        ("10.1.2.4", "10.1.2.2/31", False),
        ("10.1.2.3", "0.0.0.0/0", True),
        ("10.1.2.3", "::/0", False),
        ("::1", "0.0.0.0/0", False),
        ("2001:db8::5", "2001::/16", True),
        ("2001:db8::5", "2001:db8::5", True),
        ("2001:db8::5", "2001:db8::4/127", True),
        ("2001:db8::5", "2001:db8::6/127", False),
        ("::ffff:1.2.3.4", "1.2.3.4", True),
        ("::ffff:1.2.3.4", "1.0.0.0/8", True),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.4", False),
        ("1.2.3.4", "::ffff:1.2.3.4", False),
        ("fe80::1%lo", "fe80::1", True),
        ("fe80::1%lo", "fe80::1%lo", True),
        ("fe80::1%eth9", "fe80::1%lo", False),
        ("fe80::1", "fe80::1%lo", False),
        ("not an address", "0.0.0.0/0", False),
    ],
)
def test_network_test(address: str, text: str, inside: bool) -> None:
    """Leading bits and family count; a mapped event address is IPv4; a scope counts only if the filter has one."""
    network = parse_network(text)
    assert network is not None
    assert in_network(address, network) is inside
