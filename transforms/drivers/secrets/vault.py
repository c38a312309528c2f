"""The vault: texts of the secrets that a process found in its configuration, kept so that none is ever pickled.

A pickled secret is a random id. In the process that launched a job the id leads back to the text; worker processes on
the same machine find it in a directory that only this user can read (`SharedSecrets`), whose path an environment
variable gives them. Anywhere else the id leads to nothing, on purpose: a job's graph is stored and shown by runners.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

from dovebeam.transforms.local_files import TemporaryFolder, open_new, remove_folder

__all__ = ["ENVIRONMENT", "SharedSecrets", "keep", "recall", "wipe"]

ENVIRONMENT: Final = "DOVEBEAM_SECRETS_DIR"
"""The environment variable with the directory of `SharedSecrets`; worker processes inherit it."""

_ID: Final = re.compile(r"[0-9a-f]{32}\Z")
# Memory that no disk ever sees, where there is such a file system.
_MEMORY: Final = "/dev/shm"  # noqa: S108  a directory of its own in it is made by mkdtemp

_lock = threading.Lock()
# Both ways, because equal texts get one id: drivers with the same secret must be equal, as keys of caches are.
_texts: dict[str, str] = {}
_ids: dict[str, str] = {}


def keep(text: str) -> str:
    """Keeps a text as long as this process lives; returns its id, the same for equal texts."""
    with _lock:
        identity = _ids.get(text)
        if identity is None:
            # Random, not a hash: short passwords can be found from their hash by trying.
            identity = _ids[text] = os.urandom(16).hex()
            _texts[identity] = text
        return identity


def recall(identity: str) -> str | None:
    """The text of an id; None if another process keeps it and does not share it with this one."""
    text = _texts.get(identity)
    directory = os.environ.get(ENVIRONMENT, "")
    # The pattern keeps an id that was tampered with from becoming a path that leads out of the directory.
    if text is None and directory and _ID.match(identity):
        text = _read(os.path.join(directory, identity))
        if text is not None:
            with _lock:
                _texts[identity] = text
                _ids.setdefault(text, identity)
    return text


def wipe() -> None:
    """Removes the directory of shared secrets; for workers whose launcher was killed before it could do so."""
    directory = os.environ.get(ENVIRONMENT, "")
    if directory:
        remove_folder(directory)


class SharedSecrets:
    """Context manager that shares secrets with the worker processes that are started within it.

    The directory has mode 0700, its files 0600, and it is in memory where the system has `/dev/shm`. Only one can be
    open in a process.

    Args:
        identities: ids from `keep` of the secrets to share; without any there is no directory.
    """

    def __init__(self, identities: Iterable[str]) -> None:
        self._identities = sorted(set(identities))
        self._folder: TemporaryFolder | None = None
        self._directory = ""
        self._before: str | None = None

    def __enter__(self) -> Self:
        if self._identities:
            self._before = os.environ.get(ENVIRONMENT)
            self._folder = TemporaryFolder("secrets", _MEMORY if os.access(_MEMORY, os.W_OK) else None)
            self._directory = self._folder.path
            try:
                for identity in self._identities:
                    _write(os.path.join(self._directory, identity), recall(identity) or "")
            except BaseException:
                self._folder.close()
                raise
            # Last, so that no worker is ever given a directory that is not complete.
            os.environ[ENVIRONMENT] = self._directory
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        if self._directory:
            # In a worker that runs a job of its own, this is the directory of its launcher.
            if self._before is None:
                os.environ.pop(ENVIRONMENT, None)
            else:
                os.environ[ENVIRONMENT] = self._before
            if self._folder is not None:
                self._folder.close()
            self._directory = ""


def _write(path: str, text: str) -> None:
    with open(open_new(path, 0o600), "wb") as file:
        file.write(text.encode("utf-8", "surrogateescape"))


def _read(path: str) -> str | None:
    with contextlib.suppress(OSError):
        # Not through a link: in a directory of another user, one could lead to any file of this one.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            return file.read().decode("utf-8", "surrogateescape")
    return None
