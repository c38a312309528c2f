"""Cutting a stream at line borders, from any place, with any limit on lines, whatever a read returns."""

from __future__ import annotations

import io
import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.sources import OVERLONG_HEAD_BYTES, DamagedError, FileStream, SourceError
from dovebeam.transforms.sources.lines import LineReader, Lines, read_lines, reader_from

NO_LIMIT = 1 << 30


class ShortReads(io.BytesIO):
    """A file that returns few bytes at a time, as the clients of object stores may."""

    def __init__(self, data: bytes, sizes: tuple[int, ...]) -> None:
        super().__init__(data)
        self._sizes = itertools.cycle(sizes)

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        return super().read(min(size, next(self._sizes)))


def read_cells(
    data: bytes, cells: range, cell_bytes: int, max_line_bytes: int = NO_LIMIT, sizes: tuple[int, ...] = (1 << 20,)
) -> list[Lines]:
    """What a reader that owns a range of cells reads."""
    stop = min(cells.stop * cell_bytes, len(data))
    stream = FileStream(ShortReads(data, sizes), "file")
    reader = reader_from(stream, cells.start * cell_bytes, stop, max_line_bytes)
    return list(read_lines(reader, cell_bytes=cell_bytes, claim=cells.__contains__, uri="file", size=len(data)))


def expected_lines(data: bytes, max_line_bytes: int) -> list[Lines]:
    """All lines one by one, as the definition has it."""
    lines = []
    offset = 0
    for line in data.split(b"\n"):
        whole = line + b"\n" if offset + len(line) < len(data) else line
        content = line.removesuffix(b"\r")
        if len(content) > max_line_bytes:
            lines.append(Lines(offset, content[:OVERLONG_HEAD_BYTES], len(content)))
        elif whole:
            lines.append(Lines(offset, whole))
        offset += len(whole)
    return lines


def one_by_one(blocks: list[Lines]) -> list[Lines]:
    """Blocks taken apart to lines."""
    lines = []
    for block in blocks:
        offset = block.offset
        for line in [block.data] if block.overlong_bytes else io.BytesIO(block.data).readlines():
            lines.append(Lines(offset, line, block.overlong_bytes))
            offset += len(line)
    return lines


@pytest.mark.parametrize(
    ("data", "blocks"),
    [
        pytest.param(b"", [], id="empty"),
        pytest.param(b"\n", [(0, b"\n")], id="one-end"),
        pytest.param(b"a", [(0, b"a")], id="no-end"),
        pytest.param(b"a\nb\nc\n", [(0, b"a\nb\n"), (4, b"c\n")], id="two-cells"),
        pytest.param(b"abc\nd", [(0, b"abc\n"), (4, b"d")], id="line-ends-with-its-cell"),
        pytest.param(b"abcdefghi\nj\nk", [(0, b"abcdefghi\n"), (10, b"j\n"), (12, b"k")], id="line-over-cells"),
        pytest.param(b"\n\n\n\n\n\n", [(0, b"\n\n\n\n"), (4, b"\n\n")], id="blank-lines"),
        pytest.param(b"a\r\nb\r\n", [(0, b"a\r\nb\r\n")], id="crlf-stays"),
    ],
)
def test_pieces_are_the_lines_that_begin_in_a_cell(data: bytes, blocks: list[tuple[int, bytes]]) -> None:
    """With cells of 4 bytes; ends of lines stay as they are."""
    assert read_cells(data, range(100), 4) == [Lines(*block) for block in blocks]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        pytest.param(b"abcd\nabcde\nx\n", [(0, b"abcd\n", 0), (5, b"abcde", 5), (11, b"x\n", 0)], id="in-the-middle"),
        pytest.param(b"abcd\r\nabcde\r\n", [(0, b"abcd\r\n", 0), (6, b"abcde", 5)], id="cr-is-no-content"),
        pytest.param(b"abcd\r\r\n", [(0, b"abcd\r", 5)], id="only-one-cr"),
        pytest.param(b"abcde", [(0, b"abcde", 5)], id="without-end"),
        pytest.param(b"abcd\r", [(0, b"abcd\r", 0)], id="without-end-cr"),
        pytest.param(b"abcdefghijklmnop\n", [(0, b"abcdefghijklmnop", 16)], id="alone"),
        pytest.param(b"abcde\nabcdef\nx", [(0, b"abcde", 5), (6, b"abcdef", 6), (13, b"x", 0)], id="two-in-a-row"),
    ],
)
@pytest.mark.parametrize("sizes", [(1 << 20,), (1,), (3, 1)])
def test_overlong_lines_stand_apart(data: bytes, lines: list[tuple[int, bytes, int]], sizes: tuple[int, ...]) -> None:
    """With at most 4 bytes a line; the line's end does not count, and how it was read does not matter."""
    assert one_by_one(read_cells(data, range(1), 1000, 4, sizes)) == [Lines(*line) for line in lines]


