"""Rejects: the dead-letter records of events that could not be decoded, routed or delivered; one shape for all stages.

The first six members are those of the dead-letter tables of Google's Dataflow templates, so that tools for those read
ours; the others say where the event came from and what happened. `payload_key` is the id of a payload, by which targets
and the ledger detect duplicates.
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
    "Attribute",
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

_MAX_MESSAGE_CHARS: Final = 2000  # an answer of a server can be quoted in a message
_OLD_TRUNCATED: Final = re.compile(
    r"(?:the line has \d+ bytes, more than the limit of \d+|not a reject record, but a line of \d+ bytes); "
    r"this is its head \(byte \d+\)"
)
"""Message by which version 0.1.0, which had no `truncated`, marked a part of a line."""


class Attribute(msgspec.Struct, frozen=True):
    """One attribute of the message that the payload came with."""

    key: str
    value: str


class Reject(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Dead-letter record: a refused payload, where and why it was refused; its names in JSON are camelCase.

    Attributes:
        timestamp: when it was rejected, RFC 3339 in UTC.
        payload_string: the payload as text, with U+FFFD for what is not UTF-8; for people.
        payload_bytes: the payload exactly as it was (base64 in JSON); for re-sending.
        attributes: attributes of the message that the payload came with; empty if it did not come from a topic.
        error_message: what was wrong; never holds a secret.
        stacktrace: stack trace of the exception behind it, or empty.
        stage: "decode" (the payload is the line that was read), "route" (the payload is the whole event as a line,
            because the exporter found no path for it) or "deliver" (the payload is the formatted event).
        metric: the metric that matched the event, empty before matching.
        exporter: the exporter that was to deliver it, empty before matching.
        attempts: number of delivery attempts over all runs, 0 before the first; a re-send that failed before delivery
            counts as one, too.
        http_status: the last status of an HTTP target, None for other targets or if there was no answer.
        endpoint_host: scheme, host and port of the target, without user, path and query.
        source_uri: the file that the event was read from, empty if unknown.
        source_offset: byte offset of its line in that file (uncompressed), None if unknown. For a record of Avro, the
            offset of its block times 2^26, plus the offset of the record in the uncompressed block. For a line of a
            message, a number that no other line has.
        content_hash: SHA-256 of the payload, in hex.
        truncated: whether the payload is only a part of the line that was read, and so must not be decoded as an event;
            None in a file of version 0.1.0, which had no such member.
        held_back: why the last re-send did not send it; empty if it was sent, or if there was no re-send.
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
    """Makes the record of `payload`, rejected now for `reason`."""
    # The text is for people and tools that show tables; what is sent again is `payload_bytes`, which loses nothing.
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
    """Makes the record of a line that is not an event, or of the part of it that was read."""
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
    """Whether the record's payload is only a part of a line; also for records that version 0.1.0 wrote."""
    if record.truncated is None:
        return record.stage == "decode" and _OLD_TRUNCATED.match(record.error_message) is not None
    return record.truncated


def rejected_again(
    record: Reject, reason: str, *, attempts: int = 1, http_status: int | None = None, endpoint_host: str = ""
) -> Reject:
    """The record of an unsuccessful re-send: payload and origin stay, attempts add up, the reason is new.

    Args:
        record: the record that was sent again.
        reason: what was wrong this time.
        attempts: number of attempts this time.
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
        held_back="",  # this time it was sent
    )


def as_payload(record: Reject, payload: bytes, *, metric: str, exporter: str) -> Reject:
    """The record of an event that has been formatted for an exporter since: its payload becomes the formatted event."""
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
    """The same record, held back in a re-send; the reason also goes behind its error message, for people."""
    why = why[:_MAX_MESSAGE_CHARS]
    # The note of the last time goes, so that a file that is re-sent every day does not grow.
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
    """Reads the record of one line of JSON.

    Raises:
        DecodeError: if it is not one.
    """
    # RecursionError comes from hostile nesting in a file of rejects.
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"not a reject record: {error}") from None


def _now() -> str:
    return format_rfc3339(time.time_ns() // 1000)


# Ids of payloads.


def payload_key(exporter: str, metric: str, source_uri: str, source_offset: int | None, payload: bytes) -> str:
    """Id of a payload, 64 hexadecimal digits; the same whenever the same event goes to the same exporter again.

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
    # The length of the head keeps two different pairs of head and payload from giving the same bytes.
    place = "" if source_offset is None else str(source_offset)
    head = "\0".join((exporter, metric, source_uri, place)).encode("utf-8", "surrogateescape")
    return hashlib.sha256(b"%d\0%b\0%b" % (len(head), head, payload)).hexdigest()
