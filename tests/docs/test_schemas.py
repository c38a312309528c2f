"""The JSON Schemas are up to date, and agree with the decoders, the encoder and what commands write."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from dovebeam.transforms.codecs import decode_json, encode_json
from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.events.event import Event, make_event
from dovebeam.transforms.events.reject import make_reject, reject_from_json, reject_to_json
from dovebeam.transforms.events.values import INT64_MAX, INT64_MIN, IPAddress, Timestamp
from sitetools.json_schemas import FOLDER, SCHEMAS, text_of
from support.jobs.commands import dovebeam, exporter, metric, write_config, write_events
from support.oracle.corpus import corpus_lines
from support.pages.document_homes import common_home, with_schemas
from support.pages.documents import blocks_of
from support.programs import HANG_SECS, built_programs, leave_out, require_program
from support.servers.server_http import run_http_server, status
from support.strategies import events, recoverable_events

AJV = "ajv-8.20.0"
VECTORS = Path(__file__).parents[1] / "vectors"


def validator(name: str) -> Draft202012Validator:
    """The validator of a file."""
    return Draft202012Validator(json.loads((FOLDER / name).read_text()))


EVENT = validator("event.schema.json")
REJECT = validator("reject.schema.json")
LEDGER = validator("ledger.schema.json")


def without_types_of_fields() -> Draft202012Validator:
    """The schema of events that dovebeam reads, as the page makes it with jq."""
    schema = json.loads((FOLDER / "event.schema.json").read_text())
    del schema["properties"]["fields"]["properties"]
    return Draft202012Validator(schema)


ANY_EVENT = without_types_of_fields()


def decodes(line: bytes) -> bool:
    """Whether it is an event for dovebeam."""
    try:
        decode_json(line)
    except DecodeError:
        return False
    return True


@pytest.mark.parametrize("name", SCHEMAS)
def test_files_are_up_to_date(name: str) -> None:
    """They are what `make schemas` writes from the code as it is, and valid schemas themselves."""
    text = (FOLDER / name).read_text()
    assert text == text_of(SCHEMAS[name]()), "run make schemas"
    Draft202012Validator.check_schema(json.loads(text))


def test_no_other_files() -> None:
    """The folder has no schema that nothing makes."""
    assert {path.name for path in FOLDER.iterdir()} == set(SCHEMAS)


@pytest.mark.parametrize("name", ["events.json.gz", "events-unix.json.gz"])
def test_events_of_dovecot(name: str) -> None:
    """Events of a real Dovecot are valid in both time formats: one in 60, and some of every name."""
    lines = corpus_lines(name)
    chosen = set(lines[::60])
    seen: dict[str | None, int] = {}
    for line in lines:
        event = decode_json(line).name
        seen[event] = seen.get(event, 0) + 1
        if seen[event] <= 8:
            chosen.add(line)
    assert len(chosen) > 1000
    assert len(seen) > 60
    for line in chosen:
        EVENT.validate(json.loads(line))


def vectors() -> Iterator[bytes]:
    """Lines that Dovecot's code wrote from events made up for tests, names that no event can have among them."""
    for row in map(json.loads, gzip.decompress((VECTORS / "format.jsonl.gz").read_bytes()).splitlines()):
        if row["exporter"]["format"] == "json" and row["output"].startswith("{"):
            yield row["output"].encode()


def test_events_of_the_vectors() -> None:
    """What dovebeam decodes is valid and what it refuses is not, but for two fields with other types than Dovecot's."""
    count = 0
    for line in vectors():
        try:
            value = json.loads(line)
        except ValueError:  # cut by the log driver
            continue
        count += 1
        assert ANY_EVENT.is_valid(value) == decodes(line), line
        if decodes(line):
            wrong = {error.path[-1] for error in EVENT.iter_errors(value)}
            assert wrong <= {"passdb_id", "notify_target"}, line
    assert count > 2500


@pytest.mark.parametrize("time_format", ["rfc3339", "unix"])
@given(event=events() | recoverable_events())
def test_what_the_encoder_writes(time_format: str, event: Event) -> None:
    """Every event of any shape that dovebeam writes is valid."""
    EVENT.validate(json.loads(encode_json(event, time_format=time_format)))


