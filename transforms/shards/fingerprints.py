"""What tells the content of one file from that of another."""

from __future__ import annotations

import hashlib
from typing import BinaryIO, Final, NamedTuple

__all__ = ["COPY_BYTES", "Fingerprint", "fingerprint_of"]

COPY_BYTES: Final = 1024 * 1024
"""How much of a file is in memory at a time."""


class Fingerprint(NamedTuple):
    """Size and SHA-256 (hex) of a file."""

    bytes: int
    sha256: str


def fingerprint_of(file: BinaryIO) -> Fingerprint:
    """Reads a file to its end and says what it is."""
    digest, size = hashlib.sha256(), 0
    while data := file.read(COPY_BYTES):
        digest.update(data)
        size += len(data)
    return Fingerprint(size, digest.hexdigest())
