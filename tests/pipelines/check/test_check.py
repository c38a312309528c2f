"""`dovebeam check`: everything at once, nothing touched, no Beam; what would be done, and why filters match or not."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dovebeam.transforms import load_config
from support.jobs.commands import HEAD, Ran, dovebeam, exporter, metric, write_config, write_events
from support.oracle.corpus import CORPUS, corpus_lines
from support.programs import HANG_SECS

LINES = corpus_lines("events.json.gz")[:400]
SECRET = "hunter2hunter2"


def check(config: Path, *more: object) -> Ran:
    """Runs the check in this process."""
    return dovebeam("check", "--config", config, *more)


def as_json(config: Path, *more: object) -> dict:
    """The answer for programs."""
    ran = check(config, "--format", "json", *more)
    assert ran.err == ""
    return json.loads(ran.out)


def one(folder: Path, driver: str, *settings: str, filter_: str = "event=*") -> Path:
    """A configuration of one exporter."""
    return write_config(folder, exporter("x", driver, "json", *settings), metric("m", filter_, "x"))


def test_usable(tmp_path: Path) -> None:
    """Success is 0, with a table of what goes where and what is set besides; nothing is made or opened."""
    target = tmp_path / "no" / "such" / "folder" / "out.json"
    config = write_config(
        tmp_path,
        exporter("files", "file", "json", f"file_path = {target}", "file_rotate_size = 1M", "time_format = unix"),
        exporter("web", "http-post", "json", "http_post_url = http://127.0.0.1:9/in?x=y"),
        metric("a", "event=x", "files"),
        "metric b {\n  filter = event=y\n  exporter = web\n  exporter_include = name fields\n  fields {\n    user = yes\n  }\n}\n",
        "metric c {\n  filter = event=z\n}\n",
    )
    ran = check(config)
    assert (ran.code, ran.err) == (0, "")
    rows = [line.split() for line in ran.out.splitlines()]
    assert ["a", "files", "file", "json", "unix", "everything", str(target)] in rows
    assert ["b", "web", "http-post", "json", "rfc3339", "name", "fields,", "1", "field", "http://127.0.0.1:9"] in rows
    assert ["files", "file_rotate_size", "1M", "dovebeam", f"{config}:7"] in rows
    assert any(row[:3] == ["c", "-", "counted"] for row in rows)
    assert ran.out.endswith("the configuration can be used (no warnings)\n")
    assert not (tmp_path / "no").exists()


def test_all_errors_at_once(tmp_path: Path) -> None:
    """Mistakes of the language, of filters, and those that only a driver finds come together, each with its place."""
    config = tmp_path / "dovecot.conf"
    config.write_text(
        HEAD
        + metric("a", "event=x AND", "one")
        + metric("b", "event=x", "tow")
        + metric("c", "event=x", "one")
        + exporter("one", "http-post", "json", "http_post_url = http://h/", "http_post_auth_token = env:1X")
        + exporter("two", "fil", "json")
    )
    ran = check(config)
    assert ran.code == 78
    assert ran.out == ""
    errors = [line for line in ran.err.splitlines() if line.startswith("dovebeam: error: ")]
    assert [line.split(": ")[2].removeprefix(str(config)) for line in errors] == [":4:23", ":9:14", ":22:12", ":19"]
    assert "4 errors, no warnings; the configuration cannot be used" in ran.err


@pytest.mark.parametrize(
    "settings", [["http_post_retry_statuses = 2xx"], ["http_post_headers {\n    bad header = x\n  }"]]
)
def test_what_a_launch_refuses(tmp_path: Path, settings: list[str]) -> None:
    """Whatever an export would refuse at its launch is refused here in the same words."""
    config = one(tmp_path, "http-post", "http_post_url = http://127.0.0.1:9/", *settings)
    launched = dovebeam("export", "--config", config, "--input", write_events(tmp_path, LINES[:1]))
    checked = check(config)
    assert (launched.code, checked.code) == (78, 78)
    errors = [line for line in launched.err.splitlines() if line.startswith("dovebeam: error: ")]
    assert errors
    assert [line for line in checked.err.splitlines() if line.startswith("dovebeam: error: ")] == errors


def test_one_mistake_is_told_once(tmp_path: Path) -> None:
    """A target that is missing is the language's error and the driver's; only one is shown."""
    ran = check(one(tmp_path, "file"))
    assert ran.code == 78
    assert ran.err.count("dovebeam: error: ") == 1


def test_remote(tmp_path: Path) -> None:
    """What is right here may be wrong for a remote job."""
    config = one(tmp_path, "file", f"file_path = {tmp_path}/out.json")
    assert check(config).code == 0
    ran = check(config, "--for", "remote")
    assert ran.code == 78
    assert f"{config}:6: event_exporter x: event_exporter_file_path: the job is remote" in ran.err


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("ssl_client_ca_file = @/ca.pem", "ssl_client_ca_file: open(@/ca.pem) failed: No such file or directory"),
        ("ssl_client_cert_file = @/me.pem", "ssl_client_cert_file: open("),
        ("ssl_client_key_file = @/me.key", "ssl_client_key_file: open("),
        ("ssl_client_ca_file = <@/ca.pem", "ssl_client_ca_file: open("),
        ("ssl_client_key_file = @/me.key/x", "ssl_client_key_file: open("),
        ("http_client_proxy_password = <@/password", "http_client_proxy_password: Can't open file ***"),
        ("http_client_user_agent = <@/agent", "http_client_user_agent: Can't open file"),
    ],
)
def test_files_of_other_machines(tmp_path: Path, setting: str, message: str) -> None:
    """A file that is not on this machine is an error, and only a warning in a check for other machines."""
    setting, message = setting.replace("@", str(tmp_path)), message.replace("@", str(tmp_path))
    config = one(tmp_path, "http-post", "http_post_url = https://h/", setting)
    local, far = check(config), check(config, "--for", "remote")
    assert (local.code, far.code) == (78, 0)
    assert [line for line in local.err.splitlines() if "dovebeam: error: " in line and message in line]
    assert [line for line in far.err.splitlines() if "dovebeam: warning: " in line and message in line]
    assert "(on this machine)" in far.err
    assert as_json(config, "--for", "remote")["errors"] == []


def test_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that only the workers have is a warning, and not even that elsewhere."""
    monkeypatch.delenv("DOVEBEAM_NOT_SET", raising=False)
    settings = ["http_post_url = https://h/", "http_post_auth = bearer", "http_post_auth_token = env:DOVEBEAM_NOT_SET"]
    config = one(tmp_path, "http-post", *settings)
    ran = check(config)
    assert ran.code == 0
    assert "the environment variable DOVEBEAM_NOT_SET is not set" in ran.err
    assert check(config, "--for", "remote").err == ""