COMPLETE = make_event(
    "imap_command_finished",
    fields={
        "user": "ann",
        "duration": 12,
        "remote_ip": IPAddress("192.0.2.7"),
        "last_run_time": Timestamp(1_600_000_000_000_005),
        "reason_code": ["imap:fetch"],
        "own_field": 7,
    },
    categories=["imap"],
    hostname="mx1",
    start_time=1_600_000_000_000_000,
    end_time=1_600_000_000_000_012,
)

junk = st.sampled_from(
    [None, True, False, {}, [], [1], [["x"]], {"a": "b"}, 5, -0.5, 1.5, "", "x", INT64_MIN - 1, INT64_MAX + 1, "2020-01-01"]
)  # fmt: skip
places = st.sampled_from(
    [("event",), ("hostname",), ("start_time",), ("end_time",), ("categories",), ("fields",), ("unknown",), ("Event",),
     ("fields", "own_field"), ("fields", "another"), ("categories", 0)]
)  # fmt: skip


@given(path=places, value=junk)
def test_mutated_events(path: tuple[str | int, ...], value: Any) -> None:
    """An event with something else in one place is valid if dovebeam decodes it, and only then."""
    mutated = json.loads(encode_json(COMPLETE))
    holder = mutated
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    line = json.dumps(mutated).encode()
    assert ANY_EVENT.is_valid(mutated) == decodes(line), line
    assert EVENT.is_valid(mutated) == decodes(line), line  # none of these is a field of Dovecot's


@pytest.mark.parametrize("value", ["[]", "null", '"event"', "5"])
def test_what_is_not_an_object(value: str) -> None:
    """A line that is other JSON is neither valid nor decoded."""
    assert not EVENT.is_valid(json.loads(value))
    assert not decodes(value.encode())


@pytest.mark.parametrize("member", ["event", "hostname", "start_time", "end_time", "categories", "fields"])
def test_parts_that_are_left_out(member: str) -> None:
    """Every part is optional, as `exporter_include` can leave it out."""
    value = json.loads(encode_json(COMPLETE))
    del value[member]
    EVENT.validate(value)
    assert decodes(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("field", "value", "valid"),
    [
        ("duration", "12", False),
        ("user", 5, False),
        ("remote_ip", ["192.0.2.7"], False),
        ("reason_code", "imap:fetch", False),
        ("error_code", 5, True),
        ("error_code", "closed", True),
        ("own_field", ["a"], True),
    ],
)
def test_types_of_the_catalogue(field: str, value: object, valid: bool) -> None:
    """Fields of Dovecot have Dovecot's types in the schema, though dovebeam reads any; other fields have any."""
    event = {"fields": {field: value}}
    assert EVENT.is_valid(event) == valid
    assert decodes(json.dumps(event).encode())


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("2020-09-13T12:26:40.000005Z", True),
        ("2020-09-13t12:26:40+02:00", True),
        ("-290308-01-01T00:00:00.000000Z", True),
        ("10000-01-01T00:00:00.000000Z", True),
        ("2020-09-13T12:26:40", False),
        ("2020-09-13", False),
        ("1600000000.5", False),
        ("yesterday", False),
    ],
)
def test_texts_of_times(text: str, valid: bool) -> None:
    """A text is a time for the schema if it is one for dovebeam."""
    event = {"start_time": text}
    assert EVENT.is_valid(event) == decodes(json.dumps(event).encode()) == valid


def test_what_a_schema_cannot_say() -> None:
    """The page's list: each of these is valid, and dovebeam refuses it."""
    for line in (
        b'{"event":"a","event":"a"}',
        b'{"start_time":"2020-02-30T00:00:00.000000Z"}',
        b'{"event":"\\ud800"}',
        b'{"event":\n"a"} \n' + b" " * (16 << 20),
    ):
        assert EVENT.is_valid(json.loads(line)), line[:60]
        assert not decodes(line), line[:60]


@given(st.sampled_from(["decode", "route", "deliver"]), st.binary(), st.text(max_size=20), st.none() | st.integers(0))
def test_rejects_that_are_written(stage: Any, payload: bytes, reason: str, offset: int | None) -> None:
    """Every reject that the code makes is valid."""
    reject = make_reject(stage, payload, reason, source_offset=offset, http_status=offset, attributes=[("k", reason)])
    REJECT.validate(json.loads(reject_to_json(reject)))


REJECT_LINE = json.loads(reject_to_json(make_reject("decode", b"x", "bad")))


def reject_decodes(value: object) -> bool:
    """Whether it is a reject for dovebeam."""
    try:
        reject_from_json(json.dumps(value).encode())
    except DecodeError:
        return False
    return True


