"""Conformance vectors: files of cases recorded from a real Dovecot, and their events as dovebeam's.

The folder is that of the environment variable DOVEBEAM_VECTORS, else the project's own copy, tests/vectors. Any set in
the same schema works, larger or smaller; a file that a set lacks is left out.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dovebeam.transforms.events.catalogue import Value
from dovebeam.transforms.events.event import Event, make_event
from dovebeam.transforms.events.values import IPAddress, Timestamp

__all__ = ["build_event", "expected_bytes", "find_vectors", "parse_time", "read_vectors", "vectors_folder"]

_OWN_COPY = Path(__file__).parents[2] / "vectors"


def vectors_folder() -> Path:
    """The folder of the vector set in use."""
    return Path(os.environ.get("DOVEBEAM_VECTORS") or _OWN_COPY)


def find_vectors(name: str) -> Path | None:
    """The file `NAME.jsonl` or `NAME.jsonl.gz` of the set in use, or None."""
    if not vectors_folder().is_dir():
        message = f"no folder of vectors at {vectors_folder()}; set DOVEBEAM_VECTORS to one"
        raise FileNotFoundError(message)
    candidates = (vectors_folder() / f"{name}{suffix}" for suffix in (".jsonl.gz", ".jsonl"))
    return next((path for path in candidates if path.is_file()), None)


def read_vectors(path: Path) -> Iterator[dict[str, Any]]:
    """The cases of one file in order, each as the JSON object it is."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    for line in data.split(b"\n"):
        if line:
            yield json.loads(line)


def build_event(recorded: dict[str, Any]) -> Event:
    """The event that a vector's event object describes, with typed fields."""
    source = recorded.get("source")
    return make_event(
        recorded["name"],
        fields={key: _value(typed) for key, typed in recorded["fields"].items()},
        categories=recorded.get("categories"),
        hostname=recorded.get("hostname"),
        start_time=_optional_time(recorded.get("start_time")),
        end_time=_optional_time(recorded.get("end_time")),
        log_type=recorded.get("log_type"),
        source=(source[0], source[1]) if source else None,
    )


def expected_bytes(vector: dict[str, Any]) -> bytes:
    """The member `output` of a vector, or `output_b64` if its bytes are not UTF-8."""
    if "output_b64" in vector:
        return base64.b64decode(vector["output_b64"])
    output: str = vector["output"]
    return output.encode()


def parse_time(text: str) -> int:
    """Microseconds since 1970 of `SECONDS.MICROSECONDS`; the microseconds always count forwards."""
    seconds, _, fraction = text.partition(".")
    return int(seconds) * 1_000_000 + int(fraction)


def _optional_time(text: str | None) -> int | None:
    return None if text is None else parse_time(text)


def _value(typed: dict[str, Any]) -> Value:
    ((kind, value),) = typed.items()
    match kind:
        case "str_b64":
            return _decode(value)
        case "strlist_b64":
            return [_decode(element) for element in value]
        case "ip":
            return IPAddress(value)
        case "time":
            return Timestamp(parse_time(value))
        case "str" | "int" | "strlist":
            plain: Value = value
            return plain
    message = f"unknown field type {kind!r} in a vector"
    raise ValueError(message)


def _decode(text: str) -> str:
    return base64.b64decode(text).decode("utf-8", "surrogateescape")
