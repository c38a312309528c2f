"""Workers on this machine: of Beam's in-process runner, in this process for an engine, and a watch on engines' workers.

Three parts: the in-process runner with our worker processes; a LOOPBACK worker pool; and `WatchedDisplay`, which
notices that all worker processes are gone.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import grpc
from apache_beam.options.pipeline_options import DebugOptions, DirectOptions, PipelineOptions, PortableOptions
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc, beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from apache_beam.runners.worker import sdk_worker, sdk_worker_main
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from apache_beam.transforms.environments import SubprocessSDKEnvironment
from apache_beam.utils import thread_pool_executor

from dovebeam.pipelines.options.beam import environment_type, is_in_process
from dovebeam.pipelines.terminal.progress_bar import Display
from dovebeam.transforms.drivers import Driver
from dovebeam.transforms.drivers.secrets.secret import secrets_in
from dovebeam.transforms.drivers.secrets.vault import SharedSecrets
from dovebeam.transforms.errors import DovebeamError
from dovebeam.transforms.progress import JobMonitor, Totals

__all__ = [
    "WatchedDisplay",
    "WorkersGoneError",
    "loopback_workers",
    "make_in_process_runner",
    "secrets_shared_with_workers",
]

# The in-process runner.


def make_in_process_runner(options: PipelineOptions, *, debug: bool = False) -> fn_runner.FnApiRunner:
    """A runner for one pipeline with these options.

    Args:
        options: Beam's, of which `direct_num_workers` and `direct_running_mode` count; the latter is cleared if it
            asks for several processes.
        debug: whether worker processes log everything.
    """
    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    provision = fn_runner.ExtendedProvisionInfo(beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded))
    direct = options.view_as(DirectOptions)
    environment = None
    if direct.direct_running_mode == "multi_processing":
        direct.direct_running_mode = ""  # else the runner replaces our command by its own
        # The shell that Beam starts it with must not stay between the worker and its launcher.
        command = f"exec {shlex.quote(sys.executable)} -m dovebeam.pipelines.running.worker" + " --debug" * debug
        environment = SubprocessSDKEnvironment.from_command_string(command)
    return fn_runner.FnApiRunner(default_environment=environment, provision_info=provision)


@contextlib.contextmanager
def secrets_shared_with_workers(drivers: Mapping[str, Driver], options: PipelineOptions) -> Iterator[None]:
    """Shares literal secrets with the worker processes that are started in this context on this machine.

    Args:
        drivers: of the job, by exporter.
        options: Beam's, which decide whether there are such processes.
    """
    # A worker in this very process finds them in the vault; so nothing is written then.
    alone = is_in_process(options) and options.view_as(DirectOptions).direct_running_mode != "multi_processing"
    literals = [s.name for driver in drivers.values() for s in secrets_in(driver) if s.is_literal]
    with SharedSecrets([] if alone else literals):
        yield


# Workers in the launching process, for engines on this machine, reachable from this machine only.
#
# Beam has them too (`--environment_type=LOOPBACK`), but lets them listen on every network interface, and whoever
# reaches such a port can have code of his choice run by the process behind it. Here the same service listens on
# 127.0.0.1.

_STOP_SECS: Final = 1.0
_CHANNEL: Final = (("grpc.http2.max_pings_without_data", 0), ("grpc.http2.max_ping_strikes", 0))  # as Beam sets them
_HEAR: Final = "hear_no_hang_ups"
_WORKER_THREADS: Final = ("run_worker_", "read_grpc_client_inputs")  # as Beam names them
# Beam runs `pip freeze` for the workers to log, which takes seconds; their environment is this one.
_NO_PIP_FREEZE: Final = "disable_logging_submission_environment"


@contextlib.contextmanager
def loopback_workers(options: PipelineOptions, *, debug: bool = False) -> Iterator[None]:
    """A context in which a job with these options has its workers in this process, if it asks for LOOPBACK.

    The options are changed to the workers' address; other environments are left unchanged.

    Args:
        options: of the job, before its pipeline is made.
        debug: whether tracebacks of failed bundles are shown.
    """
    if environment_type(options) != "loopback":
        yield
        return
    server = grpc.server(thread_pool_executor.shared_unbounded_instance(), options=_CHANNEL)
    port = server.add_insecure_port("127.0.0.1:0")
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(_worker_pool(options), server)
    server.start()
    portable = options.view_as(PortableOptions)
    portable.environment_type, portable.environment_config = "EXTERNAL", f"127.0.0.1:{port}"
    options.view_as(DebugOptions).add_experiment(_NO_PIP_FREEZE)
    if not debug:
        _hear_no_hang_ups()
    try:
        with contextlib.nullcontext() if debug else _no_printing():
            yield
    finally:
        server.stop(_STOP_SECS).wait()


@contextlib.contextmanager
def _no_printing() -> Iterator[None]:
    """A context in which Beam's worker prints nothing."""
    # It prints the traceback of a failed bundle, which is also logged and sent to the engine. A global of its
    # module shadows the builtin for that module alone.
    name = "print"
    setattr(sdk_worker, name, lambda *_args, **_kwargs: None)
    try:
        yield
    finally:
        delattr(sdk_worker, name)


