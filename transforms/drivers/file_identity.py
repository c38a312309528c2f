"""Whether a file has been replaced since it was read: certificates and secrets are, while a job runs."""

from __future__ import annotations

import os
from collections.abc import Iterable

__all__ = ["Identity", "file_identities"]

Identity = tuple[int, ...]
"""Device, inode, size and times of a file; of a directory also those of all that is in it; empty if there is none."""


def file_identities(paths: Iterable[str]) -> tuple[Identity, ...]:
    """The identity of each file: another one after it was written, renamed over, or its symbolic link moved."""
    return tuple(_identity(path) for path in paths)


def _identity(path: str) -> Identity:
    try:
        found = os.stat(path)  # follows links: Kubernetes replaces mounted secrets by moving one
        own = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if not os.path.isdir(path):
            return own
        return (*own, *(number for name in sorted(os.listdir(path)) for number in _entry(os.path.join(path, name))))
    except OSError:
        return ()


def _entry(path: str) -> Identity:
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
