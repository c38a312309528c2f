"""Reading files into pipelines: each line once, whatever the runner splits; every kind of file; clear errors."""

import gzip
import io
import itertools
import os
import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro
import pytest
import zstandard
from apache_beam.coders import registry
from apache_beam.io import fileio
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.codecs import AVRO_SCHEMA, event_to_avro
from dovebeam.transforms.errors import UnknownNameError
from dovebeam.transforms.event import make_event
from dovebeam.transforms.reading import FoundFile, ReadAllBlocks, ReadBlocks, match_files
from dovebeam.transforms.reading.splitting import ReadFn, Settings
from dovebeam.transforms.sources import Block, SourceError, SourceFile, avro_records
from support.corpus import CORPUS, corpus_lines
from support.gcs_emulator import PIPELINE_OPTIONS, GcsEmulator, gcs_emulator

SMALL = b'{"event":"one"}\n\n{"event":"two"}\r\n{"event":"' + b"x" * 30 + b'"}\nlast'
Placed = tuple[int, bytes, int]


def lines_of(block: Block) -> Iterator[Placed]:
    """The lines of a block with their offsets; of an over-long one the head and its length."""
    offset = block.offset
    for line in [block.data] if block.overlong_bytes else io.BytesIO(block.data).readlines():
        yield offset, line, block.overlong_bytes
        offset += len(line)


def placed_lines(data: bytes) -> list[Placed]:
    """All lines of a file with their offsets."""
    return list(lines_of(Block("", 0, data, "json")))


def run(*patterns: str, options: tuple[str, ...] = (), **settings: Any) -> list[Block]:
    """The blocks that a pipeline reads in this process, in the order in which they come."""
    collected: list[Block] = []
    with beam.Pipeline(argv=["--runner=DirectRunner", *options]) as pipeline:
        _ = pipeline | ReadBlocks(patterns, **settings) | beam.Map(_collect, key=_key(collected))
    return collected


_collections: dict[int, list[Block]] = {}


def _key(collected: list[Block]) -> int:
    _collections[id(collected)] = collected
    return id(collected)


def _collect(block: Block, key: int) -> None:
    _collections[key].append(block)


# ---- splitting: the DoFn with trackers of the test's own


def source(path: Path, data: bytes) -> SourceFile:
    """A plain file of JSON lines."""
    path.write_bytes(data)
    return SourceFile(str(path), len(data), "none", "json")


def reader(cell_bytes: int, max_line_bytes: int = 1 << 24) -> ReadFn:
    """The step with cells of this size."""
    return ReadFn(Settings("auto", max_line_bytes, cell_bytes, 1 << 26))


def read_range(file: SourceFile, do_fn: ReadFn, start: int, stop: int) -> list[Placed]:
    """The lines of a range of cells; the tracker must agree that all of it was done."""
    tracker = OffsetRestrictionTracker(OffsetRange(start, stop))
    lines = [line for block in do_fn.process(file, tracker) for line in lines_of(block)]
    tracker.check_done()
    return lines


@pytest.mark.parametrize("max_line_bytes", [1 << 24, 20])
def test_split_at_every_pair_of_byte_offsets(tmp_path: Path, max_line_bytes: int) -> None:
    """Three readers share a small file at any two offsets: the same lines, each once, in order."""
    file, do_fn = source(tmp_path / "f", SMALL), reader(1, max_line_bytes)
    whole = read_range(file, do_fn, 0, len(SMALL))
    if max_line_bytes > 100:
        assert whole == placed_lines(SMALL)
    for first in range(len(SMALL) + 1):
        left = read_range(file, do_fn, 0, first)
        for second in range(first, len(SMALL) + 1):
            if second % 7 == first % 7 or first % 10 == 0:  # the core is tested with all pairs
                rest = read_range(file, do_fn, first, second) + read_range(file, do_fn, second, len(SMALL))
                assert left + rest == whole


