"""Credentials reach their target and nothing else: no log, error, reject, ledger, preview, graph or command line."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from faults.credential_search import found_below, found_in

from dovebeam.pipelines.export.export_job import build_export
from dovebeam.pipelines.export.options import ExportOptions
from dovebeam.transforms.config import load_config
from dovebeam.transforms.drivers.secrets import vault
from support.jobs.commands import dovebeam, exporter, metric, write_config, write_events
from support.programs import free_port, wait_until
from support.servers.certificates import Authority, make_authority
from support.servers.nginx import run_nginx
from support.servers.server_http import Answer, HttpServer, Request, run_http_server, status

# One for each place where a configuration can have one, so that a leak tells where it comes from.
_URL_USER, _URL_PASSWORD, _QUERY = "url-user-7Qa", "url-p@ss/word-7Qb", "query-token-7Qc"
_HEADER, _HEADER_VARIABLE, _TOKEN = "header-value-7Qd", "header-variable-7Qe", "bearer-token-7Qf"
_PROXY_USER, _PROXY_PASSWORD, _KEY_PASSWORD = "proxy-user-7Qg", "proxy-password-7Qh", "key-password-7Qi"
_FILE, _PATH = "secret-in-a-file-7Qj", "path-of-a-webhook-7Qk"
SECRETS = (
    *(_URL_USER, _URL_PASSWORD, _QUERY, _HEADER, _HEADER_VARIABLE, _TOKEN, _PROXY_USER, _PROXY_PASSWORD),
    *(_KEY_PASSWORD, _FILE, _PATH),
)
_ENVIRONMENT = {"DOVEBEAM_TEST_HEADER": _HEADER_VARIABLE, "DOVEBEAM_TEST_TOKEN": _TOKEN}
_MARK = "DOVEBEAM_TEST_MARK"
_EVENT = b'{"event":"imap_command_finished","fields":{"user":"a"},"start_time":"2026-01-02T03:04:05.000000Z"}'


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody but a test of it trusts."""
    return make_authority(tmp_path_factory.mktemp("ca"))


@dataclass
class Job:
    """A configuration with a credential in every place, and what came of it.

    Attributes:
        folder: holds the configuration; `out` below it everything that is written.
        texts: what processes printed.
        command_lines: of every process of the job.
    """

    folder: Path
    texts: list[str] = field(default_factory=list)
    command_lines: set[bytes] = field(default_factory=set)

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def config(self) -> Path:
        return self.folder / "dovecot.conf"

    def prepare(self, target: str, authority: Authority, tls_port: int) -> None:
        """Writes configuration and events: one exporter for the target, others that cannot reach theirs."""
        self.out.mkdir()
        (self.folder / "secret").write_text(f"{_FILE}\n")
        (self.folder / "url").write_text(f"{target}/services/{_PATH}\n")
        client, key = authority.issue(f"client-{uuid.uuid4().hex}", "DNS:client", password=_KEY_PASSWORD)
        host = target.removeprefix("http://")
        user = f"{_URL_USER}:{_URL_PASSWORD.replace('@', '%40').replace('/', '%2F')}"
        patience = ["http_client_request_absolute_timeout = 2s", "http_client_request_max_attempts = 2"]
        headers = ["http_post_headers {", f"X-Key = {_HEADER}", "X-Variable = env:DOVEBEAM_TEST_HEADER"]
        headers += [f"X-File = file:{self.folder}/secret", "}"]
        bearer = ["http_post_auth = bearer", "http_post_auth_token = %{env:DOVEBEAM_TEST_TOKEN}"]
        proxy = [f"http_client_proxy_url = http://{_PROXY_USER}:{_PROXY_PASSWORD}@127.0.0.1:{free_port()}"]
        tls = [f"ssl_client_cert_file = {client}", f"ssl_client_key_file = {key}"]
        tls += [f"ssl_client_key_password = {_KEY_PASSWORD}"]
        urls = {
            "all": (f"http://{user}@{host}/in?key={_QUERY}", headers),
            "bearer": (f"{target}/bearer", bearer),
            "webhook": (f"file:{self.folder}/url", []),
            "closed": (f"http://{user}@127.0.0.1:{free_port()}/?key={_QUERY}", headers),
            "proxied": (f"http://{user}@{host}/in?key={_QUERY}", proxy),
            "refused": (f"https://127.0.0.1:{tls_port}/?key={_QUERY}", [*headers, *bearer, *tls]),
        }
        blocks = [exporter(n, "http-post", "json", f"http_post_url = {u}", *patience, *x) for n, (u, x) in urls.items()]
        write_config(self.folder, *blocks, *(metric(n, "event=*", n) for n in urls))
        write_events(self.folder, [_EVENT] * 5)

    def command(self, *more: object) -> list[str]:
        arguments = ["export", "--config", self.config, "--input", self.folder / "events.json", *more]
        return [sys.executable, "-m", "dovebeam.pipelines.cli", *map(str, arguments)]

    def run(self, *more: object) -> int:
        """Runs the real command, watching the command lines of its processes."""
        mark = uuid.uuid4().hex
        with (self.out / f"{mark}.stdout").open("wb") as out, (self.out / f"{mark}.stderr").open("wb") as err:
            environment = {**os.environ, **_ENVIRONMENT, _MARK: mark}
            process = subprocess.Popen(self.command(*more), stdout=out, stderr=err, env=environment)
            try:
                give_up = time.monotonic() + 120
                while process.poll() is None and time.monotonic() < give_up:
                    self.command_lines |= set(_command_lines(mark))
                    time.sleep(0.05)
            finally:
                process.kill()
                process.wait()
        return process.returncode

    def leaks(self) -> dict[str, set[str]]:
        """Everything that has a credential in it, apart from configuration and secret file."""
        found = found_below(self.out, SECRETS)
        leaked = found_in(b"\n".join(self.command_lines), SECRETS)
        return {**found, "command lines": leaked} if leaked else found


