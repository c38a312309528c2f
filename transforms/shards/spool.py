"""The spool of a stream, in which delivered payloads wait until the files of their window are made, and those files.

    -62135596800.1795604400123.0f3a….part     payloads of one window, written by one bundle
    -62135596800.1795604400123.0f3a….pieces   index of the part; written last, so the part is complete
    pane.json                                 the parts of the pane that is being written

A pane is a set of files that are put in place together, as a run of its own with its own manifest. A part counts as
delivered once its index is there, and is removed when its pane is complete. The parts of a killed process are found and
used by the next one.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Self

import msgspec

from dovebeam.transforms.drivers.file.names import encode_value, short_name
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.shards.committing import Manifest, commit, manifest_of
from dovebeam.transforms.shards.composing import compose
from dovebeam.transforms.shards.layout import Layout
from dovebeam.transforms.shards.local_store import Store, cut_off_note
from dovebeam.transforms.shards.pieces import Framing, Piece, plan_files

__all__ = ["PaneIntent", "Publisher", "Spool", "SpooledPart", "time_mark", "write_pane"]


_PART: Final = ".part"
_PIECES: Final = ".pieces"
_INTENT: Final = "pane.json"
_OWNER: Final = "owner"
_MAX_BYTES: Final = 1024 * 1024 * 1024
_STALE_MSEC: Final = 3600 * 1000
"""Age at which an incomplete part is taken for that of a killed worker; no bundle takes so long."""


class SpooledPart(NamedTuple):
    """A part in the spool.

    Attributes:
        window_secs: start of its window, seconds since 1970.
        since_msec: when its bundle began to write it, milliseconds since 1970, by the worker's clock.
        unique: a text that no other part has.
    """

    window_secs: int
    since_msec: int
    unique: str

    @property
    def stem(self) -> str:
        """Name of its files without their suffixes."""
        return f"{self.window_secs}.{self.since_msec}.{self.unique}"

    @classmethod
    def of(cls, stem: str) -> Self | None:
        """The part of this name; None if the name is not that of a part."""
        window, _, rest = stem.partition(".")
        since, _, unique = rest.partition(".")
        try:
            return cls(int(window), int(since), unique)
        except ValueError:
            return None


class PaneIntent(msgspec.Struct, frozen=True):
    """Note about the pane that is being written.

    Attributes:
        mark: stands for the pane in names.
        parts: stems of all its parts.
    """

    mark: str
    parts: tuple[str, ...]


def _is_stale(stem: str, now_msec: int) -> bool:
    part = SpooledPart.of(stem)
    return part is not None and now_msec - part.since_msec > _STALE_MSEC


_pieces_decoder: Final = msgspec.msgpack.Decoder(list[Piece])
_intent_decoder: Final = msgspec.json.Decoder(PaneIntent)


class Spool:
    """The spool of one exporter of one stream.

    Args:
        store: of the exporter's files.
        exporter: name of the exporter.
        stream: name of the stream, the same after every start.
    """

    def __init__(self, store: Store, exporter: str, stream: str) -> None:
        self._store = store
        # No run of a job has a tilde in its name, so none takes this directory for its own.
        self._directory: Final = f".dovebeam/{short_name(f'stream~{stream}-{encode_value(exporter)}')}"

    @property
    def lock(self) -> str:
        """Lock of the process that publishes the spool."""
        return f"{self._directory}/lock"

    def part_name(self, part: SpooledPart) -> str:
        """Name of the file with the payloads of a part."""
        return f"{self._directory}/{part.stem}{_PART}"

    def complete(self, part: SpooledPart, pieces: list[Piece]) -> None:
        """Writes the index of a part, which counts as delivered from now on.

        Raises:
            DeliveryError: the index cannot be written.
        """
        self._store.write(f"{self._directory}/{part.stem}{_PIECES}", msgspec.msgpack.encode(pieces))

    def parts(self) -> list[SpooledPart]:
        """All complete parts, in the order of their start."""
        found = (SpooledPart.of(stem) for stem in self._stems(_PIECES))
        return sorted((part for part in found if part is not None), key=lambda part: part[1:])

    def pieces(self, stem: str) -> list[Piece]:
        """The pieces of a part, from its index.

        Raises:
            DeliveryError: the index is damaged or missing.
        """
        name = f"{self._directory}/{stem}{_PIECES}"
        with self._store.open(name) as file:
            content = file.read(_MAX_BYTES)
        try:
            pieces = _pieces_decoder.decode(content)
            if not all(piece.is_whole for piece in pieces):
                raise msgspec.ValidationError("a list of frames ends in the middle of one")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            message = f"{name} is damaged ({error}); move it and its .part away, which holds the events"
            raise DeliveryError(message, name) from error
        return pieces

    def remove(self, stems: Iterable[str]) -> None:
        """Removes parts whose payloads are in final files."""
        # The index first: if this is interrupted, a part without an index is ignored and later removed as stale.
        for stem in stems:
            self._store.delete(f"{self._directory}/{stem}{_PIECES}")
            self._store.delete(f"{self._directory}/{stem}{_PART}")

    def remove_stale(self, now_msec: int) -> None:
        """Removes incomplete parts and temporary files of killed processes.

        Only for the holder of the lock, before it writes the note about a pane.
        """
        # Parts of other, living workers are complete before they are that old.
        complete = set(self._stems(_PIECES))
        for stem in self._stems(_PART):
            if stem not in complete and _is_stale(stem, now_msec):
                self._store.delete(f"{self._directory}/{stem}{_PART}")
        for name in self._store.names(self._directory):
            note = cut_off_note(name)
            if note in {_INTENT, _OWNER} or (
                note.endswith(_PIECES) and _is_stale(note.removesuffix(_PIECES), now_msec)
            ):
                self._store.delete(f"{self._directory}/{name}")

    def begin(self, intent: PaneIntent) -> None:
        """Writes the note about a pane, before its first file."""
        # After a kill the pane is made again of the same parts, with the same names, so that no event is in two panes.
        self._store.write(f"{self._directory}/{_INTENT}", msgspec.json.encode(intent))

    def begun(self) -> PaneIntent | None:
        """The pane that was begun and not ended; None if there is none.

        Raises:
            DeliveryError: the note about it is damaged.
        """
        name = f"{self._directory}/{_INTENT}"
        data = self._content(name)
        try:
            return None if data is None else _intent_decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DeliveryError(f"{name} is damaged ({error}); remove it", name) from error

    def end(self, intent: PaneIntent) -> None:
        """Removes the parts of a pane whose files are in place, then the note about it."""
        self.remove(intent.parts)
        self._store.delete(f"{self._directory}/{_INTENT}")

    def claim(self, owner: str) -> None:
        """Makes this process the owner; an earlier owner notices by `check_owner`."""
        self._store.write(f"{self._directory}/{_OWNER}", owner.encode())

    def check_owner(self, owner: str) -> None:
        """Checks that this process is still the owner.

        Raises:
            DeliveryError: another process has claimed the spool since.
        """
        # An object store has no locks, and two streams of one name would take each other's parts.
        if self._content(f"{self._directory}/{_OWNER}") != owner.encode():
            raise DeliveryError(
                f"{self._directory} now belongs to another stream of the same name; stop one of them, or give each "
                "its own --run_id",
                self._directory,
            )

    def _content(self, name: str) -> bytes | None:
        if not self._store.stamp(name):
            return None
        with self._store.open(name) as file:
            return file.read(_MAX_BYTES)

    def _stems(self, suffix: str) -> list[str]:
        names = self._store.names(self._directory)
        return [name.removesuffix(suffix) for name in names if name.endswith(suffix) and not name.startswith(".")]


# Panes. A stream has no end at which its files could be complete, so they are written pane by pane. Late events go to
# further panes; files that are in place are never changed.

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def write_pane(store: Store, layout: Layout, pieces: Iterable[Piece], framing: Framing, max_bytes: int) -> Manifest:
    """Writes the files of a pane and returns its manifest; does nothing if the pane is complete already.

    Args:
        store: of the parts and of the files.
        layout: of the pane; the same one only for the same pieces.
        pieces: all pieces of the pane, in any order.
        framing: format of the files.
        max_bytes: size limit of a file, 0 for a default.

    Raises:
        DeliveryError: the store refuses something, or a name is taken. Calling it again goes on.
    """
    done = manifest_of(store, layout)
    if done is not None and done.state == "done":
        return done
    store.delete_tree(layout.temporary)  # files of an interrupted attempt, without their final names
    by_path: dict[str, list[Piece]] = {}
    for piece in pieces:
        by_path.setdefault(piece.path, []).append(piece)
    try:
        plans = [plan for path, of_path in by_path.items() for plan in plan_files(path, of_path, layout, max_bytes)]
    except ValueError as error:
        raise DeliveryError(str(error), layout.manifest) from error
    written = [compose(store, plan, layout.written(uuid.uuid4().hex), framing, layout.compression) for plan in plans]
    return commit(store, layout, written)


def time_mark(seconds: int) -> str:
    """A time, in seconds since 1970, as it stands in names of files: 20261125T100000Z."""
    return f"{_EPOCH + dt.timedelta(seconds=seconds):%Y%m%dT%H%M%SZ}"


_MSEC: Final = 1000


class Publisher:
    """Makes panes of the parts in a spool when they are due; the only one for a spool, within the context `alone`.

    The pane of a window is made some time after the window's end, and late events make another pane after the same
    delay. So a window usually has one file, and late events have files of their own.

    Args:
        store: of the exporter's files.
        exporter: name of the exporter.
        stream: name of the stream.
        compression: of the files.
        framing: format of the files.
        max_bytes: size limit of a file, 0 for a default.
        window_secs: length of a window.
        delay_msec: delay of a pane after the end of its window, or after the arrival of its first late event.
    """

    def __init__(
        self,
        store: Store,
        exporter: str,
        stream: str,
        *,
        compression: str,
        framing: Framing,
        max_bytes: int,
        window_secs: int,
        delay_msec: int,
    ) -> None:
        self._store = store
        self._spool = Spool(store, exporter, stream)
        self._layout = Layout(exporter, stream, compression)
        self._framing = framing
        self._max_bytes = max_bytes
        self._window_msec = window_secs * _MSEC
        self._delay_msec = delay_msec
        self._owner = uuid.uuid4().hex

    @contextlib.contextmanager
    def alone(self, now_msec: int) -> Iterator[None]:
        """Context that holds the spool for this process while the stream runs.

        Raises:
            DeliveryError: the store cannot be written, or another stream of this name runs.
        """
        with self._store.alone(self._spool.lock):
            self._spool.claim(self._owner)
            self._spool.remove_stale(now_msec)
            yield

    def publish(self, now_msec: int, *, everything: bool = False) -> Manifest | None:
        """Makes a pane of all windows that are due; returns its manifest, None if no window is due.

        Args:
            now_msec: the time, milliseconds since 1970.
            everything: whether all windows are due, because the stream ends.

        Raises:
            DeliveryError: the store refuses something. Nothing is lost; calling it again goes on.
        """
        self._spool.check_owner(self._owner)
        # An interrupted pane comes first, with exactly its parts: some of its files may be in place already.
        interrupted = self._spool.begun()
        if interrupted is not None:
            self._finish(interrupted)
        parts = self._spool.parts()
        chosen = parts if everything else self._due(parts, now_msec)
        if not chosen:
            return None
        intent = PaneIntent(self._new_mark(now_msec // _MSEC), tuple(part.stem for part in chosen))
        self._spool.begin(intent)
        return self._finish(intent)

    def _due(self, parts: Sequence[SpooledPart], now_msec: int) -> list[SpooledPart]:
        first: dict[int, int] = {}
        for part in parts:
            first[part.window_secs] = min(part.since_msec, first.get(part.window_secs, part.since_msec))
        # All parts of a due window, also those that came just now: they spare a further file.
        due = {window for window, since in first.items() if self._due_msec(window, since) <= now_msec}
        return [part for part in parts if part.window_secs in due]

    def _due_msec(self, window_secs: int, since_msec: int) -> int:
        return max(window_secs * _MSEC + self._window_msec, since_msec) + self._delay_msec

    def _finish(self, intent: PaneIntent) -> Manifest:
        layout = self._pane(intent.mark)
        manifest = manifest_of(self._store, layout)
        # A pane that is done was interrupted while its parts were removed, so they cannot be read any more.
        if manifest is None or manifest.state != "done":
            pieces = [piece for stem in intent.parts for piece in self._spool.pieces(stem)]
            manifest = write_pane(self._store, layout, pieces, self._framing, self._max_bytes)
        self._spool.end(intent)
        return manifest

    def _new_mark(self, now_secs: int) -> str:
        """Mark of a new pane: the first time from now on that no pane of this stream has."""
        # A time and not a number, since numbers would start again when an operator has moved the files away.
        while self._store.stamp(self._pane(time_mark(now_secs)).manifest):
            now_secs += 1
        return time_mark(now_secs)

    def _pane(self, mark: str) -> Layout:
        return Layout(self._layout.exporter, f"{self._layout.run_id}-{mark}", self._layout.compression)
