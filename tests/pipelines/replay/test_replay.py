"""`dovebeam replay`: an export of exactly the events of a time range of an archive."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import pytest

from dovebeam.transforms.codecs import container_block, container_head, encode_json
from dovebeam.transforms.events.event import make_event
from support.jobs.commands import Ran, dovebeam, exporter, metric, write_config, write_events
from support.oracle.corpus import CORPUS
from support.servers.gcs_emulator import PIPELINE_OPTIONS, gcs_emulator
from support.servers.server_http import run_http_server

MINUTE = ("--start_time", "2026-11-22T08:19:10Z", "--end_time", "2026-11-22T08:20:10Z")
HOUR = 3_600_000_000
DAY = 20_000 * 24 * HOUR  # 2024-10-04


@pytest.fixture(scope="module")
def corpus_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus as an archive."""
    folder = tmp_path_factory.mktemp("archive")
    ran = dovebeam("archive", "--input", CORPUS / "events.json.gz", "--output", folder)
    assert ran.code == 0, ran.err
    return folder


def archive_of(folder: Path, lines: list[bytes], *arguments: object) -> Path:
    """An archive of some events."""
    archive = folder / "archive"
    archive.mkdir(exist_ok=True)
    ran = dovebeam("archive", "--input", write_events(folder, lines), "--output", archive, *arguments)
    assert ran.code == 0, ran.err
    return archive


def hours(*counts: int) -> list[bytes]:
    """So many events in each hour of a day."""
    return [
        encode_json(make_event("x", fields={"n": number, "hour": hour}, end_time=DAY + hour * HOUR + number))
        for hour, count in enumerate(counts)
        for number in range(count)
    ]


def to_file(folder: Path, name: str = "out.json") -> Path:
    """A configuration that writes two metrics to one file and one to nowhere."""
    target = exporter("file", "file", "json", f"file_path = {folder / name}")
    blocks = [
        metric("imap", "category=imap", "file"),
        metric("x", "event=x", "file"),
        metric("auth", "event=auth_*", "nil"),
    ]
    return write_config(folder, target, exporter("nil", "drop"), *blocks)


def test_a_minute_equals_the_export_of_exactly_those_events(tmp_path: Path, corpus_archive: Path) -> None:
    """The same bytes in the same order as an export of the original lines, and a dry run with the ledger's numbers."""
    config = to_file(tmp_path)
    dry = dovebeam(
        "replay", "--config", config, "--input", corpus_archive, *MINUTE, "--dry_run", "--ledger", tmp_path / "dry"
    )
    assert dry.code == 0, dry.err
    assert not (tmp_path / "out.json").exists()
    ran = dovebeam("replay", "--config", config, "--input", corpus_archive, *MINUTE, "--ledger", tmp_path / "ledger")
    assert ran.code == 0, ran.err
    replayed = (tmp_path / "out.json").read_bytes()
    (tmp_path / "out.json").unlink()
    assert dovebeam("export", "--config", config, "--input", CORPUS / "events.json.gz", *MINUTE).code == 0
    assert replayed == (tmp_path / "out.json").read_bytes() != b""

    counted, ledger = (json.loads((tmp_path / name).read_text()) for name in ("dry", "ledger"))
    assert [counted[name] for name in ("read", "matched", "unmatched", "out_of_range")] == [
        ledger[name] for name in ("read", "matched", "unmatched", "out_of_range")
    ]
    assert ledger["out_of_range"] > 0
    by_metric: dict[str, int] = {}
    for row in counted["sums"]:
        by_metric[row["metric"]] = by_metric.get(row["metric"], 0) + row["events"]
    assert by_metric == {row["name"]: row["matched"] for row in ledger["metrics"] if row["matched"]}
    assert counted["exporters"] == [
        {"name": row["name"], "formatted": row["formatted"], "bytes": row["delivered_bytes"]}
        for row in ledger["exporters"]
    ]
    assert "2026-11-22T08Z" in dry.out


