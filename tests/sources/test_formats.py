"""Telling formats by content."""

from __future__ import annotations

import pytest

from dovebeam.transforms.sources import detect_format, format_advice


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b'{"event":"x"}\n', "json"),
        (b'\n\r\n \t{"event":"x"}', "json"),
        (b"{", "json"),
        (b"garbage\n{}\n", "json"),
        (b"\xef\xbb\xbf{}\n{}\n", "json"),
        (b"\xef\xbb\xbfevent:x\n", "tab-text"),
        (b"event:x\thostname:y\n", "tab-text"),
        (b"hostname:y\n", "tab-text"),
        (b"start_time:2020-01-01T00:00:00.000000Z\n", "tab-text"),
        (b"end_time:1\n", "tab-text"),
        (b"category:imap\n", "tab-text"),
        (b"field:user=x\n", "tab-text"),
        (b"garbage\nfield:user=x\n{}\n", "tab-text"),
        (b"\nevent:x\n", "tab-text"),
        (b"Obj\x01\x04", "avro"),
        (b"Obj", None),
        (b"", None),
        (b"\n\n", None),
        (b"<xml>\n", None),
        (b"fields:x\n", None),
        (b"\x89PNG\r\n\x1a\n\0\0", None),
    ],
)
def test_format_is_told_by_the_first_line_that_tells(head: bytes, expected: str | None) -> None:
    """Blank and damaged lines before it do not matter; what no line tells is unknown."""
    assert detect_format(head) == expected


@pytest.mark.parametrize(
    ("head", "advice"),
    [
        ('{"event":"x"}\n'.encode("utf-16"), "iconv -f UTF-16"),
        (b"\xfe\xff\0{", "iconv -f UTF-16"),
        (b'[{"event":"x"}]', "jq -c '.[]'"),
        (b'\xef\xbb\xbf\r\n[\r\n {"event":"x"}]', "jq -c '.[]'"),
        (b'{\n "event":"x"\n}\n', "jq -c ."),
        (b'{ \r\n "event":"x"\n}\n', "jq -c ."),
        (b'{"event":"x"}\n', ""),
        (b'{"event":"x"', ""),
        (b"event:x\n", ""),
        (b"Obj\x01", ""),
        (b"garbage", ""),
        (b"", ""),
    ],
)
def test_what_people_give_instead_of_lines(head: bytes, advice: str) -> None:
    """Known mistakes have their repair; what looks as it should has none."""
    found = format_advice(head)
    assert advice in found
    assert bool(advice) == bool(found)