def _command_lines(mark: str) -> list[bytes]:
    """The command lines of the processes that inherited a mark."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{_MARK}={mark}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes())
        except OSError:  # somebody else's, or gone
            continue
    return found


def _shared_secrets() -> set[str]:
    """The directories of shared secrets."""
    places = {tempfile.gettempdir(), "/dev/shm"}
    return {str(path) for place in places for path in Path(place).glob("dovebeam-secrets-*")}


def _check_nothing_is_shared(before: set[str]) -> None:
    """What is there and was not before is that of another test's job, which ends soon."""
    more = _shared_secrets() - before
    wait_until(lambda: not more & _shared_secrets(), f"{more} to be removed")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job in a folder of its own."""
    return Job(tmp_path)


@pytest.fixture
def tls_port(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Any:
    """A TLS server whose certificate nobody trusts."""
    certificate, key = authority.issue("server", "IP:127.0.0.1")
    directives = f"ssl_certificate {certificate};\nssl_certificate_key {key};"
    with run_nginx(tmp_path_factory.mktemp("nginx"), tls=directives) as nginx:
        yield nginx.port


_ANSWERS: dict[str, Callable[[int, Request], Answer]] = {
    "taken": lambda _, request: Answer(),
    # An answer that repeats what it got, as some servers do in their error pages.
    "401": lambda _, request: status(401, f"X-Echo: {request.lines[0]}", body=request.head),
    "500": lambda _, request: status(500, f"X-Echo: {request.lines[0]}", body=request.head),
    "garbage": lambda _, request: Answer(request.head + b"\r\n", close=True),
}
_MULTI = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")


@pytest.mark.parametrize("beam_options", [(), _MULTI], ids=["in process", "worker processes"])
@pytest.mark.parametrize("answer", _ANSWERS)
def test_credentials_appear_nowhere(
    job: Job, authority: Authority, tls_port: int, answer: str, beam_options: tuple[str, ...]
) -> None:
    """Whatever becomes of the requests: outputs, logs with --debug, rejects, ledger and command lines are clean."""
    before = _shared_secrets()
    with run_http_server(_ANSWERS[answer]) as server:
        job.prepare(server.url, authority, tls_port)
        rejects, ledger = job.out / "rejects.jsonl", job.out / "ledger.json"
        code = job.run("--rejects", rejects, "--ledger", ledger, "--debug", *beam_options)
    assert code == 0
    assert ledger.exists()
    rejected = (job.out / "rejects.jsonl").read_bytes().count(b"\n")
    assert rejected == (15 if answer == "taken" else 30)
    assert len(job.command_lines) >= (2 if beam_options else 1)
    assert job.leaks() == {}
    _check_nothing_is_shared(before)
    _assert_all_arrived(server)


def _assert_all_arrived(server: HttpServer) -> None:
    """The control for the search: the target did get the credentials, and the search finds them in its requests."""
    heads = b"\n".join(request.head for request in server.requests)
    wanted = {_URL_USER, _URL_PASSWORD, _QUERY, _HEADER, _HEADER_VARIABLE, _TOKEN, _FILE, _PATH}
    assert found_in(heads, SECRETS) == wanted
    pair = base64.b64encode(f"{_URL_USER}:{_URL_PASSWORD}".encode())
    assert b"Authorization: Basic " + pair in heads
    assert b"Authorization: Bearer " + _TOKEN.encode() in heads


def test_failed_job_shows_no_credential(job: Job, authority: Authority, tls_port: int) -> None:
    """Without rejects and ledger the errors are printed; a password of a key that is wrong fails the whole job."""
    with run_http_server(_ANSWERS["500"]) as server:
        job.prepare(server.url, authority, tls_port)
        assert job.run() == 1
        text = job.config.read_text().replace(
            f"ssl_client_key_password = {_KEY_PASSWORD}", f"{'ssl_client_key_password'} = x{_KEY_PASSWORD}"
        )
        job.config.write_text(text)
        assert job.run("--debug") == 1
    assert job.leaks() == {}


def test_preview_needs_and_shows_no_credential(job: Job, authority: Authority, tls_port: int) -> None:
    """A preview writes files, and neither they nor what it prints hold a credential."""
    with run_http_server() as server:
        job.prepare(server.url, authority, tls_port)
        assert job.run("--preview", job.out / "preview", "--debug") == 0
    assert not server.requests
    assert len([path for path in (job.out / "preview").iterdir() if not path.name.startswith(".")]) == 6
    assert job.leaks() == {}


def _graph(config: Path, events: Path) -> bytes:
    """The serialised pipeline and its options, as a runner gets them."""
    options = PipelineOptions([])
    pipeline = beam.Pipeline(options=options)
    loaded = load_config(config)
    build_export(pipeline, ExportOptions(config=(str(config),), input=(str(events),)), loaded)
    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    return bytes(pipeline.to_runner_api().SerializeToString() + encoded.SerializeToString())


def test_graph_and_options_hold_no_credential(
    job: Job, authority: Authority, tls_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipeline as a runner stores and shows it; a value that is declared to be public is found, as a control."""
    for name, value in _ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    job.prepare("http://127.0.0.1:9", authority, tls_port)
    assert found_in(_graph(job.config, job.folder / "events.json"), SECRETS) == set()
    text = job.config.read_text().replace(f"X-Key = {_HEADER}", f"X-Key = plain:{_HEADER}")
    job.config.write_text(text)
    assert found_in(_graph(job.config, job.folder / "events.json"), SECRETS) == {_HEADER}


