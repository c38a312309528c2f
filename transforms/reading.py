"""Files into a pipeline: `ReadBlocks` finds them, tells what they are, and reads them in blocks.

What comes out are blocks of about 112 KiB and not lines, because Beam does the same work for an element of one line as
for one of hundreds. Plain text files are split, at launch and while they are read, at cell borders (`sources.lines`),
so that each line is read exactly once whatever a runner does; compressed files and Avro are read as a whole each.

Patterns are those of Beam's file systems: local paths, `gs://` and what else is installed; `*` stops at a slash, `**`
does not. Counters in the namespace `dovebeam.reading`: `files`, `blocks` and `bytes` (uncompressed).
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import apache_beam as beam
import msgspec
from apache_beam.coders import Coder, registry
from apache_beam.io.filesystem import BeamIOError, CompressionTypes, FileMetadata
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.metrics import Metrics
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.util import ReshufflePerKey

from dovebeam.transforms.codecs.limits import DEFAULT_MAX_LINE_BYTES
from dovebeam.transforms.errors import UnknownNameError
from dovebeam.transforms.sources import (
    DEFAULT_BLOCK_BYTES,
    INPUT_FORMATS,
    Block,
    ByteStream,
    FileStream,
    Format,
    FoundFile,
    InputFormat,
    LineReader,
    SourceError,
    SourceFile,
    absolute_pattern,
    check_readable,
    decompress,
    detect_compression,
    detect_format,
    format_advice,
    is_local,
    read_avro_blocks,
    read_lines,
    reader_from,
)
from dovebeam.transforms.sources.compression import MAGIC_BYTES
from dovebeam.transforms.sources.formats import HEAD_BYTES
from dovebeam.transforms.sources.streams import error_text

__all__ = ["DEFAULT_SHARD_BYTES", "FoundFile", "ReadAllBlocks", "ReadBlocks", "match_files"]

DEFAULT_SHARD_BYTES: Final = 64 * 1024 * 1024

_METRICS: Final = "dovebeam.reading"
_ASSUMED_RATIO: Final = 8  # of compressed logs; only a hint for runners about how much work a file is

_BLOCK_OVERHEAD_BYTES: Final = 32

_logger = logging.getLogger(__name__)


class _Settings(msgspec.Struct, frozen=True):
    """What the steps of a `ReadBlocks` must know, with its defaults."""

    input_format: InputFormat
    max_line_bytes: int
    block_bytes: int
    shard_bytes: int

    def __post_init__(self) -> None:
        if self.input_format not in INPUT_FORMATS:
            raise UnknownNameError("input format", str(self.input_format), INPUT_FORMATS)
        for name in ("max_line_bytes", "block_bytes", "shard_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is a number of bytes, at least 1; found {getattr(self, name)}")


class ReadBlocks(beam.PTransform):
    """Reads all files that match the patterns; give it to a pipeline.

    Every line or record of every file is in exactly one `Block`. A file that two patterns match is read once. On a
    runner with one worker, blocks come in the order of the files' names and of their content.

    The patterns are matched on the workers. At launch they are only tried, so that a pattern that matches nothing is
    an error at once. An empty file is no error. A file that says neither by its content nor by `input_format` what it
    holds is read as JSON lines, so that each of its lines becomes a reject with a reason. A line that is longer than
    `max_line_bytes` comes as a block of its own that holds only its head.

    Args:
        patterns: one pattern or several.
        input_format: of all files, or "auto" to tell each one's by its content. Compression is always told by content.
        max_line_bytes: the longest line, without its end, that is read whole.
        block_bytes: about the size of a block; files are split at its multiples only.
        shard_bytes: about the size of the parts into which large plain files are split at launch.
        check_patterns: whether to try the patterns at launch. Say no if the launching machine may not see the files.

    Raises:
        SourceError: at launch, if a pattern matches nothing or matches what cannot be read as a file. From a worker,
            where it fails the bundle, if a file vanished, shrank, is cut off, is damaged or cannot be read.
        UnknownNameError: for an input format that does not exist.
    """

    def __init__(
        self,
        patterns: str | Sequence[str],
        *,
        input_format: InputFormat = "auto",
        max_line_bytes: int = DEFAULT_MAX_LINE_BYTES,
        block_bytes: int = DEFAULT_BLOCK_BYTES,
        shard_bytes: int = DEFAULT_SHARD_BYTES,
        check_patterns: bool = True,
    ) -> None:
        super().__init__()
        self._patterns = [
            absolute_pattern(pattern) for pattern in ([patterns] if isinstance(patterns, str) else patterns)
        ]
        if not self._patterns:
            raise SourceError("no input: give at least one file or pattern")
        self._settings = _Settings(input_format, max_line_bytes, block_bytes, shard_bytes)
        self._check_patterns = check_patterns

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection[Block]:
        """Adds the steps; see the class."""
        if self._check_patterns:
            match_files(self._patterns, limit=1)
        # One element holds all patterns: what they match together is sorted and freed of duplicates at one place.
        patterns = pbegin | "Patterns" >> beam.Create([tuple(self._patterns)], reshuffle=False)
        blocks: beam.PCollection[Block] = patterns | "Match" >> beam.ParDo(_Match()) | _ReadFound(self._settings)
        return blocks


class ReadAllBlocks(beam.PTransform):
    """Like `ReadBlocks` for patterns that a pipeline itself finds out.

    Takes a collection of patterns, of `FileMetadata` (from `fileio.MatchFiles` or `MatchContinuously`) or of
    `ReadableFile` (from `fileio.ReadMatches`). Each element is read; nothing is done about duplicates.

    Args:
        input_format: see `ReadBlocks`, also for the following.
        max_line_bytes: see there.
        block_bytes: see there.
        shard_bytes: see there.
    """

    def __init__(
        self,
        *,
        input_format: InputFormat = "auto",
        max_line_bytes: int = DEFAULT_MAX_LINE_BYTES,
        block_bytes: int = DEFAULT_BLOCK_BYTES,
        shard_bytes: int = DEFAULT_SHARD_BYTES,
    ) -> None:
        super().__init__()
        self._settings = _Settings(input_format, max_line_bytes, block_bytes, shard_bytes)

    def expand(self, files: beam.PCollection[Any]) -> beam.PCollection[Block]:
        """Adds the steps; see the class."""
        blocks: beam.PCollection[Block] = files | "Match" >> beam.ParDo(_Match()) | _ReadFound(self._settings)
        return blocks


class _ReadFound(beam.PTransform):
    """From files that were found to their blocks."""

    def __init__(self, settings: _Settings) -> None:
        super().__init__("Files")
        self._settings = settings

    def expand(self, found: beam.PCollection[tuple[str, FoundFile]]) -> beam.PCollection[Block]:
        # Keys of our own, and not Beam's random ones, keep the order of the files where there is one worker.
        blocks: beam.PCollection[Block] = (
            found
            | "Spread" >> ReshufflePerKey()
            | "Inspect" >> beam.ParDo(_Inspect(self._settings))
            | "Read" >> beam.ParDo(_Read(self._settings))
        )
        return blocks


def match_files(patterns: Iterable[str], *, limit: int | None = None) -> list[FoundFile]:
    """All files that the patterns match, each once, in the order of their names.

    Args:
        patterns: globs or plain names, local or of any file system that Beam knows.
        limit: how many files of each pattern are enough.

    Raises:
        SourceError: naming all patterns that match nothing, or what keeps one from being matched or read.
    """
    found: dict[str, FoundFile] = {}
    unmatched = []
    for pattern in dict.fromkeys(map(absolute_pattern, patterns)):
        files = _match(pattern, limit)
        if not files:
            unmatched.append(pattern)
        for file in files:
            if is_local(file.path):
                check_readable(file.path)
            found[file.path] = FoundFile(file.path, file.size_in_bytes or 0)
    if unmatched:
        raise SourceError(
            f"no file matches {', '.join(unmatched)}; check the spelling ('*' stops at a slash, '**' does not) and "
            "whether this machine may see the files"
        )
    return [found[uri] for uri in sorted(found)]


def _match(pattern: str, limit: int | None) -> list[FileMetadata]:
    try:
        matched = FileSystems.match([pattern], [limit])[0].metadata_list
        files = [file for file in matched if not _is_folder(file)]
        if matched and not files and limit:
            return _match(pattern, None)
        if not matched and FileSystems.exists(pattern):  # a plain name with a bracket in it
            files = [FileSystems.get_filesystem(pattern).metadata(pattern)]
    except Exception as error:  # each file system has its own exceptions
        raise SourceError(f"cannot be matched: {_told(error)}", pattern) from error
    return files


def _is_folder(file: FileMetadata) -> bool:
    """Whether it is one of the empty objects that stand for folders in object stores."""
    return file.path.endswith("/") and not is_local(file.path)


def _told(error: Exception) -> str:
    """What a file system says, without what Beam wraps around it."""
    while isinstance(error, BeamIOError) and error.exception_details:
        error = next(iter(error.exception_details.values()))
    return error_text(error)


def _open(uri: str) -> FileStream:
    """The file as it is stored."""
    try:
        file = FileSystems.open(uri, compression_type=CompressionTypes.UNCOMPRESSED)
    except Exception as error:  # each file system has its own exceptions
        raise SourceError(f"cannot be opened: {_told(error)}", uri) from error
    return FileStream(file, uri)


class _Match(beam.DoFn):
    """A pattern, a tuple of patterns or what `fileio` found, to files with their names as keys."""

    def process(self, element: Any) -> Iterator[tuple[str, FoundFile]]:
        if isinstance(element, str | tuple):
            files = match_files([element] if isinstance(element, str) else element)
        else:
            metadata = element if isinstance(element, FileMetadata) else element.metadata
            # A ReadableFile made from a mere name has no size.
            files = [FoundFile(metadata.path, metadata.size_in_bytes or _size(metadata.path))]
        for file in files:
            yield file.uri, file


def _size(uri: str) -> int:
    return match_files([uri])[0].size


class _Inspect(beam.DoFn):
    """Reads the begin of a file to tell what it is; an empty one is passed over."""

    def __init__(self, settings: _Settings) -> None:
        self._settings = settings
        self._files = Metrics.counter(_METRICS, "files")

    def process(self, element: tuple[str, FoundFile]) -> Iterator[SourceFile]:
        file = element[1]
        self._files.inc()
        with _open(file.uri) as stream:
            compression = detect_compression(stream.read(MAGIC_BYTES))
            stream.seek(0)
            head = decompress(stream, compression).read(HEAD_BYTES)
        if head:
            yield SourceFile(file.uri, file.size, compression, self._format(file.uri, head))

    def _format(self, uri: str, head: bytes) -> Format:
        if self._settings.input_format != "auto":
            return self._settings.input_format
        detected, advice = detect_format(head), format_advice(head)
        if advice:
            _logger.warning("%s %s", uri, advice)
        elif detected is None:
            _logger.warning("%s begins neither as JSON nor as tab-text nor as Avro; it is read as JSON lines", uri)
        return detected or "json"


class _Read(beam.DoFn, RestrictionProvider):
    """Reads the cells of a file that the tracker grants; what cannot be split is one cell."""

    def __init__(self, settings: _Settings) -> None:
        super().__init__()
        self._settings = settings
        self._blocks = Metrics.counter(_METRICS, "blocks")
        self._bytes = Metrics.counter(_METRICS, "bytes")

    def initial_restriction(self, element: SourceFile) -> OffsetRange:
        """All cells of the file."""
        return OffsetRange(0, -(-element.size // self._settings.block_bytes) if element.splittable else 1)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        """Beam's own tracker: it splits between numbers of cells, which is what this module splits between."""
        return OffsetRestrictionTracker(restriction)

    def split(self, element: SourceFile, restriction: OffsetRange) -> Iterator[OffsetRange]:  # noqa: ARG002
        """The shards of a file at launch."""
        yield from restriction.split(max(1, self._settings.shard_bytes // self._settings.block_bytes))

    def restriction_size(self, element: SourceFile, restriction: OffsetRange) -> int:
        """How many bytes that is, which a runner takes for the amount of work."""
        if element.splittable:
            return int(restriction.size()) * self._settings.block_bytes
        return int(restriction.size()) * element.size * (1 if element.compression == "none" else _ASSUMED_RATIO)

    def process(self, element: SourceFile, tracker: Any = beam.DoFn.RestrictionParam()) -> Iterator[Block]:  # noqa: B008
        """The blocks of the cells that the tracker grants."""
        with _open(element.uri) as stream:
            if element.splittable:
                blocks = self._cells(stream, element, tracker)
            elif tracker.try_claim(0):
                blocks = self._whole(decompress(stream, element.compression), element)
            else:
                return
            for block in blocks:
                self._blocks.inc()
                self._bytes.inc(len(block.data))
                yield block

    def _cells(self, stream: FileStream, file: SourceFile, tracker: Any) -> Iterator[Block]:
        cell_bytes = self._settings.block_bytes
        restriction = tracker.current_restriction()
        stop = min(restriction.stop * cell_bytes, file.size)
        reader = reader_from(stream, restriction.start * cell_bytes, stop, self._settings.max_line_bytes)
        return self._blocks_of(reader, file, tracker.try_claim, file.size)

    def _whole(self, stream: ByteStream, file: SourceFile) -> Iterator[Block]:
        if file.format == "avro":
            return read_avro_blocks(stream)
        return self._blocks_of(LineReader(stream, 0, self._settings.max_line_bytes), file, lambda _cell: True, None)

    def _blocks_of(
        self, reader: LineReader, file: SourceFile, claim: Callable[[int], bool], size: int | None
    ) -> Iterator[Block]:
        cell_bytes = self._settings.block_bytes
        for lines in read_lines(reader, cell_bytes=cell_bytes, claim=claim, uri=file.uri, size=size):
            yield Block(file.uri, lines.offset, lines.data, file.format, lines.overlong_bytes)


class _BlockCoder(Coder):
    """MessagePack; sizes are estimated without encoding, because Beam asks for that of elements all the time."""

    def encode(self, value: Block) -> bytes:
        """The block as an array."""
        return msgspec.msgpack.encode(value)

    def decode(self, encoded: bytes) -> Block:
        """The block that was encoded."""
        return msgspec.msgpack.decode(encoded, type=Block)

    def estimate_size(self, value: Block) -> int:
        """About how many bytes `encode` returns."""
        return len(value.data) + len(value.uri) + _BLOCK_OVERHEAD_BYTES

    def is_deterministic(self) -> bool:
        """Equal blocks have equal bytes."""
        return True

    def to_type_hint(self) -> type[Block]:
        """What is encoded."""
        return Block

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BlockCoder)

    def __hash__(self) -> int:
        return hash(_BlockCoder)


registry.register_coder(Block, _BlockCoder)
