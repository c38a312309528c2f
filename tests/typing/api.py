"""What a pipeline author writes with dovebeam: never run, only type-checked, by test_api.py.

Every public name is used. `assert_type` notices when a result loses its type, and each `type: ignore` is a call that
must be refused: mypy --strict reports one that is not needed any more, so a lost annotation of a parameter fails here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, assert_type

from apache_beam.pvalue import PCollection
from apache_beam.runners.runner import PipelineResult

from dovebeam.transforms import (
    And,
    AssignEventTimes,
    Attribute,
    AttributeRow,
    Batch,
    Block,
    Catalogue,
    Comparison,
    Config,
    ConfigError,
    ConfigProblem,
    Connection,
    Contradiction,
    CountExports,
    DecodeError,
    DecodeEvents,
    DeliveryError,
    Dispatcher,
    DovebeamError,
    Driver,
    DriverSettingError,
    DropDriver,
    Event,
    EventRow,
    EventsToRows,
    Expected,
    Explanation,
    Exporter,
    ExportEvents,
    ExportSum,
    Failure,
    FieldRow,
    FileDriver,
    Filter,
    FilterSyntaxError,
    FilterWarning,
    Finding,
    FollowRequest,
    FollowSettings,
    FollowTarget,
    FormatEvents,
    Formatter,
    FoundFile,
    GroupBy,
    HttpPostDriver,
    IPAddress,
    LeftOut,
    LogDriver,
    Manifest,
    ManifestError,
    ManifestFile,
    MatchMetric,
    MessageOrigin,
    Method,
    Metric,
    NeverTrue,
    Not,
    Or,
    PayloadBatch,
    PullFromPubSub,
    PullLimits,
    ReadAllFromFiles,
    ReadFromFiles,
    ReadFromFollowedFiles,
    ReadFromPubSub,
    Reject,
    RejectedError,
    RejectRow,
    RejectsToRows,
    ResendRejects,
    Router,
    RoutingError,
    RowsToEvents,
    Segment,
    Settings,
    SourceError,
    SourcePlace,
    SubscribeRequest,
    ThrottleBlocks,
    TimeRange,
    Timestamp,
    UnixDriver,
    UnknownNameError,
    Verdict,
    WriteToArchive,
    WriteToExporter,
    WriteToShards,
    decode_json,
    decode_tab,
    encode_json,
    encode_tab,
    event_from_avro,
    event_from_row,
    event_to_avro,
    event_to_row,
    explain,
    load_config,
    make_driver,
    make_event,
    make_formatter,
    manifest_from_json,
    match_files,
    parse_filter,
    reject_from_json,
    reject_to_json,
    reject_to_row,
)
from dovebeam.transforms.testing import (
    Answer,
    ExpectedReject,
    HttpRequest,
    HttpTarget,
    KeepingDriver,
    assert_balanced,
    assert_matches,
    assert_no_match,
    counters_of,
    event_of_line,
    holds_rejects,
    sample_event,
    why,
    write_events,
)

Value = str | int | Timestamp | IPAddress | list[str]


def events(line: bytes) -> Event:
    """Events and their parts."""
    event = make_event("a", fields={"user": "u", "n": 5, "t": Timestamp(7), "ip": IPAddress("::1")}, categories=["c"])
    assert_type(event, Event)
    assert_type(event.name, str | None)
    assert_type(event.hostname, str | None)
    assert_type(event.start_time, int | None)
    assert_type(event.end_time, int | None)
    assert_type(event.categories, list[str])
    assert_type(event.fields, dict[str, Value])
    assert_type(event.get("user"), Value | None)
    assert_type(event.duration, int)
    assert_type(event.source, str | None)
    assert_type(Timestamp(5).usec, int)
    assert_type(IPAddress("::1").text, str)
    make_event(5)  # type: ignore[arg-type]
    make_event("a", fields={"x": 1.5})  # type: ignore[dict-item]
    make_event("a", start_time="now")  # type: ignore[arg-type]
    make_event("a", log_type="loud")  # type: ignore[arg-type]
    assert_type(Catalogue({"peer_ip": "ip"}).is_candidate("peer_ip"), bool)
    assert_type(decode_json(line), Event)
    assert_type(decode_tab(line), Event)
    decode_json("text")  # type: ignore[arg-type]
    decode_tab("text")  # type: ignore[arg-type]
    assert_type(encode_json(event), bytes)
    assert_type(encode_tab(event), bytes)
    encode_json(line)  # type: ignore[arg-type]
    encode_tab(line)  # type: ignore[arg-type]
    assert_type(event_to_avro(event), dict[str, Any])
    assert_type(event_from_avro({"name": "a"}), Event)
    event_from_avro(5)  # type: ignore[arg-type]
    return event


def filters(event: Event) -> None:
    """The filter language."""
    parsed = parse_filter("event=a")
    parse_filter(5)  # type: ignore[arg-type]
    assert_type(parsed, Filter)
    assert_type(parsed.text, str)
    assert_type(parsed.matches(event), bool)
    parsed.matches(b"line")  # type: ignore[arg-type]
    explanation = explain(parsed, event)
    explain("event=a", event)  # type: ignore[arg-type]
    assert_type(explanation, Explanation)
    assert_type(explanation.matched, bool)
    assert_type(explanation.findings, tuple[Finding, ...])
    assert_type(explanation.findings[0].comparison, Comparison)
    assert_type(parsed.verdict, Verdict)
    assert_type(parsed.warnings, tuple[FilterWarning, ...])
    assert_type(Dispatcher([parsed]).matching(event), Sequence[int])
    parts: tuple[type, ...] = (And, Or, Not, Comparison, NeverTrue, Contradiction)
    assert isinstance(parsed.root, parts)


def formats(event: Event) -> None:
    """The formats."""
    formatter = make_formatter("json", time_format="unix", include=["name"], fields=["user"])
    make_formatter(5)  # type: ignore[arg-type]
    assert_type(formatter, Formatter)
    assert_type(formatter.format(event), bytes)
    formatter.format("a")  # type: ignore[arg-type]


def configuration() -> Config:
    """A dovecot.conf."""
    config = load_config(["dovecot.conf", "overlay.conf"])
    load_config(5)  # type: ignore[arg-type]
    assert_type(config, Config)
    assert_type(config.exporters, Mapping[str, Exporter])
    assert_type(config.metrics, tuple[Metric, ...])
    metric, exporter = config.metrics[0], config.exporters["a"]
    assert_type(metric.name, str)
    assert_type(config.left_out, tuple[LeftOut, ...])
    assert_type(metric.group_by, tuple[GroupBy, ...])
    assert_type(metric.place, SourcePlace)
    assert_type(exporter.settings, Settings)
    assert_type(metric.group_by[0].methods, tuple[Method, ...])
    assert_type(metric.filter, Filter)
    assert_type(exporter.driver, str)
    assert_type(make_driver(exporter), Driver)
    assert_type(FormatEvents.of(metric, exporter), FormatEvents)
    return config


def transforms(config: Config, driver: Driver) -> None:
    """What a pipeline is made of; a wrong argument is noticed by an editor."""
    assert_type(ReadFromFiles("events/*.json", input_format="auto"), ReadFromFiles)
    assert_type(DecodeEvents("json").with_error_handler(None), DecodeEvents)
    assert_type(MatchMetric("event=a", unnamed=True), MatchMetric)
    assert_type(FormatEvents("json", fields=["user"]), FormatEvents)
    assert_type(WriteToExporter(driver, name="a").with_error_handler(None), WriteToExporter)
    assert_type(ExportEvents(config, drivers={"a": driver}, run_id="x").with_error_handler(None), ExportEvents)
    assert_type(RowsToEvents().with_error_handler(None), RowsToEvents)
    assert_type(AssignEventTimes(), AssignEventTimes)
    assert_type(EventsToRows(), EventsToRows)
    assert_type(RejectsToRows(), RejectsToRows)
    ReadFromFiles(5)  # type: ignore[arg-type]
    ReadFromFiles("a", input_format="csv")  # type: ignore[arg-type]
    DecodeEvents(5)  # type: ignore[arg-type]
    MatchMetric(5)  # type: ignore[arg-type]
    FormatEvents(5)  # type: ignore[arg-type]
    WriteToExporter("file")  # type: ignore[arg-type]
    ExportEvents("dovecot.conf")  # type: ignore[arg-type]
    ExportEvents(config, drivers={"a": "file"})  # type: ignore[dict-item]


def sources() -> None:
    """What blocks come from."""
    request = FollowRequest.of(["events.json"], "state", FollowSettings("json", max_open=5))
    assert_type(request.targets, tuple[FollowTarget, ...])
    assert_type(ReadFromFollowedFiles(request, Segment(max_secs=5)), ReadFromFollowedFiles)
    assert_type(PullFromPubSub(SubscribeRequest("projects/p/subscriptions/s", PullLimits())), PullFromPubSub)
    assert_type(ReadFromPubSub(topic="projects/p/topics/t"), ReadFromPubSub)
    assert_type(ReadAllFromFiles(input_format="json"), ReadAllFromFiles)
    assert_type(ThrottleBlocks(100), ThrottleBlocks)
    found = match_files(["events/*.json"])
    assert_type(found, list[FoundFile])
    ReadFromFiles("a", expected={found[0].uri: Expected(bytes=5, sha256="0", events=1)})
    block = Block("events.json", 0, b"{}", "json")
    assert_type(block.messages, tuple[MessageOrigin, ...])
    ReadFromFollowedFiles(["events.json"])  # type: ignore[arg-type]
    FollowRequest.of(["events.json"])  # type: ignore[call-arg]
    PullFromPubSub("projects/p/subscriptions/s")  # type: ignore[arg-type]
    ReadFromPubSub(topic=5)  # type: ignore[arg-type]
    ThrottleBlocks("5")  # type: ignore[arg-type]


def targets(config: Config) -> None:
    """What blocks, events and payloads go to."""
    files = FileDriver("/var/log/events", file_writing="shards")
    assert_type(WriteToShards(files, name="a", run_id="x"), WriteToShards)
    assert_type(WriteToArchive("/var/archive", run_id="x", time_range=TimeRange()), WriteToArchive)
    assert_type(CountExports(config, time_range=TimeRange(0, 5)), CountExports)
    assert_type(ResendRejects(config, drivers={"a": files}).with_error_handler(None), ResendRejects)
    total = ExportSum("exporter", "metric", "2026-11-22T08Z", 1, 500)
    assert_type(total.events, int)
    assert_type(PayloadBatch([b"payload"]).source_uri, str)
    manifest = manifest_from_json(b"{}", "events.manifest.json")
    assert_type(manifest, Manifest)
    assert_type(manifest.files, tuple[ManifestFile, ...])
    drivers: list[Driver] = [files, DropDriver(), LogDriver(), UnixDriver("/run/events"), MyDriver()]
    assert_type([driver.name for driver in drivers], list[str])
    WriteToShards(DropDriver())  # type: ignore[arg-type]
    WriteToArchive("/var/archive")  # type: ignore[call-arg]
    CountExports("dovecot.conf")  # type: ignore[arg-type]
    ResendRejects("dovecot.conf")  # type: ignore[arg-type]
    TimeRange("yesterday")  # type: ignore[arg-type]


class MyRouter:
    """Routes events by their names."""

    def route(self, event: Event) -> str:
        """The file of an event."""
        if event.name is None:
            raise RoutingError("an event without a name has no file")
        return event.name


class MyConnection(Connection):
    """Refuses everything."""

    def deliver(self, batch: Batch) -> list[Failure]:
        """Called with batches that are not empty."""
        if not batch.payloads:
            raise DeliveryError("nothing to deliver", "nowhere")
        return [Failure(index, "refused", attempts=2, status=400) for index in range(len(batch))]

    def release(self) -> None:
        """Called once."""


@dataclass(frozen=True)
class MyDriver(Driver):
    """A driver with a name of its own."""

    token: str = field(default="env:TOKEN", repr=False)
    name: ClassVar[str] = "mine"

    @property
    def endpoint(self) -> str:
        """Where payloads go."""
        return "nowhere"

    def router(self) -> Router:
        """What finds the files."""
        return MyRouter()

    def open(self) -> MyConnection:
        """Opens nothing."""
        return MyConnection()


def pipeline(lines: PCollection[bytes]) -> None:
    """A pipeline of one's own."""
    found = lines | DecodeEvents() | MatchMetric("event=a")
    _ = found | FormatEvents("json")


