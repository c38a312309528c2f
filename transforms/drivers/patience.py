"""How long a batch waits for a target that is away: pauses with full jitter, within a budget of time."""

from __future__ import annotations

import math
import random
import time
from typing import Final

__all__ = ["Patience"]

_FIRST_SECS: Final = 0.05
_LONGEST_SECS: Final = 1.0  # 0.05, 0.1, 0.2, 0.4, 0.8, 1, 1 ... at most, half of that on average


class Patience:
    """The pauses between the tries of one batch. The budget runs from the first pause on.

    Args:
        budget_msec: how long to go on, in milliseconds; 0 allows no pause, None goes on for ever.
    """

    def __init__(self, budget_msec: int | None) -> None:
        self._budget_secs = math.inf if budget_msec is None else budget_msec / 1000
        self._give_up: float | None = None
        self._longest = _FIRST_SECS

    def pause(self) -> bool:
        """Waits for the next try; False, at once, if there is no time left. The last try is at the budget's end."""
        now = time.monotonic()
        if self._give_up is None:
            self._give_up = now + self._budget_secs
        left = self._give_up - now
        if left <= 0:
            return False
        time.sleep(min(left, random.uniform(0, self._longest)))  # noqa: S311  spreads load, no secret
        self._longest = min(_LONGEST_SECS, self._longest * 2)
        return True
