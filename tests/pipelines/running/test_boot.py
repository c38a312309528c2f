"""The program that engines start for a worker."""

from __future__ import annotations

import json
from concurrent import futures

import grpc
import pytest
from apache_beam.portability.api import (
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    beam_runner_api_pb2,
    endpoints_pb2,
)
from google.protobuf import struct_pb2

from dovebeam.pipelines.running.boot import main
from dovebeam.pipelines.running.provision import worker_environment
from support.programs import free_port


def staged(name: str) -> beam_runner_api_pb2.ArtifactInformation:
    """A file that a job brings."""
    role = beam_runner_api_pb2.ArtifactStagingToRolePayload(staged_name=name)
    return beam_runner_api_pb2.ArtifactInformation(role_payload=role.SerializeToString())


def provision(*names: str, control: str = "localhost:1") -> beam_provision_api_pb2.ProvisionInfo:
    """An engine's answer."""
    options = struct_pb2.Struct()
    options.update({"beam:option:job_name:v1": "nightly"})
    return beam_provision_api_pb2.ProvisionInfo(
        control_endpoint=endpoints_pb2.ApiServiceDescriptor(url=control),
        logging_endpoint=endpoints_pb2.ApiServiceDescriptor(url="localhost:2"),
        pipeline_options=options,
        runner_capabilities=["x", "y"],
        dependencies=[staged(name) for name in names],
    )


def test_what_the_worker_reads() -> None:
    """Everything that the engine says, in the variables that Beam's worker looks at; a list of packages is no package."""
    found = worker_environment(provision("submission_environment_dependencies.txt"), "w-1")
    assert found == {
        "WORKER_ID": "w-1",
        "PIPELINE_OPTIONS": '{"beam:option:job_name:v1": "nightly"}',
        "CONTROL_API_SERVICE_DESCRIPTOR": 'url: "localhost:1"\n',
        "LOGGING_API_SERVICE_DESCRIPTOR": 'url: "localhost:2"\n',
        "RUNNER_CAPABILITIES": "x y",
    }


def test_options_that_are_numbers() -> None:
    """Whole numbers, as a program in Go sends them, are integers for Beam's worker, and others stay as they are."""
    info = provision()
    info.pipeline_options.update({"beam:option:parallelism:v1": -1, "share": 0.5, "nested": {"list": [2, "2.0"]}})
    options = worker_environment(info, "w-1")["PIPELINE_OPTIONS"]
    assert '"beam:option:parallelism:v1": -1,' in options.replace("}", ",")
    found = json.loads(options)
    assert (found["share"], found["nested"]) == (0.5, {"list": [2, "2.0"]})


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (
            provision("workflow.tar.gz", "x.whl"),
            "brings packages (workflow.tar.gz, x.whl), but dovebeam-worker installs none",
        ),
        (provision(control=""), "names no control endpoint"),
    ],
)
def test_refused(info: beam_provision_api_pb2.ProvisionInfo, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What it cannot do, it says, and ends with code 1."""

    class Engine(beam_provision_api_pb2_grpc.ProvisionServiceServicer):
        def GetProvisionInfo(self, request: object, context: grpc.ServicerContext) -> object:  # noqa: N802
            assert ("worker_id", "w") in [tuple(pair)[:2] for pair in context.invocation_metadata()]
            return beam_provision_api_pb2.GetProvisionInfoResponse(info=info)

    server = grpc.server(futures.ThreadPoolExecutor(2))
    beam_provision_api_pb2_grpc.add_ProvisionServiceServicer_to_server(Engine(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        assert main(["--id='w'", f"--provision_endpoint=127.0.0.1:{port}", "--semi_persist_dir=/x"]) == 1
    finally:
        server.stop(None).wait()
    assert words in capsys.readouterr().err


def test_no_engine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An address where nobody answers is waited for, but not for ever."""
    monkeypatch.setattr("dovebeam.pipelines.running.provision._ANSWER_SECS", 0.5)
    assert main(["--id=w", f"--provision_endpoint=127.0.0.1:{free_port()}"]) == 1
    assert "no answer from the engine at 127.0.0.1:" in capsys.readouterr().err
