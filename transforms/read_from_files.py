"""`ReadFromFiles` and `ReadAllFromFiles`: read files of events in blocks that runners can split.

A file is divided into cells of `block_bytes`. A plain file of lines has many, so several workers read it; whatever is
compressed, and Avro, is one cell. The cells of a file are the restriction of a splittable DoFn.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import apache_beam as beam
import msgspec
from apache_beam.io.fileio import ReadableFile
from apache_beam.io.filesystem import FileMetadata
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.metrics import Metrics
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.util import ReshufflePerKey

import dovebeam.transforms.coders  # noqa: F401  registers them
from dovebeam.transforms import counters
from dovebeam.transforms.codecs.lines import DEFAULT_MAX_LINE_BYTES
from dovebeam.transforms.errors import UnknownNameError
from dovebeam.transforms.filesystems import MatchFn, match_files, open_file
from dovebeam.transforms.sources import (
    DEFAULT_BLOCK_BYTES,
    INPUT_FORMATS,
    Block,
    ByteStream,
    DamagedError,
    Expected,
    FileStream,
    Format,
    FoundFile,
    InputFormat,
    LineReader,
    SourceError,
    SourceFile,
    absolute_pattern,
    block_of,
    block_of_damage,
    decompress,
    detect_format,
    format_advice,
    inspect,
    printable_path,
    read_avro_blocks,
    read_lines,
    read_verified_blocks,
    reader_from,
)

__all__ = ["ReadAllFromFiles", "ReadFn", "ReadFromFiles", "Settings"]

DEFAULT_SHARD_BYTES: Final = 64 * 1024 * 1024

_METRICS: Final = "dovebeam.reading"
# Of compressed logs; only a hint for runners about how much work a file is.
_ASSUMED_RATIO: Final = 8

_logger = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True):
    """Settings of all steps of a `ReadFromFiles`."""

    input_format: InputFormat
    max_line_bytes: int
    block_bytes: int
    shard_bytes: int

    def display_items(self) -> dict[str, str | int]:
        """The settings for a runner's user interface, by their names."""
        return {name: getattr(self, name) for name in self.__struct_fields__}

    def __post_init__(self) -> None:
        if self.input_format not in INPUT_FORMATS:
            raise UnknownNameError("input format", str(self.input_format), INPUT_FORMATS)
        for name in ("max_line_bytes", "block_bytes", "shard_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is a number of bytes, at least 1; found {getattr(self, name)}")


