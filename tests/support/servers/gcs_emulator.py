"""Google Cloud Storage on loopback, in memory: PyPI's gcp-storage-emulator in a thread of the tests.

Beam finds it by the environment variable STORAGE_EMULATOR_HOST, in this process and in those of its workers.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

PIPELINE_OPTIONS = ("--no_auth", "--project=test")

# Without the second one, Google's library looks for the metadata server of a cloud machine, which takes long to fail.
_ENVIRONMENT = ("STORAGE_EMULATOR_HOST", "NO_GCE_CHECK")


@dataclass(frozen=True)
class GcsEmulator:
    """A running emulator with one bucket.

    Attributes:
        url: its address, as STORAGE_EMULATOR_HOST has it.
        bucket: name of the bucket.
    """

    url: str
    bucket: str

    def uri(self, name: str) -> str:
        """The gs:// URL of an object."""
        return f"gs://{self.bucket}/{name}"

    def put(self, objects: Mapping[str, bytes]) -> None:
        """Stores objects by their names."""
        bucket = self._client().bucket(self.bucket)
        for name, data in objects.items():
            bucket.blob(name).upload_from_string(data, content_type="application/octet-stream")

    def get(self, name: str) -> bytes:
        """The bytes of an object."""
        data: bytes = self._client().bucket(self.bucket).blob(name).download_as_bytes(raw_download=True)
        return data

    def delete(self, name: str) -> None:
        """Removes an object."""
        self._client().bucket(self.bucket).blob(name).delete()

    def names(self, prefix: str = "") -> list[str]:
        """The names of all objects that begin with `prefix`."""
        return sorted(blob.name for blob in self._client().list_blobs(self.bucket, prefix=prefix))

    @staticmethod
    def _client():
        from google.cloud import storage

        return storage.Client.create_anonymous_client()


@contextmanager
def gcs_emulator(bucket: str = "mail") -> Iterator[GcsEmulator]:
    """Runs an emulator on a free port as long as the context lasts; sets and restores the environment."""
    from apache_beam.internal.gcp import auth
    from gcp_storage_emulator.server import create_server

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(dict(zip(_ENVIRONMENT, (url, "true"), strict=True)))
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket=bucket)
    server.start()
    credentials = auth._Credentials
    looked_up = credentials._credentials_init, credentials._credentials
    # Beam does not mind --no_auth here: where google-auth-httplib2 is installed, it would look for credentials for half
    # a minute. Worker processes still do.
    credentials._credentials_init, credentials._credentials = True, None
    try:
        yield GcsEmulator(url, bucket)
    finally:
        server.stop()
        credentials._credentials_init, credentials._credentials = looked_up
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