@pytest.mark.parametrize("given", ["file", "archive"])
def test_a_dry_run_counts_other_names_of_a_file_once(tmp_path: Path, given: str) -> None:
    """A file that a link and another spelling lead to is counted once, and both of these names are told."""
    archive = archive_of(tmp_path, hours(3))
    (file,) = archive.glob("**/*.avro")
    kept, link, linked = (file, tmp_path / "a-link.avro", tmp_path / "a-link.avro")
    if given == "archive":
        kept, link, linked = archive, tmp_path / "a-link", tmp_path / "a-link" / file.relative_to(archive)
    link.symlink_to(kept)
    spelt = f"{kept.parent}/./{kept.name}"
    inputs = [argument for each in (link, kept, spelt) for argument in ("--input", each)]
    ran = dovebeam("replay", "--config", to_file(tmp_path), *inputs, "--dry_run", "--ledger", tmp_path / "dry")
    assert ran.code == 0, ran.err
    assert json.loads((tmp_path / "dry").read_bytes())["read"] == 3
    assert f"{linked} is the same file as {file}, and is read once" in ran.err
    assert f"{spelt} is another spelling of {kept}, and is read once" in ran.err
    assert "1 of 1 files may hold events of that time" in ran.err
    assert "in no manifest" not in ran.err


def test_twice_has_the_same_keys(tmp_path: Path, corpus_archive: Path) -> None:
    """A target that keeps idempotency keys sees each event once, though the replay ran twice."""
    kept: dict[str, bytes] = {}
    with run_http_server() as server:
        settings = (f"http_post_url = {server.url}/", "http_post_idempotency_header = Idempotency-Key")
        settings += ("http_client_request_absolute_timeout = 10s", "http_client_max_parallel_connections = 8")
        blocks = exporter("http", "http-post", "json", *settings), metric("m", "event=auth_request_finished", "http")
        arguments = ("replay", "--config", write_config(tmp_path, *blocks), "--input", corpus_archive, *MINUTE)
        first, second = dovebeam(*arguments), dovebeam(*arguments)
    assert (first.code, second.code) == (0, 0), first.err
    for request in server.requests:
        assert kept.setdefault(request.headers["idempotency-key"], request.body) == request.body
    assert len(server.requests) == 2 * len(kept) > 0
    assert run_id_of(first) == run_id_of(second)


def run_id_of(ran: Ran) -> str:
    """What a replay called itself."""
    found = re.search(r"replay ([0-9a-zA-Z]+):", ran.err)
    assert found is not None
    return found[1]


def test_twice_writes_the_same_files(tmp_path: Path) -> None:
    """As shards: the second run replaces the first one's files; a replay keeps its name when the archive grows."""
    archive = archive_of(tmp_path, hours(5, 5))
    settings = (f"file_path = {tmp_path / 'out.json'}", "file_writing = shards")
    config = write_config(tmp_path, exporter("file", "file", "json", *settings), metric("m", "event=x", "file"))
    times = ("--start_time", "2024-10-04T01:00:00Z", "--end_time", "2024-10-04T02:00:00Z")
    arguments = ("replay", "--config", config, "--input", archive, *times)
    assert dovebeam(*arguments).code == 0
    before = {path.name: path.read_bytes() for path in tmp_path.glob("out-*")}
    assert [content.count(b"\n") for content in before.values()] == [5]
    assert dovebeam(*arguments).code == 0
    assert {path.name: path.read_bytes() for path in tmp_path.glob("out-*")} == before
    archive_of(tmp_path, hours(0, 2), "--run_id", "more")
    assert dovebeam(*arguments).code == 0
    assert {path.name: path.read_bytes().count(b"\n") for path in tmp_path.glob("out-*")} == dict.fromkeys(before, 7)


