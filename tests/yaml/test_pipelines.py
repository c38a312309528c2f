"""Whole pipelines of Beam YAML, run by Beam's own command against targets on loopback."""

import json
import os
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.yaml.yaml_provider import load_providers, merge_providers

from dovebeam.transforms import decode_json, make_formatter, parse_filter
from support.jobs.commands import HEAD, Ran, dovebeam, exporter, metric
from support.oracle.corpus import corpus_lines
from support.programs import HANG_SECS
from support.servers.server_http import Request, run_http_server, status

RUNNER = ("--runner", "FnApiRunner")
"""The runner of docs/yaml.md. Without it Beam downloads its engine Prism, or waits for a firewall that drops packets."""
ERROR_NAMES = ("payloadString", "stage", "sourceUri", "sourceOffset", "contentHash")
# Files of JSON have arrays for rows within rows, so what the tests look at becomes columns.
ERROR_FIELDS = json.dumps(
    {"language": "python", "fields": {"msg": "msg", **{name: f"element.{name}" for name in ERROR_NAMES}}}
)
FILTER = "event=imap_command_finished AND net_in_bytes > 10"


def provider_file() -> str:
    """The path that the documented command prints."""
    command = [sys.executable, "-m", "dovebeam.transforms.yaml"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def run_yaml(folder: Path, text: str) -> Ran:
    """Runs a pipeline with dovebeam's provider file, where nothing was downloaded yet; fails if it asks for anything."""
    path = folder / "pipeline.yaml"
    path.write_text(f"{text.lstrip()}\nproviders:\n  - include: {provider_file()}\n")
    command = [sys.executable, "-m", "apache_beam.yaml.main", f"--yaml_pipeline_file={path}", *RUNNER]
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        environ = {**os.environ, "HOME": str(folder), "https_proxy": address, "HTTPS_PROXY": address}
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=HANG_SECS, cwd=folder, env=environ
        )
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()
    return Ran(done.returncode, done.stdout, done.stderr)


def rows_of(folder: Path, prefix: str) -> list[dict]:
    """What a WriteToJson wrote."""
    return [json.loads(line) for path in sorted(folder.glob(f"{prefix}*")) for line in path.read_text().splitlines()]


def test_files_to_http(tmp_path: Path) -> None:
    """Files are read, filtered, formatted and posted; what is no event and what the target refuses are rows."""
    lines = corpus_lines("events.json.gz")[:3000]
    (tmp_path / "events.json").write_bytes(b"".join(line + b"\n" for line in [*lines, b"no event"]))
    filter_, formatter = parse_filter(FILTER), make_formatter("json", fields=["user", "cmd_name"])
    expected = [formatter.format(event) for event in map(decode_json, lines) if filter_.matches(event)]
    refused = [payload for payload in expected if b'"cmd_name":"LIST"' in payload]
    assert len(refused) > 10
    assert len(expected) > 2 * len(refused)

    def answer(number: int, request: Request):
        return status(503 if number == 1 else 400 if b'"cmd_name":"LIST"' in request.body else 200)

    with run_http_server(answer) as server:
        ran = run_yaml(
            tmp_path,
            f"""
pipeline:
  transforms:
    - type: DovecotEvents
      config:
        path: {tmp_path}/events.json
        error_handling: {{output: no_events}}
    - type: MatchMetric
      input: DovecotEvents
      config: {{filter: "{FILTER}"}}
    - type: FormatEvents
      input: MatchMetric
      config: {{fields: [user, cmd_name]}}
    - type: WriteToHttp
      input: FormatEvents
      config:
        url: {server.url}/in
        field: payload
        headers: {{X-Tenant: "plain:a"}}
        settings: {{http_post_batch_max_events: 100, http_client_connect_backoff_time: 10 msecs}}
        error_handling: {{output: refused}}
    - type: MapToFields
      name: NoEvents
      input: DovecotEvents.no_events
      config: {ERROR_FIELDS}
    - type: WriteToJson
      input: NoEvents
      config: {{path: {tmp_path}/no_events}}
    - type: MapToFields
      name: Statuses
      input: WriteToHttp.refused
      config:
        language: python
        fields: {{status: http_status, attempts: attempts, message: msg}}
    - type: WriteToJson
      name: WriteStatuses
      input: Statuses
      config: {{path: {tmp_path}/statuses}}
    - type: StripErrorMetadata
      input: WriteToHttp.refused
    - type: MapToFields
      name: Text
      input: StripErrorMetadata
      config:
        language: python
        fields: {{payload: {{callable: "lambda row: row.payload.decode()"}}}}
    - type: WriteToText
      input: Text
      config: {{path: {tmp_path}/refused}}
""",
        )
        assert ran.code == 0, ran.err
        assert all(request.headers["x-tenant"] == "a" for request in server.requests)
        assert server.requests[0].headers["content-type"] == "application/x-ndjson"
        # The first request was answered with 503 and sent again.
        accepted = [request for request in server.requests[1:] if b'"cmd_name":"LIST"' not in request.body]
    arrived = Counter(line for request in accepted for line in request.body.splitlines())
    assert arrived == Counter(payload for payload in expected if payload not in refused)
    (bad,) = rows_of(tmp_path, "no_events")
    assert bad["payloadString"] == "no event"
    assert bad["sourceUri"] == f"{tmp_path}/events.json"
    assert bad["msg"] == "expected an object '{' (byte 0)"
    told = rows_of(tmp_path, "statuses")
    assert len(told) == len(refused)
    assert {(each["status"], each["message"]) for each in told} == {(400, "the target answered 400 Bad Request")}
    assert min(each["attempts"] for each in told) >= 1
    written = [line for path in tmp_path.glob("refused*") for line in path.read_bytes().splitlines()]
    assert sorted(written) == sorted(refused)


