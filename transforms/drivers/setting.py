"""A setting, declared once: type, default, one sentence, choices, whether it is a secret, and whose it is.

A field of a driver declares the setting that fills it:

    fifo_path: str = setting(Kind.STRING, "", "path of the named pipe")

The configuration reader with its checks and suggestions, the default of the field, `dovebeam check`, the settings of
Beam YAML and the reference are derived from that. A setting that fills no field is a `Setting` of its own. The parsers
of values (`parse_size` and the like) accept what Dovecot's lib-settings accepts, and repeat its errors word for word.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Final

from dovebeam.transforms.errors import DriverSettingError, closest_name

__all__ = [
    "PREFIX",
    "UINT64_MAX",
    "UINT_MAX",
    "Kind",
    "Setting",
    "SettingValue",
    "ValueTypeError",
    "check_values",
    "convert",
    "declared",
    "parse_bool",
    "parse_enum",
    "parse_size",
    "parse_time_msec",
    "parse_time_sec",
    "parse_uint",
    "parse_uint64",
    "setting",
    "setting_name",
]


UINT_MAX: Final = 2**32 - 1
UINT64_MAX: Final = 2**64 - 1
# Far above every limit, and far below what makes int() slow: digits beyond it cannot make a number valid again.
_MAX_DIGITS: Final = 30

_TIME = re.compile(r"([0-9]+) *([A-Za-z]*)\Z")
_SIZE = re.compile(r"([0-9]+) *(?:([KMGT])I?B?|B)?\Z", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"[0-9]+\Z")

# Dovecot accepts any prefix of a unit. Where one fits two rows the earlier one wins: `m` is minutes, not milliseconds.
_TIME_UNITS: Final = (
    (1000, ("secs", "seconds")),
    (60_000, ("mins", "minutes")),
    (1, ("msecs", "mseconds", "millisecs", "milliseconds")),
    (3_600_000, ("hours",)),
    (86_400_000, ("days",)),
    (604_800_000, ("weeks",)),
)
_SIZE_SHIFTS: Final = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
_UNLIMITED: Final = frozenset({"infinite", "unlimited"})


class Kind(enum.Enum):
    """The type of a setting."""

    STRING = "string"
    NAME = "string, by default the name of its block"
    FILE = "path of a file, relative to the configuration file"
    ENUM = "one of a few words"
    BOOL = "yes or no"
    UINT = "number"
    UINT64 = "64-bit number"
    TIME = "time"
    TIME_SECS = "time in whole seconds"
    SIZE = "size"
    BOOL_LIST = "list"
    TEXT_LIST = "block of lines NAME = VALUE"


class ValueTypeError(Exception):
    """A value that is not of its setting's type.

    Attributes:
        message: Dovecot's error.
        advice: what to write instead; continues dovebeam's own message.
    """

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message, advice)
        self.message = message
        self.advice = advice


def parse_bool(text: str) -> bool:
    """`yes`, `y`, `1` or `no`, letters in any case; nothing else is a boolean in Dovecot."""
    # Not symmetric: Dovecot refuses `n` and `0`.
    lowered = text.lower()
    if lowered in {"yes", "y", "1"}:
        return True
    if lowered == "no":
        return False
    raise ValueTypeError(f"Invalid boolean value: {text} (use yes or no)", "write yes or no")


def parse_uint(text: str) -> int:
    """A number up to 2**32 - 1, which is also what `unlimited` and `infinite` mean."""
    return UINT_MAX if text in _UNLIMITED else _number(text, UINT_MAX)


def parse_uint64(text: str) -> int:
    """A number up to 2**64 - 1."""
    return _number(text, UINT64_MAX)


def parse_time_msec(text: str) -> int | None:
    """A time in milliseconds, at most 2**32 - 1 of them; `None` for `infinite` and `unlimited`."""
    return None if text in _UNLIMITED else _milliseconds(text, UINT_MAX)


def parse_time_sec(text: str) -> int | None:
    """A time of whole seconds, returned in milliseconds; `None` for `infinite` and `unlimited`."""
    if text in _UNLIMITED:
        return None
    msec = _milliseconds(text, UINT_MAX * 1000)
    if msec % 1000:
        raise ValueTypeError(f"Milliseconds not supported for this setting: {text}", "write whole seconds")
    return msec


def parse_size(text: str) -> int | None:
    """A size in bytes, units are powers of 1024; `None` for `infinite` and `unlimited`."""
    if text in _UNLIMITED:
        return None
    found = _SIZE.match(text)
    if found is None:
        raise ValueTypeError(f"Invalid size: {text}", "write a number of bytes, or a number with k, M, G or T")
    number = _int(found[1])
    # Dovecot has two errors for one limit: for digits that overflow, and for a product that does.
    if number > UINT64_MAX:
        raise ValueTypeError(f"Invalid size: {text}", f"the limit is {UINT64_MAX} bytes")
    size = number << _SIZE_SHIFTS[(found[2] or "").lower()]
    if size > UINT64_MAX:
        raise ValueTypeError(f"Size is too large: {text}", f"the limit is {UINT64_MAX} bytes")
    return size


def parse_enum(text: str, choices: tuple[str, ...]) -> str:
    """One of `choices`, exactly as written there."""
    if text not in choices:
        raise ValueTypeError(f"Invalid value: {text}", f"write one of: {', '.join(choices)}")
    return text


def _number(text: str, limit: int) -> int:
    if _NUMBER.match(text) is None:
        reason = "Number too small" if re.match(r"-[0-9]+\Z", text) else "Not a valid number"
        raise ValueTypeError(f"Invalid number {text}: {reason}", f"write digits only, a number from 0 to {limit}")
    number = _int(text)
    if number > limit:
        raise ValueTypeError(f"Invalid number {text}: Number too large", f"the limit is {limit}")
    return number


def _milliseconds(text: str, limit: int) -> int:
    found = _TIME.match(text)
    if found is None:
        raise ValueTypeError(f"Invalid time interval: {text}", "write a number and a unit, such as 250ms, 2s or 1 min")
    number, unit = _int(found[1]), found[2].lower()
    if number > UINT64_MAX:
        raise ValueTypeError(f"Invalid time interval: {text}", f"the limit is {limit} milliseconds")
    if not unit:
        # 0 is the one time that needs no unit.
        if number == 0:
            return 0
        raise ValueTypeError(
            f"Time interval '{text}' is missing units (add e.g. 's' for seconds)",
            f"add a unit: {found[1]}ms, {found[1]}s or {found[1]}min",
        )
    factor = next(_factors_of(unit), None)
    if factor is None:
        raise ValueTypeError(f"Invalid time interval: {text}", "units are ms, s, min, h, d and w")
    if number * factor > limit:
        raise ValueTypeError(f"Time interval is too large: {text}", f"the limit is {limit} milliseconds")
    return number * factor


def _factors_of(unit: str) -> Iterator[int]:
    for factor, words in _TIME_UNITS:
        if any(word.startswith(unit) for word in words):
            yield factor


def _int(digits: str) -> int:
    significant = digits.lstrip("0")
    return int(significant[:_MAX_DIGITS] or "0")


# The declaration of a setting, and the checks of a driver's fields that follow from it.

SettingValue = str | bool | int | tuple[tuple[str, str], ...] | None
"""Booleans, numbers, milliseconds, bytes, text or pairs of texts; `None` is a time or size without limit."""

PREFIX: Final = "event_exporter_"
"""Prefix of the full names of an exporter's own settings; names in its block, and in a driver, do not have it."""

