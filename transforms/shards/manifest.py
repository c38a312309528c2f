"""The manifest of a run: its files with their sizes and checksums, and whether all of them are in place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal

import msgspec

from dovebeam.transforms.errors import DovebeamError
from dovebeam.transforms.shards.fingerprints import Fingerprint

__all__ = ["Manifest", "ManifestError", "ManifestFile", "manifest_from_json", "manifest_to_json"]

_VERSION: Final = 1


class ManifestError(DovebeamError):
    """A file that should be a manifest and is none."""


class ManifestFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file.

    Attributes:
        name: relative to the directory of the manifest.
        events: how many it holds.
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
    """What a run of an exporter made.

    Attributes:
        version: of this format.
        exporter: its name.
        run_id: what the run is called.
        state: "committing" while files get their names, "done" when they have them.
        events: in all files.
        files: in the order of their names.
        replaces: while committing, the files of an earlier run of the same name that may still be there.
        attempt: while committing, what no other attempt to commit has.
    """

    exporter: str
    run_id: str
    state: Literal["committing", "done"]
    events: int
    files: tuple[ManifestFile, ...]
    replaces: tuple[ManifestFile, ...] = ()
    attempt: str = ""
    version: int = _VERSION

    def own(self) -> dict[str, set[Fingerprint]]:
        """Sizes and checksums by name of everything that the run may have put in place."""
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
    """For people and programs: one line for each file."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def manifest_from_json(data: bytes, name: str) -> Manifest:
    """Reads a manifest.

    Raises:
        ManifestError: it is none, or one of a later version.
    """
    try:
        version = _version_decoder.decode(data).version
        manifest = _decoder.decode(data) if version == _VERSION else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestError(
            f"{name} is no manifest of dovebeam ({error}); move it away, or choose another place"
        ) from None
    if manifest is not None and manifest.events != sum(file.events for file in manifest.files):
        raise ManifestError(f"{name} counts other events than its files have together; restore it from a backup")
    if manifest is None:
        raise ManifestError(f"{name} has version {version}, and this dovebeam knows {_VERSION}; use a newer one")
    return manifest


def sorted_files(files: Iterable[ManifestFile]) -> tuple[ManifestFile, ...]:
    """In the order of their names."""
    return tuple(sorted(files, key=lambda file: file.name))
