"""Beam's provision API: asks an engine for the settings of a worker, and runs Beam's worker with them."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any, Final

import grpc
from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc, beam_runner_api_pb2
from apache_beam.runners.worker import sdk_worker_main
from google.protobuf import json_format

from dovebeam.transforms import progress

__all__ = ["prepare", "run_worker", "worker_environment"]

_ANSWER_SECS: Final = 60.0
_LIST_OF_PACKAGES: Final = "submission_environment_dependencies.txt"  # Beam sends it along for comparison only


def prepare(endpoint: str, worker_id: str) -> None:
    """Asks an engine for the settings of its worker, and sets environment variables to them.

    Args:
        endpoint: that the engine listens on.
        worker_id: the engine's id of the worker.

    Raises:
        ValueError: the engine does not answer, or requires something that this program does not do.
    """
    os.environ.update(worker_environment(_provision_info(endpoint, worker_id), worker_id))


def run_worker() -> None:
    """Runs Beam's worker, as the environment variables say, until its engine closes the connection."""
    # Registers this process with the launcher's monitor, if there is one, before it has anything to count.
    progress.advance()
    # Beam prints the traceback of every failed bundle, although the engine gets and reports it, too.
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        sdk_worker_main.main(sys.argv[:1])


def worker_environment(info: Any, worker_id: str) -> Mapping[str, str]:
    """Environment variables of Beam's worker.

    Args:
        info: Beam's ProvisionInfo, the engine's answer.
        worker_id: the engine's id of the worker.

    Raises:
        ValueError: the engine requires packages to be installed, which this program does not do; or it names no
            endpoint.
    """
    _check_packages(info)
    if not info.control_endpoint.url:
        raise ValueError("the engine names no control endpoint; it does not speak Beam's provision API")
    # The names and forms are those of Beam's own boot program (sdks/python/container/boot.go).
    variables = {
        "WORKER_ID": worker_id,
        "PIPELINE_OPTIONS": _options_as_json(info.pipeline_options),
        "CONTROL_API_SERVICE_DESCRIPTOR": str(info.control_endpoint),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }
    if info.logging_endpoint.url:
        variables["LOGGING_API_SERVICE_DESCRIPTOR"] = str(info.logging_endpoint)
    if info.status_endpoint.url:
        variables["STATUS_API_SERVICE_DESCRIPTOR"] = str(info.status_endpoint)
    return variables


def _options_as_json(options: Any) -> str:
    # Protobuf has all numbers as doubles, and Beam's options take no 4.0 for 4; Beam's own program writes 4, too.
    def number(text: str) -> float | int:
        value = float(text)
        return int(value) if value.is_integer() else value

    return json.dumps(json.loads(json_format.MessageToJson(options), parse_float=number))


def _check_packages(info: Any) -> None:
    staged = (
        beam_runner_api_pb2.ArtifactStagingToRolePayload.FromString(each.role_payload) for each in info.dependencies
    )
    names = [each.staged_name for each in staged if each.staged_name != _LIST_OF_PACKAGES]
    if names:
        raise ValueError(
            f"the job brings packages ({', '.join(names)}), but dovebeam-worker installs none; install them beside "
            "dovebeam on every worker machine and leave out --setup_file, --requirements_file and --extra_package"
        )


def _provision_info(endpoint: str, worker_id: str) -> Any:
    with grpc.insecure_channel(endpoint) as channel:
        service = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        try:
            answer = service.GetProvisionInfo(
                beam_provision_api_pb2.GetProvisionInfoRequest(),
                metadata=(("worker_id", worker_id),),
                timeout=_ANSWER_SECS,
                wait_for_ready=True,
            )
        except grpc.RpcError as error:
            raise ValueError(f"no answer from the engine at {endpoint}: {error.details()}") from error
    return answer.info
