"""The corpus of real Dovecot events: the project's own, or the one that DOVEBEAM_CORPUS names."""

from __future__ import annotations

import gzip
import os
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path

CORPUS = Path(os.environ.get("DOVEBEAM_CORPUS") or Path(__file__).parents[2] / "corpus")


@cache
def corpus_lines(name: str) -> tuple[bytes, ...]:
    """The lines of a gzipped file of the corpus, without their ends; split at LF only."""
    return tuple(gzip.decompress((CORPUS / name).read_bytes()).removesuffix(b"\n").split(b"\n"))


def check_arrived(found: Iterable[bytes], lines: Collection[bytes], *, torn: int = 0) -> None:
    """Every line is there and nothing else, besides so many that SIGKILL may have torn (docs/files.md)."""
    assert set(lines) <= set(found)
    others = set(found) - set(lines)
    assert len(others) <= torn, others
    assert all(any(line.startswith(part) for line in lines) for part in others), others
