"""Selection of the input of a replay: the files of an archive that may hold events of its time range.

An input that is a directory, or the URL of a folder with a slash at its end, is an archive; its manifests describe its
files. A pattern may match files of archives, too, which are then described by their manifests. No file is skipped that
may hold a wanted event, and nothing is sent if a file has another size than its manifest says.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from apache_beam.io.filesystems import FileSystems

from dovebeam.pipelines.terminal.logs import say
from dovebeam.transforms.events.event import TimeRange
from dovebeam.transforms.filesystems import match_files
from dovebeam.transforms.local_files import is_url
from dovebeam.transforms.shards.archive import ArchiveFile, archive_files, archive_of, is_wanted
from dovebeam.transforms.shards.committing import Manifest, ManifestError, manifest_from_json
from dovebeam.transforms.shards.layout import MANIFEST_SUFFIX
from dovebeam.transforms.sources import Expected, SourceError, absolute_pattern, distinct_files, found_file

__all__ = ["Selection", "select_input"]

_AVRO: Final = ".avro"
_MAX_MANIFEST_BYTES: Final = 256 * 1024 * 1024


class Selection(NamedTuple):
    """Files that a replay has to read.

    Attributes:
        files: that may hold events of the range, with absolute paths.
        found: number of distinct files of the inputs.
        expected: size, checksum and events by the manifests, by the files' names in a job; some may be in no manifest.
        counted: events in all of them by the manifests; None if one of them is in no manifest.
    """

    files: tuple[str, ...]
    found: int
    expected: Mapping[str, Expected]
    counted: int | None


class _Archived(NamedTuple):
    """A file of the input.

    Attributes:
        uri: its absolute path or URL.
        known: its description, by its manifest or its name.
        size: in bytes; None if it is missing.
        expected: size, checksum and events by its manifest; None if it is in no manifest.
    """

    uri: str
    known: ArchiveFile
    size: int | None
    expected: Expected | None


def select_input(inputs: Sequence[str], time_range: TimeRange) -> Selection:
    """Selects the files of `inputs` that a replay of `time_range` has to read.

    Raises:
        SourceError: a pattern matches nothing, or a manifest; a manifest cannot be read, files that it names are
            missing or have another size, or a run that wrote into the range was not finished.
    """
    files: dict[str, _Archived] = {}
    for each in _distinct_inputs(inputs):
        found = _files_of_archive(each, time_range) if _is_archive(each) else _files_of_pattern(each)
        files.update((file.uri, file) for file in found)
    wanted = {uri: file for uri, file in files.items() if is_wanted(file.known, time_range)}
    # Only the wanted files: damage at other times must not keep anyone from replaying these.
    _check_sizes(wanted.values())
    _, again = distinct_files(path for path in sorted(wanted) if not is_url(path))
    for name, kept in again:
        say(f"{name} is the same file as {kept}, and is read once")
        del wanted[name]
    expected = {found_file(file.uri, 0).uri: file.expected for file in wanted.values() if file.expected is not None}
    counted = sum(each.events for each in expected.values()) if len(expected) == len(wanted) else None
    return Selection(tuple(wanted), len(files) - len(again), expected, counted)


def _distinct_inputs(inputs: Sequence[str]) -> list[str]:
    """The inputs, each once; prints which are given in several spellings."""
    spellings: dict[str, str] = {}
    for given in inputs:
        place = given if is_url(given) else absolute_pattern(given).rstrip(os.sep)
        kept = spellings.setdefault(place, given)
        if kept != given:
            say(f"{given} is another spelling of {kept}, and is read once")
    return list(spellings.values())


def _is_archive(path: str) -> bool:
    return path.endswith("/") if is_url(path) else os.path.isdir(path)


def _files_of_pattern(pattern: str) -> list[_Archived]:
    files = match_files([pattern])
    manifest = next((file.uri for file in files if file.uri.endswith(MANIFEST_SUFFIX)), None)
    if manifest is not None:
        message = "is the manifest of an archive and holds no events; name the directory of the archive instead"
        raise SourceError(message, manifest)
    known: dict[str, tuple[ArchiveFile, Expected]] = {}
    for root in {root for file in files if (root := archive_of(file.uri)) is not None}:
        known.update(_known_files(root))
    unknown = ((file, known.get(file.uri, (ArchiveFile(file.uri), None))) for file in files)
    return [_Archived(file.uri, about, file.size, expected) for file, (about, expected) in unknown]


def _known_files(root: str) -> dict[str, tuple[ArchiveFile, Expected]]:
    """Descriptions of an archive's files by its manifests, by their absolute paths or URLs."""
    manifests = _manifests_of(root)
    expected = _expected(manifests)
    return {f"{root}/{file.name}": (file, expected[file.name]) for file in archive_files(expected, manifests)}


