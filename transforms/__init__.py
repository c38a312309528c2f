"""dovebeam's library: Dovecot's Event Export, as plain functions and as Apache Beam transforms.

A name is imported when it is first used, so that the part without Beam stays quick to import and free of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Each name twice, here and in `_HOMES`: type checkers read imports only, and imports at run time would load Beam.
# tests/test_public_names.py compares the two.
if TYPE_CHECKING:
    from dovebeam.transforms.assign_event_times import AssignEventTimes as AssignEventTimes
    from dovebeam.transforms.codecs import decode_json as decode_json
    from dovebeam.transforms.codecs import decode_tab as decode_tab
    from dovebeam.transforms.codecs import encode_json as encode_json
    from dovebeam.transforms.codecs import encode_tab as encode_tab
    from dovebeam.transforms.codecs import event_from_avro as event_from_avro
    from dovebeam.transforms.codecs import event_to_avro as event_to_avro
    from dovebeam.transforms.config import Config as Config
    from dovebeam.transforms.config import Exporter as Exporter
    from dovebeam.transforms.config import GroupBy as GroupBy
    from dovebeam.transforms.config import Method as Method
    from dovebeam.transforms.config import Metric as Metric
    from dovebeam.transforms.config import Settings as Settings
    from dovebeam.transforms.config import SourcePlace as SourcePlace
    from dovebeam.transforms.config import make_driver as make_driver
    from dovebeam.transforms.config.model import LeftOut as LeftOut
    from dovebeam.transforms.config_files import load_config as load_config
    from dovebeam.transforms.count_exports import CountExports as CountExports
    from dovebeam.transforms.count_exports import ExportSum as ExportSum
    from dovebeam.transforms.decode_events import DecodeEvents as DecodeEvents
    from dovebeam.transforms.drivers import Batch as Batch
    from dovebeam.transforms.drivers import Connection as Connection
    from dovebeam.transforms.drivers import Driver as Driver
    from dovebeam.transforms.drivers import DropDriver as DropDriver
    from dovebeam.transforms.drivers import Failure as Failure
    from dovebeam.transforms.drivers import FileDriver as FileDriver
    from dovebeam.transforms.drivers import HttpPostDriver as HttpPostDriver
    from dovebeam.transforms.drivers import LogDriver as LogDriver
    from dovebeam.transforms.drivers import Router as Router
    from dovebeam.transforms.drivers import RoutingError as RoutingError
    from dovebeam.transforms.drivers import UnixDriver as UnixDriver
    from dovebeam.transforms.error_handling import RejectedError as RejectedError
    from dovebeam.transforms.errors import ConfigError as ConfigError
    from dovebeam.transforms.errors import ConfigProblem as ConfigProblem
    from dovebeam.transforms.errors import DecodeError as DecodeError
    from dovebeam.transforms.errors import DeliveryError as DeliveryError
    from dovebeam.transforms.errors import DovebeamError as DovebeamError
    from dovebeam.transforms.errors import DriverSettingError as DriverSettingError
    from dovebeam.transforms.errors import FilterSyntaxError as FilterSyntaxError
    from dovebeam.transforms.errors import UnknownNameError as UnknownNameError
    from dovebeam.transforms.events.catalogue import Catalogue as Catalogue
    from dovebeam.transforms.events.event import Event as Event
    from dovebeam.transforms.events.event import TimeRange as TimeRange
    from dovebeam.transforms.events.event import make_event as make_event
    from dovebeam.transforms.events.reject import Attribute as Attribute
    from dovebeam.transforms.events.reject import Reject as Reject
    from dovebeam.transforms.events.reject import reject_from_json as reject_from_json
    from dovebeam.transforms.events.reject import reject_to_json as reject_to_json
    from dovebeam.transforms.events.values import IPAddress as IPAddress
    from dovebeam.transforms.events.values import Timestamp as Timestamp
    from dovebeam.transforms.export_events import ExportEvents as ExportEvents
    from dovebeam.transforms.filesystems import match_files as match_files
    from dovebeam.transforms.filters import And as And
    from dovebeam.transforms.filters import Comparison as Comparison
    from dovebeam.transforms.filters import Contradiction as Contradiction
    from dovebeam.transforms.filters import Dispatcher as Dispatcher
    from dovebeam.transforms.filters import Explanation as Explanation
    from dovebeam.transforms.filters import Filter as Filter
    from dovebeam.transforms.filters import FilterWarning as FilterWarning
    from dovebeam.transforms.filters import Finding as Finding
    from dovebeam.transforms.filters import NeverTrue as NeverTrue
    from dovebeam.transforms.filters import Not as Not
    from dovebeam.transforms.filters import Or as Or
    from dovebeam.transforms.filters import Verdict as Verdict
    from dovebeam.transforms.filters import explain as explain
    from dovebeam.transforms.filters import parse_filter as parse_filter
    from dovebeam.transforms.format_events import FormatEvents as FormatEvents
    from dovebeam.transforms.formats import Formatter as Formatter
    from dovebeam.transforms.formats import make_formatter as make_formatter
    from dovebeam.transforms.match_metric import MatchMetric as MatchMetric
    from dovebeam.transforms.plan.decoding import PayloadBatch as PayloadBatch
    from dovebeam.transforms.read_from_files import ReadAllFromFiles as ReadAllFromFiles
    from dovebeam.transforms.read_from_files import ReadFromFiles as ReadFromFiles
    from dovebeam.transforms.read_from_streams import PullFromPubSub as PullFromPubSub
    from dovebeam.transforms.read_from_streams import ReadFromFollowedFiles as ReadFromFollowedFiles
    from dovebeam.transforms.read_from_streams import ReadFromPubSub as ReadFromPubSub
    from dovebeam.transforms.read_from_streams import Segment as Segment
    from dovebeam.transforms.resend_rejects import ResendRejects as ResendRejects
    from dovebeam.transforms.rows import AttributeRow as AttributeRow
    from dovebeam.transforms.rows import EventRow as EventRow
    from dovebeam.transforms.rows import EventsToRows as EventsToRows
    from dovebeam.transforms.rows import FieldRow as FieldRow
    from dovebeam.transforms.rows import RejectRow as RejectRow
    from dovebeam.transforms.rows import RejectsToRows as RejectsToRows
    from dovebeam.transforms.rows import RowsToEvents as RowsToEvents
    from dovebeam.transforms.rows import event_from_row as event_from_row
    from dovebeam.transforms.rows import event_to_row as event_to_row
    from dovebeam.transforms.rows import reject_to_row as reject_to_row
    from dovebeam.transforms.shards.committing import Manifest as Manifest
    from dovebeam.transforms.shards.committing import ManifestError as ManifestError
    from dovebeam.transforms.shards.committing import ManifestFile as ManifestFile
    from dovebeam.transforms.shards.committing import manifest_from_json as manifest_from_json
    from dovebeam.transforms.sources import Block as Block
    from dovebeam.transforms.sources import Expected as Expected
    from dovebeam.transforms.sources import FoundFile as FoundFile
    from dovebeam.transforms.sources import MessageOrigin as MessageOrigin
    from dovebeam.transforms.sources import SourceError as SourceError
    from dovebeam.transforms.sources.follow import FollowRequest as FollowRequest
    from dovebeam.transforms.sources.follow import FollowSettings as FollowSettings
    from dovebeam.transforms.sources.follow import FollowTarget as FollowTarget
    from dovebeam.transforms.sources.pubsub import PullLimits as PullLimits
    from dovebeam.transforms.sources.pubsub import SubscribeRequest as SubscribeRequest
    from dovebeam.transforms.throttle_blocks import ThrottleBlocks as ThrottleBlocks
    from dovebeam.transforms.write_to_archive import WriteToArchive as WriteToArchive
    from dovebeam.transforms.write_to_exporter import WriteToExporter as WriteToExporter
    from dovebeam.transforms.write_to_shards import WriteToShards as WriteToShards

_HOMES = {
    "assign_event_times": "AssignEventTimes",
    "codecs": "decode_json decode_tab encode_json encode_tab event_from_avro event_to_avro",
    "config": "Config Exporter GroupBy Method Metric Settings SourcePlace make_driver",
    "config.model": "LeftOut",
    "config_files": "load_config",
    "count_exports": "CountExports ExportSum",
    "decode_events": "DecodeEvents",
    "drivers": (
        "Batch Connection Driver DropDriver Failure FileDriver HttpPostDriver LogDriver Router RoutingError UnixDriver"
    ),
    "error_handling": "RejectedError",
    "errors": (
        "ConfigError ConfigProblem DecodeError DeliveryError DovebeamError DriverSettingError FilterSyntaxError "
        "UnknownNameError"
    ),
    "events.catalogue": "Catalogue",
    "events.event": "Event TimeRange make_event",
    "events.reject": "Attribute Reject reject_from_json reject_to_json",
    "events.values": "IPAddress Timestamp",
    "export_events": "ExportEvents",
    "filesystems": "match_files",
    "filters": (
        "And Comparison Contradiction Dispatcher Explanation Filter FilterWarning Finding NeverTrue Not Or Verdict "
        "explain parse_filter"
    ),
    "format_events": "FormatEvents",
    "formats": "Formatter make_formatter",
    "match_metric": "MatchMetric",
    "plan.decoding": "PayloadBatch",
    "read_from_files": "ReadAllFromFiles ReadFromFiles",
    "read_from_streams": "PullFromPubSub ReadFromFollowedFiles ReadFromPubSub Segment",
    "resend_rejects": "ResendRejects",
    "rows": (
        "AttributeRow EventRow EventsToRows FieldRow RejectRow RejectsToRows RowsToEvents event_from_row "
        "event_to_row reject_to_row"
    ),
    "shards.committing": "Manifest ManifestError ManifestFile manifest_from_json",
    "sources": "Block Expected FoundFile MessageOrigin SourceError",
    "sources.follow": "FollowRequest FollowSettings FollowTarget",
    "sources.pubsub": "PullLimits SubscribeRequest",
    "throttle_blocks": "ThrottleBlocks",
    "write_to_archive": "WriteToArchive",
    "write_to_exporter": "WriteToExporter",
    "write_to_shards": "WriteToShards",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605  the table above is the list


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Kept in the module, so that Python looks here once for each name.
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
