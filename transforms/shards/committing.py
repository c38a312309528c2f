"""Manifests of runs, and the commit, which gives all files of a run their final names.

A commit never replaces an existing file unless the manifest of the same run lists it with the same checksum, so that it
is known to be the run's own. The manifest is written before the first file gets its name; a commit that was interrupted
or is repeated thus recognises its own files and goes on.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec

from dovebeam.transforms.errors import DeliveryError, DovebeamError
from dovebeam.transforms.shards.layout import Layout
from dovebeam.transforms.shards.local_store import Store, fingerprint
from dovebeam.transforms.shards.pieces import Existing, Fingerprint, WrittenFile

__all__ = [
    "Manifest",
    "ManifestError",
    "ManifestFile",
    "commit",
    "manifest_from_json",
    "manifest_of",
    "manifest_to_json",
]


_MANIFEST_VERSION: Final = 1


class ManifestError(DovebeamError):
    """Error for a file that should be a manifest and is not a valid one."""


class ManifestFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """Entry of a manifest for one file.

    Attributes:
        name: relative to the directory of the manifest.
        events: number of events in it.
        bytes: its size.
        sha256: of its bytes, in hex.
        first_time_usec: of an archive, the earliest time of its events, microseconds since 1970; None if unknown.
        last_time_usec: the latest one.
    """

    name: str
    events: int
    bytes: int
    sha256: str
    first_time_usec: int | None = None
    last_time_usec: int | None = None


class Manifest(msgspec.Struct, frozen=True):
    """The files that a run of an exporter made.

    Attributes:
        version: version of this format.
        exporter: name of the exporter.
        run_id: id of the run.
        state: "committing" while files get their names, "done" when they have them.
        events: number of events in all files.
        files: in the order of their names.
        replaces: while committing, the files of an earlier run of the same name that may still be there.
        attempt: while committing, an id that no other attempt has.
    """

    exporter: str
    run_id: str
    state: Literal["committing", "done"]
    events: int
    files: tuple[ManifestFile, ...]
    replaces: tuple[ManifestFile, ...] = ()
    attempt: str = ""
    version: int = _MANIFEST_VERSION

    def own(self) -> dict[str, set[Fingerprint]]:
        """Sizes and checksums of all files that the run may have put in place, by name."""
        # A name can have two: an interrupted commit may or may not have replaced the file of the run before it.
        found: dict[str, set[Fingerprint]] = {}
        for file in self._all():
            found.setdefault(file.name, set()).add(Fingerprint(file.bytes, file.sha256))
        return found

    def _all(self) -> Iterator[ManifestFile]:
        yield from self.files
        yield from self.replaces


class _Version(msgspec.Struct):
    version: int


_version_decoder: Final = msgspec.json.Decoder(_Version)
_decoder: Final = msgspec.json.Decoder(Manifest)


def manifest_to_json(manifest: Manifest) -> bytes:
    """The JSON text of a manifest, indented for people."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def manifest_from_json(data: bytes, name: str) -> Manifest:
    """Parses a manifest.

    Raises:
        ManifestError: it is not valid, or of a later version.
    """
    # The version first: a later one may have members of other types, which would look like damage.
    try:
        version = _version_decoder.decode(data).version
        manifest = _decoder.decode(data) if version == _MANIFEST_VERSION else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestError(
            f"{name} is not a manifest of dovebeam ({error}); move it away, or choose another place"
        ) from None
    if manifest is None:
        raise ManifestError(
            f"{name} has version {version}, and this dovebeam knows {_MANIFEST_VERSION}; use a newer one"
        )
    # `replay` counts lost events by these numbers, so they must agree.
    counted = sum(file.events for file in manifest.files)
    if manifest.events != counted:
        raise ManifestError(
            f"{name} counts {manifest.events} events, and its files have {counted}; restore it from a backup"
        )
    return manifest


def sorted_files(files: Iterable[ManifestFile]) -> tuple[ManifestFile, ...]:
    """The files in the order of their names."""
    return tuple(sorted(files, key=lambda file: file.name))


# The commit.

_MAX_MANIFEST_BYTES: Final = 256 * 1024 * 1024
_Own = Mapping[str, set[Fingerprint]]


def commit(store: Store, layout: Layout, files: Sequence[WrittenFile]) -> Manifest:
    """Gives the files of a run their final names; returns the manifest of the run.

    Args:
        store: of the files.
        layout: of the run.
        files: all files of the run.

    Raises:
        DeliveryError: a final name is taken by a file of another origin, or the store refuses something. The job fails;
            running it again goes on.
    """
    _check_distinct(files)
    with store.alone(layout.lock):
        return _commit(store, layout, files)


def _commit(store: Store, layout: Layout, files: Sequence[WrittenFile]) -> Manifest:
    # The order is the guarantee. All names are checked before anything is changed; the manifest lists the files before
    # the first one appears; it says "done" only when all are in place; and parts go last, so that whatever is
    # interrupted before can be repeated.
    earlier = manifest_of(store, layout)
    own = earlier.own() if earlier else {}
    taken = _own_names(store, files, own, layout)
    intent = _intent(layout, files, earlier)
    store.write(layout.manifest, manifest_to_json(intent))
    for file in files:
        _publish(store, file, taken)
    _check_alone(store, layout, intent)
    _remove_others(store, own, {file.name for file in files})
    done = Manifest(layout.exporter, layout.run_id, "done", intent.events, intent.files)
    store.write(layout.manifest, manifest_to_json(done))
    store.delete_tree(layout.temporary)
    return done


