"""What a replay reads: the files of an archive that may hold events of its time, and no others.

An input that is a directory, or the URL of a folder with a slash at its end, is an archive: its manifests say what is
in its files. Of other patterns only the names of partitions are known. Nothing is skipped that may hold a wanted event.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from apache_beam.io.filesystems import FileSystems

from dovebeam.transforms.archives import ArchiveFile, archive_files, is_wanted
from dovebeam.transforms.reading import match_files
from dovebeam.transforms.shards.layout import MANIFEST_SUFFIX
from dovebeam.transforms.shards.manifest import Manifest, ManifestError, manifest_from_json
from dovebeam.transforms.sources import SourceError
from dovebeam.transforms.time_range import TimeRange

__all__ = ["Selection", "select_input"]

_AVRO: Final = ".avro"
_MAX_MANIFEST_BYTES: Final = 256 * 1024 * 1024


class Selection(NamedTuple):
    """Files to read, and how many there are.

    Attributes:
        files: those that may hold events of the range, absolute.
        found: how many files the inputs have.
    """

    files: tuple[str, ...]
    found: int


def select_input(inputs: Sequence[str], time_range: TimeRange) -> Selection:
    """The files of `inputs` that a replay of `time_range` has to read.

    Raises:
        SourceError: a pattern matches nothing, or a manifest; a manifest cannot be read, a file that it names is
            missing, or a run that wrote into the range was not finished.
    """
    wanted: dict[str, None] = {}
    found = 0
    for each in inputs:
        files = _files_of_archive(each, time_range) if _is_archive(each) else _files_of_pattern(each)
        found += len(files)
        wanted.update((name, None) for name, file in files if is_wanted(file, time_range))
    return Selection(tuple(wanted), found)


def _is_archive(path: str) -> bool:
    return path.endswith("/") if "://" in path else os.path.isdir(path)


def _files_of_pattern(pattern: str) -> list[tuple[str, ArchiveFile]]:
    files = [file.location for file in match_files([pattern])]
    manifest = next((uri for uri in files if uri.endswith(MANIFEST_SUFFIX)), None)
    if manifest is not None:
        message = "is the manifest of an archive and holds no events; name the directory of the archive instead"
        raise SourceError(message, manifest)
    return [(uri, ArchiveFile(uri)) for uri in files]


def _files_of_archive(root: str, time_range: TimeRange) -> list[tuple[str, ArchiveFile]]:
    root = root.rstrip("/") if "://" in root else os.path.abspath(root)
    list_names, read = (_remote_names, _read_remote) if "://" in root else (_local_names, _read_local)
    names = set(list_names(root))
    manifests = list(_manifests(root, sorted(name for name in names if name.endswith(MANIFEST_SUFFIX)), read))
    files = archive_files((name for name in names if name.endswith(_AVRO)), manifests)
    if not files and not manifests:
        raise SourceError("is no archive: there are neither Avro files nor manifests in it", root)
    for manifest in manifests:
        _check(root, manifest, names, time_range)
    return [(f"{root}/{file.name}", file) for file in files]


def _manifests(root: str, names: Sequence[str], read: Callable[[str], bytes]) -> Iterator[Manifest]:
    for name in names:
        path = f"{root}/{name}"
        try:
            yield manifest_from_json(read(path), path)
        except ManifestError as error:
            raise SourceError(str(error), path) from error


def _check(root: str, manifest: Manifest, names: set[str], time_range: TimeRange) -> None:
    """Finds out that a replay would leave out events before it begins."""
    wanted = [
        file.name
        for file in archive_files((file.name for file in manifest.files), [manifest])
        if is_wanted(file, time_range)
    ]
    if wanted and manifest.state != "done":
        raise SourceError(
            f"run {manifest.run_id!r} has not finished writing {len(wanted)} files of that time; wait for it, or run "
            "the same `dovebeam archive` again",
            root,
        )
    missing = [name for name in wanted if name not in names]
    if missing:
        raise SourceError(
            f"{len(missing)} files that run {manifest.run_id!r} wrote are missing, the first is {missing[0]}; restore "
            "them, or archive their events again",
            root,
        )


def _local_names(root: str) -> Iterator[str]:
    for folder, _, names in os.walk(root):
        inner = os.path.relpath(folder, root)
        for name in names:
            yield name if inner == "." else f"{inner}/{name}"


def _remote_names(root: str) -> Iterator[str]:
    try:
        found = FileSystems.match([f"{root}/**"])[0].metadata_list
    except Exception as error:  # each file system has its own exceptions
        raise SourceError(f"cannot be listed: {error}", root) from error
    return (each.path.removeprefix(f"{root}/") for each in found)


def _read_local(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(_MAX_MANIFEST_BYTES)
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", path) from error


def _read_remote(path: str) -> bytes:
    try:
        with FileSystems.open(path) as file:
            return bytes(file.read(_MAX_MANIFEST_BYTES))
    except Exception as error:  # each file system has its own exceptions
        raise SourceError(f"cannot be read: {error}", path) from error