def rows(event: Event, reject: Reject) -> None:
    """Events and rejects as rows."""
    row = event_to_row(event)
    event_to_row(b"line")  # type: ignore[arg-type]
    assert_type(row, EventRow)
    assert_type(row.name, str | None)
    assert_type(row.start_time_usec, int | None)
    assert_type(row.categories, Sequence[str] | None)
    assert_type(row.fields, Sequence[FieldRow] | None)
    for each in row.fields or ():
        assert_type(each.key, str)
        assert_type(each.str, str | None)
        assert_type(each.int, int | None)
        assert_type(each.strlist, Sequence[str] | None)
    assert_type(event_from_row(row), Event)
    bad = reject_to_row(reject)
    reject_to_row(event)  # type: ignore[arg-type]
    assert_type(bad, RejectRow)
    assert_type(bad.payloadBytes, bytes)
    assert_type(bad.httpStatus, int | None)
    assert_type(bad.attributes, Sequence[AttributeRow])


def rejects(reject: Reject) -> None:
    """What could not be decoded or delivered."""
    assert_type(reject.payload_bytes, bytes)
    assert_type(reject.error_message, str)
    assert_type(reject.stage, Literal["decode", "route", "deliver"])
    assert_type(reject.http_status, int | None)
    assert_type(reject.source_offset, int | None)
    assert_type(reject.attributes, list[Attribute])
    assert_type(reject_to_json(reject), bytes)
    assert_type(reject_from_json(b"{}"), Reject)
    reject_to_json(b"line")  # type: ignore[arg-type]
    reject_from_json("line")  # type: ignore[arg-type]


