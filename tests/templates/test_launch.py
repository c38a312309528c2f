"""The launches of all three templates, down to what Dataflow would be sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.portability.common_urns import composites, environments
from templates.template_launch import IMAGE, Launch, Launcher, launcher

from support.jobs.commands import HEAD, dovebeam, exporter, metric
from support.jobs.flex_templates import example_of, parameters_of
from support.servers.gcs_emulator import PIPELINE_OPTIONS

CONFIG = HEAD + "!include exporters.conf\n" + metric("all", "event=*", "datalake")
SECRET = "do-not-show-this"
EXPORTERS = exporter(
    "datalake",
    "http-post",
    "json",
    "http_post_url = https://collector.example/events",
    "http_post_auth = bearer",
    "http_post_auth_token = gsm:projects/my-project/secrets/datalake/versions/latest",
)
LAUNCHES = {
    "export": {
        "config": "gs://mail/conf/dovecot.conf",
        "inputFilePattern": "gs://mail/events/*.json",
        "invalidOutputPath": "gs://mail/rejects/1.jsonl",
        "startTime": "2026-11-25T08:00:00Z",
        "maxLineBytes": "1M",
    },
    "replay": {
        "config": "gs://mail/conf/dovecot.conf",
        "inputFilePattern": "gs://mail/archive/",
        "invalidOutputPath": "gs://mail/rejects/2.jsonl",
        "startTime": "2026-11-25T08:00:00Z",
        "endTime": "2026-11-25T09:00:00Z",
        "onlyExporter": "datalake",
        "rate": "500",
    },
    "stream": {
        "config": "gs://mail/conf/dovecot.conf",
        "inputSubscription": "projects/my-project/subscriptions/dovecot",
        "outputDeadletterTopic": "projects/my-project/topics/dovecot-rejects",
    },
}


@pytest.fixture(scope="module", name="launch")
def _launcher(locked: Path) -> Iterator[Launcher]:
    with launcher(locked) as made:
        made.gcs.put(
            {
                "conf/dovecot.conf": CONFIG.encode(),
                "conf/exporters.conf": EXPORTERS.encode(),
                "conf/secret.conf": (HEAD + EXPORTERS.replace("gsm:projects/my-project/secrets/datalake/versions/latest", SECRET) + metric("m", "event=*", "datalake")).encode(),
                "events/a.json": b'{"event":"x","start_time":"2026-11-25T08:00:01.000000Z"}\n',
            }
        )  # fmt: skip
        events, archive = made.gcs.uri("events/a.json"), made.gcs.uri("archive")
        assert dovebeam("archive", "--input", events, "--output", archive, *PIPELINE_OPTIONS).code == 0
        yield made


@pytest.fixture(scope="module", name="launched")
def _launched(launch: Launcher) -> dict[str, Launch]:
    """The three templates, launched."""
    return {template: launch.launch(template, parameters) for template, parameters in LAUNCHES.items()}


@pytest.mark.parametrize("template", LAUNCHES)
def test_parameters_are_those_of_the_metadata(template: str) -> None:
    """Every one is offered, and every one that is required is given."""
    offered = parameters_of(template)
    assert set(LAUNCHES[template]) <= set(offered)
    assert {name for name, each in offered.items() if not each["isOptional"]} <= set(LAUNCHES[template])


@pytest.mark.parametrize("template", LAUNCHES)
def test_launched(launched: dict[str, Launch], template: str) -> None:
    """The entry point describes the job where it was told to, says so, and ends without waiting for anything."""
    ran = launched[template]
    assert ran.code == 0, ran.err
    assert "dovebeam: the description of the job is in gs://mail/staging/template_launches/" in ran.err
    assert ran.job["name"] == "dovebeam-17"
    assert ran.job["type"] == ("JOB_TYPE_STREAMING" if template == "stream" else "JOB_TYPE_BATCH")
    environment = ran.job["environment"]
    assert environment["serviceAccountEmail"] == "worker@my-project.iam.gserviceaccount.com"
    pool = environment["workerPools"][0]
    assert pool["machineType"] == "n2-standard-2"
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 3


@pytest.mark.parametrize("template", LAUNCHES)
def test_workers(launched: dict[str, Launch], template: str) -> None:
    """They run the launcher's own image; nothing is installed on them, and nothing of the launcher's memory is sent."""
    ran = launched[template]
    images = [each["containerImage"] for each in ran.job["environment"]["workerPools"][0]["sdkHarnessContainerImages"]]
    assert images == [IMAGE]
    found = {each.urn: each.payload for each in ran.graph.components.environments.values()}
    (docker,) = [payload for urn, payload in found.items() if urn == environments.DOCKER.urn]
    assert beam_runner_api_pb2.DockerPayload.FromString(docker).container_image == IMAGE
    packages = [each["name"] for each in ran.job["environment"]["workerPools"][0].get("packages", [])]
    assert packages == ["submission_environment_dependencies.txt"]


@pytest.mark.parametrize("template", LAUNCHES)
def test_graph(launched: dict[str, Launch], template: str) -> None:
    """The whole job is in it, within the ten megabytes that Dataflow takes."""
    ran = launched[template]
    steps = ran.steps()
    assert any(step.startswith("Export/Deliver to datalake") for step in steps)
    assert ("Rejects/Publish" if template == "stream" else "Rejects together/Merge") in steps
    assert ("Throttle" in steps) == (template == "replay")
    assert ran.graph.ByteSize() < 10 << 20
    reads = [each.spec for each in ran.graph.components.transforms.values() if each.spec.urn == composites.PUBSUB_READ.urn]  # fmt: skip
    names = [beam_runner_api_pb2.PubSubReadPayload.FromString(each.payload).subscription for each in reads]
    assert names == ([LAUNCHES["stream"]["inputSubscription"]] if template == "stream" else [])


REFUSED = [
    ("export", {"config": "gs://mail/conf/secret.conf"}, 78, "write env:NAME"),
    (
        "export",
        {"config": "gs://mail/conf/nosuch.conf"},
        78,
        "gs://mail/conf/nosuch.conf: can't read the configuration",
    ),
    ("export", {"inputFilePattern": "gs://mail/none/*"}, 1, "no file matches gs://mail/none/*"),
    ("stream", {"inputTopic": "projects/my-project/topics/dovecot"}, 2, "are two sources"),
    ("replay", {"endTime": "2026-11-25T08:00:00Z"}, 2, "--end_time must be after --start_time"),
    ("replay", {"onlyExporter": "nosuch"}, 2, "--only_exporter"),
]


@pytest.mark.parametrize(("template", "changed", "code", "text"), REFUSED)
def test_refused(launch: Launcher, template: str, changed: dict[str, str], code: int, text: str) -> None:
    """What is wrong is said in the launcher's log; no job is described, and no secret is shown or sent."""
    ran = launch.launch(template, {**LAUNCHES[template], **changed})
    assert ran.code == code, ran.err
    assert text in ran.err
    assert ran.job == {}
    assert SECRET not in ran.err


