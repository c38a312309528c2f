"""The table of settings: every setting of event export, one row each, Dovecot's own and dovebeam's extensions.

Names, types, defaults and limits from Dovecot's configuration language, sections "Setting tables" and "HTTP and TLS
settings". The rows of drivers are what their fields declare (`drivers.setting`). Reading, checks, inheritance,
suggestions, `Exporter.settings` and the reference follow from the table. A row whose full name starts with
`event_exporter_` has the rest of its name as the short one inside an exporter.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dovebeam.transforms.config.exporter_settings import EXPORTER_SETTINGS
from dovebeam.transforms.config.metric_settings import METHOD_NAMES, METRIC_SETTINGS
from dovebeam.transforms.drivers import DRIVER_NAMES
from dovebeam.transforms.drivers.setting import Setting

__all__ = [
    "BLOCKS",
    "DRIVER_NAMES",
    "METHOD_NAMES",
    "NAME_SETTINGS",
    "PLAIN_BLOCKS",
    "SETTINGS",
    "Setting",
    "settings_of",
]

BLOCKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "event_exporter": "stats",
        "metric": "stats",
        "metric_group_by": "stats_metric",
        "metric_group_by_method": "stats_metric_group_by",
    }
)
"""Blocks with a name ("named list filters"), and the structure that Dovecot's messages say they belong to."""

PLAIN_BLOCKS: Final = frozenset({"event_exporter_http_post", "ssl_client"})
"""Blocks without a name ("named filters"): what completes with their name is stored in the enclosing block."""

NAME_SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "event_exporter": "event_exporter_name",
        "metric": "metric_name",
        "metric_group_by": "metric_group_by_field",
        "metric_group_by_method": "metric_group_by_method_method",
    }
)
"""The setting of each named block whose first value is the block's name."""

_ROWS: Final = (*EXPORTER_SETTINGS, *METRIC_SETTINGS)

SETTINGS: Final[Mapping[str, Setting]] = MappingProxyType({row.name: row for row in _ROWS})
"""Every setting of event export by its full name, in the order of the table."""

_PREFIXES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "event_exporter": ("event_exporter_", "http_client_", "ssl_"),
        "metric": ("metric_",),
        "metric_group_by": ("metric_group_by_",),
        "metric_group_by_method": ("metric_group_by_method_",),
    }
)


def settings_of(block: str) -> tuple[Setting, ...]:
    """The settings that mean something in a block of this kind, those of blocks inside it left out."""
    inner = tuple(f"{other}_" for other in BLOCKS if other.startswith(f"{block}_"))
    return tuple(
        row for row in _ROWS if row.name.startswith(_PREFIXES[block]) and not (inner and row.name.startswith(inner))
    )
