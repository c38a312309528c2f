"""The transforms for Beam YAML, each alone: rows in, rows out, errors beside, mistakes told when a pipeline is built."""

from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.typehints.schemas import named_fields_from_element_type

from dovebeam.transforms import EventRow, event_to_row, make_event
from dovebeam.transforms.yaml import DovecotEvents, ExportEvents, FormatEvents, MatchMetric, WriteToHttp
from support.jobs.commands import HEAD, exporter, metric
from support.jobs.pipelines import pipeline
from support.servers.server_http import run_http_server, status

LINES = [b'{"event":"a","fields":{"x":5}}', b"event:b\tfield:x=1", b"nonsense", b""]
ROWS = [event_to_row(make_event(name, fields={"x": x})) for name, x in (("a", 5), ("b", 1), ("c", 7))]
BAD = {"output": "bad"}


def names(row: Any) -> Any:
    """What tests look at."""
    return row.name


def columns(collection: Any) -> dict[str, Any]:
    """The schema of a collection."""
    return dict(named_fields_from_element_type(collection.element_type))


def test_events_from_files(tmp_path: Path) -> None:
    """Lines become rows with a schema; what is no event is an error with its bytes and place."""
    path = tmp_path / "events.json"
    path.write_bytes(b'{"event":"a","fields":{}}\nbroken\n{"event":"b","fields":{}}\n')
    with pipeline() as (p, counters):
        outputs = p | DovecotEvents(path=str(path), error_handling=BAD)
        assert list(columns(outputs["good"])) == list(EventRow._fields)
        assert list(columns(outputs["bad"])) == ["element", "msg", "stack"]
        assert_that(outputs["good"] | beam.Map(names), equal_to(["a", "b"]))
        errors = outputs["bad"] | beam.Map(lambda row: (row.element.payloadBytes, row.element.sourceOffset, row.msg))
        assert_that(errors, equal_to([(b"broken", 26, "expected an object '{' (byte 0)")]), label="bad")
    assert counters == {"read": 3, "undecodable": 1}


@pytest.mark.parametrize("kind", [bytes, str])
def test_events_from_a_column(kind: type) -> None:
    """A column of lines becomes events; an error's element is the row as it came, with its own schema."""
    rows = [beam.Row(line=line if kind is bytes else line.decode(), number=n) for n, line in enumerate(LINES)]
    with pipeline() as (p, counters):
        given = p | beam.Create(rows, reshuffle=False)
        outputs = given | DovecotEvents(field="line", error_handling=BAD)
        assert_that(outputs["good"] | beam.Map(names), equal_to(["a", "b"]))
        errors = outputs["bad"] | beam.Map(lambda row: (row.element.number, row.msg[:20]))
        assert_that(errors, equal_to([(2, "expected a part like"), (3, "line is empty, so it")]), label="bad")
    assert counters["read"] == 3


LIST = b'{"event":"a","fields":{"user":"u","duration":5,"remote_ip":"192.0.2.1","reason_code":["x"],"last_run_time":"1970-01-01T00:00:00.000007Z"}}'  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("str", ["u", "5", "192.0.2.1", None, "1970-01-01T00:00:00.000007Z", None]),
        ("int", [None, 5, None, None, None, None]),
        ("ip", [None, None, "192.0.2.1", None, None, None]),
        ("strlist", [None, None, None, ["x"], None, None]),
        ("time_usec", [None, None, None, None, 7, None]),
    ],
)
def test_fields_as_columns(kind: str, values: list[Any]) -> None:
    """Fields become typed columns beside the others; what is missing or of another type is null."""
    keys = ["user", "duration", "remote_ip", "reason_code", "last_run_time", "none"]
    with pipeline() as (p, _):
        rows = p | beam.Create([beam.Row(line=LIST)]) | DovecotEvents(columns=dict.fromkeys(keys, kind))
        assert list(columns(rows)) == [*EventRow._fields, *keys]
        assert_that(rows | beam.Map(lambda row: [getattr(row, key) for key in keys]), equal_to([values]))
        again = rows | MatchMetric(filter="user=u") | FormatEvents(include=["name"])
        assert_that(again | beam.Map(lambda row: row.payload), equal_to([b'{"event":"a"}']), label="still events")


def test_several_events_in_one_row() -> None:
    """A message may hold several lines; each bad one is an error of its row."""
    with pipeline() as (p, _):
        data = b'{"event":"a"}\nbad\n{"event":"b"}'
        outputs = p | beam.Create([beam.Row(data=data)]) | DovecotEvents(format="json", error_handling=BAD)
        assert_that(outputs["good"] | beam.Map(names), equal_to(["a", "b"]))
        assert_that(outputs["bad"] | beam.Map(lambda row: row.element.data), equal_to([data]), label="bad")


def test_without_error_handling_an_error_fails_the_job() -> None:
    """Nothing is dropped silently; the text says how to go on."""
    with (
        pytest.raises(Exception, match=r"rejected: expected .*write error_handling: \{output: NAME\}"),
        pipeline() as (p, _),
    ):
        _ = p | beam.Create([beam.Row(line=b"nonsense")]) | DovecotEvents()