@pytest.mark.parametrize(
    ("start", "end", "files", "events"),
    [
        ("2024-10-04T00:00:00Z", "2024-10-04T01:00:00Z", "1 of 4", 3),
        ("2024-10-04T00:30:00Z", "2024-10-04T03:00:00Z", "2 of 4", 9),
        ("2024-10-04T01:00:00.000003Z", "2024-10-04T01:00:00.000005Z", "1 of 4", 1),
        ("2024-10-05T00:00:00Z", "2024-10-06T00:00:00Z", "0 of 4", 0),
    ],
)
def test_files_of_other_times_are_not_read(tmp_path: Path, start: str, end: str, files: str, events: int) -> None:
    """By manifest and partition; a file that is skipped could not even be read."""
    archive = archive_of(tmp_path, hours(3, 4, 5, 6))
    for path in archive.rglob("hour=03/*.avro"):
        path.write_bytes(b"not an Avro file")
    ledger = tmp_path / "ledger"
    arguments = ("--start_time", start, "--end_time", end, "--ledger", ledger)
    ran = dovebeam("replay", "--config", to_file(tmp_path), "--input", archive, *arguments)
    assert ran.code == 0, ran.err
    assert f"{files} files may hold" in ran.err
    assert json.loads(ledger.read_text())["delivered"] == events


def test_without_a_manifest_partitions_decide(tmp_path: Path) -> None:
    """A pattern works, too, and Avro files of other writers are read whole."""
    archive = archive_of(tmp_path, hours(3, 4))
    for path in archive.glob("*.manifest.json"):
        path.unlink()
    times = ("--start_time", "2024-10-04T01:00:00Z")
    for given in (archive, f"{archive}/**.avro"):
        ran = dovebeam("replay", "--config", to_file(tmp_path), "--input", given, *times)
        assert ran.code == 0, ran.err
        assert "1 of 2 files" in ran.err
    assert (tmp_path / "out.json").read_bytes().count(b"\n") == 8


def test_only_what_failed(tmp_path: Path) -> None:
    """By the ledger of a run that one exporter did not finish: the others get nothing a second time."""
    archive = archive_of(tmp_path, hours(4))
    good = exporter("good", "file", "json", f"file_path = {tmp_path / 'good.json'}")
    failing = [True]

    def answer(_number: int, _request: object) -> object:
        from support.servers.server_http import Answer, status

        return status(403) if failing[0] else Answer()

    with run_http_server(answer) as server:  # type: ignore[arg-type]
        bad = exporter(
            "bad", "http-post", "json", f"http_post_url = {server.url}/", "http_client_request_absolute_timeout = 5s"
        )
        config = write_config(tmp_path, good, bad, metric("m", "event=x", "good"), metric("n", "event=x", "bad"))
        arguments = ("replay", "--config", config, "--input", archive)
        kept = ("--rejects", tmp_path / "rejects", "--ledger", tmp_path / "ledger")
        assert dovebeam(*arguments, *kept).code == 0
        assert (tmp_path / "good.json").read_bytes().count(b"\n") == 4
        failing[0] = False
        ran = dovebeam(*arguments, "--only_failed", tmp_path / "ledger", "--ledger", tmp_path / "second")
        assert ran.code == 0, ran.err
        again = dovebeam(*arguments, "--only_failed", tmp_path / "second")
    assert (tmp_path / "good.json").read_bytes().count(b"\n") == 4
    assert [row["name"] for row in json.loads((tmp_path / "second").read_text())["exporters"]] == ["bad"]
    assert (again.code, "nothing is left to do" in again.err) == (2, True)


def test_only_one_exporter(tmp_path: Path) -> None:
    """Named; an unknown name is a usage error with the nearest one."""
    archive = archive_of(tmp_path, hours(4))
    config = to_file(tmp_path)
    assert dovebeam("replay", "--config", config, "--input", archive, "--only_exporter", "nil").code == 0
    assert not (tmp_path / "out.json").exists()
    ran = dovebeam("replay", "--config", config, "--input", archive, "--only_exporter", "fiel")
    assert ran.code == 2
    assert "did you mean 'file'" in ran.err


