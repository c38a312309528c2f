"""Files out of parts: written, compressed, read back."""

from __future__ import annotations

import gzip
import io
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import zstandard

from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.shards.composing import compose
from dovebeam.transforms.shards.local_store import LocalStore, fingerprint
from dovebeam.transforms.shards.pieces import Extent, FilePlan, Lines
from support.jobs.file_jobs import small_disk
from support.programs import HANG_SECS, require_program


class Headed(Lines):
    """Lines below a head."""

    def head(self) -> bytes:
        """The head."""
        return b"HEAD\n"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A place with two parts of ten lines each."""
    store = LocalStore(str(tmp_path), 0o600, 0o700)
    for name in "ab":
        with store.create(f"t/{name}", is_part=True) as file:
            file.writelines(b"%s%d\n" % (name.encode(), number) for number in range(10))
    return store


def plan(*extents: Sequence[object]) -> FilePlan:
    """A plan of extents."""
    return FilePlan("final", tuple(Extent(*extent) for extent in extents), 5)


def test_order_of_extents(store: LocalStore, tmp_path: Path) -> None:
    """Extents are copied in their order, back and forth between parts, below the head."""
    extents = Extent("t/b", 3, 6), Extent("t/a", 27, 3), Extent("t/b", 0, 3)
    written = compose(store, FilePlan("final", extents, 4, (1, 2)), "t/new", Headed(), "none")
    assert (tmp_path / "t/new").read_bytes() == b"HEAD\nb1\nb2\na9\nb0\n"
    assert (written.name, written.temporary, written.events, written.span) == ("final", "t/new", 4, (1, 2))
    assert written.fingerprint == fingerprint(store, "t/new")
    assert written.existing is None
    assert not (tmp_path / "final").exists()


@pytest.mark.parametrize(("compression", "program"), [("gzip", "zcat"), ("zstd", "zstdcat")])
def test_compression(store: LocalStore, tmp_path: Path, compression: str, program: str) -> None:
    """Usual programs read it, and it is the same each time: no time and no name is in it."""
    whole = plan(("t/a", 0, 30), ("t/b", 0, 30))
    written = compose(store, whole, "t/one", Lines(), compression)
    again = compose(store, whole, "t/two", Lines(), compression)
    assert written.fingerprint == again.fingerprint == fingerprint(store, "t/one")
    content = (tmp_path / "t/a").read_bytes() + (tmp_path / "t/b").read_bytes()
    packed = (tmp_path / "t/one").read_bytes()
    read = gzip.decompress(packed) if compression == "gzip" else _unpacked(packed)
    assert read == content
    with (tmp_path / "t/one").open("rb") as file:
        done = subprocess.run(
            [require_program(program)], stdin=file, capture_output=True, check=True, timeout=HANG_SECS
        )
    assert done.stdout == content


def _unpacked(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()


def test_what_has_the_name(store: LocalStore, tmp_path: Path) -> None:
    """It is read now, so that the commit need not do that for all files one after the other."""
    (tmp_path / "final").write_bytes(b"there")
    written = compose(store, plan(("t/a", 0, 3)), "t/new", Lines(), "none")
    assert written.existing is not None
    assert written.existing.stamp == store.stamp("final")
    assert written.existing.fingerprint == fingerprint(store, "final")
    assert (tmp_path / "final").read_bytes() == b"there"


def test_cut_off_part(store: LocalStore) -> None:
    """A part that has less than was written into it is an error."""
    with pytest.raises(DeliveryError, match="t/a is cut off; run the job again"):
        compose(store, plan(("t/a", 27, 4)), "t/new", Lines(), "none")


def test_missing_part(store: LocalStore) -> None:
    """A part that is gone is one, too, with the likely reason."""
    with pytest.raises(DeliveryError, match="t/c is gone; is the same run active elsewhere"):
        compose(store, plan(("t/a", 0, 3), ("t/c", 0, 4)), "t/new", Lines(), "none")


def test_linked_part(store: LocalStore, tmp_path: Path) -> None:
    """A part that was replaced by a link is not read."""
    (tmp_path / "secret").write_bytes(b"secret\n")
    (tmp_path / "t/c").symlink_to(tmp_path / "secret")
    with pytest.raises(DeliveryError, match="symbolic link"):
        compose(store, plan(("t/c", 0, 7)), "t/new", Lines(), "none")


def test_linked_name(store: LocalStore, tmp_path: Path) -> None:
    """A link at the final name is not followed, but refused."""
    (tmp_path / "secret").write_bytes(b"secret\n")
    (tmp_path / "final").symlink_to(tmp_path / "secret")
    with pytest.raises(DeliveryError, match="symbolic link"):
        compose(store, plan(("t/a", 0, 3)), "t/new", Lines(), "none")


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_full_disk(tmp_path: Path, compression: str) -> None:
    """A file that does not fit is an error that says what to do; nothing has its name."""
    with small_disk(tmp_path / "disk", "512k") as base:
        store = LocalStore(str(base), 0o600, 0o700)
        with pytest.raises(DeliveryError, match=r"No space left on device .*make room"):
            compose(store, plan(), "t/new", Noisy(), compression)
        assert not (base / "final").exists()


class Noisy(Lines):
    """A head that no compression makes smaller than the disk."""

    def head(self) -> bytes:
        """Noise."""
        return random.Random(1).randbytes(600_000)


class Changing:
    """A store whose disk returns other bytes than were written."""

    def __init__(self, store: LocalStore, base: Path) -> None:
        self._store = store
        self._base = base

    def __getattr__(self, name: str) -> object:
        if name == "open" and (self._base / "t/new").exists():
            with (self._base / "t/new").open("r+b") as file:
                if file.read(1):
                    file.seek(0)
                    file.write(b"!")
        return getattr(self._store, name)


def test_bad_disk(store: LocalStore, tmp_path: Path) -> None:
    """What comes back must be what was written."""
    with pytest.raises(DeliveryError, match=r"final: the 3 bytes that were read back are not the 3 .* \(check"):
        compose(Changing(store, tmp_path), plan(("t/a", 0, 3)), "t/new", Lines(), "none")
