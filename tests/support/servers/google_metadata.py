"""What a machine in Google's cloud offers on loopback: its metadata server, and Secret Manager.

Google's libraries find the former by GCE_METADATA_HOST and GCE_METADATA_IP when they are imported, so that tests
start a process of their own with `environment`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c

from dovebeam.transforms.drivers.secrets.secret_manager import ENDPOINT_VARIABLE
from support.servers.server_http import Answer, HttpServer, Request, run_http_server, status

ACCESS_TOKEN = "metadata-access-token"
EMAIL = "worker@p.iam.gserviceaccount.com"
_ACCOUNTS = "/computeMetadata/v1/instance/service-accounts"
_ACCOUNT = f"{_ACCOUNTS}/default"


def id_token(audience: str, lifetime_secs: float = 3600) -> str:
    """A token as Google makes them, but for its signature."""
    head, claims = {"alg": "RS256"}, {"aud": audience, "exp": int(time.time() + lifetime_secs)}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (head, claims)]
    return f"{parts[0]}.{parts[1]}.c2lnbmF0dXJl"


@dataclass
class Cloud:
    """The servers.

    Attributes:
        secrets: data by the name of the version.
        audiences: for which id tokens were asked.
        damaged: whether checksums are wrong.
    """

    secrets: dict[str, bytes] = field(default_factory=dict)
    audiences: list[str] = field(default_factory=list)
    damaged: bool = False
    server: HttpServer | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead Google's libraries and dovebeam here."""
        assert self.server is not None
        host = f"127.0.0.1:{self.server.port}"
        kept = {name: value for name, value in os.environ.items() if name != "NO_GCE_CHECK"}
        kept.pop("GOOGLE_APPLICATION_CREDENTIALS", None)
        return {**kept, "GCE_METADATA_HOST": host, "GCE_METADATA_IP": host, ENDPOINT_VARIABLE: f"http://{host}"}

    def answer(self, _: int, request: Request) -> Answer:
        """Answers as either of the two."""
        target = urlsplit(request.lines[0].split(" ")[1])
        if target.path.startswith("/v1/"):
            return self._secret(target.path, request)
        if request.headers.get("metadata-flavor") != "Google":
            return status(403)
        # By its address too: google-auth asks so once it knows it, which a thread of its own may find out first.
        path = unquote(target.path).rstrip("/").replace(f"{_ACCOUNTS}/{EMAIL}", _ACCOUNT)
        if path == f"{_ACCOUNT}/identity":
            audience = parse_qs(target.query)["audience"][0]
            self.audiences.append(audience)
            return _text(id_token(audience), "text/html")
        answers = {
            "": "computeMetadata/",
            _ACCOUNT: {"email": EMAIL, "scopes": [], "aliases": ["default"]},
            f"{_ACCOUNT}/token": {"access_token": ACCESS_TOKEN, "expires_in": 3600, "token_type": "Bearer"},
            "/computeMetadata/v1/project/project-id": "p",
        }
        found = answers.get(path)
        if found is None:
            return status(404, "Metadata-Flavor: Google")
        return _text(found) if isinstance(found, str) else _text(json.dumps(found), "application/json")

    def _secret(self, path: str, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {ACCESS_TOKEN}":
            return status(401)
        version = path.removeprefix("/v1/").removesuffix(":access")
        data = self.secrets.get(version)
        if data is None:
            return status(404)
        checksum = google_crc32c.value(data) + self.damaged
        payload = {"data": base64.b64encode(data).decode(), "dataCrc32c": str(checksum)}
        return _text(json.dumps({"name": version, "payload": payload}), "application/json")


def _text(text: str, kind: str = "application/text") -> Answer:
    return status(200, "Metadata-Flavor: Google", f"Content-Type: {kind}", body=text.encode())


@contextlib.contextmanager
def run_cloud(**secrets: bytes) -> Iterator[Cloud]:
    """Both servers, with secrets of the project p by name, each in version 1, which is the latest."""
    cloud = Cloud({f"projects/p/secrets/{n}/versions/{v}": d for n, d in secrets.items() for v in ("1", "latest")})
    with run_http_server(cloud.answer) as server:
        cloud.server = server
        yield cloud