@given(member=st.sampled_from([*REJECT_LINE, "unknown"]), value=junk | st.sampled_from(["YQ==", "YQ", "?", "route"]))
def test_mutated_rejects(member: str, value: Any) -> None:
    """A reject that dovebeam reads is valid; one that is not valid is not read."""
    mutated = {**REJECT_LINE, member: value}
    if reject_decodes(mutated):
        REJECT.validate(mutated)
    # Of base64 a schema can say no more than its characters.
    elif member != "payloadBytes":
        assert not REJECT.is_valid(mutated)


@pytest.mark.parametrize("member", REJECT_LINE)
def test_members_of_a_reject_that_are_missing(member: str) -> None:
    """The members that a file of an older version may lack are optional, and only they."""
    value = {key: each for key, each in REJECT_LINE.items() if key != member}
    assert REJECT.is_valid(value) == reject_decodes(value)


def test_rejects_and_ledgers_of_runs(tmp_path: Path) -> None:
    """What commands write is valid: rejects of all three stages, re-sent ones too, and their ledgers."""
    with run_http_server(lambda _number, _request: status(422)) as target:
        config = write_config(
            tmp_path,
            exporter("h", "http-post", "json", f"http_post_url = {target.url}"),
            exporter("f", "file", "json", f"file_path = {tmp_path}/out", "file_path_template = {user}.json"),
            metric("one", "event=a", "h"),
            metric("two", "event=b", "f"),
        )
        lines = [b'{"event":"a"}', b'{"event":"b"}', b"nonsense \xff"]
        arguments = ["--config", config, "--rejects", tmp_path / "1.jsonl", "--ledger", tmp_path / "1.json"]
        (tmp_path / "out").mkdir()
        first = dovebeam("export", *arguments, "--input", write_events(tmp_path, lines))
        again = [
            *("--config", config, "--rejects", tmp_path / "2.jsonl", "--ledger", tmp_path / "2.json"),
            *("--input", tmp_path / "1.jsonl", "--input_format", "rejects", "--max_attempts", "1"),
        ]
        second = dovebeam("export", *again)
    assert (first.code, second.code) == (0, 0), first.err + second.err
    for number in (1, 2):
        rejects = [json.loads(line) for line in (tmp_path / f"{number}.jsonl").read_bytes().splitlines()]
        assert {reject["stage"] for reject in rejects} == {"decode", "route", "deliver"}
        for reject in rejects:
            REJECT.validate(reject)
        ledger = json.loads((tmp_path / f"{number}.json").read_text())
        LEDGER.validate(ledger)
        assert ledger.keys() == LEDGER.schema["properties"].keys()
        assert ledger["exporters"][0].keys() <= LEDGER.schema["properties"]["exporters"]["items"]["properties"].keys()


def require_ajv() -> Path:
    """Ajv's folder; a machine without Node.js goes without the test."""
    folder = built_programs() / AJV
    if not folder.is_dir():
        if shutil.which("node") is None or shutil.which("npm") is None:
            leave_out("no Node.js on this machine to try the JSON Schemas in")
        require_program(AJV)
    return folder


def test_the_page_in_node(tmp_path: Path) -> None:
    """The program of the page finds all events of a page's reader valid, and says what is wrong with another."""
    home = common_home(tmp_path)
    with_schemas(home)
    (home / "node_modules").symlink_to(require_ajv() / "node_modules")
    (program,) = (block for block in blocks_of("docs/reference/schemas.md") if block.language == "js")
    (home / program.file).write_text(program.text)

    def validated(schema: str, lines: bytes) -> str:
        command = ["node", program.file, schema]
        return subprocess.run(
            command, cwd=home, input=lines, capture_output=True, timeout=HANG_SECS, check=True
        ).stdout.decode()

    (said,) = (block.text for block in blocks_of("docs/reference/schemas.md") if block.language == "text")
    assert validated("event.schema.json", (home / "events.json").read_bytes()) == said
    wrong = validated("event.schema.json", b'{"event":"a","fields":{"duration":"x"},"extra":1}\n{}\n')
    assert "1 /fields/duration must be integer" in wrong
    assert "must NOT have additional properties" in wrong
    assert wrong.endswith("2 lines\n")
    assert validated("reject.schema.json", json.dumps(REJECT_LINE).encode()) == "1 lines\n"
