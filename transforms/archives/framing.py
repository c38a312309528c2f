"""How events lie in the files of an archive: Avro blocks, compressed where they arise."""

from __future__ import annotations

from collections.abc import Sequence

from dovebeam.transforms.codecs import AvroCodec, container_block, container_head, time_of_avro

__all__ = ["AvroFraming"]


class AvroFraming:
    """Records of `encode_avro` in Avro containers; see `Framing`.

    Args:
        codec: how blocks are compressed.
    """

    def __init__(self, codec: AvroCodec = "deflate") -> None:
        self._codec = codec

    def frame(self, payloads: Sequence[bytes]) -> bytes:
        """One block."""
        return container_block(payloads, self._codec)

    def head(self) -> bytes:
        """Schema, codec and sync marker."""
        return container_head(self._codec)

    def span(self, payloads: Sequence[bytes]) -> tuple[int, int] | None:
        """The earliest and the latest time, None if no event has any."""
        times = [time for time in map(time_of_avro, payloads) if time is not None]
        return (min(times), max(times)) if len(times) == len(payloads) else None
