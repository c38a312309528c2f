"""The segments of a stream: what is counted, told and tried again when one fails."""

from __future__ import annotations

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult

from dovebeam.pipelines.running.in_process import make_in_process_runner
from dovebeam.pipelines.stream import account as segments
from dovebeam.pipelines.stream.account import Acknowledged, Counters, run_segments
from dovebeam.transforms import counters as counting
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.plan.decoding import BUNDLE_COUNTERS
from dovebeam.transforms.progress import JobMonitor
from dovebeam.transforms.read_from_streams import Segment


class Stream:
    """Three segments of one event each: one succeeds, one fails behind its acknowledged bundle, one drains."""

    def __init__(self, monitor: JobMonitor) -> None:
        self._monitor = monitor
        self.begun = 0

    def run(self, _: Segment) -> PipelineResult:
        """One segment."""
        self.begun += 1
        if self.begun == 2:
            BUNDLE_COUNTERS.begin()
            BUNDLE_COUNTERS.add("read", 1)
            BUNDLE_COUNTERS.keep()
            BUNDLE_COUNTERS.begin()
            BUNDLE_COUNTERS.add("read", 100)
            raise DeliveryError("the target's disk is full", "target")
        if self.begun == 3:
            self._monitor.drain()
        options = PipelineOptions([])
        pipeline = beam.Pipeline(runner=make_in_process_runner(options), options=options)
        _ = pipeline | beam.Create([1]) | beam.Map(lambda count: counting.add("read", count))
        result = pipeline.run()
        result.wait_until_finish()
        return result

    def delivered(self) -> int:
        """One payload a segment."""
        return self.begun


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are for targets that come back; these do at once. What other tests counted is forgotten."""
    monkeypatch.setattr(segments, "_pause", lambda secs: None)
    BUNDLE_COUNTERS.take()


def test_a_failed_segment_counts_what_was_acknowledged() -> None:
    """The account grows by it at once, and the bundle that failed is counted when it comes again."""
    accounts: list[Counters] = []
    reported: list[str] = []
    with JobMonitor() as monitor:
        stream = Stream(monitor)
        report = lambda error, _: reported.append(str(error))  # noqa: E731
        counters = run_segments(
            stream.run, lambda now: accounts.append(dict(now)), report, stream.delivered, Acknowledged()
        )
    assert counters == {"read": 3}
    assert accounts == [{"read": 1}, {"read": 2}, {"read": 3}]
    assert len(reported) == 1


@pytest.mark.parametrize("begun", [1, 2])
def test_a_ledger_that_cannot_be_written_ends_no_stream(capsys: pytest.CaptureFixture[str], begun: int) -> None:
    """Behind a segment that ended well or one that failed it is a warning; the account is whole with the next one."""
    reported: list[str] = []
    accounts: list[Counters] = []

    def account(now: Counters) -> None:
        if stream.begun == begun:
            raise DeliveryError("write(ledger.json) failed: No space left on device", "ledger.json")
        accounts.append(dict(now))

    with JobMonitor() as monitor:
        stream = Stream(monitor)
        report = lambda error, _: reported.append(str(error))  # noqa: E731
        assert run_segments(stream.run, account, report, stream.delivered, Acknowledged()) == {"read": 3}
    assert [text.split(" (")[0] for text in reported] == ["the target's disk is full"]
    assert accounts == [{"read": each} for each in (1, 2, 3) if each != begun]
    err = capsys.readouterr().err
    assert err.count("warning: the ledger is not up to date: write(ledger.json) failed") == 1
