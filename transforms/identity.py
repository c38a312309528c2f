"""Ids of payloads: the same whenever the same event goes to the same exporter again, whoever sends it and when."""

from __future__ import annotations

import hashlib

__all__ = ["payload_key"]


def payload_key(exporter: str, metric: str, source_uri: str, source_offset: int | None, payload: bytes) -> str:
    """The id of one payload, 64 hexadecimal digits.

    Content alone would not do: with few `fields` and without times, many events of one exporter have equal bytes and
    are still different. Where an event came from tells them apart, and is the same in a retry, a second run over the
    same files and a reject that is sent again. A payload of unknown origin has only its content.

    Args:
        exporter: name of the exporter.
        metric: name of the metric's block.
        source_uri: the file that the event was read from, empty if unknown.
        source_offset: byte offset of its line in there, None if unknown.
        payload: the formatted event.
    """
    place = "" if source_offset is None else str(source_offset)
    head = "\0".join((exporter, metric, source_uri, place)).encode("utf-8", "surrogateescape")
    return hashlib.sha256(b"%d\0%b\0%b" % (len(head), head, payload)).hexdigest()
