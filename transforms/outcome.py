"""What became of some events: payloads for exporters, rejects, and the counts of both and of all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dovebeam.transforms.events.reject import Reject
from dovebeam.transforms.sources import MessageOrigin

__all__ = ["Outcome", "PayloadBatch"]


@dataclass(slots=True)
class PayloadBatch:
    """Payloads for one exporter, with where each came from.

    Attributes:
        payloads: formatted events, without a line's end.
        metrics: the name of the metric's block of each.
        offsets: the byte offset of the line of each in `source_uri`, None where it is unknown.
        source_uri: the file that all were read from, empty if unknown.
        paths: what the exporter's router said of each; empty if it has none.
        records: the rejects that the payloads were before they were sent again; empty if they were none.
        messages: those that the payloads came in, if they came from a topic.
    """

    payloads: list[bytes] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    offsets: list[int | None] = field(default_factory=list)
    source_uri: str = ""
    paths: list[str] = field(default_factory=list)
    records: list[Reject] = field(default_factory=list)
    messages: tuple[MessageOrigin, ...] = ()

    def __len__(self) -> int:
        return len(self.payloads)


@dataclass(slots=True)
class Outcome:
    """What became of some events.

    Attributes:
        batches: payloads by exporter, only those that have any.
        rejects: what is no event.
        read: how many lines, records or events there were.
        matched_by_metric: how many events each metric matched.
        matched: how many events some metric matched.
        unmatched: how many none matched.
        out_of_range: how many were not looked at because of their time.
        unrouted: events for which their exporter has no place.
    """

    batches: dict[str, PayloadBatch]
    matched_by_metric: dict[str, int]
    rejects: Sequence[Reject] = ()
    read: int = 0
    matched: int = 0
    unmatched: int = 0
    out_of_range: int = 0
    unrouted: list[Reject] = field(default_factory=list)
