"""Files of the input: found, checked before the job, inspected, and read to blocks without a pipeline or verified."""

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
    """Entry of a manifest for a file of an archive.

    Attributes:
        bytes: its size.
        sha256: of its bytes, in hex.
        events: number of events in it.
    """

    bytes: int
    sha256: str
    events: int


# The names of manifests, as the layers above write them; repeated here, because a lower layer cannot import them.
_ARCHIVE_PREFIX: Final = "archive-"
_MANIFEST_SUFFIX: Final = ".manifest.json"
_MANIFEST_START_BYTES: Final = 1_024


class FoundFile(msgspec.Struct, frozen=True):
    """A file that a pattern matched.

    Attributes:
        uri: its path or URL as text, as in rejects and keys; bytes that are not UTF-8 are in hexadecimal.
        size: stored size in bytes, at the time of matching.
        path: its local path if it differs from `uri`; else empty.
        expected: its entry in a manifest; None if it has none.
    """

    uri: str
    size: int
    path: bytes = b""
    expected: Expected | None = None

    @property
    def location(self) -> str:
        """Path or URL to open it by."""
        return os.fsdecode(self.path) or self.uri


class SourceFile(msgspec.Struct, frozen=True):
    """A file with its compression and format, which are detected by its first bytes.

    Attributes:
        uri: its path or URL.
        size: in bytes, as it is stored.
        compression: of the file.
        format: of its uncompressed content.
        path: see `FoundFile`.
        damage: why nothing of it can be read; empty if it can be.
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
        """Path or URL to open it by."""
        return os.fsdecode(self.path) or self.uri


def printable_path(path: str) -> str:
    """The path as valid Unicode text, with a backslash escape for each byte that is not UTF-8."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def absolute_pattern(pattern: str) -> str:
    """The pattern as an absolute one; Beam's globs need that, and so do workers with another working directory."""
    if is_url(pattern):
        return pattern
    path = os.path.join(os.getcwd(), pattern)
    # Behind a symbolic link `..` is not the directory before it, so a path with it is not normalised. A slash at the
    # end stays, since it asks for a directory.
    return path if ".." in path.split(os.sep) else os.path.normpath(path) + os.sep * path.endswith(os.sep)


def found_file(location: str, size: int, name: str = "") -> FoundFile:
    """A file that is opened by `location` and is named `name`, or else as its location."""
    uri = name or printable_path(location)
    return FoundFile(uri, size) if uri == location else FoundFile(uri, size, os.fsencode(location))


