"""From the text of a setting to its typed value."""

from __future__ import annotations

from dovebeam.transforms.config.settings import Setting
from dovebeam.transforms.config.types import (
    Kind,
    ValueTypeError,
    parse_bool,
    parse_enum,
    parse_size,
    parse_time_msec,
    parse_time_sec,
    parse_uint,
    parse_uint64,
)

__all__ = ["SettingValue", "convert"]

SettingValue = str | bool | int | tuple[tuple[str, str], ...] | None
"""Booleans, numbers, milliseconds, bytes, text or pairs of texts; `None` is a time or size without limit."""

_PARSERS = {
    Kind.BOOL: parse_bool,
    Kind.UINT: parse_uint,
    Kind.UINT64: parse_uint64,
    Kind.TIME: parse_time_msec,
    Kind.TIME_SECS: parse_time_sec,
    Kind.SIZE: parse_size,
}


def convert(setting: Setting, text: str) -> SettingValue:
    """The value that a text means for this setting.

    Raises:
        ValueTypeError: none.
    """
    if setting.kind is Kind.ENUM or (setting.kind is Kind.NAME and setting.choices):
        return parse_enum(text, setting.choices)
    if setting.kind is Kind.TEXT_LIST:
        return ()
    parse = _PARSERS.get(setting.kind)
    value: SettingValue = parse(text) if parse else text
    advice = setting.check(text) if setting.check else ""
    if advice:
        raise ValueTypeError(f"Invalid value: {text}", advice)
    return value
