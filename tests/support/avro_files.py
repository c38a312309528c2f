"""Parts of Avro files: numbers, and the messages that Google's writers put there."""

from __future__ import annotations

from typing import Any

SUBSCRIPTION = {
    "type": "record",
    "namespace": "com.google.pubsub",
    "name": "PubsubMessage",
    "fields": [
        {"name": "subscription_name", "type": "string"},
        {"name": "message_id", "type": "string"},
        {"name": "publish_time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "attributes", "type": {"type": "map", "values": "string"}},
        {"name": "data", "type": "bytes"},
    ],
}
SUBSCRIPTION_DATA_ONLY = {**SUBSCRIPTION, "fields": [{"name": "data", "type": "bytes"}]}
TEMPLATE = {
    "type": "record",
    "namespace": "com.google.cloud.teleport.v2.avro",
    "name": "AvroPubsubMessageRecord",
    "fields": [
        {"name": "message", "type": "bytes"},
        {"name": "attributes", "type": {"type": "map", "values": "string"}},
        {"name": "timestamp", "type": "long"},
    ],
}


def message(schema: dict[str, Any], data: bytes, number: int = 7) -> dict[str, Any]:
    """A message with this payload."""
    whole = {
        "subscription_name": "projects/p/subscriptions/s",
        "message_id": str(number),
        "publish_time": 1_700_000_000_000_000,
        "attributes": {"origin": "mail1"},
        "data": data,
        "message": data,
        "timestamp": 1_700_000_000_000,
    }
    return {member["name"]: whole[member["name"]] for member in schema["fields"]}


def long(number: int) -> bytes:
    """A number as Avro writes it."""
    number = number << 1 if number >= 0 else (-number << 1) - 1
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])
