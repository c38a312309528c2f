"""Any row of Beam as one JSON object."""

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
from apache_beam.utils.timestamp import Timestamp

__all__ = ["row_to_json"]

_encode: Final = msgspec.json.Encoder().encode


def row_to_json(row: Any) -> bytes:
    """A row as JSON: rows and maps are objects, lists arrays, bytes base64, times and decimals text.

    Args:
        row: a `beam.Row`, a named tuple, or a mapping.

    Raises:
        ValueError: it holds what JSON cannot say: NaN, infinity, text that is not UTF-8, a type that is unknown here.
    """
    try:
        return _encode(_plain(row))
    except (UnicodeEncodeError, TypeError, RecursionError) as error:
        raise ValueError(f"the row cannot be written as JSON: {error}") from None


def _plain(value: Any) -> Any:
    """The same in types that msgspec writes as meant."""
    if value is None or isinstance(value, str | bytes | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"the row cannot be written as JSON: {value} is no number there")
        return float(value)  # numpy's is a subclass
    if isinstance(value, Timestamp):
        return value.to_rfc3339()
    if isinstance(value, Decimal):
        return str(value)
    return _plain_composite(value)


def _plain_composite(value: Any) -> Any:
    members = getattr(value, "_asdict", None)
    if members is not None:
        return {name: _plain(member) for name, member in members().items()}
    if isinstance(value, Mapping):
        return {key: _plain(member) for key, member in value.items()}
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        return _plain(value.item())
    if isinstance(value, Iterable) and not hasattr(value, "isoformat"):
        return [_plain(member) for member in value]
    return value