def errors() -> list[str]:
    """Exceptions, and what they carry."""
    try:
        configuration()
    except ConfigError as error:
        assert_type(error.problems, tuple[ConfigProblem, ...])
        return [str(problem) for problem in error.problems]
    except (SourceError, ManifestError, UnknownNameError) as error:
        return [str(error)]
    except DriverSettingError as error:
        assert_type(error.setting, str)
    except RejectedError as error:
        assert_type(error.reject, Reject)
    except FilterSyntaxError as error:
        assert_type(error.offset, int)
        assert_type(error.hint, str)
    except DecodeError as error:
        assert_type(error.reason, str)
    except DovebeamError as error:
        return [str(error)]
    return []


def drivers(batch: Batch) -> list[Failure]:
    """A driver's connection."""
    driver = HttpPostDriver("https://in.example.com/", http_post_batch_max_events=500)
    HttpPostDriver(5)  # type: ignore[arg-type]
    HttpPostDriver("https://h/", http_post_batch_max_events="many")  # type: ignore[arg-type]
    with driver.open() as connection:
        checked: Connection = connection
        assert_type(checked.send(batch), list[Failure])
        checked.send(5)  # type: ignore[arg-type]
        return checked.send([b"payload"])


def tests(result: PipelineResult) -> None:
    """Helpers for tests."""
    event = sample_event("a", user="u", duration=5)
    sample_event("a", user=1.5)  # type: ignore[arg-type]
    assert_type(event, Event)
    assert_type(event_of_line("event:a"), Event)
    event_of_line(5)  # type: ignore[arg-type]
    write_events("events.json", [event])
    write_events("events.json", ["a"])  # type: ignore[list-item]
    assert_type(KeepingDriver(refuses=(b"x",)).kept, list[bytes])
    KeepingDriver(refuses=("x",))  # type: ignore[arg-type]
    assert_matches("event=a", event)
    assert_no_match(parse_filter("event=b"), event)
    assert_matches(5, event)  # type: ignore[arg-type]
    assert_no_match(5, event)  # type: ignore[arg-type]
    assert_type(why("event=a", event), str)
    counters = counters_of(result)
    assert_type(counters, dict[str, int])
    assert_balanced(counters)
    assert_balanced({"read": "x"})  # type: ignore[dict-item]
    assert_type(holds_rejects([ExpectedReject(b"x", "deliver")]), Callable[[Iterable[Reject]], None])
    ExpectedReject("x")  # type: ignore[arg-type]
    with HttpTarget([503, Answer(200, delay_msec=5)]) as target:
        assert_type(target, HttpTarget)
        assert_type(target.url, str)
        assert_type(target.requests, list[HttpRequest])
    HttpTarget(["200"])  # type: ignore[list-item]
