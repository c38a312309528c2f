"""The files of an archive and its manifests, on this machine or in an object store."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from apache_beam.io.filesystems import FileSystems

from dovebeam.transforms.local_files import is_url
from dovebeam.transforms.shards.layout import MANIFEST_SUFFIX
from dovebeam.transforms.shards.manifest import Manifest, ManifestError, manifest_from_json
from dovebeam.transforms.sources import SourceError

__all__ = ["list_archive", "manifests_of"]

_MAX_MANIFEST_BYTES: Final = 256 * 1024 * 1024


def list_archive(root: str) -> dict[str, int]:
    """All files below a directory or the URL of a folder: their sizes in bytes by their names, relative to it.

    Raises:
        SourceError: it cannot be listed.
    """
    return _remote_files(root, "**") if is_url(root) else dict(_local_files(root))


def manifests_of(root: str, names: Collection[str] | None = None) -> list[Manifest]:
    """The manifests of an archive, in the order of their names.

    Args:
        root: its directory, or the URL of its folder, without a slash at the end.
        names: of all its files, if they are known.

    Raises:
        SourceError: one cannot be read, or is none.
    """
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
