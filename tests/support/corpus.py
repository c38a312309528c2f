"""The corpus of real Dovecot events: the project's own, or the one that DOVEBEAM_CORPUS names."""

from __future__ import annotations

import gzip
import os
from functools import cache
from pathlib import Path

CORPUS = Path(os.environ.get("DOVEBEAM_CORPUS") or Path(__file__).parents[1] / "corpus")


@cache
def corpus_lines(name: str) -> tuple[bytes, ...]:
    """The lines of a gzipped file of the corpus, without their ends; split at LF only."""
    return tuple(gzip.decompress((CORPUS / name).read_bytes()).removesuffix(b"\n").split(b"\n"))
