"""What a collector is sent: lines of unix sockets in any pieces, and bodies and heads of http requests."""

from __future__ import annotations

import gzip
import itertools
import zlib
from pathlib import Path

from fuzzing import Target

from dovebeam.pipelines.collect.http_connections import RequestBorders
from dovebeam.pipelines.collect.http_posts import ENCODINGS, BrokenBodyError, unpacked
from dovebeam.pipelines.collect.unix_lines import LineAssembler
from support.oracle.corpus import corpus_lines

MAX_LINE_BYTES = 3000
MAX_BODY_BYTES = 100_000


def targets(_folder: Path) -> list[Target]:
    """Streams with lines of the corpus, of which some are cut and glued, and requests."""
    lines = corpus_lines("events.json.gz")[::97] + corpus_lines("events.tab.gz")[::97]
    streams = [b"\n".join((one, two[: len(two) // 2] + one, two)) + b"\n" for one, two in itertools.pairwise(lines)]
    bodies = [packed for line in lines for packed in (gzip.compress(line) * 2, zlib.compress(line))]
    head = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nlines"
    chunks = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nlines\r\n0\r\n\r\n"
    return [
        Target(check_lines, streams, 3),
        Target(check_body, bodies),
        Target(check_borders, [head * 3, chunks + head]),
    ]


def check_lines(stream: bytes) -> None:
    """Every byte comes out once, however the stream is cut; what is glued is only cut where an event begins."""
    found = []
    for size in (len(stream) or 1, 1 + len(stream) // 7):
        lines = LineAssembler(MAX_LINE_BYTES)
        whole = b"".join(lines.feed(stream[at : at + size]) for at in range(0, len(stream), size))
        lines.end()
        pieces, _ = lines.take_aside()
        assert not whole or whole.endswith(b"\n")
        assert len(whole) + sum(map(len, pieces)) >= len(stream)
        assert sorted(whole + b"".join(pieces)).count(0x0A) >= stream.count(b"\n")
        assert sorted((whole + b"".join(pieces)).replace(b"\n", b"")) == sorted(stream.replace(b"\n", b""))
        found.append(whole)
    assert found[0] == found[1]


def check_body(body: bytes) -> None:
    """A body is whole and no larger than allowed, or it is broken."""
    for encoding in sorted(ENCODINGS - {"", "identity"}):
        try:
            content = unpacked(body, encoding, MAX_BODY_BYTES)
        except BrokenBodyError:
            continue
        assert len(content) <= 2 * MAX_BODY_BYTES


def check_borders(data: bytes) -> None:
    """Whatever a client sends, it is known whether a head has begun."""
    borders = RequestBorders()
    for at in range(0, len(data), 7):
        borders.feed(data[at : at + 7])
    borders.begun()
    borders.answered()
    assert borders.is_within_head in {True, False}