def test_match() -> None:
    """Rows that match stay as they are, with columns of the user's own; others with wrong columns are errors."""
    rows = [beam.Row(name=row.name, fields=row.fields, mine=n) for n, row in enumerate(ROWS)]
    with pipeline() as (p, counters):
        given = p | beam.Create(rows, reshuffle=False)
        outputs = given | MatchMetric(filter="x > 3", error_handling=BAD)
        assert columns(outputs["good"]) == columns(given)
        assert_that(outputs["good"] | beam.Map(lambda row: row.mine), equal_to([0, 2]))
        assert_that(outputs["bad"], equal_to([]), label="bad")
        wrong = p | "wrong" >> beam.Create([beam.Row(name=5)])
        errors = (wrong | "match" >> MatchMetric(filter="x > 3", error_handling=BAD))["bad"]
        assert_that(errors | beam.Map(lambda row: (row.element.name, row.msg)), equal_to([(5, "'name' holds text, found int")]), label="no event")  # fmt: skip
    assert (counters["matched/x > 3"], counters["unmatched/x > 3"]) == (2, 1)


def test_format() -> None:
    """Only the payload, or the payload beside what the rows had."""
    with pipeline() as (p, _):
        given = p | beam.Create(ROWS[:1]).with_output_types(EventRow)
        alone = given | FormatEvents(include=["name", "fields"])
        assert columns(alone) == {"payload": bytes}
        assert_that(alone | beam.Map(lambda row: row.payload), equal_to([b'{"event":"a","fields":{"x":5}}']))
        beside = given | "beside" >> FormatEvents(format="tab-text", fields=["x"], append=True)
        assert list(columns(beside)) == [*EventRow._fields, "payload"]
        seen = beside | beam.Map(lambda row: (row.name, row.payload))
        assert_that(seen, equal_to([("a", b"event:a\tfield:x=5")]), label="beside")


def test_http_rows() -> None:
    """Rows of any schema are posted as JSON; what the target refuses comes out as the row that it was."""
    rows = [beam.Row(n=n, text="é", data=b"\x00", inner=[beam.Row(x=None)]) for n in range(3)]
    with run_http_server(lambda _number, request: status(422 if b'"n":1' in request.body else 200)) as server:
        with pipeline() as (p, counters):
            outputs = p | beam.Create(rows, reshuffle=False) | WriteToHttp(url=server.url, error_handling=BAD)
            assert list(outputs) == ["bad"]
            told = outputs["bad"] | beam.Map(lambda row: (row.element.n, row.http_status, row.attempts, row.endpoint_host))  # fmt: skip
            assert_that(told, equal_to([(1, 422, 1, server.url)]))
        assert sorted(server.bodies) == [
            f'{{"n":{n},"text":"é","data":"AA==","inner":[{{"x":null}}]}}'.encode() for n in range(3)
        ]
        assert server.requests[0].headers["content-type"] == "application/json"
    assert (counters["delivered/http"], counters["rejected/http"]) == (2, 1)


@pytest.mark.parametrize(
    ("settings", "payloads", "bodies", "errors"),
    [
        ({}, [b"a", "ü", b"\n"], [b"\n", b"a", "ü".encode()], {}),
        ({"http_post_batch_max_events": 9}, [b"a", b"b\nc", "d"], [b"a\nd\n"], {"data has a line feed": 1}),
        (
            {"http_post_batch_max_events": 9, "http_post_batch_format": "array"},
            [b"1", b"{", '"x"'],
            [b'[1,"x"]'],
            {"data is not valid JSON": 1},
        ),
        ({}, [b"a", 5], [b"a"], {"data must be bytes or a string, found int": 1}),
    ],
)
def test_http_columns(settings: Any, payloads: Any, bodies: Any, errors: Any) -> None:
    """A column is sent as it is; what would break a batch is an error of its row alone."""
    with run_http_server() as server:
        with pipeline() as (p, _):
            given = p | beam.Create([beam.Row(data=data) for data in payloads], reshuffle=False)
            outputs = given | WriteToHttp(url=server.url, field="data", settings=settings, error_handling=BAD)
            told = outputs["bad"] | beam.Map(lambda row: next(start for start in errors if row.msg.startswith(start)))
            assert_that(told, equal_to(list(errors)))
        assert sorted(server.bodies) == bodies


def test_http_needs_no_error_handling() -> None:
    """Without it the first row that is refused fails the job, with the target's answer."""
    with run_http_server(lambda _number, _request: status(400)) as server:
        with pytest.raises(Exception, match="rejected: the target answered 400"), pipeline() as (p, _):
            _ = p | beam.Create([beam.Row(n=1)]) | WriteToHttp(url=server.url)
        assert server.bodies[0] == b'{"n":1}'


