"""Streams on engines that others wrote: delivered as lines come, acknowledged, drained, and gone on with."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from support.jobs.commands import exporter, metric, write_config
from support.jobs.engines import WAYS
from support.jobs.stream_command import Job, line
from support.jobs.stream_job import UnixListener
from support.programs import HANG_SECS, wait_until


@pytest.mark.parametrize("way", WAYS)
def test_stream(tmp_path: Path, way: str) -> None:
    """One endless pipeline; its second start goes on where the first was drained, and an account is given."""
    job, options = Job(tmp_path, ledger="flink" not in way), WAYS[way](tmp_path)
    for first in (0, 3):
        with job.running(*options) as process:
            for number in range(first, first + 3):
                job.append(line(number))
                job.wait_for(*range(number + 1))
            wait_until(lambda: _saved_offset(tmp_path) == len(job.out.read_bytes()), "acknowledgement")
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=HANG_SECS)
        assert process.returncode == 0, err
    if "flink" in way:  # which does not end a stream itself, and so has no counters of it
        assert "the stream is drained: 3 events were read, 3 payloads delivered and 0 rejected" in err
        return
    ledger = json.loads((tmp_path / "ledger.json").read_bytes())
    assert (ledger["read"], ledger["delivered"], ledger["imbalances"]) == (3, 3, [])


@pytest.mark.parametrize("way", WAYS)
def test_an_exporter_that_hangs(tmp_path: Path, way: str) -> None:
    """The workers fill the queues, and the launcher delivers: what one target does not take keeps no other waiting."""
    job, options = Job(tmp_path, ledger="flink" not in way), WAYS[way](tmp_path)
    write_config(
        tmp_path,
        exporter("deaf", "unix", "json", f"unix_path = {tmp_path / 's'}"),
        exporter("file", "file", "json", f"file_path = {job.out}"),
        metric("m1", "event=*", "deaf"),
        metric("m2", "event=*", "file"),
    )
    with UnixListener(tmp_path / "s", deaf=True) as listener, job.running(*options) as process:
        for number in range(3):
            job.append(line(number))
            job.wait_for(*range(number + 1))
        wait_until(lambda: listener.connections > 0, "the deaf target to be reached")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=HANG_SECS)
    assert process.returncode == 0, err
    assert "event_exporter deaf: 3 payloads were not delivered and are kept in" in err
    if "flink" not in way:
        ledger = json.loads((tmp_path / "ledger.json").read_bytes())
        assert ([each["waiting"] for each in ledger["exporters"]], ledger["imbalances"]) == ([3, 0], [])


def _saved_offset(folder: Path) -> int:
    state = json.loads((folder / "state" / "follow.json").read_bytes())
    return sum(each["offset"] for each in state["files"])
