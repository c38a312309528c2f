"""Configurations in object stores: `load_config` for paths of this machine and for URLs that Beam can read.

    load_config("gs://bucket/dovecot.conf")

An `!include` in such a file, and a value `<NAME`, is looked up beside it in the store; an absolute path is one of the
machine that reads the configuration, which is the one that launches the job.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from dovebeam.transforms.config.files import LOCAL_FILES, MAX_FILE_BYTES, text_of
from dovebeam.transforms.config.loading import Reading
from dovebeam.transforms.config.loading import load_config as load_with
from dovebeam.transforms.config.loading import read_config as read_with
from dovebeam.transforms.local_files import is_url

if TYPE_CHECKING:
    from dovebeam.transforms.config import Config

__all__ = ["AnyFiles", "load_config", "read_config"]

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class AnyFiles:
    """Files of this machine, and objects by their URLs; see `ConfigFiles`. Beam is loaded for the latter only."""

    def __init__(self) -> None:
        self._pipes: dict[tuple[int, int] | None, str] = {}

    def read(self, path: str, *, limit: int = MAX_FILE_BYTES, pipes: bool = False) -> str:
        """Text of a file or an object.

        Raises:
            OSError: it cannot be read.
            TooLargeError: it is longer than `limit`.
        """
        if not is_url(path):
            return self._read_local(path, limit, pipes=pipes)
        # Each store reports a missing object in its own way; asked first, it is the same error as for a missing file.
        if not self.exists(path):
            raise OSError(errno.ENOENT, "No such object", path)
        # One byte more than the limit shows that an object is longer, without reading all of it.
        data: bytes = _asked(path, lambda systems: _read(systems, path, limit + 1))
        return text_of(path, data, limit)

    def _read_local(self, path: str, limit: int, *, pipes: bool) -> str:
        """Text of a file of this machine. A pipe can be read only once, so its text is kept for the next call."""
        status = os.stat(path)
        # By inode, since one pipe has several names: /dev/stdin, /dev/fd/0, /proc/self/fd/0.
        pipe = (status.st_dev, status.st_ino) if pipes and stat.S_ISFIFO(status.st_mode) else None
        if pipe in self._pipes:
            return self._pipes[pipe]
        text = LOCAL_FILES.read(path, limit=limit, pipes=pipes)
        if pipe is not None:
            self._pipes[pipe] = text
        return text

    def exists(self, path: str) -> bool:
        """Whether there is such a file or object.

        Raises:
            OSError: the store does not say.
        """
        if not is_url(path):
            return LOCAL_FILES.exists(path)
        return bool(_asked(path, lambda systems: systems.exists(path)))

    def glob(self, pattern: str) -> list[str]:
        """Paths that a pattern matches.

        Raises:
            OSError: the store does not say.
        """
        if not is_url(pattern):
            return LOCAL_FILES.glob(pattern)
        (found,) = _asked(pattern, lambda systems: systems.match([pattern]))
        return [each.path for each in found.metadata_list]


# One for the process: `read_config` and `load_config` may be given the same pipe, one after the other.
_FILES: Final = AnyFiles()


def load_config(paths: Paths, *, environ: Mapping[str, str] | None = None, strict: bool = False) -> Config:
    """Reads a Dovecot configuration.

    Args:
        paths: one file, or several that are read in order, where later ones override earlier ones; paths of this
            machine, or URLs. The first must be complete; the others need not repeat the versions. Put settings that
            only dovebeam has into a later one.
        environ: environment variables for `$ENV:` and `%{env:...}`; by default those of this process.
        strict: whether a feature of a later Dovecot is an error. Otherwise, the block that uses it is left out, with a
            warning.

    Raises:
        ConfigError: the configuration has errors; it lists all of them, in the order of the files.
        ValueError: no path is given.
    """
    return load_with(paths, environ=environ, files=_FILES, strict=strict)


def read_config(
    paths: Paths, *, environ: Mapping[str, str] | None = None, strict: bool = False, remote: bool = False
) -> Reading:
    """Read a configuration together with the problems in it, instead of raising them.

    The arguments are those of `load_config`; with `remote` the configuration is for other machines, so that a file
    that it names and that is not here is a warning.
    """
    return read_with(paths, environ=environ, files=_FILES, strict=strict, remote=remote)


def _asked(path: str, question: Any) -> Any:
    """The answer of Beam's file systems; any exception of a store becomes an `OSError`.

    Raises:
        OSError: they do not answer.
    """
    # Imported here, only for URLs: Beam takes seconds to load, and commands read local files without it.
    from apache_beam.io.filesystems import FileSystems  # noqa: PLC0415

    from dovebeam.transforms.filesystems import store_error_text  # noqa: PLC0415

    try:
        return question(FileSystems)
    except Exception as error:
        # In one line, since the text becomes part of a problem with its file and line.
        raise OSError(errno.EIO, " ".join(store_error_text(error).split()), path) from error


def _read(systems: Any, path: str, limit: int) -> bytes:
    from apache_beam.io.filesystem import CompressionTypes  # noqa: PLC0415

    # As it is stored: Beam would decompress by the name's ending, and a local file is not decompressed either.
    with systems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        data: bytes = file.read(limit)
    return data
