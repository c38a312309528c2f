"""Settings of blocks `metric NAME` and of what is in them.

From Dovecot's configuration language, section "Setting tables".
"""

from __future__ import annotations

from typing import Final

from dovebeam.transforms.drivers.kinds import Kind
from dovebeam.transforms.drivers.setting import Setting
from dovebeam.transforms.formats import INCLUDE_PARTS

__all__ = ["METHOD_NAMES", "METRIC_SETTINGS"]

METHOD_NAMES: Final = ("discrete", "exponential", "linear")

_S, _T, _U = Kind.STRING, Kind.TIME, Kind.UINT

_METRIC: Final = (
    Setting(
        "metric_name", Kind.NAME, "", "name of the metric; leave it to the name of the block", block_only=True
    ),
    Setting(
        "metric_filter", _S, "", "which events it matches, in Dovecot's filter language; it has no default",
        block_only=True,
    ),
    Setting("metric_exporter", _S, "", "name of the `event_exporter` block that matching events go to; empty for none"),
    Setting(
        "metric_exporter_include", Kind.BOOL_LIST, " ".join(INCLUDE_PARTS), "which parts of an event are exported",
        INCLUDE_PARTS,
    ),
    Setting(
        "metric_fields", Kind.BOOL_LIST, "",
        "if not empty, only these fields of an event are exported, and statistics are kept on them",
    ),
    Setting(
        "metric_known_names", Kind.BOOL_LIST, "",
        "names of events, fields and categories that plugins or Lua scripts add, with the wildcards `*` and `?`; "
        "`dovebeam check` does not warn about them",
        extension=True,
    ),
    Setting("metric_description", _S, "", "help text of the statistics; it changes nothing in an export"),
)  # fmt: skip

_GROUPS: Final = (
    Setting("metric_group_by_field", Kind.NAME, "", "the field that statistics are grouped by", block_only=True),
    Setting(
        "metric_group_by_method_method", Kind.NAME, "", "how values of the field are put into groups", METHOD_NAMES,
        block_only=True,
    ),
    Setting(
        "metric_group_by_method_discrete_modifier", _S, "", "template that makes the group's name of the value",
        expanded=False,
    ),
    Setting(
        "metric_group_by_method_exponential_min_magnitude", _U, "0", "exponent of the limit of the first group"
    ),
    Setting("metric_group_by_method_exponential_max_magnitude", _U, "0", "exponent of the limit of the last group"),
    Setting("metric_group_by_method_exponential_base", _U, "10", "base of the limits of groups, 2 or 10"),
    Setting("metric_group_by_method_linear_min", Kind.UINT64, "0", "limit of the first group"),
    Setting("metric_group_by_method_linear_max", Kind.UINT64, "0", "limit of the last group"),
    Setting("metric_group_by_method_linear_step", Kind.UINT64, "0", "how far the limits of two groups are apart"),
)  # fmt: skip

METRIC_SETTINGS: Final = (*_METRIC, *_GROUPS)
