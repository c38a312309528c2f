"""Beam's in-process runner, as dovebeam wants it.

Beam's own name for it, DirectRunner, would first look for the Prism runner and try to download it. Asking for several
processes gives worker processes of ours (`pipelines.running.worker`), which end with their launcher whatever ends it.
"""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator, Mapping

from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from dovebeam.pipelines.options.beam import is_in_process
from dovebeam.transforms.drivers import Driver
from dovebeam.transforms.drivers.secrets.secret import secrets_in
from dovebeam.transforms.drivers.secrets.vault import Loan

__all__ = ["lent_to_workers", "make_in_process_runner"]


def make_in_process_runner(options: PipelineOptions, *, debug: bool = False) -> fn_runner.FnApiRunner:
    """A runner for one pipeline with these options; changes `direct_running_mode` in them if it is several processes.

    Args:
        options: Beam's, of which `direct_num_workers` and `direct_running_mode` are honoured.
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
def lent_to_workers(drivers: Mapping[str, Driver], options: PipelineOptions) -> Iterator[None]:
    """Lends the secrets that were written out to the worker processes that are started meanwhile on this machine.

    Args:
        drivers: of the job, by exporter.
        options: Beam's, which say whether there are such processes.
    """
    alone = is_in_process(options) and options.view_as(DirectOptions).direct_running_mode != "multi_processing"
    literals = [s.name for driver in drivers.values() for s in secrets_in(driver) if s.is_literal]
    with Loan([] if alone else literals):
        yield
