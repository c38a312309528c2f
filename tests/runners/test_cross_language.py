"""The example in Java: dovebeam's transforms of rows, expanded by Beam's service for Python, on Prism."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dovebeam.transforms import decode_json, make_formatter, parse_filter
from support.jobs.commands import write_events
from support.jobs.engines import prism_server, worker_command
from support.oracle.corpus import corpus_lines
from support.pages.documents import ROOT
from support.programs import HANG_SECS, accepts, built_programs, free_port, leave_out, require_program, running

EXAMPLE = ROOT / "docs" / "examples" / "java"
FILTER = "event=imap_command_finished AND duration > 100"

# Beam's service listens on every network interface; a test should not.
SERVICE = """
import sys, grpc
from apache_beam.runners.portability import expansion_service_main

make_server = grpc.server

def loopback_server(*arguments):
    server = make_server(*arguments)
    add_port = server.add_insecure_port
    server.add_insecure_port = lambda address: add_port(address.replace("0.0.0.0", "127.0.0.1"))
    return server

grpc.server = loopback_server
expansion_service_main.main(sys.argv)
"""


PANIC = "error decoding metrics beam:metric:sampled_byte_size"
"""Prism's own fault, seen on a busy machine: a worker tells of its progress when it has no sizes yet, and Prism dies."""


def require_example() -> Path:
    """What .ci/build-examples has made of the example as it is; a machine without Java or Maven goes without the test."""
    content = b"".join((EXAMPLE / name).read_bytes() for name in ("pom.xml", "src/main/java/SlowCommands.java"))
    name = f"example-java-{hashlib.sha256(content).hexdigest()[:12]}"
    path = built_programs() / name
    if not path.exists():
        if shutil.which("javac") is None or shutil.which("mvn") is None:
            leave_out("no JDK or no Maven on this machine to build the example with")
        require_program(name)
    return path


@contextmanager
def expansion_service(folder: Path) -> Iterator[str]:
    """The service as the page starts it; its address."""
    port = free_port()
    command = [sys.executable, "-c", SERVICE, f"--port={port}", "--fully_qualified_name_glob=dovebeam.*"]
    command += ["--environment_type=PROCESS", f"--environment_option=process_command={worker_command(folder)}"]
    with running(command, folder / "expansion.log", lambda: accepts(port)):
        yield f"localhost:{port}"


def run_on_prism(command: list[object], folder: Path) -> subprocess.CompletedProcess[str]:
    """The pipeline's launcher, with an engine and a service of its own."""
    with prism_server(folder) as prism, expansion_service(folder) as expansion:
        where = [f"--jobEndpoint={prism}", f"--expansion={expansion}", "--runner=PortableRunner"]
        where += ["--defaultEnvironmentType=LOOPBACK", f"--defaultEnvironmentConfig=localhost:{free_port()}"]
        return subprocess.run([*command, *where], capture_output=True, text=True, timeout=HANG_SECS, check=False)


def test_the_example_in_java(tmp_path: Path) -> None:
    """A pipeline in Java decodes, filters and formats events by dovebeam, with the same bytes."""
    built = require_example()
    lines = corpus_lines("events.json.gz")[:2000]
    matches = parse_filter(FILTER).matches
    write = make_formatter("json", fields=["user", "cmd_name", "duration"]).format
    expected = [write(event) for event in map(decode_json, lines) if matches(event)]
    assert len(expected) > 100
    output = tmp_path / "slow.json"
    command: list[object] = ["java", "-cp", f"{built}/classes:{built}/lib/*", "SlowCommands"]
    command += [f"--filter={FILTER}", f"--input={write_events(tmp_path, lines)}", f"--output={output}"]
    ran = run_on_prism(command, tmp_path)
    if PANIC in ran.stderr:
        ran = run_on_prism(command, tmp_path)
    assert ran.returncode == 0, f"{ran.stderr}\n{(tmp_path / 'prism.log').read_text()}"
    assert Counter(output.read_bytes().splitlines()) == Counter(expected)
