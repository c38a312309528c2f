"""Starts a built pipeline: here, with progress and waiting for its end, or elsewhere, where it goes on by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, SetupOptions
from apache_beam.runners.runner import PipelineResult, PipelineState

from dovebeam.pipelines.options.beam import is_in_process
from dovebeam.pipelines.options.errors import UsageError
from dovebeam.pipelines.running.engine_job import cancelled_on_error
from dovebeam.pipelines.running.input_size import input_size
from dovebeam.pipelines.running.local import run_to_end
from dovebeam.pipelines.terminal.logs import say
from dovebeam.pipelines.terminal.progress_bar import make_display
from dovebeam.pipelines.workers.in_process import make_in_process_runner
from dovebeam.pipelines.workers.loopback import loopback_workers
from dovebeam.pipelines.workers.watch import WatchedDisplay
from dovebeam.transforms.errors import DovebeamError
from dovebeam.transforms.progress import Board

__all__ = ["Build", "JobFailedError", "LaunchOptions", "launch_far", "launch_here"]

Build = Callable[[beam.Pipeline], None]


class JobFailedError(DovebeamError):
    """A job that a runner ended without an exception, but not as done."""


class LaunchOptions(Protocol):
    """What a launch must know of a job's options.

    Attributes:
        input: patterns of input files, for the progress bar.
        wait: whether to wait for a job that runs elsewhere.
        debug: whether worker processes log everything.
    """

    @property
    def input(self) -> tuple[str, ...]:
        """Patterns of input files."""
        ...  # pragma: no cover

    @property
    def wait(self) -> bool:
        """Whether to wait for the end elsewhere."""
        ...  # pragma: no cover

    @property
    def debug(self) -> bool:
        """Whether to log everything."""
        ...  # pragma: no cover


def launch_here(
    options: LaunchOptions, build: Build, beam_options: PipelineOptions, board: Board | None = None
) -> PipelineResult:
    """Runs a job on this machine to its end.

    Args:
        options: of the job.
        build: adds the job's steps to a pipeline.
        beam_options: where it runs.
        board: is told what the workers do, and still knows it when the job was stopped or has failed.

    Raises:
        InterruptedJobError: a signal stopped it.
        JobFailedError: the runner says that it failed.
        Exception: what a step raised.
    """
    board = board or Board()
    if is_in_process(beam_options):
        runner = make_in_process_runner(beam_options, debug=options.debug)
        pipeline = beam.Pipeline(runner=runner, options=beam_options)
        build(pipeline)
        with board, make_display(lambda: input_size(options.input)) as display:
            return run_to_end(lambda: _finished(pipeline.run()), board, display)
    # The board comes first, since an engine's processes inherit the way to it.
    with board, loopback_workers(beam_options, debug=options.debug):
        pipeline = _pipeline(beam_options)
        build(pipeline)
        result = pipeline.run()  # in this thread: Beam sets signal handlers when it starts an engine
        with cancelled_on_error(result), make_display(lambda: input_size(options.input)) as display:
            return run_to_end(lambda: _finished(result), board, WatchedDisplay(display, board))


def launch_far(options: LaunchOptions, build: Build, beam_options: PipelineOptions) -> PipelineResult | None:
    """Hands a job to another runner and says what it is called there; waits only if asked.

    Args:
        options: of the job.
        build: adds the job's steps to a pipeline.
        beam_options: where it runs.

    Returns:
        The result, if it was waited for.

    Raises:
        UsageError: to wait for a job that is only described, by `--template_location`; or what Beam asks for.
    """
    template = beam_options.view_as(GoogleCloudOptions).template_location
    if template and options.wait:
        raise UsageError("--template_location only describes the job, for somebody else to start; leave out --wait")
    setup = beam_options.view_as(SetupOptions)
    if setup.save_main_session is None:
        setup.save_main_session = False  # Dataflow's default is to send what the launching script defines: nothing
    pipeline = _pipeline(beam_options)
    build(pipeline)
    result = pipeline.run()
    if template:
        say(f"the job is described in {template}; who reads it starts it")
        return None
    say(f"job {_job_id(result) or '(the runner gives no id)'} is {str(result.state).lower()}")
    return _finished(result) if options.wait else None


def _job_id(result: PipelineResult) -> str:
    """What the runner calls the job; Beam's portable results know, but have no public name for it."""
    job = getattr(result, "job_id", None) or getattr(result, "_job_id", None)
    return str((job() if callable(job) else job) or "")


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
