"""The record of an event that could not be decoded or delivered; one shape for all stages.

Its first six members are those of the dead-letter tables of Google's Dataflow templates, so that tools for those read
ours; the others say where it came from and what happened.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.events.values import format_rfc3339

__all__ = [
    "Reject",
    "Stage",
    "as_payload",
    "decode_reject",
    "is_truncated",
    "make_reject",
    "payload_key",
    "reject_from_json",
    "reject_to_json",
    "rejected_again",
    "with_attributes",
    "without_sending",
]


Stage = Literal["decode", "route", "deliver"]

_MAX_MESSAGE_CHARS: Final = 2000
_OLD_TRUNCATED: Final = re.compile(
    r"(?:the line has \d+ bytes, more than the limit of \d+|not a reject record, but a line of \d+ bytes); "
    r"this is its head \(byte \d+\)"
)
"""How version 0.1.0, which had no `truncated`, said so."""


class Attribute(msgspec.Struct, frozen=True):
    """One attribute of the message that the payload came with."""

    key: str
    value: str


class Reject(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What was refused, where and why; its names in JSON are camelCase.

    Attributes:
        timestamp: when it was rejected, RFC 3339 in UTC.
        payload_string: the payload as text, with U+FFFD for what is not UTF-8; for people.
        payload_bytes: the payload exactly as it was (base64 in JSON); for sending again.
        attributes: those of a message from a topic.
        error_message: what was wrong; never holds a secret.
        stacktrace: of the exception behind it, or empty.
        stage: "decode" (the payload is the line that was read), "route" (the payload is the whole event as a line, for
            which the exporter knew no place) or "deliver" (the payload is the formatted event).
        metric: the metric whose event this was, empty before matching.
        exporter: the exporter that was to deliver it, empty before matching.
        attempts: how often delivery was tried, over all runs, 0 before it; of a reject that was sent again and came not
            so far, also each of these times.
        http_status: the last status of an HTTP target, None for other targets or if there was no answer.
        endpoint_host: scheme, host and port of the target, without user, path and query.
        source_uri: the file that the event was read from, empty if unknown.
        source_offset: byte offset of its line in that file (uncompressed), None if unknown; of a record of Avro, that
            of its block times 2^26, plus that of the record in the uncompressed block; of a line of a message, a number
            that no other line has.
        content_hash: SHA-256 of the payload, in hex.
        truncated: whether the payload is only a part of the line that was read, so that it must not be taken for an
            event; None in a file of version 0.1.0 (see `is_truncated`).
        held_back: why it was not sent again the last time somebody wanted that; empty if it was, or nobody did.
    """

    timestamp: str
    payload_string: str
    payload_bytes: bytes
    attributes: list[Attribute]
    error_message: str
    stacktrace: str
    stage: Stage
    metric: str = ""
    exporter: str = ""
    attempts: int = 0
    http_status: int | None = None
    endpoint_host: str = ""
    source_uri: str = ""
    source_offset: int | None = None
    content_hash: str = ""
    truncated: bool | None = None
    held_back: str = ""


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Reject)


def make_reject(
    stage: Stage,
    payload: bytes,
    reason: str,
    *,
    metric: str = "",
    exporter: str = "",
    attempts: int = 0,
    http_status: int | None = None,
    endpoint_host: str = "",
    source_uri: str = "",
    source_offset: int | None = None,
    attributes: Iterable[tuple[str, str]] = (),
    truncated: bool = False,
) -> Reject:
    """The record of `payload`, rejected now for `reason`."""
    return Reject(
        timestamp=_now(),
        payload_string=payload.decode("utf-8", "replace"),
        payload_bytes=payload,
        attributes=[Attribute(key, value) for key, value in attributes],
        error_message=reason[:_MAX_MESSAGE_CHARS],
        stacktrace="",
        stage=stage,
        metric=metric,
        exporter=exporter,
        attempts=attempts,
        http_status=http_status,
        endpoint_host=endpoint_host,
        source_uri=source_uri,
        source_offset=source_offset,
        content_hash=hashlib.sha256(payload).hexdigest(),
        truncated=truncated,
    )


def decode_reject(
    line: bytes,
    error: DecodeError,
    source_uri: str = "",
    source_offset: int | None = None,
    attributes: Iterable[tuple[str, str]] = (),
    *,
    truncated: bool = False,
) -> Reject:
    """The record of a line that is not an event, or of what there is of the line."""
    return make_reject(
        "decode",
        line,
        str(error),
        source_uri=source_uri,
        source_offset=source_offset,
        attributes=attributes,
        truncated=truncated,
    )


def is_truncated(record: Reject) -> bool:
    """Whether its payload is only a part of a line, also of a record that version 0.1.0 wrote."""
    if record.truncated is None:
        return record.stage == "decode" and _OLD_TRUNCATED.match(record.error_message) is not None
    return record.truncated


def rejected_again(
    record: Reject, reason: str, *, attempts: int = 1, http_status: int | None = None, endpoint_host: str = ""
) -> Reject:
    """A record that was sent again in vain: what it is and where it came from stays, tries add up, the reason is new.

    Args:
        record: as it was.
        reason: what was wrong this time.
        attempts: how often it was tried this time.
        http_status: as for `Reject`.
        endpoint_host: as for `Reject`.
    """
    return msgspec.structs.replace(
        record,
        timestamp=_now(),
        error_message=reason[:_MAX_MESSAGE_CHARS],
        attempts=record.attempts + attempts,
        http_status=http_status,
        endpoint_host=endpoint_host,
        held_back="",
    )


def as_payload(record: Reject, payload: bytes, *, metric: str, exporter: str) -> Reject:
    """The record of an event that has meanwhile been formatted for an exporter: its payload is now what goes there."""
    return msgspec.structs.replace(
        record,
        payload_string=payload.decode("utf-8", "replace"),
        payload_bytes=payload,
        stage="deliver",
        metric=metric,
        exporter=exporter,
        content_hash=hashlib.sha256(payload).hexdigest(),
        truncated=False,
    )


def with_attributes(record: Reject, attributes: Iterable[tuple[str, str]]) -> Reject:
    """The same record with these attributes, in place of others."""
    return msgspec.structs.replace(record, attributes=[Attribute(key, value) for key, value in attributes])


def without_sending(record: Reject, why: str) -> Reject:
    """The same record, held back; behind its error, for people, stands why, in place of why it was the last time."""
    why = why[:_MAX_MESSAGE_CHARS]
    error = record.error_message.removesuffix(_note(record.held_back)) if record.held_back else record.error_message
    tail = _note(why)
    return msgspec.structs.replace(
        record, error_message=error[: max(0, _MAX_MESSAGE_CHARS - len(tail))] + tail, held_back=why
    )


def _note(why: str) -> str:
    return f" [not sent again: {why}]"


def reject_to_json(reject: Reject) -> bytes:
    """One line of JSON, without the line's end."""
    return _encoder.encode(reject)


def reject_from_json(line: bytes) -> Reject:
    """The record of one line of JSON.

    Raises:
        DecodeError: if it is not one.
    """
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"not a reject record: {error}") from None


def _now() -> str:
    return format_rfc3339(time.time_ns() // 1000)


# Ids of payloads: the same whenever the same event goes to the same exporter again, whoever sends it and when.


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
