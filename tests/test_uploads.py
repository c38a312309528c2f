"""`Upload`: files through Beam's file systems, whole or let go of."""

from __future__ import annotations

import gc
import gzip
from pathlib import Path

import pytest
import zstandard

from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.filesystems import Upload
from support.servers.gcs_emulator import gcs_emulator
from support.servers.gcs_faults import gcs_faults

_MORE_THAN_GOOGLES_WRITER_HOLDS = bytes(17 * 1024 * 1024)


def write(uri: str, data: bytes) -> None:
    """All of a file."""
    with Upload(uri) as file:
        file.write(data)


def read_back(data: bytes, ending: str) -> bytes:
    """What a compressed file holds."""
    if ending == ".zst":
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return gzip.decompress(data) if ending else data


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_whole_files(tmp_path: Path, ending: str) -> None:
    """Local or an object, compressed as the name says, in place of an older one."""
    with gcs_emulator() as bucket:
        for content in (b"one", b"two"):
            write(f"{tmp_path}/x{ending}", content)
            write(bucket.uri(f"x{ending}"), content)
        assert read_back(bucket.get(f"x{ending}"), ending) == b"two"
    assert read_back((tmp_path / f"x{ending}").read_bytes(), ending) == b"two"


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("data", [b"one", _MORE_THAN_GOOGLES_WRITER_HOLDS], ids=["at the end", "in the middle"])
def test_upload_that_fails_is_not_begun_again(data: bytes, ending: str) -> None:
    """Not by closing it once more, nor when the writer is collected: then its store may be gone, and waited for."""
    with gcs_emulator() as bucket, gcs_faults(bucket, lambda _method, path: path.startswith("/upload/")) as faults:
        file = Upload(bucket.uri(f"x{ending}"))
        with pytest.raises(DeliveryError, match=r"gs://mail/x\S* cannot be written: 403 Forbidden: refused"):
            _write_and_close(file, data)
        refused = len(faults.refused)
        assert refused > 0
        file.close()
        with pytest.raises(DeliveryError, match="writing it has failed before"):
            file.write(b"more")
        del file
        gc.collect()
        assert len(faults.refused) == refused
        assert bucket.names() == []


def _write_and_close(file: Upload, data: bytes) -> None:
    file.write(data)
    file.close()


def _write_and_raise(file: Upload, data: bytes) -> None:
    file.write(data)
    raise ValueError("no more")


@pytest.mark.parametrize("data", [b"one", _MORE_THAN_GOOGLES_WRITER_HOLDS], ids=["a little", "much"])
def test_what_is_raised_within_leaves_no_object(data: bytes) -> None:
    """A part of a file would be taken for the whole of it."""
    with gcs_emulator() as bucket:
        file = Upload(bucket.uri("x"))
        with pytest.raises(ValueError, match="no more"), file:
            _write_and_raise(file, data)
        del file
        gc.collect()
        assert bucket.names() == []


def test_local_files_are_closed(tmp_path: Path) -> None:
    """After a failure, too."""
    file = Upload(str(tmp_path / "x"))
    with pytest.raises(ValueError, match="no more"), file:
        _write_and_raise(file, b"one")
    assert (tmp_path / "x").read_bytes() == b"one"
    file.close()
    with pytest.raises(DeliveryError, match="/dev/full cannot be written: No space left"):
        write("/dev/full", b"one")
