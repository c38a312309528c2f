"""The search for the events that make a target refuse a request, and when it has gone on for long enough.

A request that is refused for something in it is sent again as halves, until the culprits are alone. Where everything is
refused that would cost two requests for each event, so:

- When `ALIKE` single events were refused as the whole request was, and nothing of it was delivered, a part that is
  refused like that, too, is set aside instead of being halved. All others are still sent.
- When nothing else is left, the last event of each part that was set aside is sent alone. If these are all refused like
  that, too, what was set aside is rejected.
- If anything else comes of any event or part, what was set aside is searched after all. So up to `ALIKE` bad events are
  always found one by one, wherever they are, and more than that as soon as anything is delivered.
"""

from __future__ import annotations

from typing import Final, Generic, Protocol, Self, TypeVar

__all__ = ["ALIKE", "Part", "Search"]

ALIKE: Final = 8
"""How many single events, with the last ones of what is left, speak for all: if half of 1,000 events are bad, that goes
wrong in one case of 30,000."""


class Part(Protocol):
    """A part of a request, as long as it has events."""

    def __len__(self) -> int:
        """How many events it has."""
        ...  # pragma: no cover

    def cut_off_last(self) -> Self:
        """The last event by itself; the part ends before it."""
        ...  # pragma: no cover


_Part = TypeVar("_Part", bound=Part)


class Search(Generic[_Part]):
    """What came of the parts of one request so far.

    Attributes:
        status: with which the request was refused.
        left: how many parts are on their way or still to be sent.
    """

    def __init__(self, status: int) -> None:
        self.status = status
        self.left = 1
        self._alike = 0
        self._otherwise = False
        self._sampled = False
        self._aside: list[_Part] = []

    def sets_aside(self, part: _Part, status: int) -> bool:
        """Whether a part that was refused is not to be halved, at least not now."""
        if self._otherwise or self._alike < ALIKE or status != self.status:
            return False
        self._aside.append(part)
        self.left -= 1
        return True

    def ended(self, part: _Part, status: int | None, *, delivered: bool) -> None:
        """A part was delivered or has failed for good, with a status if there was an answer."""
        self.left -= 1
        if delivered or (status is not None and status != self.status):
            self._otherwise = True
        elif status is not None and len(part) == 1:
            self._alike += 1

    def taken_up(self) -> list[_Part]:
        """Parts that were set aside and are to be halved now."""
        parts, self._aside = (self._aside, []) if self._otherwise else ([], self._aside)
        self.left += len(parts)
        return parts

    def samples(self) -> list[_Part]:
        """Single events of the parts that were set aside, to be sent before those are rejected."""
        if self.left or self._sampled:
            return []
        self._sampled = True
        samples = [part.cut_off_last() for part in self._aside]
        self.left += len(samples)
        return samples

    def given_up(self) -> list[_Part]:
        """Parts that were set aside and are to be rejected, because nothing else is left."""
        parts, self._aside = ([], self._aside) if self.left else (self._aside, [])
        return parts
