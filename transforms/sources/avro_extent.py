"""Where a record of Avro ends, found without building it; for records that are large enough to become too much."""

from __future__ import annotations

from typing import Any, Final

from dovebeam.transforms.errors import DecodeError

__all__ = ["MAX_ITEMS", "record_end"]

MAX_ITEMS: Final = 200_000
"""The most items of arrays and maps that one record may have; one item may take a byte, and becomes up to 200."""

_LONG: Final = frozenset({"int", "long", "enum"})
_SIZED: Final = frozenset({"bytes", "string"})
_FIXED: Final = {"null": 0, "boolean": 1, "float": 4, "double": 8}
_MAX_LONG_BYTES: Final = 10


def record_end(schema: Any, data: bytes, start: int) -> int:
    """Offset of the first byte behind a record.

    Args:
        schema: from `plain_schema`.
        data: holds the record.
        start: offset of the record.

    Raises:
        DecodeError: the record ends beyond the data, is damaged, or has more than `MAX_ITEMS` items.
    """
    walk = _Walk(data, start)
    walk.over(schema)
    return walk.position


class _Walk:
    """Passes over values.

    Attributes:
        position: offset of the next byte.
    """

    def __init__(self, data: bytes, start: int) -> None:
        self._data = data
        self._items = 0
        self.position = start

    def over(self, schema: Any) -> None:
        """Passes over one value of this type."""
        if isinstance(schema, list):
            index = self._long()
            if not 0 <= index < len(schema):
                raise DecodeError(f"a union has no branch {index}", self.position)
            self.over(schema[index])
            return
        kind = schema if isinstance(schema, str) else schema["type"]
        if kind == "record":
            for member in schema["fields"]:
                self.over(member["type"])
        elif kind == "array":
            self._blocks(schema["items"], keyed=False)
        elif kind == "map":
            self._blocks(schema["values"], keyed=True)
        elif kind in _SIZED:
            self._skip(self._long())
        elif kind in _LONG:
            self._long()
        else:
            self._skip(_FIXED[kind])

    def _blocks(self, items: Any, *, keyed: bool) -> None:
        while count := self._long():
            if count < 0:  # then the size of these items follows
                count = -count
                self._long()
            self._items += count
            if self._items > MAX_ITEMS:
                raise DecodeError(f"the record has more than {MAX_ITEMS} items in its arrays and maps", self.position)
            for _ in range(count):
                if keyed:
                    self._skip(self._long())
                self.over(items)

    def _skip(self, size: int) -> None:
        if not 0 <= size <= len(self._data) - self.position:
            raise DecodeError(f"a value of {size} bytes ends beyond the block", self.position)
        self.position += size

    def _long(self) -> int:
        number = 0
        for index in range(_MAX_LONG_BYTES):
            self._skip(1)
            byte = self._data[self.position - 1]
            number |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)
        raise DecodeError("a number has more than 64 bits", self.position)
