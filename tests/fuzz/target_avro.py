"""Avro: containers of events and of messages, and compressed messages."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import fastavro
import zstandard
from fuzzing import Target

from dovebeam.transforms.codecs import container_block, container_head, decode_json, encode_avro
from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.plan.decoding import decode_block
from dovebeam.transforms.sources import FileStream, SourceError, read_avro_blocks, unpacked_payload
from support.avro_files import SUBSCRIPTION, TEMPLATE, message
from support.oracle.corpus import corpus_lines


def targets(_folder: Path) -> list[Target]:
    """Files with few events in several blocks, so that changes meet what surrounds records as well."""
    lines = corpus_lines("events.json.gz")[::4000][:12]
    records = [encode_avro(decode_json(line)) for line in lines]
    files = []
    for codec in ("null", "deflate", "zstandard"):
        blocks = [container_block(records[at : at + 3], codec) for at in range(0, len(records), 3)]  # type: ignore[arg-type]
        files.append(container_head(codec) + b"".join(blocks))  # type: ignore[arg-type]
    packed = [b"\n".join(lines[:3]), gzip.compress(b"\n".join(lines[3:])), zstandard.compress(lines[0])]
    for schema in (SUBSCRIPTION, TEMPLATE):
        file = io.BytesIO()
        fastavro.writer(file, schema, [message(schema, data, n) for n, data in enumerate(packed)], sync_interval=1)
        files.append(file.getvalue())
    return [Target(check_container, files, 3), Target(check_message, [gzip.compress(lines[0]), *packed], 1)]


def check_container(data: bytes) -> None:
    """Blocks and rejects, or an error with the name of the file; each event has a place of its own."""
    try:
        for block in read_avro_blocks(FileStream(io.BytesIO(data), "file")):
            found = decode_block(block)
            assert len(set(found.places())) == len(found.decoded.events)
    except SourceError as error:
        assert error.uri == "file"
        assert str(error)


def check_message(data: bytes) -> None:
    """A payload or one error, whether its encoding is told or not."""
    for attributes in ((), (("Content-Encoding", "gzip"),), (("Content-Encoding", data[:20].decode("latin-1")),)):
        try:
            unpacked_payload(data, attributes)
        except DecodeError as error:
            assert error.reason