class SplittingTracker(OffsetRestrictionTracker):  # type: ignore[misc]
    """Splits itself just before and just after claims, as a runner does from another thread."""

    def __init__(self, restriction: OffsetRange, rng: random.Random) -> None:
        super().__init__(restriction)
        self.rng = rng
        self.residuals: list[OffsetRange] = []

    def split_somewhere(self) -> None:
        """Perhaps hands a part of what is left to another reader."""
        if self.rng.random() < 0.4:
            split = self.try_split(self.rng.choice([0.0, 0.1, 0.5, 0.9]))
            if split:
                self.residuals.append(split[1])

    def try_claim(self, position: int) -> bool:
        """As always, between splits."""
        self.split_somewhere()
        claimed: bool = super().try_claim(position)
        self.split_somewhere()
        return claimed


@given(
    st.lists(st.sampled_from([b"a", b"bcd", b"\n", b"\n", b"\r\n", b"efghijklmnop"]), max_size=40).map(b"".join),
    st.integers(1, 8),
    st.sampled_from([5, 1000]),
    st.randoms(use_true_random=False),
)
def test_dynamic_splits(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cell_bytes: int, limit: int, rng: random.Random
) -> None:
    """Whenever and wherever a runner splits, again and again, each line comes exactly once."""
    file = source(tmp_path_factory.getbasetemp() / "split", data)
    do_fn = reader(cell_bytes, limit)
    whole = do_fn.initial_restriction(file)
    expected = read_range(file, do_fn, whole.start, whole.stop)
    todo, lines = [whole], []
    while todo:
        tracker = SplittingTracker(todo.pop(), rng)
        lines += [line for block in do_fn.process(file, tracker) for line in lines_of(block)]
        tracker.check_done()
        todo += tracker.residuals
    assert sorted(lines) == expected


def test_split_while_a_block_is_handed_on(tmp_path: Path) -> None:
    """A split between two blocks takes effect at the next claim, and blocks are the same as without it."""
    data = b"".join(b"line %d\n" % number for number in range(1000))
    file, do_fn = source(tmp_path / "f", data), reader(100)
    whole = do_fn.initial_restriction(file)
    expected = list(do_fn.process(file, do_fn.create_tracker(whole)))
    for position in range(len(expected)):
        tracker = do_fn.create_tracker(whole)
        blocks, residual = [], None
        for index, block in enumerate(do_fn.process(file, tracker)):
            blocks.append(block)
            if index == position:
                split = tracker.try_split(0.3)
                residual = split[1] if split else None
        if residual:
            blocks += do_fn.process(file, do_fn.create_tracker(residual))
        assert blocks == expected


def test_shards_at_launch(tmp_path: Path) -> None:
    """Large plain files are split in parts of about the size that was asked for; others never."""
    do_fn = ReadFn(Settings("auto", 1 << 24, 1 << 16, 1 << 20))
    plain = SourceFile("f", 10 << 20, "none", "json")
    parts = list(do_fn.split(plain, do_fn.initial_restriction(plain)))
    assert [(part.start, part.stop) for part in parts] == [(16 * n, 16 * n + 16) for n in range(10)]
    assert [do_fn.restriction_size(plain, part) for part in parts] == [1 << 20] * 10
    packed = SourceFile("f", 10 << 20, "gzip", "json")
    (part,) = do_fn.split(packed, do_fn.initial_restriction(packed))
    assert do_fn.restriction_size(packed, part) > 10 << 20


# ---- kinds of files


def avro_file() -> bytes:
    """Avro records in several blocks."""
    file = io.BytesIO()
    records = [event_to_avro(make_event(f"e{number}")) for number in range(200)]
    fastavro.writer(file, AVRO_SCHEMA, records, codec="deflate", sync_interval=500)
    return file.getvalue()


TAB = b"event:one\thostname:h\nevent:two\n"