contents = st.lists(st.sampled_from([b"a", b"bc", b"\r", b"\n", b"\n", b"\r\n", b"defghij" * 3]), max_size=25).map(
    b"".join
)


@given(
    contents,
    st.integers(1, 12),
    st.integers(1, 30),
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
    st.lists(st.integers(0, 200), max_size=5),
)
def test_every_line_exactly_once(
    data: bytes, cell_bytes: int, max_line_bytes: int, sizes: list[int], cuts: list[int]
) -> None:
    """Whatever the content, the cells, the limit, the sizes of reads and however many readers share the cells."""
    cells = -(-len(data) // cell_bytes)
    borders = [0, *sorted(min(cut, cells) for cut in cuts), cells]
    blocks = []
    for start, stop in itertools.pairwise(borders):
        blocks += read_cells(data, range(start, stop), cell_bytes, max_line_bytes, tuple(sizes))
    assert one_by_one(blocks) == expected_lines(data, max_line_bytes)
    assert blocks == read_cells(data, range(cells), cell_bytes, max_line_bytes)


def test_every_pair_of_offsets() -> None:
    """A small file, split in three at every pair of byte offsets."""
    data = b"one\n\ntwo two\r\nthree three three\n\nlast"
    whole = expected_lines(data, 8)
    for first in range(len(data) + 1):
        for second in range(first, len(data) + 1):
            parts = [range(first), range(first, second), range(second, len(data))]
            assert one_by_one([block for part in parts for block in read_cells(data, part, 1, 8)]) == whole


@pytest.mark.parametrize("size", [11, 1000])
def test_file_that_shrank_is_an_error(size: int) -> None:
    """A file that ends before the size it had is named, with the offset where it ends."""
    reader = LineReader(FileStream(io.BytesIO(b"one\ntwo\nth"), "gs://mail/x"), 0, NO_LIMIT)
    with pytest.raises(SourceError, match=f"gs://mail/x, byte 10: the file ends here, but had {size} bytes"):
        list(read_lines(reader, cell_bytes=4, claim=lambda _cell: True, uri="gs://mail/x", size=size))


def test_lines_appended_later_are_not_read() -> None:
    """What begins behind the size that the file had is left; a line that began before it is read to its end."""
    reader = LineReader(FileStream(io.BytesIO(b"one\ntwo\nthree\n"), "file"), 0, NO_LIMIT)
    blocks = list(read_lines(reader, cell_bytes=100, claim=lambda _cell: True, uri="file", size=6))
    assert blocks == [Lines(0, b"one\ntwo\n")]


def test_cells_are_claimed_in_order_and_then_the_end() -> None:
    """Each cell in which a line begins, and at last the number of cells, so that a tracker knows that all is done."""
    claims: list[int] = []
    reader = LineReader(FileStream(io.BytesIO(b"a\nb\nccccccccc\nd\n"), "file"), 0, NO_LIMIT)
    list(read_lines(reader, cell_bytes=4, claim=lambda cell: claims.append(cell) or True, uri="file", size=16))
    assert claims == [0, 1, 3, 4]


class Endless:
    """A file that is one line."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int, /) -> bytes:
        size = min(size, self.left)
        self.left -= size
        return b"x" * size

    def seek(self, offset: int) -> None:
        self.left -= offset


def test_an_endless_line_takes_bounded_memory() -> None:
    """200 MB without a line's end are passed in a few times the limit, and counted."""
    stream = FileStream(Endless(200_000_000), "file")  # type: ignore[arg-type]
    tracemalloc.start()
    reader = LineReader(stream, 0, 1_000_000)
    blocks = list(read_lines(reader, cell_bytes=65536, claim=lambda _cell: True, uri="file", size=200_000_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert blocks == [Lines(0, b"x" * OVERLONG_HEAD_BYTES, 200_000_000)]
    assert peak < 8_000_000


def test_readers_in_the_midst_of_an_endless_line_give_up() -> None:
    """Who owns no line's begin reads little more than its own cells, and not to the end of the file."""
    file = Endless(200_000_000)
    reader_from(FileStream(file, "file"), 1_000_000, 2_000_000, NO_LIMIT)  # type: ignore[arg-type]
    assert file.left > 197_000_000


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xef\xbb\xbfab\nc", [Lines(3, b"ab\n"), Lines(6, b"c")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfa", [Lines(3, b"\xef\xbb\xbfa")]),
        (b"a\n\xef\xbb\xbfb", [Lines(0, b"a\n"), Lines(2, b"\xef\xbb\xbfb")]),
        (b"\xef\xbb\xbf", []),
        (b"\xef\xbb", [Lines(0, b"\xef\xbb")]),
    ],
)
def test_byte_order_mark(data: bytes, expected: list[Lines], size: int) -> None:
    """Only the one at the begin of a file is passed over; offsets stay those of the file, also with other cells."""
    for cell_bytes in (4, 5, 100):
        cells = range(-(-len(data) // cell_bytes))
        assert one_by_one(read_cells(data, cells, cell_bytes, sizes=(size,))) == expected
        assert one_by_one([b for c in cells for b in read_cells(data, range(c, c + 1), cell_bytes)]) == expected


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        pytest.param(b"\0\0{a}\n{b}\n", [Lines(2, b"{a}\n{b}\n", nuls=2)], id="at-the-start"),
        pytest.param(b"{a}\n\0\0{b}\n", [Lines(0, b"{a}\n"), Lines(6, b"{b}\n", nuls=2)], id="between"),
        pytest.param(b"{a}\n\0\0", [Lines(0, b"{a}\n"), Lines(6, b"", nuls=2)], id="at-the-end"),
        pytest.param(b"\0\0\0", [Lines(3, b"", nuls=3)], id="nothing-else"),
        pytest.param(b"{a}\n\0\n{b}", [Lines(0, b"{a}\n"), Lines(5, b"\n{b}", nuls=1)], id="blank"),
        pytest.param(b"{a\0\0{b}\n", [Lines(0, b"{a", torn=True), Lines(4, b"{b}\n", nuls=2)], id="torn"),
        pytest.param(b"ev\0event:b\n", [Lines(0, b"ev", torn=True), Lines(3, b"event:b\n", nuls=1)], id="torn-tab"),
        pytest.param(b"{a}\0\n{b}", [Lines(0, b"{a}", torn=True), Lines(4, b"\n{b}", nuls=1)], id="before-the-end"),
        pytest.param(b"{a}\0\r\n{b}", [Lines(0, b"{a}", torn=True), Lines(4, b"\r\n{b}", nuls=1)], id="before-crlf"),
        pytest.param(b"{a}\0\0", [Lines(0, b"{a}", torn=True), Lines(5, b"", nuls=2)], id="torn-at-the-end"),
        pytest.param(b"{a\0b}\n{c}", [Lines(0, b"{a\0b}\n{c}")], id="within-a-line"),
    ],
)
@pytest.mark.parametrize("sizes", [(1 << 20,), (1,), (3, 1)])
def test_zero_bytes(data: bytes, lines: list[Lines], sizes: tuple[int, ...]) -> None:
    """Those before a line are passed over and counted; those where its end should be tear it off."""
    assert read_cells(data, range(1), 1000, sizes=sizes) == lines