def distinct_files(paths: Iterable[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Local files without duplicates, which are links or other spellings of the same file.

    Returns:
        The remaining files, in their order; of several names of one file the one that is not a link, or else the first.
        And pairs of a name that was left out and the one that is kept for it.
    """
    names: dict[tuple[int, int], list[str]] = {}
    for path in dict.fromkeys(paths):
        with contextlib.suppress(OSError):  # reading it raises the error, with advice
            status = os.stat(path)
            names.setdefault((status.st_dev, status.st_ino), []).append(path)
    instead: dict[str, str] = {}
    for same in names.values():
        kept = min(same, key=lambda path: os.path.realpath(path) != path) if len(same) > 1 else same[0]
        instead.update((path, kept) for path in same if path != kept)
    return [path for path in dict.fromkeys(paths) if path not in instead], list(instead.items())


def check_readable(path: str) -> None:
    """Checks before the job that a local path can be read.

    Raises:
        SourceError: it is not a regular file, or a link to one, may not be read, or is the manifest of an archive.
    """
    # Beam's file system would take some of these for empty files, and fail on others only in a worker.
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", path) from error
    if stat.S_ISDIR(mode):
        raise SourceError(_about_directory(path), path)
    if not stat.S_ISREG(mode):
        raise SourceError("is not a regular file; write its output to a file first", path)
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
    """Advice about a directory that was given as a file."""
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


# Local files as blocks, read from front to back, for commands that need no pipeline.


def read_local_blocks(path: str, input_format: InputFormat, max_line_bytes: int, name: str = "") -> Iterator[Block]:
    """The blocks of a file; its compression is detected.

    A damaged file ends with a block that has the damage; zero bytes between lines are skipped.

    Args:
        path: a regular file, or a link to one.
        input_format: "auto" to detect it; unknown formats are read as JSON lines.
        max_line_bytes: of longer lines only the head is kept.
        name: of the file in its blocks, if it is not its path.

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
    """The compression of a file, and up to `HEAD_BYTES` of its content, without zero bytes at the start.

    Raises:
        DamagedError: its compression is not supported, or nothing of it can be decompressed.
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
    # Damage is not raised here: reading the file comes to the same place and reports it after the events before. A hole
    # of zero bytes may be larger than the head, and must not hide the format of what follows.
    with contextlib.suppress(DamagedError):
        while len(head) < HEAD_BYTES and (data := content.read(HEAD_BYTES)):
            head += NULS.sub(b"\n", data) if head else data[end_of_nuls(data, 0) :]
    return compression, head[:HEAD_BYTES]


def _open(path: str, uri: str) -> FileStream:
    try:
        return FileStream(open(path, "rb"), uri)
    except OSError as error:
        raise SourceError(f"cannot be opened: {error_text(error)}", path) from error


# Files of an archive, verified by their manifest.
#
# The checksum is compared before the first block is returned, since a changed file may still be readable: most codecs
# have no checksums, and a changed bit may only change an event. Of a file that differs, the readable blocks are
# returned, and blocks with `damage` for the lost events, as many together as the manifest counts.

_READ_BYTES: Final = 1024 * 1024


class _Hashed:
    """Stream that computes the checksum of the bytes that are read."""

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
        """Whether the bytes read are those of the expected file; the stream must be at its end."""
        return self._size == expected.bytes and self._digest.hexdigest() == expected.sha256


def read_verified_blocks(open_file: Callable[[], FileStream], uri: str, expected: Expected) -> Iterator[Block]:
    """The blocks of an Avro file, and blocks with `damage` for each event that cannot be read or trusted.

    The records of all blocks, with the lost ones, are as many as the manifest counts. A file that differs from its
    manifest has at least one block with `damage`, which may stand for no event.

    Args:
        open_file: opens the file at its start.
        uri: of the file.
        expected: its entry in the manifest.

    Raises:
        SourceError: it cannot be read, was changed while it was read, or the manifest contradicts itself.
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
    # Hashed a second time, because the file may have been changed between the two passes.
    if not hashed.is_whole(expected):
        raise SourceError("was changed while it was read; run again once nothing writes to the archive", uri)
    if events != expected.events:
        raise SourceError(f"holds {events} events, and its manifest counts {expected.events}; archive them again", uri)


def _damaged(open_file: Callable[[], FileStream], uri: str, expected: Expected) -> Iterator[Block]:
    """The readable blocks of a file that differs, and blocks with `damage`."""
    # Two passes: whether the readable blocks can be trusted is known only when all of them were counted.
    good = gaps = 0
    for part in _parts(open_file, uri):
        if isinstance(part, Gap):
            gaps += 1
        else:
            good += part.records
    # All blocks can be read, or hold too many events: then the change is within them, and no event can be trusted.
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
        f"the file differs from its manifest, which counts {expected.events} events: its SHA-256 is another, but all "
        f"blocks can be read ({events} events), so the changed events cannot be told apart; none of them is sent"
    )
    return Gap(uri, 0, why, expected.events)


def _lost(gap: Gap, events: int) -> Iterator[Block]:
    """Blocks with `damage` for this number of lost events; at least one, so that the damage is reported."""
    block = Block(gap.uri, gap.offset, gap.data, "avro", damage=gap.why)
    yield from lost_blocks(block, events)