_SHARED: Final = ("http_client_", "ssl_")
_UNIT: Final = "_msec"
_METADATA: Final = "setting"
_NOT_ZERO: Final = "it must not be 0; set it to 1 or more"

_declared: Final[dict[type[Any], Mapping[str, Setting]]] = {}
_PARSERS: Final[Mapping[Kind, Callable[[str], bool | int | None]]] = {
    Kind.BOOL: parse_bool,
    Kind.UINT: parse_uint,
    Kind.UINT64: parse_uint64,
    Kind.TIME: parse_time_msec,
    Kind.TIME_SECS: parse_time_sec,
    Kind.SIZE: parse_size,
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        name: the full name, the same in every block.
        kind: the type of its values.
        default: the value if nothing sets it, as it would be written.
        text: what it is for, one sentence without its full stop; the reference of settings is made from it.
        choices: the values of an enum, or of a list that knows only some.
        block_only: honoured only in its own block, not as a default outside.
        not_zero: the error if the value is 0, for a setting of Dovecot in Dovecot's words; empty if 0 is allowed.
        secret: the value must never be shown.
        guarded: it is not for secrets, but a URL, or a place where people write one by mistake.
        expanded: whether `%{...}` in it is expanded at start.
        extension: dovebeam has it, Dovecot refuses it.
        check: returns what is wrong with a value beyond its type, or an empty string.
        required: a value as an example, if an exporter of its driver cannot work without this setting.
        unset: the value of a driver's field if the configuration does not set it, where that differs from `default`.
        no_effect: why it changes nothing in dovebeam; empty if it changes something.
        refused: why dovebeam refuses any value of it; empty if it doesn't.
        drivers: names of the drivers that it is for; empty if it is for all, or not for exporters.
    """

    name: str
    kind: Kind
    default: str
    text: str
    choices: tuple[str, ...] = ()
    block_only: bool = False
    not_zero: str = ""
    secret: bool = False
    guarded: bool = False
    expanded: bool = True
    extension: bool = False
    check: Callable[[str], str] | None = None
    required: str = ""
    unset: int | None = None
    no_effect: str = ""
    refused: str = ""
    drivers: tuple[str, ...] = ()

    @property
    def is_public(self) -> bool:
        """Whether its value is known to hold no secret, so that messages may repeat it, right or wrong."""
        return not self.secret and not self.guarded

    @property
    def short_name(self) -> str:
        """The name inside of an exporter's block."""
        return self.name.removeprefix(PREFIX)


def setting(
    kind: Kind,
    default: str,
    text: str,
    choices: tuple[str, ...] = (),
    *,
    dovecot: bool = False,
    secret: bool = False,
    guarded: bool = False,
    shown: bool = True,
    not_zero: bool | str = False,
    expanded: bool = True,
    check: Callable[[str], str] | None = None,
    required: str = "",
    unset: int | None = None,
) -> Any:
    """A field of a driver, filled by the setting of its name: `fifo_path` by `event_exporter_fifo_path`.

    A time is in milliseconds and its field's name ends in `_msec`, which is not a part of the setting's name; a field
    `http_client_...` or `ssl_...` is filled by Dovecot's setting of that very name.

    Args:
        kind: the type of the values.
        default: the default, as it would be written in dovecot.conf.
        text: what it is for, one sentence without its full stop.
        choices: the words that it can be.
        dovecot: whether it is Dovecot's; otherwise dovebeam has added it.
        secret: the value must never be shown: it is text, or a reference to it, and the field holds a `Secret`.
        guarded: messages of the configuration do not repeat the value.
        shown: whether the field is a part of the driver's representation and display items; a secret never is.
        not_zero: 0 is refused, True in words that fit all, or in Dovecot's words.
        expanded: whether `%{...}` in it is expanded at start.
        check: returns what is wrong with a value beyond its type, or an empty string.
        required: an example of a value, if the driver cannot work without one.
        unset: the field's default, where it is not the setting's.

    Raises:
        ValueTypeError: the default is not of its type.
    """
    row = Setting(
        name="",  # the field does not know its own name yet; `declared` fills it in
        kind=kind,
        default=default,
        text=text,
        choices=choices,
        not_zero=_NOT_ZERO if not_zero is True else not_zero or "",
        secret=secret,
        guarded=guarded,
        expanded=expanded,
        extension=not dovecot,
        check=check,
        required=required,
        unset=unset,
    )
    value = convert(row, default) if unset is None else unset
    return field(default=value, repr=shown and not secret, metadata={_METADATA: row})


def setting_name(field_name: str) -> str:
    """The full name of the setting that fills a driver's field."""
    name = field_name.removesuffix(_UNIT)
    return name if name.startswith(_SHARED) else f"{PREFIX}{name}"


def declared(driver: type[Any]) -> Mapping[str, Setting]:
    """The settings that a driver's class declares, by the fields that they fill."""
    if driver not in _declared:
        names = (str(getattr(driver, "name", "")),)
        _declared[driver] = MappingProxyType(
            {
                each.name: replace(each.metadata[_METADATA], name=setting_name(each.name), drivers=names)
                for each in fields(driver)
                if _METADATA in each.metadata
            }
        )
    return _declared[driver]


def check_values(driver: Any, *, ignored: str = "") -> None:
    """Refuses values of a driver's fields that their declarations rule out, also in a driver that a program made.

    Args:
        driver: its class is a dataclass.
        ignored: prefix of the names of settings that this driver does not use.

    Raises:
        DriverSettingError: the text says what to write instead.
    """
    for name, row in declared(type(driver)).items():
        value = getattr(driver, name)
        if ignored and row.name.startswith(ignored):
            continue
        if row.choices and value not in row.choices:
            near = closest_name(str(value), row.choices)
            hint = f"; did you mean {near!r}?" if near else ""
            raise DriverSettingError(row.name, f"it is {value!r}; write one of: {', '.join(row.choices)}{hint}")
        if row.not_zero and value == 0:
            # Dovecot's error names its C variable (`..._msecs`); a program that sets a Python field gets ours.
            raise DriverSettingError(row.name, row.not_zero if row.extension else _NOT_ZERO)
        advice = row.check(value) if row.check and isinstance(value, str) else ""
        if advice:
            raise DriverSettingError(row.name, f"it is {value!r}; {advice}" if row.is_public else advice)


def convert(setting: Setting, text: str) -> SettingValue:
    """The value of a text for this setting.

    Raises:
        ValueTypeError: the text is not of the setting's type, or its check refuses it.
    """
    if setting.kind is Kind.ENUM or (setting.kind is Kind.NAME and setting.choices):
        return parse_enum(text, setting.choices)
    # A list is a block of lines, which the configuration reader collects; the text beside its name means nothing.
    if setting.kind is Kind.TEXT_LIST:
        return ()
    parse = _PARSERS.get(setting.kind)
    value: SettingValue = parse(text) if parse else text
    advice = setting.check(text) if setting.check else ""
    if advice:
        raise ValueTypeError(f"Invalid value: {text}", advice)
    return value