def test_http_secrets_by_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers and credentials are looked up on the worker."""
    monkeypatch.setenv("YAML_TEST_TOKEN", "s3cret")
    settings = {"http_post_auth": "bearer", "http_post_auth_token": "env:YAML_TEST_TOKEN"}
    with run_http_server() as server:
        with pipeline() as (p, _):
            post = WriteToHttp(url=server.url, headers={"X-Key": "env:YAML_TEST_TOKEN"}, settings=settings)
            _ = p | beam.Create([beam.Row(n=1)]) | post
        headers = server.requests[0].headers
    assert (headers["authorization"], headers["x-key"]) == ("Bearer s3cret", "s3cret")


def test_export_of_rows(tmp_path: Path) -> None:
    """Rows go through a configuration; those that are no events are errors beside those that a target refused."""
    target = tmp_path / "out.json"
    config = tmp_path / "dovecot.conf"
    config.write_text(HEAD + exporter("out", "file", "json", f"file_path = {target}") + metric("m", "x > 3", "out"))
    with pipeline() as (p, counters):
        given = p | beam.Create([*ROWS, beam.Row(name="d", log_type="loud")])
        outputs = given | ExportEvents(config=str(config), error_handling=BAD)
        told = outputs["bad"] | beam.Map(lambda row: (row.element.stage, row.msg[:23]))
        assert_that(told, equal_to([("decode", "unknown log type 'loud'")]))
    assert sorted(target.read_bytes().splitlines()) == [b'{"event":"a","fields":{"x":5}}', b'{"event":"c","fields":{"x":7}}']  # fmt: skip
    assert (counters["matched"], counters["unmatched"]) == (2, 1)


def built(make: Any, given: Any = None) -> None:
    """Builds a pipeline of one transform and does not run it."""
    p = beam.Pipeline()
    _ = (p if given is None else p | beam.Create(given)) | make()


ROW = [beam.Row(colour="red", size=1)]


@pytest.mark.parametrize(
    ("make", "given", "text"),
    [
        (DovecotEvents, None, "DovecotEvents needs path, or an input"),
        (lambda: DovecotEvents(path="/nowhere/*.json"), None, "no file matches /nowhere/"),
        (lambda: DovecotEvents(path="x", format="csv"), None, "unknown format 'csv'; supported: auto, avro, json"),
        (lambda: DovecotEvents(format="avro"), ROW, "unknown format 'avro'; supported: auto, json, tab-text"),
        (lambda: DovecotEvents(path="x"), ROW, "path reads files, which takes no input"),
        (lambda: DovecotEvents(path="x", field="y"), ROW, "keep one of the two"),
        (
            lambda: DovecotEvents(path="x", columns={"user": "text"}),
            None,
            "unknown type of the column 'user': 'text'; supp",
        ),
        (lambda: DovecotEvents(path="x", columns={"name": "str"}), None, "every event has a column 'name'"),
        (DovecotEvents, ROW, "needs field: NAME, the column to read; its input has: colour, size"),
        (lambda: DovecotEvents(field="col"), ROW, "there is no column 'col'; its input has: colour, size"),
        (lambda: MatchMetric(filter="event="), ROW, "unexpected end of file"),
        (lambda: MatchMetric(filter="a=b"), ROW, "takes rows of events, with columns like name, .*only: colour, size"),
        (lambda: MatchMetric(filter="a=b"), None, "MatchMetric takes one input"),
        (lambda: FormatEvents(format="xml"), ROW, "unknown format 'xml'"),
        (lambda: FormatEvents(append=True), [beam.Row(name="a", payload=b"")], "has a column payload already"),
        (lambda: FormatEvents(error_handling={}), ROW, r"error_handling \{\} is not valid; write error_handling"),
        (lambda: FormatEvents(error_handling={"output": "a", "x": 1}), ROW, "is not valid; write error_handling"),
        (lambda: WriteToHttp(url="http://h", field="x"), ROW, "there is no column 'x'"),
        (lambda: WriteToHttp(url="http://h"), [1, "a"], "needs rows with a schema"),
        (lambda: WriteToHttp(url="http://h", format="tab-text"), ROW, "for tab-text write field: NAME"),
        (lambda: WriteToHttp(url="http://h", format="xml"), ROW, "unknown format 'xml'"),
        (lambda: ExportEvents(config="/nowhere/dovecot.conf"), ROW, "/nowhere/dovecot.conf"),
    ],
)
def test_mistakes(make: Any, given: Any, text: str) -> None:
    """A mistake is told when the pipeline is built, with what to write instead."""
    with pytest.raises(Exception, match=text):
        built(make, given)


def test_exporters_that_cannot_deliver_are_all_told(tmp_path: Path) -> None:
    """Every exporter's problem, each with its place."""
    config = tmp_path / "dovecot.conf"
    one = exporter("one", "http-post", "json", "http_post_url = http://h/", "http_client_proxy_socket_path = /s")
    config.write_text(HEAD + one + one.replace("one", "two") + metric("m", "event=*", "one") + metric("n", "event=*", "two"))  # fmt: skip
    with pytest.raises(ValueError, match=r"dovecot.conf:\d+: event_exporter one: .*\n.*:\d+: event_exporter two: "):
        ExportEvents(config=str(config))