broken = st.lists(
    st.sampled_from([b"\0", b"\0" * 5, b"\0" * 40, b"{", b"a", b"event:b", b"\n", b"\n", b"\r\n", b"{efghij" * 3]),
    max_size=25,
).map(b"".join)


@given(
    broken,
    st.integers(1, 12),
    st.integers(1, 30),
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
    st.lists(st.integers(0, 200), max_size=5),
)
def test_every_line_exactly_once_among_zero_bytes(
    data: bytes, cell_bytes: int, max_line_bytes: int, sizes: list[int], cuts: list[int]
) -> None:
    """However many readers share the file; and each byte of it is in a piece, or counted as zero."""
    cells = -(-len(data) // cell_bytes)
    borders = [0, *sorted(min(cut, cells) for cut in cuts), cells]
    blocks = []
    for start, stop in itertools.pairwise(borders):
        blocks += read_cells(data, range(start, stop), cell_bytes, max_line_bytes, tuple(sizes))
    assert blocks == read_cells(data, range(cells), cell_bytes, max_line_bytes)
    at = 0
    for block in blocks:
        assert data[at : at + block.nuls] == bytes(block.nuls)
        at += block.nuls
        assert (block.offset, data[at : at + len(block.data)]) == (at, block.data)
        at += max(len(block.data), block.overlong_bytes)
        if block.overlong_bytes:
            rest = data[at:]
            at += len(rest) - len(rest.removeprefix(b"\r").removeprefix(b"\n"))
    assert at == len(data)


@given(st.lists(st.tuples(st.integers(0, 50), st.sampled_from([b"{a}", b"event:b", b"", b"\r"])), max_size=20))
def test_zero_bytes_before_lines_change_no_line(lines: list[tuple[int, bytes]]) -> None:
    """The same lines come out as without them, and each knows where it stands."""
    plain = b"".join(line + b"\n" for _, line in lines)
    data = b"".join(bytes(nuls) + line + b"\n" for nuls, line in lines)
    found = one_by_one(read_cells(data, range(len(data)), 7))
    assert [line.data for line in found] == [line.data for line in one_by_one(read_cells(plain, range(999), 7))]
    assert all(data[line.offset : line.offset + len(line.data)] == line.data for line in found)


def test_a_hole_takes_no_memory() -> None:
    """40 MiB of zero bytes before a line are no long line, and are never held."""

    class Hole(io.RawIOBase):
        """So many zero bytes, then a line."""

        left = 40 * 1024 * 1024
        line = b"{a}\n"

        def read(self, size: int = -1, /) -> bytes:
            if self.left:
                count = min(size, self.left)
                self.left -= count
                return bytes(count)
            line, self.line = self.line, b""
            return line

    tracemalloc.start()
    reader = LineReader(FileStream(Hole(), "file"), 0, 1024 * 1024)  # type: ignore[arg-type]
    lines = list(read_lines(reader, cell_bytes=100_000, claim=lambda _cell: True, uri="file"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lines == [Lines(40 * 1024 * 1024, b"{a}\n", nuls=40 * 1024 * 1024)]
    assert peak < 1024 * 1024


def test_what_stands_before_the_damage_is_given_first() -> None:
    """All whole lines come; the beginning of the next is with the error."""

    class Torn:
        """Two reads, then damage."""

        uri = "file"
        parts = (b"{a}\n{b", b"}\n{c")

        def read(self, _size: int, /) -> bytes:
            if not self.parts:
                raise DamagedError("is damaged", "file", 7)
            part, self.parts = self.parts[0], self.parts[1:]  # type: ignore[assignment]
            return part

    pieces = read_lines(LineReader(Torn(), 0, NO_LIMIT), cell_bytes=100, claim=lambda _cell: True, uri="file")
    assert next(pieces) == Lines(0, b"{a}\n{b}\n")
    with pytest.raises(DamagedError) as caught:
        next(pieces)
    assert (caught.value.offset, caught.value.content_offset, caught.value.rest) == (7, 8, b"{c")