def test_secrets_are_hidden(tmp_path: Path) -> None:
    """Neither text nor JSON shows a password, a token, a header's value, or path and query of a URL."""
    (tmp_path / "key.pem").write_text(SECRET)
    settings = [
        f"http_post_url = https://u:{SECRET}@127.0.0.1:9/{SECRET}?q={SECRET}",
        f"http_post_auth_token = {SECRET}",
        "http_post_auth = none",
        f"http_client_proxy_password = {SECRET}",
        f"ssl_client_key_file = <{tmp_path}/key.pem",
        f"http_post_headers {{\n    X-Key = {SECRET}\n  }}",
    ]
    config = one(tmp_path, "http-post", *settings)
    for more in ((), ("--format", "json"), ("--for", "remote")):
        ran = check(config, *more)
        assert ran.code in {0, 78}
        assert SECRET not in ran.out + ran.err


def test_what_dovecot_says_is_in_the_json(tmp_path: Path) -> None:
    """Each problem has Dovecot's own text, and the whole the one at which Dovecot stops: not the first of the file."""
    config = write_config(
        tmp_path,
        exporter("x", "drop", "xml"),
        metric("m", "event=e", "x"),
        exporter("y", "drop", "json", "formatt = json"),
        exporter("z", "file", "json"),
        metric("n", "event=e", "z"),
    )
    answer = as_json(config)
    said = [problem["dovecot"] for problem in answer["errors"]]
    unknown = next(text for text in said if "formatt" in text)
    assert unknown.startswith(f"Error in configuration file {config} line ")
    assert "Unknown exporter format 'xml'" in "".join(said)
    assert answer["dovecot_error"] == unknown
    assert "" in said  # no target: Dovecot does not notice