@pytest.mark.parametrize(
    ("data", "content", "format_"),
    [
        pytest.param(SMALL, SMALL, "json", id="json"),
        pytest.param(TAB, TAB, "tab-text", id="tab-text"),
        pytest.param(gzip.compress(SMALL), SMALL, "json", id="gzip"),
        pytest.param(gzip.compress(TAB) * 2, TAB * 2, "tab-text", id="gzip-members"),
        pytest.param(zstandard.compress(SMALL), SMALL, "json", id="zstd"),
        pytest.param(zstandard.compress(TAB) * 2, TAB * 2, "tab-text", id="zstd-frames"),
        pytest.param(b"no format\n", b"no format\n", "json", id="unknown-is-json"),
        pytest.param(b"\n\n", b"\n\n", "json", id="blank"),
        pytest.param(b"", b"", "json", id="empty"),
        pytest.param(gzip.compress(b""), b"", "json", id="empty-gzip"),
    ],
)
def test_kinds_of_text(tmp_path: Path, data: bytes, content: bytes, format_: str) -> None:
    """Compression and format are told by content, whatever the name; offsets are those of the content."""
    path = tmp_path / "events.bin"
    path.write_bytes(data)
    blocks = run(str(path), block_bytes=16)
    assert b"".join(block.data for block in blocks) == content
    assert {(block.uri, block.format) for block in blocks} <= {(str(path), format_)}
    assert [line for block in blocks for line in lines_of(block)] == placed_lines(content)


@pytest.mark.parametrize("packed", [False, True])
def test_avro(tmp_path: Path, packed: bool) -> None:
    """Avro comes in the blocks that it was written in, also when the whole file is compressed once more."""
    path = tmp_path / "events.json"
    path.write_bytes(gzip.compress(avro_file()) if packed else avro_file())
    blocks = run(str(path))
    names = [record.value["name"] for block in blocks for record in avro_records(block)]
    assert names == [f"e{number}" for number in range(200)]
    assert {block.format for block in blocks} == {"avro"}
    assert len(blocks) > 3


def test_format_that_is_said_is_not_doubted(tmp_path: Path) -> None:
    """With an input format given, the content decides nothing but the compression."""
    (tmp_path / "f").write_bytes(gzip.compress(b"\n\n{}\n"))
    (block,) = run(str(tmp_path / "f"), input_format="tab-text")
    assert (block.format, block.data) == ("tab-text", b"\n\n{}\n")
    (tmp_path / "g").write_bytes(b"{}\n")
    with pytest.raises(SourceError, match="no Avro file"):
        run(str(tmp_path / "g"), input_format="avro")


def test_over_long_line_is_a_block_of_its_own(tmp_path: Path) -> None:
    """Its head, its length and its place; reading goes on behind it."""
    (tmp_path / "f").write_bytes(b"{}\n" + b"x" * 200_000 + b"\r\n{}\n")
    blocks = run(str(tmp_path / "f"), max_line_bytes=100_000)
    assert [(b.offset, len(b.data), b.overlong_bytes) for b in blocks] == [
        (0, 3, 0),
        (3, 65536, 200_000),
        (200_005, 3, 0),
    ]


# ---- whole pipelines


def test_order_is_that_of_names_and_content(tmp_path: Path) -> None:
    """With one worker, and many shards of many files."""
    for number in range(5):
        (tmp_path / f"f{number}").write_bytes(b"".join(b'{"n":%d}\n' % line for line in range(3000)))
    blocks = run(f"{tmp_path}/f*", block_bytes=1000, shard_bytes=7000)
    places = [(block.uri, block.offset) for block in blocks]
    assert places == sorted(places)
    assert len(places) > 100


def test_corpus_in_parallel_processes(tmp_path: Path) -> None:
    """Part of the corpus in many shards on two worker processes, beside a compressed file: the same blocks."""
    data = b"\n".join(corpus_lines("events.json.gz")[:4000])
    (tmp_path / "plain").write_bytes(data)
    (tmp_path / "packed").write_bytes(gzip.compress(data))
    expected = run(f"{tmp_path}/*")
    assert [line for block in expected for line in lines_of(block)] == placed_lines(data) * 2
    options = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    with beam.Pipeline(argv=["--runner=DirectRunner", *options]) as pipeline:
        assert_that(pipeline | ReadBlocks(f"{tmp_path}/*", shard_bytes=300_000), equal_to(expected))


def test_whole_corpus_file() -> None:
    """A file of the corpus as it lies there, compressed."""
    blocks = run(str(CORPUS / "events.json.gz"))
    assert b"".join(block.data for block in blocks).removesuffix(b"\n").split(b"\n") == list(
        corpus_lines("events.json.gz")
    )


