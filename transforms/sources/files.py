"""Files before they are read, and what can be said of a local path without reading it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from dovebeam.transforms.local_files import is_url
from dovebeam.transforms.sources.avro_files import AvroContainer, Gap, read_avro_blocks, salvaged
from dovebeam.transforms.sources.avro_reading import lost_blocks, pieces_of
from dovebeam.transforms.sources.block import DEFAULT_BLOCK_BYTES, HEAD_BYTES, Block, Format, InputFormat, detect_format
from dovebeam.transforms.sources.compression import (
    MAGIC_BYTES,
    Compression,
    decompress,
    detect_compression,
    foreign_packing,
)
from dovebeam.transforms.sources.lines import LineReader, block_of, block_of_damage, read_lines
from dovebeam.transforms.sources.streams import (
    NULS,
    ByteStream,
    DamagedError,
    FileStream,
    SourceError,
    end_of_nuls,
    error_text,
)

__all__ = [
    "Expected",
    "FoundFile",
    "SourceFile",
    "absolute_pattern",
    "check_readable",
    "distinct_files",
    "found_file",
    "inspect",
    "printable_path",
    "read_local_blocks",
    "read_verified_blocks",
]


class Expected(msgspec.Struct, frozen=True):
    """What a manifest says of a file.

    Attributes:
        bytes: its size.
        sha256: of its bytes, in hex.
        events: how many it holds.
    """

    bytes: int
    sha256: str
    events: int


# Files before they are read, and what can be said of a local path without reading it.

# As the layers above name and write them.
_ARCHIVE_PREFIX: Final = "archive-"
_MANIFEST_SUFFIX: Final = ".manifest.json"
_MANIFEST_START_BYTES: Final = 1_024


class FoundFile(msgspec.Struct, frozen=True):
    """A file that a pattern matched.

    Attributes:
        uri: its path or URL as a text, by which it is called in rejects and keys; bytes that are not UTF-8 are in
            hexadecimal.
        size: in bytes, as it is stored, at the time of matching.
        path: its local path if that is another than `uri`; else empty.
        expected: what it must be; None if that is not known.
    """

    uri: str
    size: int
    path: bytes = b""
    expected: Expected | None = None

    @property
    def location(self) -> str:
        """What it is opened by."""
        return os.fsdecode(self.path) or self.uri


class SourceFile(msgspec.Struct, frozen=True):
    """A file and what it holds, told by its first bytes.

    Attributes:
        uri: its path or URL.
        size: in bytes, as it is stored.
        compression: of the file.
        format: of its uncompressed content.
        path: see `FoundFile`.
        damage: empty, or why nothing of it can be read.
        expected: see `FoundFile`.
    """

    uri: str
    size: int
    compression: Compression
    format: Format
    path: bytes = b""
    damage: str = ""
    expected: Expected | None = None

    @property
    def splittable(self) -> bool:
        """Whether parts of the file can be read without what stands before them."""
        return self.compression == "none" and self.format != "avro" and not self.damage

    @property
    def location(self) -> str:
        """What it is opened by."""
        return os.fsdecode(self.path) or self.uri


def printable_path(path: str) -> str:
    """The path as proper text, with a backslash escape for each byte that is not UTF-8."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def absolute_pattern(pattern: str) -> str:
    """The pattern without what depends on the folder that one is in; Beam's globs need that, and so do workers.

    A path with `..` in it is left as it is otherwise, for it may lead through a symbolic link.
    """
    if is_url(pattern):
        return pattern
    path = os.path.join(os.getcwd(), pattern)
    return path if ".." in path.split(os.sep) else os.path.normpath(path) + os.sep * path.endswith(os.sep)


def found_file(location: str, size: int, name: str = "") -> FoundFile:
    """A file that is opened by `location` and called by that, too, or by `name`."""
    uri = name or printable_path(location)
    return FoundFile(uri, size) if uri == location else FoundFile(uri, size, os.fsencode(location))


