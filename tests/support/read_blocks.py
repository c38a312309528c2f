"""What `ReadFromFiles` reads, as lines with their places and as the blocks of a pipeline."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker

from dovebeam.transforms.codecs import AVRO_SCHEMA, event_to_avro
from dovebeam.transforms.events.event import make_event
from dovebeam.transforms.read_from_files import ReadFn, ReadFromFiles, Settings
from dovebeam.transforms.sources import Block, SourceFile

SMALL = b'{"event":"one"}\n\n{"event":"two"}\r\n{"event":"' + b"x" * 30 + b'"}\nlast'
Placed = tuple[int, bytes, int]


def lines_of(block: Block) -> Iterator[Placed]:
    """The lines of a block with their offsets; of an over-long one the head and its length."""
    offset = block.offset
    for line in [block.data] if block.overlong_bytes else io.BytesIO(block.data).readlines():
        yield offset, line, block.overlong_bytes
        offset += len(line)


def placed_lines(data: bytes) -> list[Placed]:
    """All lines of a file with their offsets."""
    return list(lines_of(Block("", 0, data, "json")))


def run(*patterns: str, options: tuple[str, ...] = (), **settings: Any) -> list[Block]:
    """The blocks that a pipeline reads in this process, in the order in which they come."""
    collected: list[Block] = []
    with beam.Pipeline(argv=["--runner=DirectRunner", *options]) as pipeline:
        _ = pipeline | ReadFromFiles(patterns, **settings) | beam.Map(_collect, key=_key(collected))
    return collected


_collections: dict[int, list[Block]] = {}


def _key(collected: list[Block]) -> int:
    _collections[id(collected)] = collected
    return id(collected)


def _collect(block: Block, key: int) -> None:
    _collections[key].append(block)


def source(path: Path, data: bytes) -> SourceFile:
    """A plain file of JSON lines."""
    path.write_bytes(data)
    return SourceFile(str(path), len(data), "none", "json")


def reader(cell_bytes: int, max_line_bytes: int = 1 << 24) -> ReadFn:
    """The step with cells of this size."""
    return ReadFn(Settings("auto", max_line_bytes, cell_bytes, 1 << 26))


def read_blocks(file: SourceFile, do_fn: ReadFn, start: int, stop: int) -> list[Block]:
    """The blocks of a range of cells; the tracker must agree that all of it was done."""
    tracker = OffsetRestrictionTracker(OffsetRange(start, stop))
    blocks = list(do_fn.process(file, tracker))
    tracker.check_done()
    return blocks


def read_range(file: SourceFile, do_fn: ReadFn, start: int, stop: int) -> list[Placed]:
    """The lines of a range of cells; the tracker must agree that all of it was done."""
    return [line for block in read_blocks(file, do_fn, start, stop) for line in lines_of(block)]


def avro_file() -> bytes:
    """Avro records in several blocks."""
    file = io.BytesIO()
    records = [event_to_avro(make_event(f"e{number}")) for number in range(200)]
    fastavro.writer(file, AVRO_SCHEMA, records, codec="deflate", sync_interval=500)
    return file.getvalue()
