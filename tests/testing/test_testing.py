"""The helpers for users' own tests: they pass what is right, and say of what is wrong what it is."""

import http.client
import threading
import time
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that
from apache_beam.transforms.error_handling import ErrorHandler

from dovebeam.transforms import ExportEvents, IPAddress, Timestamp, decode_json, load_config, make_event
from dovebeam.transforms import testing as package
from dovebeam.transforms.drivers import HttpPostDriver
from dovebeam.transforms.errors import DecodeError, DeliveryError
from dovebeam.transforms.reading import ReadBlocks
from dovebeam.transforms.reject import make_reject
from dovebeam.transforms.testing import (
    Answer,
    ExpectedReject,
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
from support.commands import exporter, metric, write_config


def test_the_list_is_sorted_and_documented() -> None:
    """Every helper says what it is."""
    assert package.__all__ == sorted(package.__all__)
    for name in package.__all__:
        assert getattr(package, name).__doc__


def test_sample_event() -> None:
    """Keywords are fields, in their order, with the types that a line of an export implies."""
    event = sample_event("a", user="u", remote_ip="192.0.2.1", last_run_time="2026-01-02T03:04:05.000006Z", duration=5)
    line = b'{"event":"a","fields":{"user":"u","remote_ip":"192.0.2.1","last_run_time":"2026-01-02T03:04:05.000006Z","duration":5}}'
    assert event == decode_json(line) == event_of_line(line)
    assert event.fields["remote_ip"] == IPAddress("192.0.2.1")
    assert isinstance(event.fields["last_run_time"], Timestamp)
    assert sample_event(categories=["imap"], start_time=5).name is None


@pytest.mark.parametrize(
    "line", ['{"event":"a"}', b'{"event":"a"}\r\n', "event:a", b"event:a\n"], ids=["json", "crlf", "tab", "tab bytes"]
)
def test_event_of_line(line: str | bytes) -> None:
    """JSON or tab-text, with or without the line's end."""
    assert event_of_line(line) == make_event("a")


def test_a_line_that_is_no_event() -> None:
    """The usual error."""
    with pytest.raises(DecodeError):
        event_of_line("nonsense")


def config_of(folder: Path) -> Any:
    """Everything to the exporter `out`."""
    return load_config([write_config(folder, exporter("out", "drop"), metric("m", "event=*", "out"))])


EVENTS = [sample_event(name, n=n) for n, name in enumerate("abcd")]
WHOLE = [b'{"event":"%c","fields":{"n":%d}}' % (name, n) for n, name in enumerate(b"abcd")]


def test_a_driver_in_memory(tmp_path: Path) -> None:
    """It keeps what arrived; what it is told to refuse becomes a reject; the counters balance."""
    driver = KeepingDriver(refuses=(b'"n":2',), status=418)
    with beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([])) as p:
        with ErrorHandler(beam.Map(lambda reject: reject)) as rejects:
            export = ExportEvents(config_of(tmp_path), drivers={"out": driver}).with_error_handler(rejects)
            _ = p | beam.Create(EVENTS, reshuffle=False) | export
        expected = ExpectedReject(WHOLE[2], "deliver", "refused", exporter="out", http_status=418)
        assert_that(rejects.output(), holds_rejects([expected]))
    assert driver.kept == [WHOLE[0], WHOLE[1], WHOLE[3]]
    counters = counters_of(p.result)
    assert counters["delivered/out"] == 3
    assert_balanced(counters)
    with pytest.raises(AssertionError, match=r"^formatted/out is 4, but delivered/out 2 \+ rejected/out 1$"):
        assert_balanced({**counters, "delivered/out": 2})
    with pytest.raises(AssertionError, match=r"^read is 5, but matched 4 "):
        assert_balanced({**counters, "read": 5})


def test_a_driver_in_a_file_with_worker_processes(tmp_path: Path) -> None:
    """Workers in processes of their own keep in the same file."""
    driver = KeepingDriver(str(tmp_path / "kept"))
    sources = [str(write_events(tmp_path / f"{n}.json", EVENTS)) for n in range(3)]
    options = PipelineOptions(["--direct_num_workers=2", "--direct_running_mode=multi_processing"])
    with beam.Pipeline(runner=FnApiRunner(), options=options) as p:
        _ = p | ReadBlocks(sources) | ExportEvents(config_of(tmp_path), drivers={"out": driver})
    assert sorted(driver.kept) == sorted(WHOLE * 3)


def test_a_driver_that_is_out_of_order(tmp_path: Path) -> None:
    """Its trouble fails the bundle, and so the job."""
    with (
        pytest.raises(Exception, match="the disk is full"),
        beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([])) as p,
    ):
        _ = p | beam.Create(EVENTS) | ExportEvents(config_of(tmp_path), drivers={"out": KeepingDriver(trouble="the disk is full")})  # fmt: skip


def test_a_memory_of_another_process() -> None:
    """Memory that is out of reach is an error, and not an empty list."""
    import pickle

    from dovebeam.transforms.testing import keeping

    driver = pickle.loads(pickle.dumps(KeepingDriver()))
    driver.open().send([b"x"])
    assert driver.kept == [b"x"]
    del keeping._KEPT[driver.key]
    with pytest.raises(DeliveryError, match=r"write KeepingDriver\(path=...\)"):
        driver.open()