def test_one_exporter_takes_the_place_of_its_own_files(tmp_path: Path) -> None:
    """A replay of one exporter has the name of the replay of all: its shards are there once, those of others stay."""
    archive = archive_of(tmp_path, hours(4))
    for name in "ab":
        (tmp_path / name).mkdir()
    blocks = [
        exporter(name, "file", "json", f"file_path = {tmp_path}/{name}/e.json", "file_writing = shards")
        for name in "ab"
    ]
    metrics = [metric(f"m-{name}", "event=*", name) for name in "ab"]
    arguments = ("replay", "--config", write_config(tmp_path, *blocks, *metrics), "--input", archive)
    first = dovebeam(*arguments)
    before = {path: path.read_bytes() for name in "ab" for path in (tmp_path / name).glob("e-*")}
    for path in (tmp_path / "a").glob("e-*"):
        path.unlink()
    second = dovebeam(*arguments, "--only_exporter", "a")
    assert (first.code, second.code) == (0, 0), second.err
    assert run_id_of(first) == run_id_of(second)
    assert {path: path.read_bytes() for name in "ab" for path in (tmp_path / name).glob("e-*")} == before
    assert len(before) == 2


def test_a_manifest_as_input(tmp_path: Path) -> None:
    """A pattern that stands for the archive matches its manifest, whose lines would all be rejects."""
    archive = archive_of(tmp_path, hours(4))
    ran = dovebeam("replay", "--config", to_file(tmp_path), "--input", archive / "*")
    assert (ran.code, "holds no events; name the directory of the archive" in ran.err) == (1, True), ran.err
    assert not (tmp_path / "out.json").exists()


def test_a_rate_changes_nothing_but_the_time(tmp_path: Path) -> None:
    """All events arrive; that the rate is kept is the throttle's test."""
    archive = archive_of(tmp_path, hours(30, 30))
    ran = dovebeam("replay", "--config", to_file(tmp_path), "--input", archive, "--rate", "100")
    assert ran.code == 0, ran.err
    assert (tmp_path / "out.json").read_bytes().count(b"\n") == 60


def test_an_archive_that_is_not_whole(tmp_path: Path) -> None:
    """A file that is missing, a run that was interrupted, a damaged manifest: said before anything is sent."""
    archive = archive_of(tmp_path, hours(3, 3))
    config, [manifest] = to_file(tmp_path), list(archive.glob("*.manifest.json"))
    arguments = ("replay", "--config", config, "--input", archive)
    whole = manifest.read_text()
    manifest.write_text(whole.replace('"done"', '"committing"'))
    assert "has not finished writing 2 files" in dovebeam(*arguments).err
    later = ("--start_time", "2024-10-05T00:00:00Z")
    assert dovebeam(*arguments, *later).code == 0
    manifest.write_text(whole[:-20])
    assert "is not a manifest of dovebeam" in dovebeam(*arguments).err
    manifest.write_text(whole)
    next(archive.rglob("hour=00/*.avro")).unlink()
    ran = dovebeam(*arguments)
    assert (ran.code, "hour=00" in ran.err, "is missing" in ran.err) == (1, True, True)
    assert not (tmp_path / "out.json").exists()


def flipped(data: bytes) -> bytes:
    """With one bit changed in the first block behind the header."""
    at = len(container_head("deflate")) + 40
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


@pytest.mark.parametrize("where", ["local", "objects", "pattern"])
def test_files_of_another_size(tmp_path: Path, where: str) -> None:
    """Cut off, emptied, longer or missing: all are named, nothing is sent, and a time that needs none is replayed."""
    archive = archive_of(tmp_path, hours(3, 4, 5, 6, 7))
    files = sorted(archive.rglob("*.avro"))
    head = container_head("deflate")
    changes: dict[Path, bytes] = {
        files[0]: files[0].read_bytes()[:-20],
        files[1]: b"",
        files[2]: files[2].read_bytes() + container_block([], "deflate"),
        files[3]: head,
    }
    for path, data in changes.items():
        path.write_bytes(data)
    config = to_file(tmp_path)
    options: tuple[str, ...] = ()
    given = str(archive)
    with gcs_emulator() if where == "objects" else contextlib.nullcontext() as store:
        if store is not None:
            store.put({f"a/{path.relative_to(archive)}": path.read_bytes() for path in archive.rglob("*.*")})
            given, options = store.uri("a/"), PIPELINE_OPTIONS
        if where == "pattern":
            given = f"{archive}/**.avro"
        else:
            files[2].unlink()
            if store is not None:
                store.delete(f"a/{files[2].relative_to(archive)}")
        for dry in ((), ("--dry_run",)):
            ran = dovebeam("replay", "--config", config, "--input", given, *dry, *options)
            assert ran.code == 1
            assert "4 files of the archive are not as its manifests say; nothing was sent" in ran.err
            for path in changes:
                assert str(path.relative_to(archive)) in ran.err
            assert not (tmp_path / "out.json").exists()
        later = ("--start_time", "2024-10-04T04:00:00Z")
        ran = dovebeam("replay", "--config", config, "--input", given, *later, *options)
        assert ran.code == 0, ran.err
    assert (tmp_path / "out.json").read_bytes().count(b"\n") == 7