def _hear_no_hang_ups() -> None:
    """Lets threads of workers end without a traceback when their engine closes the connection.

    The engine reports the result of the work. The threads may outlive the job, and so does this setting.
    """
    before = threading.excepthook
    if getattr(before, "__name__", "") == _HEAR:
        return

    def hear_no_hang_ups(arguments: threading.ExceptHookArgs) -> None:
        name = arguments.thread.name if arguments.thread else ""
        if not (name.startswith(_WORKER_THREADS) and isinstance(arguments.exc_value, grpc.RpcError)):
            before(arguments)

    threading.excepthook = hear_no_hang_ups


class _WorkerPool(BeamFnExternalWorkerPoolServicer):
    """A pool of workers that end when their engine closes the connection, not when it asks to stop one by its id.

    Each of Flink's task managers numbers its workers itself. So Beam's pool could stop the worker of another task
    manager that has the same id, in the middle of its work.
    """

    def StopWorker(self, _request: Any, _context: Any) -> beam_fn_api_pb2.StopWorkerResponse:  # noqa: N802  as in gRPC
        """Confirms without stopping anything; the engine closes the connection of the worker anyway."""
        return beam_fn_api_pb2.StopWorkerResponse()


def _worker_pool(options: PipelineOptions) -> BeamFnExternalWorkerPoolServicer:
    experiments = options.view_as(DebugOptions).experiments or []
    return _WorkerPool(
        state_cache_size=sdk_worker_main._get_state_cache_size_bytes(options=options),
        data_buffer_time_limit_ms=sdk_worker_main._get_data_buffer_time_limit_ms(experiments),
    )


# A watch on an engine's worker processes, since not every engine notices that all of them are gone. Prism 2.77 mostly
# does, but in some runs waited forever, and busily, after its only worker was killed.

# For an engine to notice it, or to start another worker.
_GRACE_SECS: Final = 15.0


class WorkersGoneError(DovebeamError):
    """All worker processes of a job are gone."""

    def __init__(self) -> None:
        super().__init__(
            "all worker processes of the job were ended in the middle of their work, perhaps by the system for lack of "
            "memory, and the engine does not react; what they had not finished is not delivered (find out why, and run "
            "again)"
        )


class WatchedDisplay:
    """A display that also checks whether worker processes are alive.

    Args:
        display: shows the progress.
        monitor: lists every worker process that has counted something.
        grace_secs: how long there may be no worker.
        launcher_counts: whether this process counts, too, without being a worker, because it delivers from queues.
    """

    def __init__(
        self,
        display: Display,
        monitor: JobMonitor,
        grace_secs: float = _GRACE_SECS,
        *,
        launcher_counts: bool = False,
    ) -> None:
        self._display = display
        self._launcher = os.getpid() if launcher_counts else None
        self._monitor = monitor
        self._grace_secs = grace_secs
        self._gone_since: float | None = None

    def show(self, totals: Totals) -> None:
        """Shows the totals and checks the workers; called a few times a second.

        Raises:
            WorkersGoneError: there were workers, and none is left.
        """
        self._display.show(totals)
        workers = [pid for pid in self._monitor.workers() if pid != self._launcher]
        if not workers or any(map(_is_alive, workers)):
            self._gone_since = None
            return
        now = time.monotonic()
        if self._gone_since is None:
            self._gone_since = now
        elif now - self._gone_since > self._grace_secs:
            # Threads that listen to the engine would print tracebacks at its end.
            threading.excepthook = _ignore
            raise WorkersGoneError


def _ignore(_: threading.ExceptHookArgs) -> None:
    pass


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # a process of another user, such as the engine's
        pass
    return True