class InspectFn(beam.DoFn):
    """Detects compression and format of a file by its head; an empty file gives nothing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._files = Metrics.counter(_METRICS, "files")

    def process(self, element: tuple[str, FoundFile]) -> Iterator[SourceFile]:
        """The file with its compression and format."""
        file = element[1]
        self._files.inc()
        # An archive's manifest says what its files are; `ReadFn` checks that they still are.
        if file.expected is not None:
            yield SourceFile(file.uri, file.size, "none", "avro", file.path, expected=file.expected)
            return
        try:
            with open_file(file.uri, file.location) as stream:
                compression, head = inspect(stream)
        # Given on to `ReadFn`, which makes the reject and counts it, as for damage that it finds itself.
        except DamagedError as error:
            format_ = "json" if self._settings.input_format == "auto" else self._settings.input_format
            yield SourceFile(file.uri, file.size, "none", format_, file.path, damage=error.message)
            return
        # A compressed file may have no content at its head; whether it is empty or damaged shows when it is read.
        if head or file.size:
            yield SourceFile(file.uri, file.size, compression, self._format(file.uri, head), file.path)

    def _format(self, uri: str, head: bytes) -> Format:
        if self._settings.input_format != "auto":
            return self._settings.input_format
        detected, advice = detect_format(head), format_advice(head)
        if advice:
            _logger.warning("%s %s", uri, advice)
        elif detected is None and head:
            _logger.warning("%s begins neither as JSON nor as tab-text nor as Avro; it is read as JSON lines", uri)
        return detected or "json"


class ReadFn(beam.DoFn, RestrictionProvider):
    """Reads those cells of a file that the tracker grants; a file that cannot be split is one cell."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._blocks = Metrics.counter(_METRICS, "blocks")
        self._bytes = Metrics.counter(_METRICS, "bytes")

    def initial_restriction(self, element: SourceFile) -> OffsetRange:
        """All cells of the file."""
        return OffsetRange(0, -(-element.size // self._settings.block_bytes) if element.splittable else 1)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        """Beam's own tracker, whose offsets are numbers of cells here."""
        return OffsetRestrictionTracker(restriction)

    def split(self, element: SourceFile, restriction: OffsetRange) -> Iterator[OffsetRange]:  # noqa: ARG002
        """The shards into which a file is split at launch."""
        yield from restriction.split(max(1, self._settings.shard_bytes // self._settings.block_bytes))

    def restriction_size(self, element: SourceFile, restriction: OffsetRange) -> int:
        """Size in bytes, which a runner takes for the amount of work."""
        if element.splittable:
            return int(restriction.size()) * self._settings.block_bytes
        return int(restriction.size()) * element.size * (1 if element.compression == "none" else _ASSUMED_RATIO)

    def process(self, element: SourceFile, tracker: Any = beam.DoFn.RestrictionParam()) -> Iterator[Block]:  # noqa: B008
        """The blocks of the cells that the tracker grants."""
        told = False
        for block in self._read(element, tracker):
            self._blocks.inc()
            self._bytes.inc(len(block.data))
            # Once a file, since a disk that was torn may have thousands of such places.
            if block.nuls and not told:
                told = True
                _logger.warning(
                    "%s: %d NUL bytes before byte %d are skipped; if there are more, they are only counted",
                    *(block.uri, block.nuls, block.offset),
                )
            yield block

    def _read(self, file: SourceFile, tracker: Any) -> Iterator[Block]:
        try:
            if file.damage:
                if tracker.try_claim(0):
                    raise DamagedError(file.damage, file.uri)
                return
            if file.expected is not None:
                if tracker.try_claim(0):
                    yield from self._verified(file, file.expected)
                return
            with open_file(file.uri, file.location) as stream:
                if file.splittable:
                    yield from self._cells(stream, file, tracker)
                elif tracker.try_claim(0):
                    yield from self._whole(decompress(stream, file.compression), file)
        except DamagedError as error:
            counters.add("damaged", 1, file.uri)
            _logger.warning("%s; its rest is one reject", error)
            yield block_of_damage(error, file.uri, file.format)
            # Beam fails a bundle whose restriction is neither done nor given back.
            tracker.try_claim(tracker.current_restriction().stop)

    def _verified(self, file: SourceFile, expected: Expected) -> Iterator[Block]:
        told = False
        for block in read_verified_blocks(lambda: open_file(file.uri, file.location), file.uri, expected):
            if block.damage and not told:
                told = True
                counters.add("damaged", 1, file.uri)
                _logger.warning("%s: %s", file.uri, block.damage)
            yield block

    def _cells(self, stream: FileStream, file: SourceFile, tracker: Any) -> Iterator[Block]:
        cell_bytes = self._settings.block_bytes
        restriction = tracker.current_restriction()
        # The size at launch is the end, also if the file grows meanwhile: what came later belongs to the next run.
        stop = min(restriction.stop * cell_bytes, file.size)
        reader = reader_from(stream, restriction.start * cell_bytes, stop, self._settings.max_line_bytes)
        return self._blocks_of(reader, file, tracker.try_claim, file.size)

    def _whole(self, stream: ByteStream, file: SourceFile) -> Iterator[Block]:
        if file.format == "avro":
            return read_avro_blocks(stream)
        # The one cell was claimed before, and the size is that of the compressed file, which says nothing of the end.
        return self._blocks_of(LineReader(stream, 0, self._settings.max_line_bytes), file, lambda _cell: True, None)

    def _blocks_of(
        self, reader: LineReader, file: SourceFile, claim: Callable[[int], bool], size: int | None
    ) -> Iterator[Block]:
        cell_bytes = self._settings.block_bytes
        for lines in read_lines(reader, cell_bytes=cell_bytes, claim=claim, uri=file.uri, size=size):
            yield block_of(lines, file.uri, file.format, only_format=self._settings.input_format != "auto")


class ReadFromFiles(beam.PTransform):
    """Reads all files that match the patterns; applied to a pipeline.

    Every line or record of every file is in exactly one `Block`. A file that is found by several patterns, spellings or
    links is read once. On a runner with one worker, blocks come in the order of the files' names and of their content.

    The patterns are matched on the workers. At launch they are only tried, so that a pattern that matches nothing is
    an error at once. An empty file is not an error. A file whose format is neither detected nor given by
    `input_format` is read as JSON lines, so that each of its lines becomes a reject with a reason. A line that is
    longer than `max_line_bytes` is in a block of its own, which contains only the start of the line.

    If a file is cut off or damaged, or shrinks or disappears while it is read, its last block says so (`Block.damage`)
    and becomes a reject. Everything before the damage is read as usual. NUL bytes before a line are skipped and
    counted (`Block.nuls`).

    Args:
        patterns: one pattern or several.
        input_format: format of all files, or "auto" to detect it for each file. Compression is always detected.
        max_line_bytes: length of the longest line, without its line break, that is read whole.
        block_bytes: about the size of a block; files are split at its multiples only.
        shard_bytes: about the size of the parts into which large plain files are split at launch.
        check_patterns: whether to try the patterns at launch. False if the launching machine cannot see the files.
        names: names of local files in rejects and keys, by their paths, where they differ.
        expected: entries of manifests for files of archives, by path or URL. Events that such a file lacks, or that
            cannot be trusted, are in blocks with `damage`; so all blocks together have as many events as the manifest.

    Raises:
        SourceError: at launch, if a pattern matches nothing or matches what cannot be read as a file. From a worker,
            where it fails the bundle, if the system does not let a file be read.
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
        names: Mapping[str, str] | None = None,
        expected: Mapping[str, Expected] | None = None,
    ) -> None:
        super().__init__()
        self._patterns = [
            absolute_pattern(pattern) for pattern in ([patterns] if isinstance(patterns, str) else patterns)
        ]
        if not self._patterns:
            raise SourceError("no input: give at least one file or pattern")
        self._settings = Settings(input_format, max_line_bytes, block_bytes, shard_bytes)
        self._check_patterns = check_patterns
        self._names = dict(names or {})
        self._expected = dict(expected or {})

    def display_data(self) -> dict[str, Any]:
        """The patterns and the format, for a runner's user interface."""
        return {"patterns": printable_path(", ".join(self._patterns)), **self._settings.display_items()}

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection[Block]:
        """Adds the steps; see the class.

        Raises:
            TypeError: it was given to elements, not to a pipeline.
        """
        if not isinstance(pbegin, beam.pvalue.PBegin):
            raise TypeError(
                "ReadFromFiles is applied to a pipeline, not to a PCollection; ReadAllFromFiles takes patterns"
            )
        # One object of each is enough at launch: listing a bucket may take minutes, and the workers do it anyway.
        if self._check_patterns:
            match_files(self._patterns, limit=1)
        # One element holds all patterns, so that all files are sorted and freed of duplicates in one place.
        # As bytes, since a local path need not be UTF-8.
        encoded = tuple(pattern.encode("utf-8", "surrogateescape") for pattern in self._patterns)
        patterns = pbegin | "Patterns" >> beam.Create([encoded], reshuffle=False)
        found = patterns | "Match" >> beam.ParDo(MatchFn(self._names, self._expected))
        blocks: beam.PCollection[Block] = found | _ReadFound(self._settings)
        return blocks


class ReadAllFromFiles(beam.PTransform):
    """Like `ReadFromFiles`, for patterns or files that are elements of a pipeline.

    Takes a collection of patterns, of `FileMetadata` (from `fileio.MatchFiles` or `MatchContinuously`) or of
    `ReadableFile` (from `fileio.ReadMatches`). Each element is read; duplicates are not removed.

    Args:
        input_format: see `ReadFromFiles`.
        max_line_bytes: see `ReadFromFiles`.
        block_bytes: see `ReadFromFiles`.
        shard_bytes: see `ReadFromFiles`.
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
        self._settings = Settings(input_format, max_line_bytes, block_bytes, shard_bytes)

    def display_data(self) -> dict[str, Any]:
        """The format, for a runner's user interface."""
        return self._settings.display_items()

    def expand(self, files: beam.PCollection[str | FileMetadata | ReadableFile]) -> beam.PCollection[Block]:
        """Adds the steps; see the class."""
        blocks: beam.PCollection[Block] = files | "Match" >> beam.ParDo(MatchFn()) | _ReadFound(self._settings)
        return blocks


class _ReadFound(beam.PTransform):
    """Steps from found files to their blocks."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("Files")
        self._settings = settings

    def expand(self, found: beam.PCollection[tuple[str, FoundFile]]) -> beam.PCollection[Block]:
        # Keys of our own, and not Beam's random ones, keep the order of the files where there is one worker.
        blocks: beam.PCollection[Block] = (
            found
            | "Spread" >> ReshufflePerKey()
            | "Inspect" >> beam.ParDo(InspectFn(self._settings))
            | "Read" >> beam.ParDo(ReadFn(self._settings))
        )
        return blocks