def test_job_elsewhere_refuses_written_out_credentials_all_at_once(
    job: Job, authority: Authority, tls_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At launch, each with its place and what to write instead."""
    for name, value in _ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    job.prepare("http://127.0.0.1:9", authority, tls_port)
    ran = dovebeam(
        *("export", "--config", job.config, "--input", job.folder / "events.json"),
        *("--runner=support.jobs.far_runner.FarRunner", "--wait"),
    )
    assert ran.code == 78
    assert found_in(ran.out + ran.err, SECRETS) == set()
    lines = [line for line in ran.err.splitlines() if "error: " in line]
    assert len(lines) == 11
    assert all(f"{job.config}:" in line and ("env:NAME" in line) for line in lines)


def test_reference_that_leads_nowhere_is_found_before_anything_is_read(
    job: Job, authority: Authority, tls_port: int
) -> None:
    """Here, where references are looked up at launch: every missing one is told, and nothing is sent."""
    with run_http_server() as server:
        job.prepare(server.url, authority, tls_port)
        (job.folder / "secret").unlink()
        ran = dovebeam("export", "--config", job.config, "--input", job.folder / "events.json")
    assert ran.code == 78
    assert ran.err.count("the environment variable DOVEBEAM_TEST_HEADER is not set") == 2
    assert ran.err.count("secret) failed: No such file") == 2
    assert not server.requests


@pytest.mark.alone
def test_killed_launcher_leaves_no_secret(job: Job, authority: Authority, tls_port: int) -> None:
    """The workers of a job whose launcher was killed remove the directory that it shared with them."""
    before = _shared_secrets()
    with run_http_server(lambda _, request: Answer(delay=1)) as server, ExitStack() as stack:
        job.prepare(server.url, authority, tls_port)
        process = subprocess.Popen(
            job.command("--rejects", job.out / "rejects.jsonl", *_MULTI),
            env={**os.environ, **_ENVIRONMENT},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        wait_until(lambda: bool(server.requests), "a request")
        assert len(_shared_secrets() - before) == 1
        os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda: _shared_secrets() <= before, "the workers to clean up")
    assert vault.ENVIRONMENT not in os.environ


def test_the_search_finds_what_it_looks_for() -> None:
    """The control of the search itself: raw, percent-encoded, in base64 at any offset, and in a compressed pickle."""
    import bz2
    import pickle

    secret = _URL_PASSWORD
    hidden = [secret.encode(), b"url-p%40ss%2Fword-7Qb"]
    hidden += [base64.b64encode(b"x" * before + secret.encode() + b"yz") for before in range(5)]
    hidden.append(base64.b64encode(bz2.compress(pickle.dumps({"key": secret}))))
    for data in hidden:
        assert found_in(b'{"a":"' + data + b'"}', SECRETS) == {secret}
    assert found_in(b"nothing", SECRETS) == set()