def _intent(layout: Layout, files: Sequence[WrittenFile], earlier: Manifest | None) -> Manifest:
    described = sorted_files(map(_describe, files))
    replaces = _earlier_files(earlier, {(each.name, each.sha256) for each in described})
    events = sum(file.events for file in files)
    return Manifest(layout.exporter, layout.run_id, "committing", events, described, replaces, uuid.uuid4().hex)


def _check_distinct(files: Sequence[WrittenFile]) -> None:
    """Raises DeliveryError if two files have the same name."""
    # Names are made so that this cannot be. If it is, the second file would replace the first, and events be lost.
    names = Counter(file.name for file in files)
    name, count = max(names.items(), key=lambda item: item[1], default=("", 0))
    if count > 1:
        message = f"{count} different paths would become the one file {name}, so nothing was written"
        raise DeliveryError(f"{message} (change file_path_template so that its names differ)", name)


def manifest_of(store: Store, layout: Layout) -> Manifest | None:
    """The manifest of an earlier or interrupted run of this name; None if there is none.

    Raises:
        DeliveryError: the file of that name is not a manifest, or is that of another run.
    """
    if not store.stamp(layout.manifest):
        return None
    with store.open(layout.manifest) as file:
        data = file.read(_MAX_MANIFEST_BYTES)
    try:
        manifest = manifest_from_json(data, layout.manifest)
    except ManifestError as error:
        raise DeliveryError(str(error), layout.manifest) from error
    if (manifest.exporter, manifest.run_id) != (layout.exporter, layout.run_id):
        message = f"{layout.manifest} is of exporter {manifest.exporter!r} and run {manifest.run_id!r}, not of this one"
        raise DeliveryError(f"{message}; move it away, or name another run", layout.manifest)
    return manifest


def _earlier_files(earlier: Manifest | None, new: set[tuple[str, str]]) -> tuple[ManifestFile, ...]:
    """Files that earlier runs may have left in place, without those that are the same in this run."""
    if earlier is None:
        return ()
    # Also what the earlier run was about to replace: it may have been interrupted before it did.
    found = {(each.name, each.sha256): each for each in (*earlier.files, *earlier.replaces)}
    return sorted_files(each for key, each in found.items() if key not in new)


def _own_names(store: Store, files: Iterable[WrittenFile], own: _Own, layout: Layout) -> set[str]:
    """Final names that are taken by files of this run itself.

    Raises:
        DeliveryError: a name is taken by something else.
    """
    taken = set()
    for file in files:
        stamp = store.stamp(file.name)
        if stamp:
            if file.name not in own or _content(store, file, stamp) not in own[file.name]:
                raise DeliveryError(
                    f"{file.name} exists, and run {layout.run_id!r} did not create it, or it was changed since; "
                    "nothing was replaced (move it away, or give another --run_id)",
                    file.name,
                )
            taken.add(file.name)
    return taken


def _content(store: Store, file: WrittenFile, stamp: str) -> Fingerprint:
    """Fingerprint of the file that has the final name."""
    # Taken from the workers if the stamp is still the same, since reading all files here would take long.
    known: Existing | None = file.existing
    return known.fingerprint if known and known.stamp == stamp else fingerprint(store, file.name)


def _publish(store: Store, file: WrittenFile, taken: set[str]) -> None:
    """Gives a file its final name, unless an interrupted commit has already done so."""
    if store.stamp(file.temporary):
        store.publish(file.temporary, file.name, replaces=file.name in taken)
    elif file.name not in taken or fingerprint(store, file.name) != file.fingerprint:
        raise _not_alone(f"{file.temporary} is gone before it became {file.name}", file.name)


def _check_alone(store: Store, layout: Layout, intent: Manifest) -> None:
    """Raises DeliveryError if another commit of the same run has written the manifest since."""
    # Two runs of one name that commit at the same time could mix their files where a store has no locks. The one that
    # wrote the manifest first notices, unless the other one starts at this very moment.
    now = manifest_of(store, layout)
    if now is None or now.attempt != intent.attempt:
        raise _not_alone(f"{layout.manifest} was written by another process meanwhile", layout.manifest)


def _not_alone(message: str, name: str) -> DeliveryError:
    advice = "is the same run active elsewhere? (run the job again when no other one is active)"
    return DeliveryError(f"{message}; {advice}", name)


def _remove_others(store: Store, own: _Own, new: set[str]) -> None:
    """Removes files of an earlier run of this name that the new one does not have; changed files stay."""
    for name, contents in own.items():
        if name not in new and store.stamp(name) and fingerprint(store, name) in contents:
            store.delete(name)


def _describe(file: WrittenFile) -> ManifestFile:
    first, last = file.span or (None, None)
    return ManifestFile(file.name, file.events, file.bytes, file.sha256, first, last)