def test_a_file_that_dovecot_may_have_elsewhere_is_none_of_its_errors(tmp_path: Path) -> None:
    """For a job on other machines nothing is said of what Dovecot finds there."""
    settings = ["http_post_url = https://127.0.0.1:9/", f"ssl_client_ca_file = {tmp_path}/none.pem"]
    config = one(tmp_path, "http-post", *settings)
    local, remote = as_json(config), as_json(config, "--for", "remote")
    assert "none.pem) failed" in local["dovecot_error"]
    assert local["dovecot_error"] == local["errors"][0]["dovecot"]
    assert remote["dovecot_error"] == ""
    assert [each["dovecot"] for each in remote["warnings"] if "none.pem" in each["message"]] == [""]


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ([exporter("x", "drop"), metric("m", "event=e AND category=error", "x")], "category=error is true of no exported"),
        ([exporter("x", "drop"), metric("m", "NOT source_location=a.c", "x")], "exports hold no source locations"),
        ([exporter("x", "drop"), exporter("y", "drop"), metric("m", "event=e", "x")], "event_exporter y: no metric names it"),
        ([exporter("x", "drop", "json", "unix_path = /s"), metric("m", "event=e", "x")], "unix_path has no effect with driver = drop"),
        ([exporter("x", "file", "json", "file_path = rel"), metric("m", "event=e", "x")], "file_path is relative"),
        ([exporter("x", "drop"), "metric m {\n  filter = event=e\n}\n"], "no metric names an exporter"),
    ],
)  # fmt: skip
def test_warnings(tmp_path: Path, blocks: list[str], words: str) -> None:
    """What is valid but hardly meant is said, and the exit code stays 0."""
    ran = check(write_config(tmp_path, *blocks))
    assert ran.code == 0
    assert words in ran.err
    assert ran.err.count("dovebeam: ") == ran.err.count("dovebeam: warning: ") == 1


def test_settings_for_all(tmp_path: Path) -> None:
    """A setting outside of the blocks is meant for those exporters that know it; no warning for the others."""
    config = write_config(
        tmp_path,
        "event_exporter_unix_connect_timeout = 1 s\n",
        exporter("x", "drop"), exporter("y", "unix", "json", "unix_path = /s"),
        metric("m", "event=e", "x"), metric("n", "event=e", "y"),
    )  # fmt: skip
    assert check(config).err == ""


def test_the_corpus(tmp_path: Path) -> None:
    """A real configuration of 33 metrics: the counts are those that Dovecot's own exporters wrote."""
    answer = as_json(CORPUS / "dovecot.conf", "--input", CORPUS / "events.json.gz", "--metric", "imap_domain")
    expected = gzip.decompress((CORPUS / "expected/metrics/imap_domain.tab.gz").read_bytes()).count(b"\n")
    assert answer["usable"]
    assert [each["matched"] for each in answer["sample"]["metrics"]] == [expected]
    assert len(answer["metrics"]) == len(load_config(CORPUS / "dovecot.conf").metrics)


@pytest.mark.parametrize("name", ["events.tab.gz", "events.json.gz", "plain"])
def test_forms_of_input(tmp_path: Path, name: str) -> None:
    """Plain, compressed, JSON and tab-text are told by content, and give the same counts."""
    path = write_events(tmp_path, corpus_lines("events.json.gz")) if name == "plain" else CORPUS / name
    config = one(tmp_path, "drop", filter_="event=imap_command_finished")
    sample = as_json(config, "--input", path, "--max_events", "4000")["sample"]
    expected = sum(b'"event":"imap_command_finished"' in line for line in corpus_lines("events.json.gz")[:4000])
    assert (sample["read"], sample["metrics"][0]["matched"]) == (4000, expected)


