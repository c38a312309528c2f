"""Workers in the launching process, for engines on this machine, reachable from this machine only.

Beam has them too (`--environment_type=LOOPBACK`), but lets them listen on every network interface, and whoever reaches
such a port can have code of his choice run by the process behind it. Here the same service listens on 127.0.0.1.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Final

import grpc
from apache_beam.options.pipeline_options import DebugOptions, PipelineOptions, PortableOptions
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc
from apache_beam.runners.worker import sdk_worker, sdk_worker_main
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from apache_beam.utils import thread_pool_executor

from dovebeam.pipelines.options.beam import environment_type

__all__ = ["loopback_workers"]

_STOP_SECS: Final = 1.0
_CHANNEL: Final = (("grpc.http2.max_pings_without_data", 0), ("grpc.http2.max_ping_strikes", 0))  # as Beam sets them
_HEAR: Final = "hear_no_hang_ups"
_WORKER_THREADS: Final = ("run_worker_", "read_grpc_client_inputs")  # as Beam names them
_NO_PIP_FREEZE: Final = "disable_logging_submission_environment"  # the workers' environment is this one, why list it


@contextlib.contextmanager
def loopback_workers(options: PipelineOptions, *, debug: bool = False) -> Iterator[None]:
    """Within the block, a job with these options finds its workers in this process, if it asks for LOOPBACK.

    Changes the options to name the workers' address; other environments are left as they are.

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
    """Beam's worker prints the traceback of a failed bundle to standard error, beside logging it and sending it."""
    name = "print"
    setattr(sdk_worker, name, lambda *_args, **_kwargs: None)
    try:
        yield
    finally:
        delattr(sdk_worker, name)


def _hear_no_hang_ups() -> None:
    """From now on, threads of workers whose engine hung up end quietly; Python would print a traceback for each.

    They may outlive the job, and so does this. The engine says what became of the work.
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
    """Workers that end when their engine lets go of them, and not when it says so by their name.

    Each of Flink's task managers numbers its workers for itself, and Beam's pool takes the stop of one for that of its
    namesake, which is in the middle of another task manager's work.
    """

    def StopWorker(self, _request: Any, _context: Any) -> beam_fn_api_pb2.StopWorkerResponse:  # noqa: N802  as in gRPC
        """Says yes: the engine has closed, or will close, the connection by which it gives work."""
        return beam_fn_api_pb2.StopWorkerResponse()


def _worker_pool(options: PipelineOptions) -> BeamFnExternalWorkerPoolServicer:
    experiments = options.view_as(DebugOptions).experiments or []
    return _WorkerPool(
        state_cache_size=sdk_worker_main._get_state_cache_size_bytes(options=options),
        data_buffer_time_limit_ms=sdk_worker_main._get_data_buffer_time_limit_ms(experiments),
    )