def test_counters(tmp_path: Path) -> None:
    """How many files, blocks and bytes were read."""
    (tmp_path / "a").write_bytes(gzip.compress(b"{}\n" * 10))
    (tmp_path / "b").write_bytes(b"")
    pipeline = beam.Pipeline(argv=["--runner=DirectRunner"])
    _ = pipeline | ReadBlocks(f"{tmp_path}/*")
    result = pipeline.run()
    result.wait_until_finish()
    counters = {
        metric.key.metric.name: metric.committed
        for metric in result.metrics().query()["counters"]
        if metric.key.metric.namespace == "dovebeam.reading"
    }
    assert counters == {"files": 2, "blocks": 1, "bytes": 30}


def test_patterns_from_a_pipeline(tmp_path: Path) -> None:
    """Patterns, and what Beam's own matching finds, are read as well."""
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b'{"event":"%b"}\n' % name.encode())
    expected = run(f"{tmp_path}/*")
    assert len(expected) == 3
    with beam.Pipeline(argv=["--runner=DirectRunner"]) as pipeline:
        patterns = pipeline | "patterns" >> beam.Create([f"{tmp_path}/a", f"{tmp_path}/[bc]"])
        found = pipeline | fileio.MatchFiles(f"{tmp_path}/*")
        opened = found | fileio.ReadMatches()
        names = pipeline | "names" >> beam.Create([f"{tmp_path}/{name}" for name in "abc"])
        unsized = names | "unsized" >> fileio.ReadMatches()
        for label, files in (("p", patterns), ("f", found), ("o", opened), ("u", unsized)):
            assert_that(files | f"read {label}" >> ReadAllBlocks(), equal_to(expected), label=label)


# ---- objects on gs://


@pytest.fixture(scope="module")
def gcs() -> Iterator[GcsEmulator]:
    """An emulator with a few objects."""
    with gcs_emulator() as emulator:
        plain = b"".join(b'{"n":%d}\n' % number for number in range(20_000))
        emulator.put(
            {
                "day/": b"",
                "day/plain.json": plain,
                "day/packed": gzip.compress(SMALL),
                "day/frames": zstandard.compress(SMALL),
                "day/records": avro_file(),
                "cut/x.gz": gzip.compress(plain)[:-9],
            }
        )
        yield emulator


@pytest.mark.parametrize("pattern", ["day/*", "day/", "d**"])
def test_objects_of_every_kind(gcs: GcsEmulator, pattern: str) -> None:
    """Plain ones in shards, compressed ones and Avro; objects that stand for folders are passed over."""
    blocks = run(gcs.uri(pattern), options=PIPELINE_OPTIONS, shard_bytes=70_000)
    content = {
        uri: b"".join(block.data for block in found) for uri, found in itertools.groupby(blocks, lambda b: b.uri)
    }
    assert content.pop(gcs.uri("day/plain.json")) == gcs.get("day/plain.json")
    assert content.pop(gcs.uri("day/packed")) == content.pop(gcs.uri("day/frames")) == SMALL
    assert list(content) == [gcs.uri("day/records")]


def test_objects_in_parallel_processes(gcs: GcsEmulator) -> None:
    """Workers of their own read shards of one object."""
    options = ["--direct_num_workers=2", "--direct_running_mode=multi_processing", *PIPELINE_OPTIONS]
    expected = run(gcs.uri("day/plain.json"), options=PIPELINE_OPTIONS)
    with beam.Pipeline(argv=["--runner=DirectRunner", *options]) as pipeline:
        assert_that(pipeline | ReadBlocks(gcs.uri("day/plain.json"), shard_bytes=70_000), equal_to(expected))


def test_errors_of_objects(gcs: GcsEmulator) -> None:
    """A missing object, a missing bucket and a cut-off object are named."""
    for uri in (gcs.uri("none"), gcs.uri("none*"), "gs://nobucket/x"):
        with pytest.raises(SourceError, match="no file matches gs://"):
            run(uri, options=PIPELINE_OPTIONS)
    with pytest.raises(SourceError, match=r"gs://mail/cut/x.gz, byte \d+: the gzip data is cut off"):
        run(gcs.uri("cut/*"), options=PIPELINE_OPTIONS)


# ---- matching and errors


