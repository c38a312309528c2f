"""Files to blocks of whole lines or of Avro records, each with the place it came from; knows nothing of Beam.

A stream of bytes is unpacked (`compression`), its format is told by its content (`formats`), and it is cut to blocks
at line borders (`lines`) or at the borders that Avro itself has (`avro_container`).
"""

from dovebeam.transforms.sources.avro_files import read_avro_blocks
from dovebeam.transforms.sources.avro_messages import Message, message_of
from dovebeam.transforms.sources.avro_reading import AvroRecord, avro_records
from dovebeam.transforms.sources.avro_schema import message_times, schema_kind
from dovebeam.transforms.sources.block import DEFAULT_BLOCK_BYTES, OVERLONG_HEAD_BYTES, Block
from dovebeam.transforms.sources.compression import Compression, decompress, detect_compression
from dovebeam.transforms.sources.errors import DamagedError, SourceError
from dovebeam.transforms.sources.expected import Expected
from dovebeam.transforms.sources.files import (
    FoundFile,
    SourceFile,
    absolute_pattern,
    check_readable,
    distinct_files,
    found_file,
    printable_path,
)
from dovebeam.transforms.sources.formats import INPUT_FORMATS, Format, InputFormat, detect_format, format_advice
from dovebeam.transforms.sources.lines import LineReader, read_lines, reader_from
from dovebeam.transforms.sources.local import inspect, read_local_blocks
from dovebeam.transforms.sources.message_encoding import unpacked_payload
from dovebeam.transforms.sources.messages import MessageOrigin, message_at, message_place
from dovebeam.transforms.sources.pieces import Lines, block_of, block_of_damage
from dovebeam.transforms.sources.streams import ByteStream, FileStream
from dovebeam.transforms.sources.verified import read_verified_blocks

__all__ = [
    "DEFAULT_BLOCK_BYTES",
    "INPUT_FORMATS",
    "OVERLONG_HEAD_BYTES",
    "AvroRecord",
    "Block",
    "ByteStream",
    "Compression",
    "DamagedError",
    "Expected",
    "FileStream",
    "Format",
    "FoundFile",
    "InputFormat",
    "LineReader",
    "Lines",
    "Message",
    "MessageOrigin",
    "SourceError",
    "SourceFile",
    "absolute_pattern",
    "avro_records",
    "block_of",
    "block_of_damage",
    "check_readable",
    "decompress",
    "detect_compression",
    "detect_format",
    "distinct_files",
    "format_advice",
    "found_file",
    "inspect",
    "message_at",
    "message_of",
    "message_place",
    "message_times",
    "printable_path",
    "read_avro_blocks",
    "read_lines",
    "read_local_blocks",
    "read_verified_blocks",
    "reader_from",
    "schema_kind",
    "unpacked_payload",
]
