"""The driver that keeps: in memory, in a file, refusing, out of order; and the counters of a job with it."""

from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that
from apache_beam.transforms.error_handling import ErrorHandler

from dovebeam.transforms import ExportEvents, load_config
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.read_from_files import ReadFromFiles
from dovebeam.transforms.testing import (
    ExpectedReject,
    KeepingDriver,
    assert_balanced,
    counters_of,
    holds_rejects,
    sample_event,
    write_events,
)
from support.jobs.commands import exporter, metric, write_config


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
        _ = p | ReadFromFiles(sources) | ExportEvents(config_of(tmp_path), drivers={"out": driver})
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

    from dovebeam.transforms.testing import targets

    driver = pickle.loads(pickle.dumps(KeepingDriver()))
    driver.open().send([b"x"])
    assert driver.kept == [b"x"]
    del targets._KEPT[driver.key]
    with pytest.raises(DeliveryError, match=r"write KeepingDriver\(path=...\)"):
        driver.open()


def test_a_file_that_is_a_symlink(tmp_path: Path) -> None:
    """No symlink is followed, and a file that nobody wrote holds nothing."""
    (tmp_path / "link").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic links"):
        KeepingDriver(str(tmp_path / "link")).open().send([b"x"])
    assert KeepingDriver(str(tmp_path / "none")).kept == []
