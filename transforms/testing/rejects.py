"""An assertion on the rejects of a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from dovebeam.transforms.events.reject import Reject, Stage

__all__ = ["ExpectedReject", "holds_rejects"]

_SHOWN_BYTES: Final = 60


@dataclass(frozen=True)
class ExpectedReject:
    """What a test says of a reject; what it leaves out may be anything.

    Attributes:
        payload: exactly these bytes.
        stage: where it was rejected.
        reason: a part of the error's message.
        exporter: who was to deliver it.
        http_status: the last one.
    """

    payload: bytes | None = None
    stage: Stage | None = None
    reason: str = ""
    exporter: str | None = field(default=None, kw_only=True)
    http_status: int | None = field(default=None, kw_only=True)

    def fits(self, reject: Reject) -> bool:
        """Whether a reject is as expected."""
        pairs = (
            (self.payload, reject.payload_bytes),
            (self.stage, reject.stage),
            (self.exporter, reject.exporter),
            (self.http_status, reject.http_status),
        )
        return self.reason in reject.error_message and all(want is None or want == is_ for want, is_ in pairs)


def holds_rejects(expected: Iterable[ExpectedReject]) -> Callable[[Iterable[Reject]], None]:
    """What Beam's `assert_that` takes to see that a collection of rejects is these, in any order, and no others.

    Args:
        expected: the most precise ones first, where one reject could be two of them.
    """
    wanted = list(expected)

    def check(actual: Iterable[Reject]) -> None:
        left = list(actual)
        missing = []
        for each in wanted:
            found = next((n for n, reject in enumerate(left) if each.fits(reject)), None)
            if found is None:
                missing.append(each)
            else:
                del left[found]
        if missing or left:
            told = [*(f"missing: {each}" for each in missing), *(f"not expected: {_told(reject)}" for reject in left)]
            raise AssertionError("\n".join(told))

    return check


def _told(reject: Reject) -> str:
    payload = reject.payload_bytes
    shown = f"{payload[:_SHOWN_BYTES]!r}{'...' if len(payload) > _SHOWN_BYTES else ''}"
    whom = f" by {reject.exporter}" if reject.exporter else ""
    return f"{shown} at {reject.stage}{whom}: {reject.error_message}"