def test_files_through_a_configuration_to_files(tmp_path: Path) -> None:
    """ExportEvents writes the very bytes that `dovebeam export` writes, and what is no event is a row."""
    lines = corpus_lines("events.json.gz")[:3000]
    (tmp_path / "events.json").write_bytes(b"".join(line + b"\n" for line in [*lines, b"no event"]))

    def config(target: str) -> Path:
        folder = tmp_path / target
        folder.mkdir()
        path = tmp_path / f"{target}.conf"
        blocks = [
            exporter("imap", "file", "json", f"file_path = {folder}/imap.json"),
            exporter("all", "file", "tab-text", f"file_path = {folder}/all.tab"),
            metric("imap", FILTER, "imap"),
            metric("all", "event=*", "all"),
        ]
        path.write_text(HEAD + "".join(blocks))
        return path

    ran = run_yaml(
        tmp_path,
        f"""
pipeline:
  transforms:
    - type: ExportEvents
      config:
        config: {config("yaml")}
        path: {tmp_path}/events.json
        error_handling: {{output: rejects}}
    - type: MapToFields
      input: ExportEvents.rejects
      config: {ERROR_FIELDS}
    - type: WriteToJson
      input: MapToFields
      config: {{path: {tmp_path}/rejects}}
""",
    )
    assert ran.code == 0, ran.err
    command = ["export", "--config", config("command"), "--input", tmp_path / "events.json"]
    done = dovebeam(*command, "--rejects", tmp_path / "command-rejects.jsonl")
    assert done.code == 0, done.err
    for name in ("imap.json", "all.tab"):
        written = (tmp_path / "yaml" / name).read_bytes()
        assert written == (tmp_path / "command" / name).read_bytes()
        assert written.count(b"\n") > 100
    (bad,) = rows_of(tmp_path, "rejects-")
    (same,) = map(json.loads, (tmp_path / "command-rejects.jsonl").read_text().splitlines())
    assert bad == {**{name: same[name] for name in ERROR_NAMES}, "msg": same["errorMessage"]}


def test_a_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    """A bad filter ends the launch, with the line of the pipeline, the place in the filter and no job."""
    from apache_beam.yaml.yaml_transform import YamlTransform

    (tmp_path / "events.json").write_bytes(b"{}\n")
    text = f"""type: chain
transforms:
  - type: DovecotEvents
    config: {{path: {tmp_path}/events.json}}
  - type: MatchMetric
    config: {{filter: "event="}}
"""
    wanted = r'Invalid transform specification at "MatchMetric" at line 5: .*syntax error, unexpected end of file'
    with pytest.raises(ValueError, match=wanted):
        _ = beam.Pipeline() | YamlTransform(text, merge_providers(load_providers(provider_file())))
