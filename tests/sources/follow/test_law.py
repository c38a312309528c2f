"""The law of following: whatever happens to the files, between looks and over restarts, every line is given once."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from dovebeam.transforms.sources.follow import Follower, FollowSettings, make_target, scanning
from dovebeam.transforms.sources.follow.records import decode_state


class Stream:
    """A follower and what it gave; a kill takes back what was not acknowledged."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.given: list[bytes] = []
        self.acknowledged, self.state = 0, b""
        self._open()

    def read(self, looks: int) -> None:
        for _ in range(looks):
            self.follower._scanned_at = -1000
            for block in self.follower.read(1 << 30, time.monotonic() + 60):
                self.given += block.data.splitlines()

    def acknowledge(self) -> None:
        self.acknowledged, self.state = len(self.given), self.follower.snapshot()

    def kill(self) -> None:
        del self.given[self.acknowledged :]
        self.follower.close()
        self._open()

    def _open(self) -> None:
        settings = FollowSettings(grace_msec=60_000, max_open=3)
        self.follower = Follower([make_target(str(self.target))], settings, decode_state(self.state, "state"))


class Log:
    """A file of numbered lines, rotated as logrotate does it."""

    def __init__(self, path: Path) -> None:
        self.path, self.written = path, 0

    def append(self, count: int) -> None:
        with open(self.path, "ab") as file:
            file.write(b"".join(b'{"id":%d}\n' % number for number in range(self.written, self.written + count)))
        self.written += count

    def rotate(self, copy: bool) -> None:
        if not self.path.exists() or not self.path.stat().st_size:
            return
        numbers = [int(each.suffix[1:]) for each in self.path.parent.glob(f"{self.path.name}.*")]
        for number in sorted(numbers, reverse=True):
            Path(f"{self.path}.{number}").rename(f"{self.path}.{number + 1}")
        if copy:
            shutil.copy(self.path, f"{self.path}.1")
            os.truncate(self.path, 0)
        else:
            self.path.rename(f"{self.path}.1")


@pytest.mark.parametrize("seed", range(60))
def test_every_line_is_given_once(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In any order of writes, rotations of both kinds, looks, acknowledgements and kills; but for lost looks, once each."""
    monkeypatch.setattr(scanning, "_COPYING_SECS", 0)  # here copies are complete when somebody looks
    chance = random.Random(seed)
    log = Log(tmp_path / ("events" if seed % 2 else "events.json"))
    log.append(1)
    stream = Stream(tmp_path if seed % 3 == 0 else log.path)
    stream.read(1)
    stream.acknowledge()
    rotations = 0
    for _ in range(60):
        step = chance.choice(["append", "append", "append", "rename", "copy", "read", "acknowledge", "kill"])
        if step == "append":
            log.append(chance.choice([1, 5, 200]))
        elif step in {"rename", "copy"}:
            log.rotate(step == "copy")
            rotations += 1
        elif step == "read":
            stream.read(chance.choice([1, 2]))
        elif step == "acknowledge":
            stream.acknowledge()
        else:
            stream.kill()
    stream.read(15)
    assert rotations
    given = Counter(int(line[6:-1]) for line in stream.given)
    assert set(range(log.written)) - set(given) == set()
    assert {number: count for number, count in given.items() if count > 1} == {}
