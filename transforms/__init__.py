"""dovebeam's library: Dovecot's Event Export, as plain functions and as Apache Beam transforms.

What needs Beam loads it when it is first used, so that the pure part stays quick to import and free of Beam.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dovebeam.transforms.codecs import decode_json as decode_json
    from dovebeam.transforms.codecs import decode_tab as decode_tab
    from dovebeam.transforms.codecs import encode_json as encode_json
    from dovebeam.transforms.codecs import encode_tab as encode_tab
    from dovebeam.transforms.codecs import event_from_avro as event_from_avro
    from dovebeam.transforms.codecs import event_to_avro as event_to_avro
    from dovebeam.transforms.config import Config as Config
    from dovebeam.transforms.config import Exporter as Exporter
    from dovebeam.transforms.config import Metric as Metric
    from dovebeam.transforms.config_files import load_config as load_config
    from dovebeam.transforms.decode import DecodeEvents as DecodeEvents
    from dovebeam.transforms.deliver import WriteToExporter as WriteToExporter
    from dovebeam.transforms.errors import ConfigError as ConfigError
    from dovebeam.transforms.errors import DecodeError as DecodeError
    from dovebeam.transforms.errors import DovebeamError as DovebeamError
    from dovebeam.transforms.errors import FilterSyntaxError as FilterSyntaxError
    from dovebeam.transforms.event import Event as Event
    from dovebeam.transforms.event import make_event as make_event
    from dovebeam.transforms.event_times import AssignEventTimes as AssignEventTimes
    from dovebeam.transforms.export import ExportEvents as ExportEvents
    from dovebeam.transforms.filters import Dispatcher as Dispatcher
    from dovebeam.transforms.filters import Filter as Filter
    from dovebeam.transforms.filters import explain as explain
    from dovebeam.transforms.filters import parse_filter as parse_filter
    from dovebeam.transforms.format import FormatEvents as FormatEvents
    from dovebeam.transforms.formats import Formatter as Formatter
    from dovebeam.transforms.formats import make_formatter as make_formatter
    from dovebeam.transforms.match import MatchMetric as MatchMetric
    from dovebeam.transforms.reading import ReadFromFiles as ReadFromFiles
    from dovebeam.transforms.reject import Reject as Reject
    from dovebeam.transforms.rows import EventRow as EventRow
    from dovebeam.transforms.rows import EventsToRows as EventsToRows
    from dovebeam.transforms.rows import FieldRow as FieldRow
    from dovebeam.transforms.rows import RejectRow as RejectRow
    from dovebeam.transforms.rows import RejectsToRows as RejectsToRows
    from dovebeam.transforms.rows import RowsToEvents as RowsToEvents
    from dovebeam.transforms.rows import event_from_row as event_from_row
    from dovebeam.transforms.rows import event_to_row as event_to_row
    from dovebeam.transforms.rows import reject_to_row as reject_to_row
    from dovebeam.transforms.values import IPAddress as IPAddress
    from dovebeam.transforms.values import Timestamp as Timestamp

_HOMES = {
    "codecs": ("decode_json", "decode_tab", "encode_json", "encode_tab", "event_from_avro", "event_to_avro"),
    "config": ("Config", "Exporter", "Metric"),
    "config_files": ("load_config",),
    "decode": ("DecodeEvents",),
    "deliver": ("WriteToExporter",),
    "errors": ("ConfigError", "DecodeError", "DovebeamError", "FilterSyntaxError"),
    "event": ("Event", "make_event"),
    "event_times": ("AssignEventTimes",),
    "export": ("ExportEvents",),
    "filters": ("Dispatcher", "Filter", "explain", "parse_filter"),
    "format": ("FormatEvents",),
    "formats": ("Formatter", "make_formatter"),
    "match": ("MatchMetric",),
    "reading": ("ReadFromFiles",),
    "reject": ("Reject",),
    "rows": (
        "EventRow",
        "EventsToRows",
        "FieldRow",
        "RejectRow",
        "RejectsToRows",
        "RowsToEvents",
        "event_from_row",
        "event_to_row",
        "reject_to_row",
    ),
    "values": ("IPAddress", "Timestamp"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605  the table above is the list


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