def test_matching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file once, in the order of names, whatever the order and overlap of the patterns, also relative ones."""
    for name in ("b", "a", "c[1]", "sub/d"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    monkeypatch.chdir(tmp_path)

    def names(*patterns: str) -> list[str]:
        assert {file.size for file in match_files(patterns)} == {5}
        return [os.path.relpath(file.uri, tmp_path) for file in match_files(patterns)]

    assert names("b", "*", "./a", f"{tmp_path}/a") == ["a", "b", "c[1]"]
    assert names("**") == ["a", "b", "c[1]", "sub/d"]
    assert names("c[1]", "sub/") == ["c[1]", "sub/d"]
    assert names("[ab]") == ["a", "b"]
    assert match_files(["b"]) == [FoundFile(str(tmp_path / "b"), 5)]


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["none", "a", "no*"], r"no file matches .*/none, .*/no\*; check the spelling"),
        (["."], "is a directory; to read the files in it"),
        (["pipe"], "is no regular file"),
        (["ftp://host/x"], "cannot be matched: ValueError: Unable to get filesystem"),
        ([], "no input"),
    ],
)
def test_errors_at_launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patterns: list[str], message: str) -> None:
    """What cannot be read is told before the job starts, all that match nothing at once."""
    (tmp_path / "a").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=message):
        _ = beam.Pipeline(argv=["--runner=DirectRunner"]) | ReadBlocks(patterns)


def test_errors_on_workers(tmp_path: Path) -> None:
    """A file that vanished, is cut off or damaged fails the job with its name and the step's."""
    path = tmp_path / "f"
    with pytest.raises(SourceError, match=r"no file matches .*/f; .*Match"):
        run(str(path), check_patterns=False)
    path.write_bytes(gzip.compress(SMALL)[:-5])
    with pytest.raises(SourceError, match=r"/f, byte \d+: the gzip data is cut off.*while running 'ReadBlocks/"):
        run(str(path))
    path.write_bytes(zstandard.compress(b"{}\n" * 100_000)[:-1])
    with pytest.raises(SourceError, match="the zstd data is cut off"):
        run(str(path))
    path.write_bytes(avro_file()[:-1])
    with pytest.raises(SourceError, match="the Avro file is cut off"):
        run(str(path))


def test_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    """Nothing is lost in silence when a log is truncated in place."""
    file = source(tmp_path / "f", SMALL)
    (tmp_path / "f").write_bytes(SMALL[:20])
    with pytest.raises(SourceError, match=f"byte 20: the file ends here, but had {len(SMALL)} bytes"):
        read_range(file, reader(4), 0, 20)
    (tmp_path / "f").unlink()
    with pytest.raises(SourceError, match="cannot be opened: No such file"):
        read_range(file, reader(4), 0, 20)


def test_bad_settings() -> None:
    """An unknown format lists those that exist; sizes are positive."""
    with pytest.raises(
        UnknownNameError, match="unknown input format 'jsn'; supported: auto, avro, json, rejects, tab-text; did"
    ):
        ReadBlocks("x", input_format="jsn")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="block_bytes is a number of bytes, at least 1; found 0"):
        ReadAllBlocks(block_bytes=0)


# ---- the element


def test_coder_of_blocks() -> None:
    """Beam finds it by the type; it keeps every member, and its estimate is close and needs no encoding."""
    coder = registry.get_coder(Block)
    for block in (
        Block("gs://mail/x", 1 << 40, bytes(range(256)) * 256, "json"),
        Block("/var/log/x", 0, b"head", "tab-text", overlong_bytes=1 << 33),
        Block("x", 0, b"records", "avro", records=3, schema=b"{}"),
    ):
        assert coder.decode(coder.encode(block)) == block
        assert pickle.loads(pickle.dumps(block)) == block
        assert abs(coder.estimate_size(block) - len(coder.encode(block))) < 100
    assert coder == pickle.loads(pickle.dumps(coder))
    assert coder.is_deterministic()


def test_blocks_are_typed(tmp_path: Path) -> None:
    """The next step sees blocks and their coder, not Any."""
    (tmp_path / "f").write_bytes(b"{}\n")
    pipeline = beam.Pipeline(argv=["--runner=DirectRunner"])
    assert (pipeline | ReadBlocks(str(tmp_path / "f"))).element_type == Block
