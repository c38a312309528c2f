"""Starts a built pipeline: here, with progress and waiting for its end, or elsewhere, where it goes on by itself."""

from __future__ import annotations

from collections.abc import Mapping

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineState

from dovebeam.pipelines.beam_options import is_in_process
from dovebeam.pipelines.graph import build_export
from dovebeam.pipelines.in_process import make_in_process_runner
from dovebeam.pipelines.input_size import input_size
from dovebeam.pipelines.logs import say
from dovebeam.pipelines.options import ExportOptions, UsageError
from dovebeam.pipelines.progress_bar import make_display
from dovebeam.pipelines.running import run_to_end
from dovebeam.transforms.config import Config
from dovebeam.transforms.drivers import Driver
from dovebeam.transforms.errors import DovebeamError
from dovebeam.transforms.progress import Board

__all__ = ["JobFailedError", "launch_far", "launch_here"]


class JobFailedError(DovebeamError):
    """A job that a runner ended without an exception, but not as done."""


def launch_here(
    options: ExportOptions, config: Config, drivers: Mapping[str, Driver], beam_options: PipelineOptions
) -> PipelineResult:
    """Runs the export on this machine to its end.

    Raises:
        InterruptedJobError: a signal stopped it.
        JobFailedError: the runner says that it failed.
        Exception: what a step raised.
    """
    if is_in_process(beam_options):
        runner = make_in_process_runner(beam_options, debug=options.debug)
        pipeline = beam.Pipeline(runner=runner, options=beam_options)
    else:
        pipeline = _pipeline(beam_options)
    build_export(pipeline, options, config, drivers)

    def run() -> PipelineResult:
        result = pipeline.run()
        return _finished(result)

    with Board() as board, make_display(lambda: input_size(options.input)) as display:
        return run_to_end(run, board, display)


def launch_far(
    options: ExportOptions, config: Config, drivers: Mapping[str, Driver], beam_options: PipelineOptions
) -> PipelineResult | None:
    """Hands the export to another runner and says what it is called there; waits only if asked.

    Returns:
        The result, if it was waited for.
    """
    pipeline = _pipeline(beam_options)
    build_export(pipeline, options, config, drivers)
    result = pipeline.run()
    job = getattr(result, "job_id", None)
    name = job() if callable(job) else job
    say(f"job {name or '(the runner gives no id)'} is {str(result.state).lower()}")
    return _finished(result) if options.wait else None


def _pipeline(beam_options: PipelineOptions) -> beam.Pipeline:
    try:
        return beam.Pipeline(options=beam_options)
    except ValueError as error:  # Beam's way to say what is missing for a runner, or that there is none of that name
        raise UsageError(f"{' '.join(str(error).split())}; see Beam's documentation of the runner") from error
    except ImportError as error:
        raise UsageError(f"the runner cannot be loaded ({error}); for Dataflow install dovebeam[gcp]") from error


def _finished(result: PipelineResult) -> PipelineResult:
    state = result.wait_until_finish()
    if state is not None and state != PipelineState.DONE:
        raise JobFailedError(f"the job ended as {state}; the runner's log says why")
    return result
