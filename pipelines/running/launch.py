"""Launches a pipeline: on this machine, with progress and to its end, or on a remote runner, where it runs by itself.

A job on an engine of this machine is waited for, and cancelled there when it is stopped here.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, SetupOptions
from apache_beam.runners.runner import PipelineResult, PipelineState

from dovebeam.pipelines.options.beam import is_in_process
from dovebeam.pipelines.running.in_process import WatchedDisplay, loopback_workers, make_in_process_runner
from dovebeam.pipelines.running.local import run_to_end
from dovebeam.pipelines.terminal.exit_codes import UsageError
from dovebeam.pipelines.terminal.logs import say
from dovebeam.pipelines.terminal.progress_bar import make_display
from dovebeam.transforms.errors import DovebeamError
from dovebeam.transforms.filesystems import match_files
from dovebeam.transforms.progress import JobMonitor
from dovebeam.transforms.sources import FoundFile, detect_compression, detect_format

__all__ = [
    "Build",
    "JobFailedError",
    "cancelled_on_error",
    "input_size",
    "launch_far",
    "launch_here",
    "wait_until_drained",
]

Build = Callable[[beam.Pipeline], None]
"""Adds the steps of a job to an empty pipeline."""

_HEAD_BYTES: Final = 64
_MAX_FILES: Final = 10_000  # more are not opened only for a progress bar
_LOOK_SECS: Final = 0.1
_END_SECS: Final = 3.0  # for an engine that ends a drained job itself
_CANCEL_SECS: Final = 10.0


class JobFailedError(DovebeamError):
    """A job that a runner ended without an exception, but in another state than DONE."""


def launch_here(
    build: Build,
    beam_options: PipelineOptions,
    monitor: JobMonitor | None = None,
    *,
    patterns: Sequence[str] = (),
    debug: bool = False,
) -> PipelineResult:
    """Runs a job on this machine to its end.

    Args:
        build: adds the job's steps to a pipeline.
        beam_options: of Beam, with the runner.
        monitor: collects the workers' counters, and keeps them after the job was stopped or has failed.
        patterns: of its input files, for the progress bar.
        debug: whether worker processes log everything.

    Raises:
        InterruptedJobError: a signal stopped it.
        JobFailedError: the runner says that it failed.
        Exception: what a step raised.
    """
    monitor = monitor or JobMonitor()
    if is_in_process(beam_options):
        runner = make_in_process_runner(beam_options, debug=debug)
        pipeline = beam.Pipeline(runner=runner, options=beam_options)
        build(pipeline)
        with monitor, make_display(lambda: input_size(patterns)) as display:
            return run_to_end(lambda: _finished(pipeline.run()), monitor, display)
    # The monitor comes first, since an engine's processes inherit the environment variable that leads to its folder.
    with monitor, loopback_workers(beam_options, debug=debug):
        pipeline = _pipeline(beam_options)
        build(pipeline)
        result = pipeline.run()  # in this thread: Beam sets signal handlers when it starts an engine
        with cancelled_on_error(result), make_display(lambda: input_size(patterns)) as display:
            return run_to_end(lambda: _finished(result), monitor, WatchedDisplay(display, monitor))


def launch_far(build: Build, beam_options: PipelineOptions, *, wait: bool) -> PipelineResult | None:
    """Submits a job to a remote runner and prints its id; waits for its end only if asked.

    Args:
        build: adds the job's steps to a pipeline.
        beam_options: of Beam, with the runner.
        wait: whether to wait for its end.

    Returns:
        The result, if it was waited for.

    Raises:
        UsageError: `wait` with `--template_location`, which only describes a job; or an option that Beam requires.
    """
    template = beam_options.view_as(GoogleCloudOptions).template_location
    if template and wait:
        raise UsageError("--template_location only describes the job and does not start it; leave out --wait")
    setup = beam_options.view_as(SetupOptions)
    if setup.save_main_session is None:
        # Dataflow's default is to pickle what the launching script defines, which is nothing.
        setup.save_main_session = False
    pipeline = _pipeline(beam_options)
    build(pipeline)
    result = pipeline.run()
    if template:
        say(f"the description of the job is in {template}; launch it from there")
        return None
    say(f"job {_job_id(result) or '(the runner gives no id)'} is {str(result.state).lower()}")
    return _finished(result) if wait else None


def input_size(patterns: Sequence[str]) -> int | None:
    """Uncompressed bytes of all files, for a progress bar; None if that is unknown without reading them.

    Raises:
        SourceError: a pattern matches nothing.
    """
    # Workers count uncompressed bytes. Those of a compressed file or an Avro container are unknown, and remote files
    # would have to be opened for their format.
    files = match_files(patterns)
    if len(files) > _MAX_FILES or not all(_is_plain(file) for file in files):
        return None
    return sum(file.size for file in files)


def _is_plain(file: FoundFile) -> bool:
    if not os.path.isfile(file.location):
        return False
    try:
        with open(file.location, "rb") as opened:
            head = opened.read(_HEAD_BYTES)
    except OSError:
        return False
    return detect_compression(head) == "none" and detect_format(head) != "avro"


def _job_id(result: PipelineResult) -> str:
    """Id of the job at the runner; empty if it has none."""
    # Beam's portable results have it under a private name only.
    job = getattr(result, "job_id", None) or getattr(result, "_job_id", None)
    return str((job() if callable(job) else job) or "")


def _pipeline(beam_options: PipelineOptions) -> beam.Pipeline:
    try:
        return beam.Pipeline(options=beam_options)
    except ValueError as error:  # Beam's error for a missing option of a runner, or an unknown runner
        raise UsageError(f"{' '.join(str(error).split())}; see Beam's documentation of the runner") from error
    except ImportError as error:
        raise UsageError(f"the runner cannot be loaded ({error}); for Dataflow install dovebeam[gcp]") from error


def _finished(result: PipelineResult) -> PipelineResult:
    state = result.wait_until_finish()
    if state is not None and state != PipelineState.DONE:
        raise JobFailedError(f"the job ended as {state}; the runner's log says why")
    return result


@contextlib.contextmanager
def cancelled_on_error(result: PipelineResult) -> Iterator[None]:
    """A context that cancels the job if the block raises.

    Args:
        result: of the job.
    """
    # Its workers end with this process; an engine would restart the job again and again.
    try:
        yield
    except BaseException:
        _cancel(result)
        raise


def wait_until_drained(result: PipelineResult, monitor: JobMonitor) -> bool:
    """Waits for the end of a stream, and cancels it when its source has reported that it is drained.

    Args:
        result: of the stream.
        monitor: gets the source's report.

    Returns:
        Whether the engine ended the stream itself; if not, it may have no counters.

    Raises:
        Exception: the failure of the stream.
    """
    # With checkpoints, Flink does not end a job whose sources have ended.
    wait = _Wait(result)
    wait.start()
    while not wait.ended.wait(_LOOK_SECS):
        if monitor.is_drained() and not wait.ended.wait(_END_SECS):
            _cancel(result)
            return False
    if wait.error is not None:
        raise wait.error
    return True


class _Wait(threading.Thread):
    """A thread that waits for the end of a job, since Beam's own wait cannot be ended early.

    Attributes:
        ended: set at the end.
        error: the exception, if one was raised.
    """

    def __init__(self, result: PipelineResult) -> None:
        super().__init__(name="dovebeam-wait", daemon=True)
        self._result = result
        self.ended: Final = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._result.wait_until_finish()
        except BaseException as error:
            self.error = error
        finally:
            self.ended.set()


def _cancel(result: PipelineResult) -> None:
    """Cancels a job, in bounded time even if the engine does not answer."""

    def cancel() -> None:
        with contextlib.suppress(Exception):  # the engine may be gone, or the job have ended by itself
            result.cancel()

    thread = threading.Thread(target=cancel, name="dovebeam-cancel", daemon=True)
    thread.start()
    thread.join(_CANCEL_SECS)
