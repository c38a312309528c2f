"""A Flex Template's launch as Dataflow does it: Google's launcher runs the entry point and reads what it leaves.

The entry point runs in the environment of the lock file, with Beam's real DataflowRunner. Cloud Storage is an emulator,
credentials come from a metadata server, both on loopback; what Dataflow would be sent is an object in the former.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apache_beam.portability.api import beam_runner_api_pb2

from dovebeam.pipelines.template import IMAGE_VARIABLE
from support.jobs.flex_templates import TEMPLATES
from support.programs import HANG_SECS
from support.servers.gcs_emulator import GcsEmulator, gcs_emulator
from support.servers.google_metadata import Cloud, run_cloud

IMAGE = "europe-west1-docker.pkg.dev/my-project/dovebeam/template:1"
_JOB = "staging/template_launches/2026-11-25_00_00_00-1/job_object"

_OPTIONS = {
    "runner": "DataflowRunner",
    "project": "my-project",
    "region": "europe-west1",
    "job_name": "dovebeam-17",
    "staging_location": "gs://mail/staging",
    "temp_location": "gs://mail/tmp",
    "template_location": f"gs://mail/{_JOB}",
    "service_account_email": "worker@my-project.iam.gserviceaccount.com",
    "machine_type": "n2-standard-2",
    "max_num_workers": "3",
    "network": "default",
    "subnetwork": "regions/europe-west1/subnetworks/default",
    "labels": '{"goog-dataflow-provided-template-type": "flex"}',
}
"""What the launcher adds to the parameters; it writes them all with an equals sign, in the order of their names."""


@dataclass
class Launch:
    """How a launch ended.

    Attributes:
        code: exit code of the entry point; with another than 0, Dataflow fails the job.
        err: what it wrote to standard error.
        job: what Dataflow would be sent; empty if there is nothing.
        graph: its pipeline; None if there is none.
    """

    code: int
    err: str
    job: dict[str, Any]
    graph: Any

    def steps(self) -> set[str]:
        """The names of all steps of the pipeline."""
        return {each.unique_name for each in self.graph.components.transforms.values()}


@dataclass(frozen=True)
class Launcher:
    """Launches templates; see `launcher`."""

    python: Path
    gcs: GcsEmulator
    cloud: Cloud

    def launch(self, template: str, parameters: Mapping[str, str], image: str | None = IMAGE) -> Launch:
        """Runs the entry point of a template, at most two minutes."""
        words = {**_OPTIONS, **parameters}
        command = [self.python, TEMPLATES / f"{template}.py", *(f"--{name}={words[name]}" for name in sorted(words))]
        environment = {**self.cloud.environment, "STORAGE_EMULATOR_HOST": self.gcs.url}
        environment.pop(IMAGE_VARIABLE, None)
        if image is not None:
            environment[IMAGE_VARIABLE] = image
        ran = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=HANG_SECS,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
        return Launch(ran.returncode, ran.stderr, *self._left())

    def _left(self) -> tuple[dict[str, Any], Any]:
        """What the launch left, once."""
        if _JOB not in self.gcs.names("staging/"):
            return {}, None
        job = json.loads(self.gcs.get(_JOB))
        (name,) = [name for name in self.gcs.names("staging/") if name.endswith("/pipeline.pb")]
        graph = beam_runner_api_pb2.Pipeline.FromString(self.gcs.get(name))
        bucket = self.gcs._client().bucket(self.gcs.bucket)
        bucket.delete_blobs([bucket.blob(each) for each in (_JOB, name)])
        return job, graph


@contextlib.contextmanager
def launcher(python: Path) -> Iterator[Launcher]:
    """Both servers, and what runs entry points with a Python."""
    before = os.environ.get("NO_GCE_CHECK")
    with gcs_emulator() as gcs, run_cloud() as cloud:
        yield Launcher(python, gcs, cloud)
    assert os.environ.get("NO_GCE_CHECK") == before
