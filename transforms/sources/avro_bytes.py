"""A stream of which exact numbers of bytes, and Avro's numbers, are read."""

from __future__ import annotations

from typing import Final

from dovebeam.transforms.sources.errors import DamagedError
from dovebeam.transforms.sources.streams import ByteStream

__all__ = ["AvroBytes"]

_MAX_LONG_BYTES: Final = 10
_READ_BYTES: Final = 256 * 1024


class AvroBytes:
    """A stream that stands at the start of a container; too few bytes are an error.

    Attributes:
        uri: the file, for errors.
        offset: of the next byte.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._buffer = b""
        self._position = 0
        self.uri = stream.uri
        self.offset = 0

    def more(self) -> bool:
        """Whether any byte is left."""
        if self._position == len(self._buffer):
            self._buffer, self._position = self._stream.read(_READ_BYTES), 0
        return bool(self._buffer)

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes."""
        parts: list[bytes] = []
        missing = size
        while missing:
            if not self.more():
                raise self.error("the Avro file is cut off; give it again once it is whole")
            parts.append(self._buffer[self._position : self._position + missing])
            self._position += len(parts[-1])
            self.offset += len(parts[-1])
            missing -= len(parts[-1])
        return b"".join(parts)

    def long(self) -> int:
        """One of Avro's numbers: seven bits a byte, the lowest first, the sign in the lowest bit."""
        number = 0
        for index in range(_MAX_LONG_BYTES):
            byte = self.exactly(1)[0]
            number |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)
        raise self.error("the Avro file is damaged: a number has more than 64 bits")

    def sized(self, limit: int) -> bytes:
        """Bytes behind the number of them."""
        size = self.long()
        if not 0 <= size <= limit:
            raise self.error(f"the Avro file is damaged: its header has an entry of {size} bytes")
        return self.exactly(size)

    def error(self, message: str) -> DamagedError:
        """An error at the present place."""
        return DamagedError(message, self.uri, self.offset)
