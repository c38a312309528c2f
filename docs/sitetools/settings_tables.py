"""Tables of settings, from the table of settings that the configuration reader has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from dovebeam.transforms.config import DRIVER_NAMES, SETTINGS, Setting
from dovebeam.transforms.drivers.setting import Kind
from sitetools.tables import code, table

__all__ = ["GROUPS", "settings"]

_EXPORTER: Final = "event_exporter_"


def _of(driver: str) -> Callable[[Setting], bool]:
    """The driver's own settings."""
    return lambda row: row.name.startswith(_EXPORTER) and row.drivers == (driver,)


def _begins(*starts: str) -> Callable[[Setting], bool]:
    return lambda row: row.name.startswith(starts)


GROUPS: Final[Mapping[str, Callable[[Setting], bool]]] = MappingProxyType(
    {
        "exporter": lambda row: row.name.startswith(_EXPORTER) and not row.drivers,
        **{name.replace("-", "_"): _of(name) for name in DRIVER_NAMES if any(map(_of(name), SETTINGS.values()))},
        "http_client": _begins("http_client_"),
        "tls": _begins("ssl_"),
        "metric": lambda row: row.name.startswith("metric_") and not row.name.startswith("metric_group_by_"),
        "group_by": _begins("metric_group_by_"),
    }
)
"""What the page has a table of each; every setting is in one of them."""

_TYPES: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        Kind.STRING: "text",
        Kind.NAME: "text",
        Kind.FILE: "path",
        Kind.ENUM: "a word",
        Kind.BOOL: "yes or no",
        Kind.UINT: "number",
        Kind.UINT64: "number, 64 bits",
        Kind.TIME: "time",
        Kind.TIME_SECS: "time, whole seconds",
        Kind.SIZE: "size",
        Kind.BOOL_LIST: "list",
        Kind.TEXT_LIST: "block",
    }
)
_PREFIXES: Final = ("metric_group_by_method_", "metric_group_by_", "metric_", _EXPORTER)


def settings(group: str) -> str:
    """The table of the settings of a group, in their order in the code."""
    rows = [row for row in SETTINGS.values() if GROUPS[group](row)]
    return table(
        ("setting", "default", "type", "meaning", "belongs to"),
        ((code(_short(row), row.name), code(row.default), _type(row), _meaning(row), _origin(row)) for row in rows),
    )


def _short(row: Setting) -> str:
    return next((row.name.removeprefix(start) for start in _PREFIXES if row.name.startswith(start)), row.name)


def _origin(row: Setting) -> str:
    return "dovebeam" if row.extension else "Dovecot"


def _type(row: Setting) -> str:
    words = _TYPES[row.kind]
    if row.choices:
        words = f"{'list of ' if row.kind is Kind.BOOL_LIST else ''}{', '.join(map(code, row.choices))}"
    return f"{words}, not 0" if row.not_zero else words


def _meaning(row: Setting) -> str:
    text = f"{row.text[0].upper()}{row.text[1:]}." if not row.text.startswith("`") else f"{row.text}."
    if row.secret:
        text += " A secret, or a reference to one."
    if not row.expanded:
        text += " `%{...}` in it is not expanded."
    if row.no_effect:
        text += f" Has no effect in dovebeam: {row.no_effect}."
    return text
