"""What a stream keeps on the disk: its state, the queues of its exporters, and the spool of its shards."""

from __future__ import annotations

import contextlib
import time
import zlib
from pathlib import Path
from typing import Final

from fuzzing import Target

from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.plan.decoding import PayloadBatch
from dovebeam.transforms.plan.queue import SegmentName, decode_segment, encode_segment
from dovebeam.transforms.shards.local_store import LocalStore
from dovebeam.transforms.shards.pieces import Frame, Piece
from dovebeam.transforms.shards.spool import PaneIntent, Spool, SpooledPart
from dovebeam.transforms.sources import MessageOrigin, SourceError
from dovebeam.transforms.sources.follow import Follower, FollowSettings, make_target
from dovebeam.transforms.sources.follow import FollowTarget as Followed
from dovebeam.transforms.sources.follow.records import decode_state

_SEGMENT_HEAD: Final = len(b"dovebeam queue 1\n") + 4


def targets(folder: Path) -> list[Target]:
    """All three, with what dovebeam itself writes."""
    state, spool = _State(folder), _SpoolNotes(folder)
    return [
        Target(state.check, state.seeds(), 2),
        Target(check_segment, _segments(), 4),
        Target(check_segment_name, [str(SegmentName(5, 6, 7)).encode()]),
        Target(spool.check_pieces, spool.seeds("pieces")),
        Target(spool.check_intent, spool.seeds("intent")),
    ]


class _State:
    """A file that is followed from any state."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "events.json"
        self._log.write_bytes(b'{"event":"e"}\n' * 3)
        self._target: Followed = make_target(str(self._log))

    def seeds(self) -> list[bytes]:
        """The state after some lines, and one of a name that is not UTF-8."""
        follower = Follower([self._target], FollowSettings(), decode_state(b"", "state"))
        follower.look()
        before = follower.snapshot()
        list(follower.read(1 << 20, time.monotonic() + 60))
        after = follower.snapshot()
        follower.close()
        return [before, after, after.replace(b"events.json", b"e%dcff.json")]

    def check(self, data: bytes) -> None:
        """What is accepted can be followed from, and is accepted again."""
        try:
            follower = Follower([self._target], FollowSettings(), decode_state(data, "state"))
        except SourceError:
            return
        try:
            list(follower.read(1 << 20, time.monotonic() + 60))
            decode_state(follower.snapshot(), "state")
        except SourceError:
            pass
        finally:
            follower.close()


def _segments() -> list[bytes]:
    messages = (MessageOrigin(0, 7, "id", 1, "key", (("a", "b"),)),)
    return [
        encode_segment([PayloadBatch([b"1", b"2"], ["m", "\udcff"], [0, None], "/log#1", ["p", "q"])]),
        encode_segment([PayloadBatch([b"x" * 50], ["m"], [2**62], "projects/p", messages=messages), PayloadBatch()]),
    ]


def check_segment(data: bytes) -> None:
    """Damage is told; what has a right checksum and is accepted has what each payload needs."""
    for content in (
        data,
        data[: _SEGMENT_HEAD - 4] + zlib.crc32(data[_SEGMENT_HEAD:]).to_bytes(4) + data[_SEGMENT_HEAD:],
    ):
        try:
            batches = decode_segment(content, "segment")
        except DeliveryError:
            continue
        assert decode_segment(encode_segment(batches), "segment") == batches
        for batch in batches:
            lengths = {len(each) for each in (batch.metrics, batch.offsets, batch.paths)}
            assert lengths <= {0, len(batch)}


def check_segment_name(data: bytes) -> None:
    """A name is that of a segment, or of none."""
    name = SegmentName.of(data.decode("utf-8", "surrogateescape"))
    assert name is None or SegmentName.of(str(name)) == name


class _SpoolNotes:
    """The notes in the spool of shards."""

    def __init__(self, folder: Path) -> None:
        self._store = LocalStore(str(folder), 0o600, 0o700)
        self._spool = Spool(self._store, "exporter", "stream")
        self._part = SpooledPart(3600, 1_700_000_000_000, "0f3a")
        with self._store.create(self._spool.part_name(self._part), is_part=True):
            pass

    def seeds(self, kind: str) -> list[bytes]:
        """What is written, as it is read."""
        if kind == "pieces":
            frames = [Frame(0, 0, 1, 20, 2, (0, 1)), Frame(20, 0, 2, 10, 1, (1, 2))]
            self._spool.complete(self._part, [Piece.of("events.json", "/log", "part", 0, frames)])
            return [self._read(f"{self._part.stem}.pieces")]
        self._spool.begin(PaneIntent("20261125T130104Z", (self._part.stem,)))
        return [self._read("pane.json")]

    def check_pieces(self, data: bytes) -> None:
        """An index is read or told to be damaged."""
        self._store.write(self._name(f"{self._part.stem}.pieces"), data)
        with contextlib.suppress(DeliveryError):
            for piece in self._spool.pieces(self._part.stem):
                list(piece.frames())

    def check_intent(self, data: bytes) -> None:
        """So is the note of a pane."""
        self._store.write(self._name("pane.json"), data)
        with contextlib.suppress(DeliveryError):
            self._spool.begun()

    def _read(self, name: str) -> bytes:
        with self._store.open(self._name(name)) as file:
            return file.read()

    def _name(self, name: str) -> str:
        return f"{self._spool.lock.rpartition('/')[0]}/{name}"
