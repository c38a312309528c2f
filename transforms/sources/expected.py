"""What is known of a file before it is read, so that it can be told from a damaged one."""

from __future__ import annotations

import msgspec

__all__ = ["Expected"]


class Expected(msgspec.Struct, frozen=True):
    """What a manifest says of a file.

    Attributes:
        bytes: its size.
        sha256: of its bytes, in hex.
        events: how many it holds.
    """

    bytes: int
    sha256: str
    events: int
