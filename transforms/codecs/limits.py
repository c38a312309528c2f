"""The longest line that a codec reads, so that no input can take unbounded memory."""

from __future__ import annotations

from typing import Final

from dovebeam.transforms.errors import DecodeError

__all__ = ["DEFAULT_MAX_LINE_BYTES", "check_line_length"]

DEFAULT_MAX_LINE_BYTES: Final = 16 * 1024 * 1024  # the longest real event seen has 7 KiB


def check_line_length(line: bytes, max_bytes: int) -> None:
    """Raises DecodeError, placed at the first byte too many, for a line of more than `max_bytes` bytes."""
    if len(line) > max_bytes:
        raise DecodeError(f"the line has {len(line)} bytes, more than the limit of {max_bytes}", max_bytes)