def test_other_names_of_a_file(tmp_path: Path) -> None:
    """A file that links and other spellings lead to is counted once, and each of these names is told."""
    config = one(tmp_path, "drop")
    path = write_events(tmp_path, [b'{"event":"a"}', b'{"event":"b"}'])
    (tmp_path / "a-link").symlink_to(path.name)
    os.link(path, tmp_path / "hard")
    others = [tmp_path / "a-link", tmp_path / "hard", f"{tmp_path}/./{path.name}"]
    inputs = [argument for each in (others[0], path, *others[1:]) for argument in ("--input", each)]
    ran = check(config, *inputs, "--format", "json")
    assert json.loads(ran.out)["sample"]["read"] == 2
    told = [f"dovebeam: {other} is the same file as {path}, and is read once" for other in others]
    assert [line for line in ran.err.splitlines() if "read once" in line] == told


def test_explain_an_input(tmp_path: Path) -> None:
    """Each comparison is counted, and what it did not hold for is shown."""
    events = [
        b'{"event":"a","fields":{"n":1}}',
        b'{"event":"a","fields":{"n":7}}',
        b'{"event":"b"}',
        b"{}",
        b"nonsense",
    ]
    config = one(tmp_path, "drop", filter_="event=a AND n>5")
    ran = check(config, "--input", write_events(tmp_path, events), "--explain")
    assert (ran.code, ran.err) == (0, "")
    rows = [line.split() for line in ran.out.splitlines()]
    assert ["event=a", "2", "1", "0", "b"] in rows
    assert ["n>5", "1", "1", "1", "1"] in rows
    assert ["read", "5"] in rows
    assert ["rejected", "1"] in rows
    assert ["unnamed", "1"] in rows
    assert f"{tmp_path}/events.json, byte " in ran.out
    sample = as_json(config, "--input", tmp_path / "events.json", "--explain")["sample"]
    assert sample["metrics"][0]["comparisons"][1] == {"comparison": "n>5", "true": 1, "false": 1, "misses": ["1"]}


def test_addresses_that_are_text(tmp_path: Path) -> None:
    """A network that never matches because Dovecot stored the address as text is named, and so is a guess."""
    config = one(tmp_path, "drop", filter_="remote_ip=127.0.0.0/8")
    known = '{"event":"a","categories":["smtp-server"],"fields":{"remote_ip":"127.0.0.1"}}'
    unknown = '{"event":"a","fields":{"remote_ip":"127.0.0.1"}}'
    events = write_events(tmp_path, [known.encode(), unknown.encode()])
    text = "remote_ip is text in this event, a network never matches it (remote_ip=127.* matches both)"
    guess = "the type of remote_ip is a guess here, since the event has no categories"
    ran = check(config, "--input", events, "--explain")
    assert f"metric m: remote_ip=127.0.0.0/8, 1 of 2 events: {text}" in ran.out
    assert f"metric m: remote_ip=127.0.0.0/8, 1 of 2 events: {guess}" in ran.out
    for line, note in ((known, text), (unknown, guess)):
        assert note in check(config, "--event", line).out
        trial = as_json(config, "--event", line)["sample"]["events"][0]
        assert trial["metrics"][0]["comparisons"][0]["note"].startswith(note)
    (comparison,) = as_json(config, "--input", events, "--explain")["sample"]["metrics"][0]["comparisons"]
    assert [note.partition(":")[0] for note in comparison["notes"]] == ["1 of 2 events"] * 2


def test_a_poisonous_line(tmp_path: Path) -> None:
    """A number that no decimal can hold is a line that is no event, in a file and by itself."""
    config = one(tmp_path, "drop")
    line = '{"event":"a","fields":{"n":1e9999999999999999999}}'
    ran = check(config, "--input", write_events(tmp_path, [b'{"event":"a"}', line.encode(), b'{"event":"b"}']))
    assert "1e9999999999999999999 is out of range" in ran.out
    assert ["m", "x", "2"] in [row.split() for row in ran.out.splitlines()]
    ran = check(config, "--event", line)
    assert (ran.code, "1e9999999999999999999 is out of range" in ran.err) == (2, True)


