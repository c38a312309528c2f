"""The transforms, each alone and all together, on a real runner."""

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.error_handling import ErrorHandler

from dovebeam.transforms import (
    DecodeEvents,
    ExportEvents,
    FormatEvents,
    MatchMetric,
    WriteToExporter,
    decode_json,
    load_config,
    make_event,
)
from dovebeam.transforms.drivers import Connection, Driver, DropDriver, Failure
from dovebeam.transforms.errors import DeliveryError, FilterSyntaxError, UnknownNameError
from dovebeam.transforms.read_from_files import ReadFromFiles
from dovebeam.transforms.sources import Block
from support.jobs.pipelines import pipeline
from support.oracle.corpus import corpus_lines

HEAD = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"


@dataclass(frozen=True)
class PickyDriver(Driver):
    """Refuses payloads that contain a word, and can do nothing at all when told so."""

    name: ClassVar[Any] = "drop"
    word: bytes = b"bad"
    broken: bool = False

    @property
    def endpoint(self) -> str:
        """Nowhere."""
        return "nowhere"

    def open(self) -> Connection:
        """A connection that refuses."""
        return PickyConnection(self)


class PickyConnection(Connection):
    """See PickyDriver."""

    def __init__(self, driver: PickyDriver) -> None:
        super().__init__()
        self._driver = driver

    def deliver(self, batch: Any) -> list[Failure]:
        if self._driver.broken:
            raise DeliveryError("the disk is full", "nowhere")
        return [
            Failure(index, "refused", attempts=2, status=400, endpoint="nowhere")
            for index, payload in enumerate(batch.payloads)
            if self._driver.word in payload
        ]


def exporters(*names: str) -> str:
    """Configuration of exporters that drop."""
    return "".join(f"event_exporter {name} {{\n  driver = drop\n  format = json\n}}\n" for name in names)


def metric(name: str, filter_text: str, exporter: str) -> str:
    """Configuration of a metric that exports names."""
    return (
        f"metric {name} {{\n  filter = {filter_text}\n  exporter = {exporter}\n  exporter_include = name fields\n}}\n"
    )


def config_of(tmp_path: Path, text: str) -> Any:
    """The configuration."""
    path = tmp_path / "dovecot.conf"
    path.write_text(HEAD + text)
    return load_config([path])


def test_decode_match_format() -> None:
    """Lines become events, a filter picks some, a format writes them; what is no event goes to the error handler."""
    lines = [b'{"event":"a","fields":{"x":5}}\n', b"event:b\tfield:x=1", b"\n", '{"event":"c"}', b"nonsense", b"[1]"]
    with pipeline() as (p, counters):
        with ErrorHandler(beam.Map(lambda reject: (reject.stage, reject.payload_bytes))) as rejects:
            events = p | beam.Create(lines, reshuffle=False) | DecodeEvents().with_error_handler(rejects)
            written = events | MatchMetric("event=a OR event=b") | FormatEvents("tab-text", include=["name"])
            assert_that(written, equal_to([b"event:a", b"event:b"]), label="written")
        assert_that(rejects.output(), equal_to([("decode", b"nonsense"), ("decode", b"[1]")]), label="rejects")
    assert (counters["read"], counters["undecodable"]) == (5, 2)
    assert counters["matched/event=a OR event=b"] == 2


def test_without_an_error_handler_a_reject_fails_the_job() -> None:
    """Nothing is dropped silently: the job fails with the reason."""
    with pytest.raises(Exception, match=r"rejected \(decode\): expected a part like"), pipeline() as (p, _):
        _ = p | beam.Create([b"nonsense"]) | DecodeEvents()


def test_decode_blocks(tmp_path: Path) -> None:
    """Files become single events, too: of every line, with the place of what is none, as counted."""
    path = tmp_path / "e.json"
    path.write_bytes(b'{"event":"a"}\n\nnonsense\n{"event":"b"}\n')
    with pipeline() as (p, counters):
        with ErrorHandler(beam.Map(lambda reject: (reject.source_uri, reject.source_offset))) as rejects:
            events = p | ReadFromFiles(str(path)) | DecodeEvents().with_error_handler(rejects)
        assert_that(events | beam.Map(lambda event: event.name), equal_to(["a", "b"]), "events")
        assert_that(rejects.output(), equal_to([(str(path), 15)]), "rejects")
    assert counters == {"read": 3, "undecodable": 1}


def test_deliver_bytes() -> None:
    """Payloads are delivered together; what is refused becomes a reject with its bytes and the driver's account."""
    payloads = [b"one", b"bad two", b"three"]
    with pipeline() as (p, counters):
        with ErrorHandler(beam.Map(lambda r: (r.payload_bytes, r.attempts, r.http_status, r.exporter))) as rejects:
            _ = p | beam.Create(payloads) | WriteToExporter(PickyDriver(), name="out").with_error_handler(rejects)
        assert_that(rejects.output(), equal_to([(b"bad two", 2, 400, "out")]))
    assert counters == {"delivered/out": 2, "delivered_bytes/out": 8, "rejected/out": 1}