def distinct_files(paths: Iterable[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Local files without those that are the same ones again, by a link or another spelling.

    Returns:
        The files that are left, in their order; of several names of one file that which is no link, or else the first.
        And pairs of a name that was left out and the one that stands for it.
    """
    names: dict[tuple[int, int], list[str]] = {}
    for path in dict.fromkeys(paths):
        with contextlib.suppress(OSError):  # whoever reads it finds out
            status = os.stat(path)
            names.setdefault((status.st_dev, status.st_ino), []).append(path)
    instead: dict[str, str] = {}
    for same in names.values():
        kept = min(same, key=lambda path: os.path.realpath(path) != path) if len(same) > 1 else same[0]
        instead.update((path, kept) for path in same if path != kept)
    return [path for path in dict.fromkeys(paths) if path not in instead], list(instead.items())


def check_readable(path: str) -> None:
    """Says of a local path what would otherwise look like an empty file or fail only later.

    Raises:
        SourceError: unless it is a regular file, or a link to one, that may be read.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", path) from error
    if stat.S_ISDIR(mode):
        raise SourceError(_about_directory(path), path)
    if not stat.S_ISREG(mode):
        raise SourceError("is no regular file; write what it delivers to a file first", path)
    if not os.access(path, os.R_OK):
        raise SourceError("cannot be read: permission denied", path)
    if path.endswith(_MANIFEST_SUFFIX) and _is_manifest(path):
        folder = os.path.dirname(path) or "."
        raise SourceError(
            "is the manifest of an archive and holds no events; name the directory of the archive instead, as in "
            f"dovebeam replay --input {folder}, or only its files of events, as in --input '{folder}/**/*.avro'",
            path,
        )


def _about_directory(path: str) -> str:
    """What to write instead of a directory."""
    with contextlib.suppress(OSError):
        if any(name.startswith(_ARCHIVE_PREFIX) and name.endswith(_MANIFEST_SUFFIX) for name in os.listdir(path)):
            return (
                f"is a directory, an archive of dovebeam; send it with dovebeam replay --input {path}, or name its "
                f"files, as in --input '{path.rstrip('/')}/**/*.avro'"
            )
    return "is a directory; to read the files in it, write a pattern like '/*' behind it"


def _is_manifest(path: str) -> bool:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        start = file.read(_MANIFEST_START_BYTES)
        return b'"run_id"' in start and b'"state"' in start
    return False


# A file of this machine as blocks, read from front to back; for commands that need no pipeline.


def read_local_blocks(path: str, input_format: InputFormat, max_line_bytes: int, name: str = "") -> Iterator[Block]:
    """The blocks of a file; its compression is told by its content.

    Args:
        path: a regular file, or a link to one.
        input_format: "auto" to tell by content; what looks like nothing known is read as JSON lines.
        max_line_bytes: of longer lines only the head is kept.
        name: what the file is called, if not by its path.

    A damaged file ends with a block that says so; zero bytes are passed over.

    Raises:
        SourceError: it cannot be read.
    """
    check_readable(path)
    file = found_file(path, 0, name)
    format_: Format = "json" if input_format == "auto" else input_format
    try:
        with _open(path, file.uri) as stream:
            compression, head = inspect(stream)
            if input_format == "auto":
                format_ = detect_format(head) or "json"
            stream.seek(0)
            content = decompress(stream, compression)
            if format_ == "avro":
                yield from read_avro_blocks(content)
                return
            reader = LineReader(content, 0, max_line_bytes)
            for lines in read_lines(reader, cell_bytes=DEFAULT_BLOCK_BYTES, claim=lambda _cell: True, uri=stream.uri):
                yield block_of(lines, stream.uri, format_, only_format=input_format != "auto")
    except DamagedError as error:
        yield block_of_damage(error, file.uri, format_)


def inspect(stream: FileStream) -> tuple[Compression, bytes]:
    """How a file is compressed, and the first bytes of its content that are not zero, `HEAD_BYTES` of them at most.

    Raises:
        DamagedError: it is packed in a way that is not read, or nothing of it can be unpacked.
        SourceError: it cannot be read.
    """
    magic = stream.read(MAGIC_BYTES)
    advice = foreign_packing(magic)
    if advice:
        raise DamagedError(advice, stream.uri)
    compression = detect_compression(magic)
    stream.seek(0)
    content = decompress(stream, compression)
    head = b""
    with contextlib.suppress(DamagedError):  # whoever reads the file comes to the same place
        while len(head) < HEAD_BYTES and (data := content.read(HEAD_BYTES)):
            head += NULS.sub(b"\n", data) if head else data[end_of_nuls(data, 0) :]
    return compression, head[:HEAD_BYTES]


def _open(path: str, uri: str) -> FileStream:
    try:
        return FileStream(open(path, "rb"), uri)
    except OSError as error:
        raise SourceError(f"cannot be opened: {error_text(error)}", path) from error


# A file of an archive, read against what its manifest says: nothing that differs passes for the whole file.
#
# The checksum is taken before the first block is given, since a file that is not the right one may well be readable:
# most codecs have no checksums of their own, and a changed bit may only change an event. Of a file that differs, what
# stands in blocks that can be read is given, and blocks that say how many events are lost (`Block.damage`), as many
# together as the manifest counts.

_READ_BYTES: Final = 1024 * 1024


class _Hashed:
    """A stream that takes the checksum of what is read."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._size = 0
        self.uri = stream.uri

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._digest.update(data)
        self._size += len(data)
        return data

    def is_whole(self, expected: Expected) -> bool:
        """Whether what was read, to the end of the file, is the expected file."""
        return self._size == expected.bytes and self._digest.hexdigest() == expected.sha256


def read_verified_blocks(open_file: Callable[[], FileStream], uri: str, expected: Expected) -> Iterator[Block]:
    """The blocks of an Avro file, and blocks with `damage` for each event that cannot be read or trusted.

    Records of all blocks, those that are lost among them, are as many as the manifest counts. A file that is not the
    expected one has at least one block with `damage`, which may stand for no event.

    Args:
        open_file: opens it at its start.
        uri: what it is called.
        expected: of its manifest.

    Raises:
        SourceError: it cannot be read, was changed while it was, or the manifest contradicts itself.
    """
    try:
        with open_file() as stream:
            hashed = _Hashed(stream)
            while hashed.read(_READ_BYTES):
                pass
    except DamagedError as error:
        yield from _lost(Gap(uri, 0, error.message, expected.events), expected.events)
        return
    if hashed.is_whole(expected):
        yield from _whole(open_file, uri, expected)
    else:
        yield from _damaged(open_file, uri, expected)


def _whole(open_file: Callable[[], FileStream], uri: str, expected: Expected) -> Iterator[Block]:
    events = 0
    with open_file() as stream:
        hashed = _Hashed(stream)
        container = AvroContainer(hashed)
        for frame in container.frames():
            events += frame.records
            yield from pieces_of(container.block(frame))
    if not hashed.is_whole(expected):
        raise SourceError("was changed while it was read; run again once nothing writes to the archive", uri)
    if events != expected.events:
        raise SourceError(f"holds {events} events, and its manifest counts {expected.events}; archive them again", uri)


def _damaged(open_file: Callable[[], FileStream], uri: str, expected: Expected) -> Iterator[Block]:
    """In two passes, since only the whole file tells what can be trusted."""
    good = gaps = 0
    for part in _parts(open_file, uri):
        if isinstance(part, Gap):
            gaps += 1
        else:
            good += part.records
    if not gaps or good > expected.events:
        yield from _lost(_foreign(uri, good, expected), expected.events)
        return
    left, gap = expected.events - good, None
    for part in _parts(open_file, uri):
        if not isinstance(part, Gap):
            yield part
            continue
        gap = part
        lost = min(gap.events, left)
        left -= lost
        yield from _lost(gap, lost)
    if left and gap is not None:
        yield from _lost(gap._replace(data=b""), left)


def _parts(open_file: Callable[[], FileStream], uri: str) -> Iterator[Block | Gap]:
    with open_file() as stream:
        yield from salvaged(stream, uri)


def _foreign(uri: str, events: int, expected: Expected) -> Gap:
    why = (
        f"the file is not the one of its manifest, which counts {expected.events} events: its SHA-256 differs, and all "
        f"of its blocks can be read ({events} events), so nothing tells which events are others; none of them is sent"
    )
    return Gap(uri, 0, why, expected.events)


def _lost(gap: Gap, events: int) -> Iterator[Block]:
    """So many events; at least one block, by which the damage is known."""
    block = Block(gap.uri, gap.offset, gap.data, "avro", damage=gap.why)
    yield from lost_blocks(block, events)
