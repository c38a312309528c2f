"""What a collector has done, counted for its last words."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Counts"]


@dataclass(slots=True)
class Counts:
    """Numbers since the start.

    Attributes:
        lines: that are in the spool, whole.
        bytes: of those, with their ends.
        torn: pieces without an end, or lines too long, kept aside.
        refused: http requests that were not answered with 204; their sender knows.
        lost: bytes that came from a unix socket and could not be written before the end.
    """

    lines: int = 0
    bytes: int = 0
    torn: int = 0
    refused: int = 0
    lost: int = 0

    def __str__(self) -> str:
        parts = [f"{self.lines:,} lines ({self.bytes:,} bytes) are in the spool"]
        if self.torn:
            parts.append(f"{self.torn:,} torn or overlong ones aside")
        if self.refused:
            parts.append(f"{self.refused:,} requests were refused")
        if self.lost:
            parts.append(f"{self.lost:,} bytes could not be written and are LOST")
        return ", ".join(parts)
