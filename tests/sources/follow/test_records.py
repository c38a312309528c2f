"""The state file of a stream: any bytes are a state that can be followed from, or a `SourceError` that names the file."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovebeam.transforms.sources import SourceError
from dovebeam.transforms.sources.follow import Follower, FollowSettings, StateStore, make_target
from dovebeam.transforms.sources.follow.records import FileRecord, decode_state, encode_state
from support.strategies import raw_texts, utf8_texts

RECORD = {"path": "/log", "first_path": "/log", "device": 1, "inode": 2}
NAMES = raw_texts.filter(lambda name: "\0" not in name)


def state(**changes: Any) -> bytes:
    """The state of one file, of which something is changed."""
    return json.dumps({"version": 1, "targets": ["/log"], "files": [RECORD | changes]}).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"null",
        b"\0" * 200,
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"version":1,"files":[{}]}',
        state(path="%zz"),
        state(path="%zzzz"),
        state(first_path="100%"),
        state(path="%12"),
        state(path="%+123"),
        state(path="%0000"),
        state(path="a\0b"),
        state(path="%d800"),
        state(offset=-1),
        state(offset=2**63),
        state(offset=10**400),
        state(device=-1),
        state(head_bytes=1025),
        state(tail_bytes=10**9),
        state(format="avro"),
        state(gone_since="x"),
        b'{"version":1,"targets":["%zz"]}',
        b'{"version":2}',
    ],
    ids=lambda content: content.decode("latin-1")[-60:].replace("\0", "0"),
)
def test_what_is_no_state(content: bytes) -> None:
    """It is told with the file's name and what to do."""
    with pytest.raises(SourceError, match=r"^state: ") as raised:
        decode_state(content, "state")
    assert any(advice in str(raised.value) for advice in ("put a copy of it back", "use the one that wrote it"))


@given(st.lists(NAMES, max_size=3), st.lists(NAMES, max_size=3))
def test_names_come_back(targets: list[str], paths: list[str]) -> None:
    """Whatever bytes they have."""
    records = [FileRecord(path, path, 1, 2) for path in paths]
    found = decode_state(encode_state(targets, records), "state")
    assert (sorted(found.targets), found.files) == (sorted(targets), records)


json_values = (
    st.none() | st.booleans() | st.integers() | st.floats() | utf8_texts | st.sampled_from(["/x", "%00e9", ""])
)
fields = st.sampled_from([*FileRecord.__struct_fields__, "version"])


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(fields, json_values, max_size=4))
def test_any_state_can_be_followed_from(changes: dict[str, Any]) -> None:
    """What is accepted leads to nothing but a `SourceError`."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        log.write_bytes(b'{"event":"e"}\n' * 3)
        found = log.stat()
        record = {"path": str(log), "first_path": str(log), "device": found.st_dev, "inode": found.st_ino} | changes
        content = json.dumps({"version": 1, "targets": [str(log)], "files": [record]}).encode()
        with contextlib.suppress(SourceError):
            follower = Follower([make_target(str(log))], FollowSettings(), decode_state(content, "state"))
            try:
                list(follower.read(1 << 20, time.monotonic() + 60))
                decode_state(follower.snapshot(), "state")
            finally:
                follower.close()


def test_empty_file_is_no_first_start(tmp_path: Path) -> None:
    """A power failure may leave one; to read everything again is for the operator to decide."""
    with StateStore(str(tmp_path / "state")) as store:
        assert store.load() == b""
        os.close(os.open(store.path, os.O_CREAT | os.O_WRONLY, 0o600))
        with pytest.raises(
            SourceError, match=r"follow\.json: the state is empty, .* put a copy of it back, or remove it"
        ):
            store.load()
