"""The picture of a terminal in README.md and on the site's first page, drawn from a real export: `make picture`.

The export reads the sample events of `dovebeam demo` and writes to a file and to an endpoint on loopback that refuses
a few of them, so that the ledger has something to account for. Only what differs from run to run, or from machine to
machine, is replaced: the directory of the file and the address of the endpoint.
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

__all__ = ["COLUMNS", "COMMAND", "LINES", "PICTURE", "draw", "record"]

PICTURE: Final = Path(__file__).parents[1] / "images" / "export.svg"
COMMAND: Final = "dovebeam export --config dovecot.conf --input events.json.gz --rejects rejects.jsonl"
"""What is run and shown."""

COLUMNS: Final = 80
LINES: Final = 20

_CONFIG: Final = """\
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0

metric failed_logins {
  filter = event=auth_request_finished AND NOT success=yes
  exporter = logins
}
event_exporter logins {
  driver = file
  format = json
  file_path = @HOME@/logins.json
}
metric commands {
  filter = event=imap_command_finished
  exporter = lake
}
event_exporter lake {
  driver = http-post
  format = json
  http_post_url = @URL@/events
}
"""
_REFUSED: Final = b'"user":"olena_s@'
_WIDE: Final = 200  # no column is broken before the real paths are replaced by short ones
_SECONDS: Final = 120.0

_TITLE: Final = "An export with dovebeam: every event is accounted for"
# Rich's own format without its fonts, which a browser would load from another host.
_FORMAT: Final = """\
<svg class="rich-terminal" role="img" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<title>@TITLE@</title>
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", "DejaVu Sans Mono", monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
}}
.{unique_id}-title {{ font-family: system-ui, Arial, sans-serif; font-size: 18px; font-weight: bold }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class _Lake(BaseHTTPRequestHandler):
    """An endpoint that takes all events but those of one user."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answers one request."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(422 if _REFUSED in body else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
        """Logs nothing."""


@contextmanager
def _lake() -> Iterator[str]:
    """The endpoint on loopback; gives its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Lake) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def record(home: Path) -> Text:
    """What a terminal shows of the export, in its colours.

    Args:
        home: an empty directory to run it in.

    Raises:
        RuntimeError: the export failed.
    """
    (home / "events.json.gz").write_bytes((files("dovebeam.pipelines") / "samples" / "events.json.gz").read_bytes())
    with _lake() as url:
        (home / "dovecot.conf").write_text(_CONFIG.replace("@HOME@", str(home)).replace("@URL@", url))
        shown = _on_terminal([sys.executable, "-m", "dovebeam.pipelines.cli", *COMMAND.split()[1:]], home)
    shown = shown.replace(url, "http://ingest:8080")
    shown = re.sub(r"[^\s\x1b]*/logins\.json", "/srv/logins.json", shown)
    typed, _, rest = COMMAND.rpartition(" --rejects")
    prompt = Text.assemble(("$ ", "green"), f"{typed} \\\n      --rejects{rest}\n")
    return prompt + Text.from_ansi(shown.rstrip())


def _on_terminal(command: list[str], home: Path) -> str:
    """Standard output of a command that takes it for a terminal."""
    here, there = pty.openpty()
    termios.tcsetwinsize(there, (LINES, _WIDE))
    kept = {name: text for name, text in os.environ.items() if name not in {"COLUMNS", "FORCE_COLOR", "NO_COLOR"}}
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(  # noqa: S603  the command is ours
            command,
            cwd=home,
            env={**kept, "TERM": "xterm"},
            stdin=subprocess.DEVNULL,
            stdout=there,
            stderr=errors,
        )
        os.close(there)
        with open(here, "rb", buffering=0) as terminal:
            shown = b"".join(_chunks(terminal))
        if process.wait(_SECONDS):
            errors.seek(0)
            message = f"{COMMAND} ended with {process.returncode}:\n{errors.read().decode(errors='replace')}"
            raise RuntimeError(message)
    return shown.decode().replace("\r\n", "\n")


def _chunks(terminal: io.RawIOBase) -> Iterator[bytes]:
    """What a terminal is given, until the last program that had it open has ended."""
    # Linux reports that end as an error of reading, other systems as the end of a file.
    while True:
        try:
            chunk = terminal.read(65536)
        except OSError:
            return
        if not chunk:
            return
        yield chunk


def draw(shown: Text) -> str:
    """The picture of a terminal as SVG that refers to no other file."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(shown, soft_wrap=True)
    console.print()  # as the command does; room below the last line
    form = _FORMAT.replace("@TITLE@", _TITLE)
    drawn = console.export_svg(title="dovebeam export", code_format=form, unique_id="dovebeam")
    return "".join(f"{line.rstrip()}\n" for line in drawn.splitlines())


def _main() -> None:
    with tempfile.TemporaryDirectory() as home:
        drawn = draw(record(Path(home)))
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(drawn, "utf-8")


if __name__ == "__main__":
    _main()
