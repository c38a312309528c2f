"""Access to the files of a configuration, on this machine or elsewhere, and the patterns of `!include`.

The configuration language needs three things of its files: their text, whether a name exists, and which names a pattern
matches. To keep configurations elsewhere, such as in an object store, implement `ConfigFiles`; paths are then URLs, and
relative names belong to the file that names them.

Patterns follow Dovecot's configuration language, section "Includes": `*`, `?`, `[...]` and `{a,b}`, relative to the
including file; matches are read in the order of their bytes, each alternative of a brace in its place.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import stat
from itertools import pairwise
from typing import Final, Protocol

from dovebeam.transforms.local_files import is_url

__all__ = [
    "LOCAL_FILES",
    "MAX_FILE_BYTES",
    "MAX_PATTERN_ALTERNATIVES",
    "MAX_PATTERN_CHARS",
    "ConfigFiles",
    "LocalFiles",
    "TooLargeError",
    "beside",
    "match_files",
    "text_of",
]


MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""Size limit of a configuration file."""

# Nested braces multiply: `{a,b}` thirty times in a row is a billion names.
MAX_PATTERN_ALTERNATIVES: Final = 1000
MAX_PATTERN_CHARS: Final = 4096

_MAGIC = re.compile(r"[*?\[]")


class TooLargeError(Exception):
    """A file or a pattern beyond dovebeam's limits; the text says which limit."""


class ConfigFiles(Protocol):
    """Access to the files of a configuration."""

    def read(self, path: str, *, limit: int = MAX_FILE_BYTES, pipes: bool = False) -> str:
        """Content of a file as text; bytes that are not UTF-8 become surrogate escapes.

        Args:
            path: the file.
            limit: size limit in bytes.
            pipes: also read a file that is not a regular one, such as a pipe.

        Raises:
            OSError: it cannot be read; its `strerror` says why.
            TooLargeError: it is longer than `limit`.
        """
        ...  # pragma: no cover

    def exists(self, path: str) -> bool:
        """Whether the name exists, as a file or anything else.

        Raises:
            OSError: the lookup failed.
        """
        ...  # pragma: no cover

    def glob(self, pattern: str) -> list[str]:
        """Names that match a pattern with `*`, `?` and `[...]`, in any order.

        Raises:
            OSError: the lookup failed.
        """
        ...  # pragma: no cover


class LocalFiles:
    """Files of this machine."""

    def read(self, path: str, *, limit: int = MAX_FILE_BYTES, pipes: bool = False) -> str:
        """See `ConfigFiles`; a directory reads as empty, as in Dovecot. A pipe may block."""
        # Opening a pipe without a writer would block forever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if pipes else os.O_NONBLOCK))
        try:
            mode = os.fstat(descriptor).st_mode
            # As in Dovecot: `!include` of a directory, also by an empty argument, reads an empty file.
            if stat.S_ISDIR(mode):
                return ""
            if not pipes and not stat.S_ISREG(mode):
                raise OSError(errno.EINVAL, "Not a regular file", path)
            with open(descriptor, "rb", closefd=False) as file:
                # One byte more than allowed shows that the file is too large; pipes have no size that could tell.
                data = file.read(limit + 1)
        finally:
            os.close(descriptor)
        return text_of(path, data, limit)

    def exists(self, path: str) -> bool:
        """See `ConfigFiles`; a symbolic link without a target exists, too."""
        return os.path.lexists(path)

    def glob(self, pattern: str) -> list[str]:
        """See `ConfigFiles`."""
        return glob.glob(pattern)


LOCAL_FILES: Final = LocalFiles()


def text_of(path: str, data: bytes, limit: int) -> str:
    """Content of a file as text; `data` is at most one byte longer than `limit`.

    Bytes that are not UTF-8 become surrogate escapes, so nothing is lost.

    Raises:
        TooLargeError: `data` is longer than `limit`.
    """
    if len(data) > limit:
        raise TooLargeError(f"{path} is larger than {limit} bytes, the most that dovebeam reads")
    return data.decode("utf-8", "surrogateescape")


def beside(path: str, name: str) -> str:
    """Path of `name` as it is written in the file `path`: relative names start at its directory; URLs stay."""
    # Plain text, not os.path: `path` may be a URL.
    folder = path.rpartition("/")[0]
    if name.startswith("/") or is_url(name) or "/" not in path:
        return name
    return f"{folder}/{name}"


def match_files(pattern: str, files: ConfigFiles) -> list[str]:
    """Existing files that match a pattern, in Dovecot's order.

    Args:
        pattern: relative to the working directory, or a URL.
        files: where to look.

    Raises:
        TooLargeError: the pattern is too long or has more than `MAX_PATTERN_ALTERNATIVES` alternatives.
        OSError: the lookup failed.
    """
    if len(pattern) > MAX_PATTERN_CHARS:
        raise TooLargeError(f"the file name has more than {MAX_PATTERN_CHARS} characters")
    found: list[str] = []
    for alternative in _expand_braces(pattern):
        # Python's glob has no backslash escapes and negates a class by "!", unlike glob(3), which Dovecot calls.
        plain = re.sub(r"\\(.)", _quote_magic, alternative).replace("[^", "[!")
        if _MAGIC.search(plain):
            # Dovecot sorts bytes; a locale or Unicode order would change which setting is the last one.
            found += sorted(files.glob(plain), key=os.fsencode)
        elif files.exists(plain):
            found.append(plain)
    return found


def _quote_magic(escaped: re.Match[str]) -> str:
    return f"[{escaped[1]}]" if escaped[1] in "*?[" else escaped[1]


def _expand_braces(pattern: str) -> list[str]:
    """Patterns without braces, one for each alternative; a brace that isn't closed is an ordinary character."""
    done: list[str] = []
    waiting = [pattern]
    while waiting:
        if len(done) + len(waiting) > MAX_PATTERN_ALTERNATIVES:
            raise TooLargeError(f"the pattern has more than {MAX_PATTERN_ALTERNATIVES} alternatives")
        current = waiting.pop()
        parts = _first_brace(current)
        if parts is None:
            done.append(current)
        else:
            head, alternatives, tail = parts
            # Reversed, since the list is a stack: the first alternative must come out first.
            waiting.extend(head + alternative + tail for alternative in reversed(alternatives))
    return done


def _first_brace(pattern: str) -> tuple[str, list[str], str] | None:
    start = pattern.find("{")
    while start >= 0:
        depth, cuts = 0, [start]
        for i in range(start, len(pattern)):
            char = pattern[i]
            depth += (char == "{") - (char == "}")
            if (char == "," and depth == 1) or depth == 0:
                cuts.append(i)
            if depth == 0:
                pieces = [pattern[a + 1 : b] for a, b in pairwise(cuts)]
                return pattern[:start], pieces, pattern[cuts[-1] + 1 :]
        # This brace is never closed; one further right may be.
        start = pattern.find("{", start + 1)
    return None
