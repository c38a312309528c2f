"""Sources: files, followed files and messages, cut to blocks that name their origin. Knows nothing of Beam.

A file (`files`) is a stream of bytes (`streams`) that is decompressed (`compression`); its format is detected and it is
cut to blocks (`block`) at line borders (`lines`) or at the borders of Avro's blocks (`avro_files`, `avro_reading`).
Payloads of messages become blocks as well (`messages`). Folders: `follow` reads files while they grow, `pubsub` pulls
from Google Pub/Sub.
"""

from dovebeam.transforms.sources.avro_files import read_avro_blocks
from dovebeam.transforms.sources.avro_reading import AvroRecord, avro_records
from dovebeam.transforms.sources.avro_schema import Message, message_of, message_times, schema_kind
from dovebeam.transforms.sources.block import (
    DEFAULT_BLOCK_BYTES,
    INPUT_FORMATS,
    OVERLONG_HEAD_BYTES,
    Block,
    Format,
    InputFormat,
    detect_format,
    format_advice,
)
from dovebeam.transforms.sources.compression import Compression, decompress, detect_compression
from dovebeam.transforms.sources.files import (
    Expected,
    FoundFile,
    SourceFile,
    absolute_pattern,
    check_readable,
    distinct_files,
    found_file,
    inspect,
    printable_path,
    read_local_blocks,
    read_verified_blocks,
)
from dovebeam.transforms.sources.lines import LineReader, Lines, block_of, block_of_damage, read_lines, reader_from
from dovebeam.transforms.sources.messages import MessageOrigin, message_at, message_place, unpacked_payload
from dovebeam.transforms.sources.streams import ByteStream, DamagedError, FileStream, SourceError

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
