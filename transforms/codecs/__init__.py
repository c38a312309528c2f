"""Codecs between events and their stored forms: lines of JSON, lines of tab-text, records of Avro.

Decoding is strict: what is not an exported event is a `DecodeError` with its byte offset, never another exception and
never a guess. Encoding writes the whole event; what a metric and its exporter select is decided in the formats.
"""

from dovebeam.transforms.codecs.avro_records import AVRO_SCHEMA, event_from_avro, event_to_avro
from dovebeam.transforms.codecs.avro_writer import (
    AVRO_CODECS,
    AvroCodec,
    container_block,
    container_head,
    encode_avro,
    time_of_avro,
)
from dovebeam.transforms.codecs.json_glimpse import decode_json_block
from dovebeam.transforms.codecs.json_lines import decode_json, encode_json
from dovebeam.transforms.codecs.lines import DEFAULT_MAX_LINE_BYTES, BadLine, DecodedBlock
from dovebeam.transforms.codecs.tab_lines import decode_tab, decode_tab_block, encode_tab

__all__ = [
    "AVRO_CODECS",
    "AVRO_SCHEMA",
    "DEFAULT_MAX_LINE_BYTES",
    "AvroCodec",
    "BadLine",
    "DecodedBlock",
    "container_block",
    "container_head",
    "decode_json",
    "decode_json_block",
    "decode_tab",
    "decode_tab_block",
    "encode_avro",
    "encode_json",
    "encode_tab",
    "event_from_avro",
    "event_to_avro",
    "time_of_avro",
]
