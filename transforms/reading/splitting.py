"""A file that was found is looked at, and read in cells between which a runner can split it."""

import logging
from collections.abc import Callable, Iterator
from typing import Any, Final

import apache_beam as beam
import msgspec
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.metrics import Metrics
from apache_beam.transforms.core import RestrictionProvider

from dovebeam.transforms import counters
from dovebeam.transforms.errors import UnknownNameError
from dovebeam.transforms.filesystems import open_file
from dovebeam.transforms.sources import (
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
    SourceFile,
    block_of,
    block_of_damage,
    decompress,
    detect_format,
    format_advice,
    inspect,
    read_avro_blocks,
    read_lines,
    read_verified_blocks,
    reader_from,
)

__all__ = ["InspectFn", "ReadFn", "Settings"]

_METRICS: Final = "dovebeam.reading"
_ASSUMED_RATIO: Final = 8  # of compressed logs; only a hint for runners about how much work a file is

_logger = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True):
    """What the steps of a `ReadFromFiles` must know, with its defaults."""

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
    """Reads the begin of a file to tell what it is; an empty one is passed over."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._files = Metrics.counter(_METRICS, "files")

    def process(self, element: tuple[str, FoundFile]) -> Iterator[SourceFile]:
        """The file with its compression and format."""
        file = element[1]
        self._files.inc()
        if file.expected is not None:
            yield SourceFile(file.uri, file.size, "none", "avro", file.path, expected=file.expected)
            return
        try:
            with open_file(file.uri, file.location) as stream:
                compression, head = inspect(stream)
        except DamagedError as error:
            format_ = "json" if self._settings.input_format == "auto" else self._settings.input_format
            yield SourceFile(file.uri, file.size, "none", format_, file.path, damage=error.message)
            return
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
    """Reads the cells of a file that the tracker grants; what cannot be split is one cell."""

    def __init__(self, settings: Settings) -> None:
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
        told = False
        for block in self._read(element, tracker):
            self._blocks.inc()
            self._bytes.inc(len(block.data))
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
            tracker.try_claim(tracker.current_restriction().stop)  # nothing is left of the share

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
            yield block_of(lines, file.uri, file.format, only_format=self._settings.input_format != "auto")