def test_a_file_that_is_a_symlink(tmp_path: Path) -> None:
    """No symlink is followed, and a file that nobody wrote holds nothing."""
    (tmp_path / "link").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic links"):
        KeepingDriver(str(tmp_path / "link")).open().send([b"x"])
    assert KeepingDriver(str(tmp_path / "none")).kept == []


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ([], r"not expected: b'x' at deliver by e: why"),
        ([ExpectedReject(b"x"), ExpectedReject(b"y")], r"missing: ExpectedReject\(payload=b'y'"),
        ([ExpectedReject(reason="other")], r"missing: .*reason='other'.*\nnot expected: b'x'"),
        ([ExpectedReject(stage="decode")], "missing"),
        ([ExpectedReject(exporter="f")], "missing"),
        ([ExpectedReject(http_status=500)], "missing"),
    ],
)
def test_rejects_that_are_others(expected: list[ExpectedReject], text: str) -> None:
    """The text says what is missing and what is too many."""
    reject = make_reject("deliver", b"x", "why", exporter="e", http_status=503)
    with pytest.raises(AssertionError, match=text):
        holds_rejects(expected)([reject])


def test_rejects_that_are_these() -> None:
    """Each expectation is one reject, whatever the order."""
    rejects = [make_reject("decode", payload, "why") for payload in (b"a", b"b", b"b")]
    holds_rejects([ExpectedReject(b"b"), ExpectedReject(b"a", "decode", "wh"), ExpectedReject()])(rejects)


def test_why_a_filter_does_not_match() -> None:
    """Each comparison with its outcome and what it saw, and Dovecot's warnings."""
    event = sample_event("a", user="u", duration=5, remote_ip="192.0.2.1")
    with pytest.raises(AssertionError) as caught:
        assert_matches("event=a AND duration > 10 AND user=x", event)
    assert str(caught.value).splitlines() == [
        "the filter event=a AND duration > 10 AND user=x does not match the event a",
        "  true           event=a  (the event has 'a')",
        "  false          duration>10  (the event has 5)",
        "  not evaluated  user=x  (the event has 'u')",
    ]
    assert "(the event has 192.0.2.1)" in why("remote_ip=10.0.0.0/8", event)
    assert "(the event has no session)" in why("session=x", event)
    assert "Event filter for string field 'user' only supports equality" in why("user > 5", event)
    with pytest.raises(AssertionError, match="the filter event=a matches the event a"):
        assert_no_match("event=a", event)
    assert_matches("event=a", event)
    assert_no_match("event=b", event)
    assert why("x=1", sample_event()).startswith("the filter x=1 does not match the event (unnamed)")


def posted(target: HttpTarget, payloads: list[bytes], **settings: Any) -> list[Any]:
    """What dovebeam's driver says of these payloads."""
    driver = HttpPostDriver(f"{target.url}/in?x=1", http_client_request_absolute_timeout_msec=5000, **settings)
    with driver.open() as connection:
        return [(failure.index, failure.status) for failure in connection.send(payloads)]


def test_http_target() -> None:
    """It keeps the requests, and answers by its script; the last answer is for all that follow."""
    script = [Answer(503, {"Retry-After": "0"}), 200, Answer(400, body=b"no")]
    with HttpTarget(script) as target:
        failures = posted(target, [b'{"n":1}', b"b", b"c"], http_client_request_max_attempts=2)
    assert failures == [(1, 400), (2, 400)]
    assert [request.body for request in target.requests] == [b'{"n":1}', b'{"n":1}', b"b", b"c"]
    first = target.requests[0]
    assert (first.method, first.path, first.headers["content-type"]) == ("POST", "/in?x=1", "application/json")
    assert first.json() == {"n": 1}
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection(target.url.removeprefix("http://"), timeout=5).request("GET", "/")


def test_http_target_with_batches_and_a_function() -> None:
    """A function answers by what is in a request; the lines of a batch are apart."""
    with HttpTarget(lambda request: 422 if b"bad" in request.body else 200) as target:
        assert posted(target, [b"a", b"bad", b"c"], http_post_batch_max_events=10) == [(1, 422)]
    assert target.requests[0].lines == [b"a", b"bad", b"c"]


@pytest.mark.parametrize(
    ("answer", "least_msec", "outcome"),
    [(Answer(hang_up=True), 0, [(0, None)]), (Answer(delay_msec=300), 300, [])],
    ids=["hangs up", "is slow"],
)
def test_http_target_in_trouble(answer: Answer, least_msec: int, outcome: list[Any]) -> None:
    """It can hang up and be slow."""
    with HttpTarget([answer]) as target:
        began = time.monotonic()
        assert posted(target, [b"x"]) == outcome
        assert (time.monotonic() - began) * 1000 >= least_msec


def test_http_target_needs_an_answer_and_leaves_no_thread() -> None:
    """An empty script is a mistake; after the block nothing runs on."""
    with pytest.raises(ValueError, match="at least one answer"):
        HttpTarget([])
    before = threading.active_count()
    target = HttpTarget()
    with pytest.raises(RuntimeError, match="with HttpTarget"):
        _ = target.url
    with target:
        assert target.url.startswith("http://127.0.0.1:")
    assert threading.active_count() == before
