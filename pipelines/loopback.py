"""Workers in the launching process, for engines on this machine, reachable from this machine only.

Beam has them too (`--environment_type=LOOPBACK`), but lets them listen on every network interface, and whoever reaches
such a port can have code of his choice run by the process behind it. Here the same service listens on 127.0.0.1.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import grpc
from apache_beam.options.pipeline_options import DebugOptions, PipelineOptions, PortableOptions
from apache_beam.portability.api import beam_fn_api_pb2_grpc
from apache_beam.runners.worker import sdk_worker, sdk_worker_main
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from apache_beam.utils import thread_pool_executor

from dovebeam.pipelines.beam_options import environment_type

__all__ = ["loopback_workers"]

_STOP_SECS: Final = 1.0
_CHANNEL: Final = (("grpc.http2.max_pings_without_data", 0), ("grpc.http2.max_ping_strikes", 0))  # as Beam sets them
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


def _worker_pool(options: PipelineOptions) -> BeamFnExternalWorkerPoolServicer:
    experiments = options.view_as(DebugOptions).experiments or []
    return BeamFnExternalWorkerPoolServicer(
        state_cache_size=sdk_worker_main._get_state_cache_size_bytes(options=options),
        data_buffer_time_limit_ms=sdk_worker_main._get_data_buffer_time_limit_ms(experiments),
    )
