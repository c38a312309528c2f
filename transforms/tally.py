"""What the bundles of a stream counted that were acknowledged, known at once and also if its pipeline fails later.

Beam's in-process runner tells counters only when a pipeline has ended well. There all work is done in one process, one
bundle after the other, so the counts can be kept beside Beam's. On other runners nobody asks for them.
"""

from __future__ import annotations

from typing import Final

__all__ = ["TALLY", "Tally"]


class Tally:
    """Counts by the names of counters: those of the bundle in hand, and those of bundles that were acknowledged."""

    def __init__(self) -> None:
        self._in_hand: dict[str, int] | None = None
        self._kept: dict[str, int] = {}

    def begin(self) -> None:
        """A bundle begins; what one counted that failed is forgotten."""
        self._in_hand = {}

    def add(self, name: str, count: int) -> None:
        """Counts for the bundle in hand; does nothing outside of one."""
        if self._in_hand is not None:
            self._in_hand[name] = self._in_hand.get(name, 0) + count

    def keep(self) -> None:
        """The bundle in hand was acknowledged."""
        for name, count in (self._in_hand or {}).items():
            self._kept[name] = self._kept.get(name, 0) + count
        self._in_hand = None

    def kept(self) -> dict[str, int]:
        """What acknowledged bundles counted since the last call of `take`; another thread may count meanwhile."""
        return dict(self._kept)

    def take(self) -> dict[str, int]:
        """What acknowledged bundles counted since the last call."""
        kept, self._kept = self._kept, {}
        return kept


TALLY: Final = Tally()
"""That of this process."""
