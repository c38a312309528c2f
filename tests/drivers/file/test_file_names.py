"""Names made from values that an attacker chose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.drivers.file.names import (
    MAX_NAME_BYTES,
    compressed_name,
    encode_value,
    insert_mark,
    short_name,
    split_suffix,
)

VALUES = st.text(max_size=300) | st.text("./%~-a", max_size=8) | st.binary(max_size=40).map(
    lambda raw: raw.decode("utf-8", "surrogateescape")
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("joe@example.org", "joe@example.org"),
        ("a+b_c-D.9", "a+b_c-D.9"),
        ("", "%"),
        ("%", "%25"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("../../etc/passwd", "%2E%2E%2F..%2Fetc%2Fpasswd"),
        ("/etc/passwd", "%2Fetc%2Fpasswd"),
        ("-rf", "%2Drf"),
        ("a\0b\nc\x1b", "a%00b%0Ac%1B"),
        ("a~1", "a%7E1"),
        ("INBOX/Größe", "INBOX%2FGr%C3%B6%C3%9Fe"),
        ("\udcff", "%FF"),
        ("\ud800", "%ED%A0%80"),
        ("a\\b*?[", "a%5Cb%2A%3F%5B"),
    ],
)
def test_values(value: str, expected: str) -> None:
    """Everything that could mean something to a file system or a shell is percent-encoded."""
    assert encode_value(value) == expected


@given(VALUES, VALUES)
def test_values_stay_apart_and_below(one: str, other: str) -> None:
    """Two values never make one name, and no name leads anywhere, is hidden or holds a tilde of its own."""
    assert (encode_value(one) == encode_value(other)) == (one == other)
    first, second = short_name(encode_value(one), ".json"), short_name(encode_value(other), ".json")
    assert (first == second) == (one == other)
    assert not set(encode_value(one)) & set("/\0~\\*?[")
    assert not first.startswith((".", "-"))
    assert len(first.encode()) <= MAX_NAME_BYTES
    assert first.endswith(".json")


def test_long_names_differ_in_their_hash() -> None:
    """Names that begin alike for longer than a file system can hold them are different files."""
    names = {short_name("x" * 500 + str(number), ".json") for number in range(100)}
    assert len(names) == 100
    assert {len(name) for name in names} == {MAX_NAME_BYTES}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("events.json", ("events", ".json")),
        ("events.json.gz", ("events", ".json.gz")),
        ("events.tab.zst", ("events", ".tab.zst")),
        ("events.gz", ("events", ".gz")),
        ("events", ("events", "")),
        (".hidden", (".hidden", "")),
        (".gz", (".gz", "")),
        ("a.b.c", ("a.b", ".c")),
    ],
)
def test_suffix(name: str, parts: tuple[str, str]) -> None:
    """The suffix says what is in the file, and a compression's suffix belongs to the one before it."""
    assert split_suffix(name) == parts


@pytest.mark.parametrize(
    ("path", "expected"),
    [("events.json", "events~7.json"), ("a.d/b", "a.d/b~7"), ("a.d/b.json.gz", "a.d/b~7.json.gz")],
)
def test_mark(path: str, expected: str) -> None:
    """A mark stands before the suffix of the last name, so that the suffix still says what is in the file."""
    assert insert_mark(path, "~7") == expected


@pytest.mark.parametrize(
    ("path", "compression", "expected"),
    [
        ("a.json", "none", "a.json"),
        ("a.json", "gzip", "a.json.gz"),
        ("a.json", "zstd", "a.json.zst"),
        ("a.json.gz", "gzip", "a.json.gz"),
        ("a.json.gz", "zstd", "a.json.gz.zst"),
    ],
)
def test_compressed_name(path: str, compression: str, expected: str) -> None:
    """The suffix of the compression is there once."""
    assert compressed_name(path, compression) == expected
