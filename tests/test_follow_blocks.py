"""`ReadFromFollowedFiles` in pipelines: what is delivered is acknowledged, and nothing else."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from dovebeam.pipelines.ledger.closing import counters_of
from dovebeam.pipelines.running.in_process import make_in_process_runner
from dovebeam.transforms import counters as counting
from dovebeam.transforms.plan.decoding import BUNDLE_COUNTERS
from dovebeam.transforms.progress import JobMonitor
from dovebeam.transforms.read_from_streams import ReadFromFollowedFiles, Segment
from dovebeam.transforms.sources import SourceError
from dovebeam.transforms.sources.follow import FollowRequest, FollowSettings, StateStore, close_session, make_target
from support.programs import HANG_SECS, wait_until

DELIVERED: list[bytes] = []
"""What `_DeliverFn` delivered; the in-process runner's workers are threads of this process."""


class _DeliverFn(beam.DoFn):
    """Delivers at the end of a bundle, as real drivers may; fails there if a line says so."""

    def start_bundle(self) -> None:
        self._lines: list[bytes] = []

    def process(self, block) -> None:
        self._lines += block.data.splitlines()

    def finish_bundle(self) -> None:
        if b"fail" in self._lines:
            raise ValueError("the target is down")
        DELIVERED.extend(self._lines)
        counting.add("delivered", len(self._lines), "x")


@pytest.fixture
def folder(tmp_path: Path):
    """A directory that is followed, and the stream's state closed in the end."""
    DELIVERED.clear()
    (tmp_path / "spool").mkdir()
    yield tmp_path
    close_session(str(tmp_path / "state"))


def run(folder: Path, stream: str, segment: Segment) -> dict[str, int]:
    """One pipeline of a stream; returns its counters."""
    request = FollowRequest(stream, str(folder / "state"), (make_target(str(folder / "spool")),), FollowSettings())
    options = PipelineOptions([])
    pipeline = beam.Pipeline(runner=make_in_process_runner(options), options=options)
    _ = pipeline | ReadFromFollowedFiles(request, segment) | beam.ParDo(_DeliverFn())
    result = pipeline.run()
    assert result.wait_until_finish() == "DONE"
    return dict(counters_of(result))


def append(folder: Path, *lines: str) -> None:
    """As the writer of the file that is followed."""
    with open(folder / "spool" / "a.json", "a") as file:
        file.write("".join(f"{line}\n" for line in lines))


def saved_offset(folder: Path) -> int:
    """How far the state says that was delivered."""
    state = json.loads((folder / "state" / "follow.json").read_bytes())
    return sum(each["offset"] for each in state["files"])


def test_segments(folder: Path) -> None:
    """A segment ends after its pieces; the next one goes on, also in another process, for which another id stands."""
    append(folder, "{1}", "{2}")
    run(folder, "one", Segment(0, max_pieces=1))
    assert DELIVERED == [b"{1}", b"{2}"]
    assert saved_offset(folder) == 8
    append(folder, "{3}")
    run(folder, "one", Segment(100, max_pieces=2))
    append(folder, "{4}")
    run(folder, "two", Segment(0, max_secs=0.1))
    assert DELIVERED == [b"{1}", b"{2}", b"{3}", b"{4}"]


def test_failed_bundle_is_not_acknowledged(folder: Path) -> None:
    """What a target did not take comes again, in the same process and in another one."""
    append(folder, "{1}")
    run(folder, "one", Segment(0, max_pieces=1))
    BUNDLE_COUNTERS.take()
    append(folder, "{2}", "fail")
    for stream, first in (("one", 100), ("one", 200), ("two", 0)):
        with pytest.raises(Exception, match="the target is down"):
            run(folder, stream, Segment(first, max_pieces=5))
        assert saved_offset(folder) == 4
        assert BUNDLE_COUNTERS.take() == {}
    content = (folder / "spool" / "a.json").read_bytes()
    (folder / "spool" / "a.json").write_bytes(content.replace(b"fail", b"fine"))
    run(folder, "two", Segment(300, max_pieces=1))
    assert DELIVERED == [b"{1}", b"{2}", b"fine"]


def test_what_was_acknowledged_is_counted(folder: Path) -> None:
    """They are the same as Beam's, and are known as well if a later bundle of the same pipeline fails."""
    BUNDLE_COUNTERS.take()
    append(folder, "{1}", "{2}")
    counters = run(folder, "one", Segment(0, max_pieces=2))
    assert counters == BUNDLE_COUNTERS.take() == {"delivered/x": 2}
    append(folder, "{3}")
    thread = threading.Thread(target=_append_later, args=(folder, 8, "fail"))
    thread.start()
    with pytest.raises(Exception, match="the target is down"):
        run(folder, "one", Segment(100, max_pieces=50))
    thread.join()
    assert BUNDLE_COUNTERS.take() == {"delivered/x": 1}


def _append_later(folder: Path, offset: int, line: str) -> None:
    """After the state says that what stands before was delivered."""
    wait_until(lambda: saved_offset(folder) > offset, "the line before to be acknowledged")
    append(folder, line)


def test_many_bundles_and_drain(folder: Path) -> None:
    """Lines are delivered as they come, and a stream that is drained ends when what was read is delivered."""
    with JobMonitor() as monitor:
        thread = threading.Thread(target=run, args=(folder, "one", Segment()))
        thread.start()
        for number in range(20):
            append(folder, f"{{{number}}}")
            wait_until(lambda: len(DELIVERED) > number, "a line to be delivered")  # noqa: B023
        monitor.drain()
        thread.join(HANG_SECS)
        assert not thread.is_alive()
    assert [int(line[1:-1]) for line in DELIVERED] == list(range(20))
    assert saved_offset(folder) == (folder / "spool" / "a.json").stat().st_size


def test_state_that_cannot_be_saved(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beam lets no finalizer fail; the next piece does it."""

    def save(self: StateStore, state: bytes) -> None:
        raise SourceError("the disk is full", "state")

    append(folder, "{1}")
    run(folder, "one", Segment(0, max_pieces=1))
    monkeypatch.setattr(StateStore, "save", save)
    append(folder, "{2}")
    with pytest.raises(Exception, match="the disk is full"):
        run(folder, "one", Segment(100, max_pieces=3))


def test_waiting_is_bounded(folder: Path) -> None:
    """A piece without lines ends after a second, so that an engine can make its checkpoints."""
    ran = threading.Thread(target=run, args=(folder, "one", Segment(0, max_pieces=2)), daemon=True)
    ran.start()
    ran.join(HANG_SECS)
    assert not ran.is_alive()
