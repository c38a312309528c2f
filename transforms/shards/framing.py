"""How payloads lie in a file: the bytes of a piece, and what stands before the first one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

__all__ = ["Framing", "Lines"]


class Framing(Protocol):
    """Makes pieces of payloads; a file is a head and pieces. Pickles."""

    def frame(self, payloads: Sequence[bytes]) -> bytes:
        """The bytes of a piece."""
        ...  # pragma: no cover

    def head(self) -> bytes:
        """What every file begins with."""
        ...  # pragma: no cover

    def span(self, payloads: Sequence[bytes]) -> tuple[int, int] | None:
        """The earliest and the latest time of the events, microseconds since 1970; None if a manifest needs none."""
        ...  # pragma: no cover


class Lines:
    """Each payload and a newline, as Dovecot's `file` driver writes it."""

    def frame(self, payloads: Sequence[bytes]) -> bytes:
        """The lines."""
        return b"\n".join([*payloads, b""])

    def head(self) -> bytes:
        """Nothing."""
        return b""

    def span(self, payloads: Sequence[bytes]) -> None:
        """Not asked for: lines are not looked into."""