def _files_of_archive(root: str, time_range: TimeRange) -> list[_Archived]:
    root = root.rstrip("/") if is_url(root) else os.path.abspath(root)
    sizes = _list_archive(root)
    manifests = _manifests_of(root, sizes)
    expected = _expected(manifests)
    files = archive_files((name for name in {*sizes, *expected} if name.endswith(_AVRO)), manifests)
    if not files and not manifests:
        raise SourceError("is not an archive: there are neither Avro files nor manifests in it", root)
    for manifest in manifests:
        _check_finished(root, manifest, time_range)
    return [_Archived(f"{root}/{file.name}", file, sizes.get(file.name), expected.get(file.name)) for file in files]


def _check_finished(root: str, manifest: Manifest, time_range: TimeRange) -> None:
    """Refuses an archive into whose wanted time range a run may still write."""
    if manifest.state == "done":
        return
    files = archive_files((file.name for file in manifest.files), [manifest])
    if wanted := [file.name for file in files if is_wanted(file, time_range)]:
        raise SourceError(
            f"run {manifest.run_id!r} has not finished writing {len(wanted)} files of that time; wait for it, or run "
            "the same `dovebeam archive` again",
            root,
        )


def _check_sizes(files: Iterable[_Archived]) -> None:
    """Refuses missing or cut off files before anything is sent, and names all of them."""
    differing = []
    for file in files:
        if file.expected is not None and file.size != file.expected.bytes:
            found = "is missing" if file.size is None else f"has {file.size} bytes, not {file.expected.bytes}"
            differing.append(f"\n  {file.uri}: {found}")
    if differing:
        raise SourceError(
            f"{len(differing)} files of the archive are not as its manifests say; nothing was sent. Restore them from "
            f"a backup, or archive their events again:{''.join(differing)}"
        )


def _expected(manifests: Iterable[Manifest]) -> dict[str, Expected]:
    """Size, checksum and events of files by their manifests, by their names in the archive."""
    files = (file for manifest in manifests for file in manifest.files)
    return {file.name: Expected(file.bytes, file.sha256, file.events) for file in files}


def _list_archive(root: str) -> dict[str, int]:
    """Sizes in bytes of all files below a directory or the URL of a folder, by their relative names.

    Raises:
        SourceError: it cannot be listed.
    """
    return _remote_files(root, "**") if is_url(root) else dict(_local_files(root))


def _manifests_of(root: str, names: Collection[str] | None = None) -> list[Manifest]:
    """The manifests of an archive, in the order of their names.

    Args:
        root: its directory, or the URL of its folder, without a slash at the end.
        names: of all its files, if they are known.

    Raises:
        SourceError: one cannot be read, or is not a valid manifest.
    """
    # Only those at the top: the commit of a run puts its manifest there.
    if names is None:
        names = _remote_files(root, f"*{MANIFEST_SUFFIX}") if is_url(root) else _local_manifests(root)
    return [_manifest(f"{root}/{name}") for name in sorted(names) if name.endswith(MANIFEST_SUFFIX)]


def _manifest(path: str) -> Manifest:
    data = _read_remote(path) if is_url(path) else _read_local(path)
    try:
        return manifest_from_json(data, path)
    except ManifestError as error:
        raise SourceError(str(error), path) from error


def _local_files(root: str) -> Iterator[tuple[str, int]]:
    for folder, _, names in os.walk(root):
        inner = os.path.relpath(folder, root)
        for name in names:
            try:
                size = os.stat(os.path.join(folder, name)).st_size
            except OSError:  # a link to nothing, or a temporary file of a job that runs
                continue
            yield (name if inner == "." else f"{inner}/{name}"), size


def _local_manifests(root: str) -> list[str]:
    return [os.path.basename(path) for path in glob.glob(f"{glob.escape(root)}/*{MANIFEST_SUFFIX}")]


def _remote_files(root: str, pattern: str) -> dict[str, int]:
    try:
        found = FileSystems.match([f"{root}/{pattern}"])[0].metadata_list
    except Exception as error:  # each file system has its own exceptions
        raise SourceError(f"cannot be listed: {error}", root) from error
    return {each.path.removeprefix(f"{root}/"): each.size_in_bytes or 0 for each in found}


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
