"""`ReadFromFiles` and `ReadAllFromFiles` on files of every kind, and what goes wrong with them on workers."""

import bz2
import gzip
import itertools
import lzma
from pathlib import Path

import apache_beam as beam
import pytest
import zstandard
from apache_beam.io import fileio
from apache_beam.testing.util import assert_that, equal_to

from dovebeam.transforms.errors import UnknownNameError
from dovebeam.transforms.read_from_files import ReadAllFromFiles, ReadFromFiles
from dovebeam.transforms.sources import Block, SourceError, avro_records
from support.oracle.corpus import CORPUS, corpus_lines
from support.read_blocks import SMALL, avro_file, lines_of, placed_lines, read_blocks, reader, run, source

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
    (block,) = run(str(tmp_path / "g"), input_format="avro")
    assert "not an Avro file" in block.damage


def test_over_long_line_is_a_block_of_its_own(tmp_path: Path) -> None:
    """Its head, its length and its place; reading goes on behind it."""
    (tmp_path / "f").write_bytes(b"{}\n" + b"x" * 200_000 + b"\r\n{}\n")
    blocks = run(str(tmp_path / "f"), max_line_bytes=100_000)
    assert [(b.offset, len(b.data), b.overlong_bytes) for b in blocks] == [
        (0, 3, 0),
        (3, 65536, 200_000),
        (200_005, 3, 0),
    ]


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
        assert_that(pipeline | ReadFromFiles(f"{tmp_path}/*", shard_bytes=300_000), equal_to(expected))


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
    _ = pipeline | ReadFromFiles(f"{tmp_path}/*")
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
            assert_that(files | f"read {label}" >> ReadAllFromFiles(), equal_to(expected), label=label)


def test_errors_on_workers(tmp_path: Path) -> None:
    """A pattern that matches nothing any more fails the job with its name and the step's."""
    path = tmp_path / "f"
    with pytest.raises(SourceError, match=r"no file matches .*/f; .*Match"):
        run(str(path), check_patterns=False)


@pytest.mark.parametrize(
    ("data", "message", "content"),
    [
        pytest.param(gzip.compress(SMALL)[:-5], "the gzip data is cut off", SMALL, id="gzip-cut"),
        pytest.param(gzip.compress(SMALL) + b"behind", "what follows is something else", SMALL, id="behind-gzip"),
        pytest.param(b"\x1f\x8bgarbage", "the gzip data is damaged", b"", id="gzip-garbage"),
        pytest.param(zstandard.compress(b"{}\n" * 99)[:-1], "the zstd data is cut off", None, id="zstd-cut"),
        pytest.param(zstandard.compress(b"{}\n") + b"behind", "what follows is something", b"{}\n", id="behind-zstd"),
        pytest.param(bz2.compress(SMALL), "unpack it with bunzip2", b"", id="bzip2"),
        pytest.param(lzma.compress(SMALL), "unpack it with unxz", b"", id="xz"),
        pytest.param(avro_file()[:20], "the Avro file is cut off", None, id="avro-header"),
        pytest.param(
            b"Obj\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "more than 64 bits", None, id="avro-garbage"
        ),
    ],
)
def test_damage_is_a_block_of_its_own(tmp_path: Path, data: bytes, message: str, content: bytes | None) -> None:
    """A file that is cut off or damaged keeps none of the others from being read; what stands before it comes."""
    for name in ("a", "c"):
        (tmp_path / name).write_bytes(SMALL)
    (tmp_path / "b").write_bytes(data)
    blocks = run(str(tmp_path / "*"))
    for name in ("a", "c"):
        assert b"".join(block.data for block in blocks if block.uri == str(tmp_path / name)) == SMALL
    *before, last = [block for block in blocks if block.uri == str(tmp_path / "b")]
    assert message in last.damage
    assert last.records == 1
    assert not any(block.damage for block in before)
    if content is not None:
        assert b"".join(block.data for block in [*before, last]) == content
        assert last.offset + len(last.data) == len(content)


def test_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    """Nothing is lost in silence when a log is truncated in place."""
    file = source(tmp_path / "f", SMALL)
    (tmp_path / "f").write_bytes(SMALL[:20])
    cells = -(-len(SMALL) // 4)
    for borders in ([0, cells], [0, 3, cells], [0, 5, 6, cells], [0, 8, cells]):
        blocks = [block for pair in itertools.pairwise(borders) for block in read_blocks(file, reader(4), *pair)]
        (lost,) = [block for block in blocks if block.damage]
        assert f"the file ends here, but had {len(SMALL)} bytes" in lost.damage
        assert lost.offset == 20
        assert b"".join(block.data for block in blocks) == SMALL[:20]
    (tmp_path / "f").unlink()
    (lost,) = read_blocks(file, reader(4), 0, cells)
    assert "was removed or renamed after the job began" in lost.damage


def test_bad_settings() -> None:
    """An unknown format lists those that exist; sizes are positive."""
    with pytest.raises(
        UnknownNameError, match="unknown input format 'jsn'; supported: auto, avro, json, rejects, tab-text; did"
    ):
        ReadFromFiles("x", input_format="jsn")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="block_bytes is a number of bytes, at least 1; found 0"):
        ReadAllFromFiles(block_bytes=0)


def test_blocks_are_typed(tmp_path: Path) -> None:
    """The next step sees blocks and their coder, not Any."""
    (tmp_path / "f").write_bytes(b"{}\n")
    pipeline = beam.Pipeline(argv=["--runner=DirectRunner"])
    assert (pipeline | ReadFromFiles(str(tmp_path / "f"))).element_type == Block
