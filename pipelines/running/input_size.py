"""How many bytes a job will read, for its progress."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from dovebeam.transforms.reading import FoundFile, match_files
from dovebeam.transforms.sources import detect_compression, detect_format

__all__ = ["input_size"]

_HEAD_BYTES: Final = 64
_MAX_FILES: Final = 10_000


def input_size(patterns: Sequence[str]) -> int | None:
    """Uncompressed bytes of all files, which is what workers count.

    None if that cannot be had without reading them, because one is compressed, an Avro container or elsewhere.

    Raises:
        SourceError: a pattern matches nothing.
    """
    files = match_files(patterns)
    if len(files) > _MAX_FILES or not all(_is_plain(file) for file in files):
        return None
    return sum(file.size for file in files)


def _is_plain(file: FoundFile) -> bool:
    if not os.path.isfile(file.location):
        return False
    try:
        with open(file.location, "rb") as opened:
            head = opened.read(_HEAD_BYTES)
    except OSError:
        return False
    return detect_compression(head) == "none" and detect_format(head) != "avro"