@pytest.mark.parametrize("how", ["one", "two-workers", "range", "dry", "objects"])
def test_a_damaged_file_of_the_right_size(tmp_path: Path, how: str) -> None:
    """Each of its events is delivered or a reject, the other files are replayed, and the job fails and names the file."""
    archive = archive_of(tmp_path, hours(30, 40, 50))
    damaged = next(archive.rglob("hour=01/*.avro"))
    damaged.write_bytes(flipped(damaged.read_bytes()))
    arguments: list[object] = ["--ledger", tmp_path / "ledger"]
    if how != "dry":
        arguments += ["--rejects", tmp_path / "rejects.jsonl"]
    arguments += {
        "one": [],
        "two-workers": ["--direct_num_workers=2", "--direct_running_mode=multi_processing"],
        "range": ["--start_time", "2024-10-04T01:00:00.000010Z", "--end_time", "2024-10-04T02:00:00.000010Z"],
        "dry": ["--dry_run"],
        "objects": [*PIPELINE_OPTIONS],
    }[how]
    given: str | Path = archive
    with gcs_emulator() if how == "objects" else contextlib.nullcontext() as store:
        if store is not None:
            store.put({f"a/{path.relative_to(archive)}": path.read_bytes() for path in archive.rglob("*.*")})
            given = store.uri("a/")
        ran = dovebeam("replay", "--config", to_file(tmp_path), "--input", given, *arguments)
    assert ran.code == 1
    assert "1 of the input files are damaged" in ran.err
    assert str(damaged.relative_to(archive)) in ran.err
    ledger = json.loads((tmp_path / "ledger").read_text())
    assert [path.endswith(damaged.name) for path in ledger["damaged"]] == [True]
    assert ledger["read"] == (90 if how == "range" else 120)
    if how == "dry":
        assert ledger["undecodable"] > 0
        return
    assert ledger["imbalances"] == []
    assert ledger["delivered"] + ledger["rejected"]["total"] + ledger["out_of_range"] == ledger["read"]
    assert ledger["rejected"]["total"] > 0
    lines = (tmp_path / "rejects.jsonl").read_bytes().splitlines()
    assert len(lines) == ledger["rejected"]["total"]


def test_files_in_no_manifest_are_told(tmp_path: Path) -> None:
    """Nothing tells whether they are whole."""
    archive = archive_of(tmp_path, hours(3))
    for path in archive.glob("*.manifest.json"):
        path.unlink()
    ran = dovebeam("replay", "--config", to_file(tmp_path), "--input", archive)
    assert (ran.code, "1 of them are in no manifest" in ran.err) == (0, True), ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--dry_run", "--preview", "x"), "--dry_run writes nothing"),
        (("--only_exporter", "a", "--only_failed", "b"), "give one of them"),
        (("--only_failed", ""), "is empty"),
        (("--rate", "fast"), "is not a valid rate"),
        (("--input_format", "rejects"), "is for `dovebeam export`"),
        (("--only_failed", "/nonexistent"), "name the ledger of a run"),
    ],
)
def test_usage(arguments: tuple[str, ...], words: str) -> None:
    """What is wrong, and what to write instead; exit code 2."""
    ran = dovebeam("replay", "--config", "c", "--input", "i", *arguments)
    assert ran.code == 2
    assert words in ran.err
