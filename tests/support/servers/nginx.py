"""A private nginx: answers every request with 204 and logs what it got, one JSON object a line."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.programs import accepts, free_port, require_program, running, wait_until

_CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    log_format json escape=json '{{"method":"$request_method","uri":"$request_uri","status":"$status",'
        '"length":"$content_length","type":"$content_type","agent":"$http_user_agent","user":"$remote_user",'
        '"connection":"$connection","nth":"$connection_requests","body":"$request_body"}}';
    access_log {access_log};
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    client_body_buffer_size 1m;
    client_max_body_size 32m;
    keepalive_requests 1000000000;
    server {{
        listen 127.0.0.1:{port}{tls};
        {server}
        location / {{ {location} }}
    }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    """A running nginx."""

    port: int
    folder: Path
    scheme: str

    @property
    def url(self) -> str:
        """Its root, without the last slash."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def requests(self, count: int) -> list[dict[str, Any]]:
        """The access log, as soon as it has at least so many requests."""
        log = self.folder / "access.log"
        wait_until(lambda: log.read_bytes().count(b"\n") >= count, f"{count} requests in nginx's log")
        return [json.loads(line) for line in log.read_text().splitlines()]


@contextlib.contextmanager
def run_nginx(
    folder: Path, *, tls: str = "", location: str = "return 204;", access_log: bool = True
) -> Iterator[Nginx]:
    """Starts nginx in a folder of its own.

    Args:
        folder: an existing, empty folder.
        tls: directives such as `ssl_certificate`; without them it speaks plain HTTP.
        location: what the one location does.
        access_log: False for a bench.
    """
    program = require_program("nginx")
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(
        _CONFIG.format(
            folder=folder,
            port=port,
            tls=" ssl" if tls else "",
            server=tls,
            location=location,
            access_log=f"{folder}/access.log json" if access_log else "off",
        )
    )
    command = [program, "-p", str(folder), "-c", str(config)]
    with running(command, folder / "output.log", lambda: accepts(port)):
        yield Nginx(port, folder, "https" if tls else "http")
