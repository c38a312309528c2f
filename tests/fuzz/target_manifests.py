"""Manifests of archives, and files of archives against them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

from fuzzing import Target

from dovebeam.transforms.codecs import container_block, container_head, encode_avro
from dovebeam.transforms.events.event import make_event
from dovebeam.transforms.plan.decoding import decode_block
from dovebeam.transforms.shards.committing import (
    Manifest,
    ManifestError,
    ManifestFile,
    manifest_from_json,
    manifest_to_json,
)
from dovebeam.transforms.sources import Expected, FileStream, read_verified_blocks

EVENTS = 12


def targets(_folder: Path) -> list[Target]:
    """A manifest of three files, and one file of each codec."""
    files = tuple(
        ManifestFile(f"date=2026-11-22/hour=0{n}/events.avro", n, 1000 + n, "ab" * 32, n, n) for n in range(3)
    )
    manifests = [
        Manifest("archive", "run", "done", 3, files),
        Manifest("archive", "run", "committing", 3, files, files, "x"),
    ]
    found = [Target(check_manifest, [manifest_to_json(each) for each in manifests])]
    records = [encode_avro(make_event(f"event{n}", fields={"n": n})) for n in range(EVENTS)]
    for codec in ("null", "deflate", "zstandard"):
        blocks = [container_block(records[at : at + 5], codec) for at in range(0, EVENTS, 5)]  # type: ignore[arg-type]
        data = container_head(codec) + b"".join(blocks)  # type: ignore[arg-type]
        found.append(Target(archive_check(data), [data]))
    return found


def check_manifest(data: bytes) -> None:
    """A manifest whose files have together what it counts, or an error."""
    try:
        manifest = manifest_from_json(data, "name")
    except ManifestError as error:
        assert str(error)
        return
    assert manifest.events == sum(file.events for file in manifest.files)
    assert manifest_from_json(manifest_to_json(manifest), "name") == manifest


def archive_check(whole: bytes) -> Callable[[bytes], None]:
    """Whatever a file became: events and rejects are as many as its manifest counts, and a change is told."""
    expected = Expected(len(whole), hashlib.sha256(whole).hexdigest(), EVENTS)

    def check(data: bytes) -> None:
        blocks = list(read_verified_blocks(lambda: FileStream(io.BytesIO(data), "file"), "file", expected))
        assert sum(decode_block(block).read for block in blocks) == EVENTS
        assert any(block.damage for block in blocks) == (data != whole)

    return check
