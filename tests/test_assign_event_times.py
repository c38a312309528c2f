"""`AssignEventTimes`: which time an event gets, and windows of event time over a stream that has not ended."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, GlobalWindow, TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP

from dovebeam.pipelines.running.in_process import loopback_workers
from dovebeam.transforms import AssignEventTimes, DecodeEvents, Event, make_event
from dovebeam.transforms.progress import JobMonitor
from dovebeam.transforms.read_from_streams import ReadFromFollowedFiles, Segment
from dovebeam.transforms.sources.follow import FollowRequest, FollowSettings, close_session, make_target
from support.jobs.engines import prism_server
from support.programs import HANG_SECS, wait_until

USEC = 1_000_000
BEFORE = 77

COUNTS: dict[float, int] = {}
"""What windows have counted, by their start; the workers of an engine with LOOPBACK are threads of this process."""


class _NoteFn(beam.DoFn):
    def process(self, counted: tuple[None, int], window: Any = beam.DoFn.WindowParam) -> None:
        COUNTS[float(window.start)] = COUNTS.get(float(window.start), 0) + counted[1]


class _TimeFn(beam.DoFn):
    def process(self, _: Event, timestamp: Any = beam.DoFn.TimestampParam) -> list[int]:
        return [timestamp.micros]


def check_times(events: list[Event], usec: list[int]) -> None:
    """The timestamps of events which all had 77 s before."""
    with beam.Pipeline() as pipeline:
        before = pipeline | beam.Create(events) | beam.Map(lambda event: TimestampedValue(event, BEFORE))
        assert_that(before | AssignEventTimes() | beam.ParDo(_TimeFn()), equal_to(usec))


TIMES: list[tuple[dict[str, int], int]] = [
    ({"start_time": 5 * USEC, "end_time": 9 * USEC}, 9 * USEC),
    ({"end_time": 1_795_608_000_123_456}, 1_795_608_000_123_456),
    ({"start_time": 6 * USEC}, 6 * USEC),
    ({"start_time": 5 * USEC, "end_time": 0}, 0),
    ({"end_time": -USEC}, -USEC),
    ({}, BEFORE * USEC),
    ({"end_time": 2**63 - 1}, GlobalWindow().max_timestamp().micros),
    ({"end_time": -(2**63)}, MIN_TIMESTAMP.micros),
]


def test_times() -> None:
    """The end, or else the start, or else what the event had; no time, also none beyond Beam's, fails a bundle."""
    check_times([make_event("e", **times) for times, _ in TIMES], [usec for _, usec in TIMES])


def test_windows_fire_while_the_stream_runs(tmp_path: Path) -> None:
    """A followed file moves the watermark on: a window of event time is whole soon after its end."""
    (tmp_path / "spool").mkdir()
    request = FollowRequest("s", str(tmp_path / "state"), (make_target(str(tmp_path / "spool")),), FollowSettings())
    COUNTS.clear()
    with prism_server(tmp_path) as engine, JobMonitor() as monitor:
        thread = threading.Thread(target=_count_in_windows, args=(engine, request))
        thread.start()
        try:
            first = _append(tmp_path, 3)
            wait_until(lambda: COUNTS.get(first) == 3, "the window's count")
            second = _append(tmp_path, 2)
            wait_until(lambda: COUNTS.get(second, 0) + (second == first) * 2 >= 2, "the next count")
        finally:
            monitor.drain()
            thread.join(HANG_SECS)
    assert not thread.is_alive()
    assert sum(COUNTS.values()) == 5
    close_session(request.directory)


def _count_in_windows(engine: str, request: FollowRequest) -> None:
    flags = ["--streaming", "--runner=PortableRunner", f"--job_endpoint={engine}", "--environment_type=LOOPBACK"]
    options = PipelineOptions(flags)
    with loopback_workers(options, debug=False), beam.Pipeline(options=options) as pipeline:
        events = pipeline | ReadFromFollowedFiles(request, Segment()) | DecodeEvents() | AssignEventTimes()
        counts = events | beam.WindowInto(FixedWindows(1)) | beam.Map(lambda _: (None, 1)) | beam.CombinePerKey(sum)
        _ = counts | beam.ParDo(_NoteFn())


def _append(folder: Path, number: int) -> float:
    """As the writer of the file, with events of one second that is not over; gives the second's begin."""
    now = time.time()
    if now % 1 > 0.5:  # so that the events come before the window's end
        time.sleep(1 - now % 1)
    second = time.time() // 1
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.250000Z", time.gmtime(second))
    line = json.dumps({"event": "e", "hostname": "h", "start_time": stamp, "end_time": stamp, "fields": {}})
    with open(folder / "spool" / "a.json", "a") as file:
        file.write(f"{line}\n" * number)
    return second