def test_trouble_that_is_no_payloads_fault_fails_the_bundle() -> None:
    """A target that can take nothing is no reject but a failure of the job."""
    with (
        pytest.raises(Exception, match="the disk is full"),
        pipeline() as (p, _),
        ErrorHandler(beam.Map(repr)) as rejects,
    ):
        _ = p | beam.Create([b"x"]) | WriteToExporter(PickyDriver(broken=True)).with_error_handler(rejects)


def test_export_events(tmp_path: Path) -> None:
    """Events go to every exporter of every metric that matches them, and are accounted for."""
    config = config_of(
        tmp_path,
        exporters("one", "two")
        + metric("m1", "event=a", "one")
        + metric("m2", "event=*", "two")
        + metric("m3", "x=1", "one"),
    )
    events = [make_event(name, fields={"x": x}) for name, x in (("a", 1), ("b", 1), ("c", 2))] + [make_event(None)]
    with pipeline() as (p, counters):
        _ = p | beam.Create(events) | ExportEvents(config)
    assert {name: count for name, count in counters.items() if "bytes" not in name} == {
        "read": 4,
        "matched": 3,
        "unmatched": 1,
        "matched/m1": 1,
        "matched/m2": 3,
        "matched/m3": 2,
        "formatted/one": 3,
        "formatted/two": 3,
        "delivered/one": 3,
        "delivered/two": 3,
    }


def test_export_blocks_with_rejects(tmp_path: Path) -> None:
    """Rejects of reading and of delivery meet in one place, with their origin."""
    config = config_of(tmp_path, exporters("one") + metric("m", "event=*", "one"))
    source = tmp_path / "events.json"
    source.write_bytes(b'{"event":"a","fields":{}}\nbroken\n{"event":"bad","fields":{}}\n')
    with pipeline() as (p, counters):
        with ErrorHandler(beam.Map(lambda r: (r.stage, r.metric, r.payload_bytes, r.source_offset))) as rejects:
            export = ExportEvents(config, drivers={"one": PickyDriver()}).with_error_handler(rejects)
            _ = p | ReadFromFiles([str(source)]) | export
        expected = [("decode", "", b"broken", 26), ("deliver", "m", b'{"event":"bad","fields":{}}', 33)]
        assert_that(rejects.output(), equal_to(expected))
    assert counters["read"] == counters["matched"] + counters["undecodable"] == 3
    assert counters["formatted/one"] == counters["delivered/one"] + counters["rejected/one"] == 2


def test_steps_are_named(tmp_path: Path) -> None:
    """A runner's user interface shows exporters by name."""
    config = config_of(
        tmp_path, exporters("one", "two") + metric("m1", "event=a", "one") + metric("m2", "event=b", "two")
    )
    p = beam.Pipeline()
    _ = p | beam.Create([make_event("a")]) | "Export" >> ExportEvents(config)
    names = {part.full_label for part in p.transforms_stack[0].parts}
    assert names >= {"Export"}
    steps = {step.full_label for part in p.transforms_stack[0].parts for step in part.parts}
    assert {"Export/Match and format", "Export/Deliver to one", "Export/Deliver to two"} <= steps


def test_corpus_events_as_elements() -> None:
    """The transforms take events one by one as they take them by blocks."""
    lines = corpus_lines("events.json.gz")[:2000]
    expected = sum(decode_json(line).name == "imap_command_finished" for line in lines)
    with pipeline() as (p, counters):
        events = p | beam.Create(lines, reshuffle=False) | DecodeEvents("json")
        _ = (
            events
            | MatchMetric("event=imap_command_finished")
            | FormatEvents()
            | WriteToExporter(DropDriver(), name="d")
        )
    assert counters["delivered/d"] == expected > 0


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (lambda: MatchMetric("event="), FilterSyntaxError, "unexpected end of file"),
        (lambda: FormatEvents("xml"), UnknownNameError, "supported: json, none, tab-text"),
        (lambda: DecodeEvents("csv"), UnknownNameError, "supported: auto, json, tab-text"),
    ],
)
def test_mistakes_are_noticed_when_the_pipeline_is_built(build: Any, error: type[Exception], text: str) -> None:
    """A typo never reaches a worker."""
    with pytest.raises(error, match=text):
        build()


def test_blocks_cross_processes() -> None:
    """A block is small to pickle and the same behind it."""
    import pickle

    block = Block("f", 1, b"x", "json")
    assert pickle.loads(pickle.dumps(block)) == block


def test_messages_of_several_lines() -> None:
    """As a subscription gives them, also compressed; one that cannot be decompressed is one reject."""
    messages = [
        b'{"event":"a"}\n{"event":"b"}\r\n\n',
        gzip.compress(b"event:c\nevent:d\n"),
        b'{"event":"e"}\nbroken',
        gzip.compress(b'{"event":"f"}\n' * 9)[:-4],
        b" \n",
    ]
    with pipeline() as (p, counters):
        with ErrorHandler(beam.Map(lambda reject: reject.payload_bytes)) as rejects:
            events = p | beam.Create(messages, reshuffle=False) | DecodeEvents().with_error_handler(rejects)
        assert_that(events | beam.Map(lambda event: event.name), equal_to(["a", "b", "c", "d", "e"]), "events")
        assert_that(rejects.output(), equal_to([b"broken", messages[3]]), "rejects")
    assert counters == {"read": 7, "undecodable": 2}
