"""Workers in the launching process: what they leave in it."""

from __future__ import annotations

import threading

from apache_beam.options.pipeline_options import PipelineOptions

from dovebeam.pipelines.running.in_process import loopback_workers

FLAGS = ["--runner=PortableRunner", "--job_endpoint=localhost:1", "--environment_type=LOOPBACK"]


def test_many_jobs_of_a_process() -> None:
    """However many there are, one hook hears of threads whose engine hung up."""
    hooks = set()
    before = threading.excepthook
    try:
        for _ in range(3):
            with loopback_workers(PipelineOptions(FLAGS)):
                hooks.add(threading.excepthook)
    finally:
        threading.excepthook = before
    assert len(hooks) == 1