def test_filter_warnings(tmp_path: Path) -> None:
    """What Dovecot would write to its log when a type does not fit is shown, with or without --explain."""
    config = one(tmp_path, "drop", filter_="event=a AND n=fish")
    events = write_events(tmp_path, [b'{"event":"a","fields":{"n":1}}'])
    for more in ((), ("--explain",)):
        assert (
            "matches integer field 'n' against non-integer value 'fish'" in check(config, "--input", events, *more).out
        )


def test_one_event(tmp_path: Path) -> None:
    """An event on the command line: what each comparison came to, and the bytes that the exporter would get."""
    config = one(tmp_path, "drop", filter_="event=a AND (n>5 OR gone=x)")
    ran = check(config, "--event", '{"event":"a","fields":{"n":7}}', "--event", "event:a\tfield:n=1")
    assert (ran.code, ran.err) == (0, "")
    assert "metric m: matches" in ran.out
    assert 'x gets: {"event":"a","fields":{"n":7}}' in ran.out
    missed = ran.out[ran.out.index("does not match") :]
    assert "false          gone=x  (the event has nothing)" in missed
    trial = as_json(config, "--event", '{"event":"a","fields":{"n":7}}')["sample"]["events"][0]
    assert [each["outcome"] for each in trial["metrics"][0]["comparisons"]] == ["true", "true", "not evaluated"]


def test_an_unnamed_event(tmp_path: Path) -> None:
    """Dovecot's rule that events without a name are passed over is part of the answer."""
    assert "passed over since every filter asks for a name" in check(one(tmp_path, "drop"), "--event", "{}").out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "--config is missing"),
        (["--config", ""], 2, "--config is empty"),
        (["--config", "CONFIG", "--explain"], 2, "add --input FILE"),
        (["--config", "CONFIG", "--max_events", "5"], 2, "add --input FILE"),
        (["--config", "CONFIG", "--metric", "m"], 2, "add --input FILE or --event LINE"),
        (["--config", "CONFIG", "--metric", "mmm", "--event", "{}"], 2, "unknown metric 'mmm'; supported: m"),
        (["--config", "CONFIG", "--event", "{x"], 2, "--event is not a valid event"),
        (["--config", "CONFIG", "--input", "gs://b/o"], 2, "check reads local files only"),
        (["--config", "CONFIG", "--input", "/nonexistent/*"], 2, "matches no file"),
        (["--config", "CONFIG", "--input", "/nonexistent"], 1, "No such file"),
        (["--config", "CONFIG", "--input", "/"], 1, "is a directory"),
        (["--config", "/nonexistent"], 78, "No such file"),
        (["--config", "CONFIG", "--runner", "x"], 2, "unrecognized arguments"),
        (["--config", "CONFIG", "--for", "x"], 2, "invalid choice"),
    ],
)  # fmt: skip
def test_refused(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    """Usage is 2, input 1, configuration 78, each with a sentence."""
    config = one(tmp_path, "drop")
    ran = dovebeam("check", *[str(config) if each == "CONFIG" else each for each in arguments])
    assert (ran.code, ran.out) == (code, "")
    assert words in ran.err


def test_it_is_quick_and_brings_no_beam(tmp_path: Path) -> None:
    """Checking a configuration and trying events loads neither Beam nor an HTTP client."""
    config = one(tmp_path, "http-post", "http_post_url = http://127.0.0.1:9/")
    events = write_events(tmp_path, LINES)
    code = (
        "import sys\nfrom dovebeam.pipelines.cli import main\n"
        f"assert main(['check', '--config', {str(config)!r}, '--input', {str(events)!r}]) == 0\n"
        "heavy = {'apache_beam', 'pycurl', 'grpc', 'google.cloud'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=HANG_SECS)
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(tmp_path)) == ["dovecot.conf", "events.json"]