def test_rejects_have_a_place(launch: Launcher) -> None:
    """The one parameter that only a job elsewhere must have."""
    given = {name: value for name, value in LAUNCHES["replay"].items() if name != "invalidOutputPath"}
    ran = launch.launch("replay", given)
    assert (ran.code, ran.job) == (2, {})
    assert "needs a place for its rejects" in ran.err


def test_image_that_does_not_know_its_name(launch: Launcher) -> None:
    """Beam's own image has no dovebeam; that is found at launch, and the environment of the launch may name one."""
    ran = launch.launch("stream", LAUNCHES["stream"], image=None)
    assert (ran.code, ran.job) == (2, {})
    assert "the image of the workers is unknown" in ran.err
    named = launch.launch("stream", {**LAUNCHES["stream"], "sdk_container_image": "other:2"}, image=None)
    assert named.code == 0, named.err
    assert named.job["environment"]["workerPools"][0]["sdkHarnessContainerImages"][0]["containerImage"] == "other:2"


def test_examples_of_the_help(launch: Launcher) -> None:
    """Whoever fills in a form with its examples launches a job, with a bucket of his own."""
    values = {name: example_of(each).replace("my-bucket", "mail") for name, each in parameters_of("export").items()}
    launch.gcs.put({"config/dovecot.conf": CONFIG.encode(), "config/exporters.conf": EXPORTERS.encode()})
    launch.gcs.put({"events/2026-11-25/a.json.gz": b'{"event":"x"}\n'})
    ran = launch.launch("export", values)
    assert ran.code == 0, ran.err
    assert json.dumps(ran.job)
