"""Starts a built pipeline: here, with progress and waiting for its end, or elsewhere, where it goes on by itself.

A job on an engine is waited for, and ended there when it ends here.
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
_MAX_FILES: Final = 10_000  # so many are not opened only to know how large they are
_LOOK_SECS: Final = 0.1
_END_SECS: Final = 3.0  # for an engine that ends a drained job itself
_CANCEL_SECS: Final = 10.0


class JobFailedError(DovebeamError):
    """A job that a runner ended without an exception, but not as done."""


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
        beam_options: where it runs.
        monitor: collects what the workers do, and keeps it after the job was stopped or has failed.
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
    """Hands a job to another runner and says what it is called there; waits only if asked.

    Args:
        build: adds the job's steps to a pipeline.
        beam_options: where it runs.
        wait: whether to wait for its end.

    Returns:
        The result, if it was waited for.

    Raises:
        UsageError: to wait for a job that is only described, by `--template_location`; or what Beam asks for.
    """
    template = beam_options.view_as(GoogleCloudOptions).template_location
    if template and wait:
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
    return _finished(result) if wait else None


def input_size(patterns: Sequence[str]) -> int | None:
    """Uncompressed bytes of all files, which is what workers count.

    None if that cannot be had without reading them, because one is compressed, an Avro container or elsewhere.

    Raises:
        SourceError: a pattern matches nothing.
    """
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


@contextlib.contextmanager
def cancelled_on_error(result: PipelineResult) -> Iterator[None]:
    """If the block raises, the job is cancelled; its workers are gone, and an engine would start it again and again.

    Args:
        result: of the job.
    """
    try:
        yield
    except BaseException:
        _cancel(result)
        raise


def wait_until_drained(result: PipelineResult, monitor: JobMonitor) -> bool:
    """Waits for the end of a stream, and ends it when its source has said that all is done.

    Flink keeps a job whose sources have nothing more to give, as long as it is to make checkpoints.

    Args:
        result: of the stream.
        monitor: is told by its source.

    Returns:
        Whether the engine ended the stream itself; if not, it may have no counters.

    Raises:
        Exception: what made the stream fail.
    """
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
    """Waits for the end of a job, which cannot be given up.

    Attributes:
        ended: set at the end.
        error: what was raised.
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
    """Cancels as far as the engine listens, in bounded time."""

    def cancel() -> None:
        with contextlib.suppress(Exception):  # it may be gone, or have ended by itself
            result.cancel()

    thread = threading.Thread(target=cancel, name="dovebeam-cancel", daemon=True)
    thread.start()
    thread.join(_CANCEL_SECS)
