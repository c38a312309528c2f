"""Files: reading one within limits, and the list of files that an `!include` names.

Rules from Dovecot's configuration language, section "Includes": the argument is a pattern with `*`, `?`, `[...]` and
`{a,b}`, relative to the including file; matches are read in the order of their bytes, each alternative of a brace in
its place; a directory reads as an empty file.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dovebeam.transforms.config.files import ConfigFiles

__all__ = [
    "MAX_FILE_BYTES",
    "MAX_PATTERN_ALTERNATIVES",
    "TooLargeError",
    "beside",
    "match_files",
    "read_text",
]

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
MAX_PATTERN_ALTERNATIVES: Final = 1000
MAX_PATTERN_CHARS: Final = 4096

_MAGIC = re.compile(r"[*?\[]")


class TooLargeError(Exception):
    """A file or a pattern beyond dovebeam's limits; the text says which limit."""


def read_text(path: str, *, limit: int = MAX_FILE_BYTES, pipes: bool = False) -> str:
    """A file's bytes as text; bytes that are not UTF-8 become surrogate escapes, nothing is lost.

    Args:
        path: the file; a directory reads as empty.
        limit: most bytes to read.
        pipes: also read what is not a regular file, such as a shell's `<(command)`; it may block.

    Raises:
        OSError: it cannot be read.
        TooLargeError: it is longer than `limit`.
    """
    # A pipe without a writer would block the open for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if pipes else os.O_NONBLOCK))
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            return ""
        if not pipes and not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "Not a regular file", path)
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise TooLargeError(f"{path} is larger than {limit} bytes, the most that dovebeam reads")
    return data.decode("utf-8", "surrogateescape")


def beside(path: str, name: str) -> str:
    """`name` as the file `path` means it: relative names belong to the directory of `path`, URLs to nobody."""
    folder = path.rpartition("/")[0]
    if name.startswith("/") or "://" in name or "/" not in path:
        return name
    return f"{folder}/{name}"


def match_files(pattern: str, files: ConfigFiles) -> list[str]:
    """Existing files that match, in Dovecot's order.

    Args:
        pattern: relative to the working directory, or a URL.
        files: where to look.

    Raises:
        TooLargeError: the pattern is too long or has more than `MAX_PATTERN_ALTERNATIVES` alternatives.
        OSError: that cannot be found out.
    """
    if len(pattern) > MAX_PATTERN_CHARS:
        raise TooLargeError(f"the file name has more than {MAX_PATTERN_CHARS} characters")
    found: list[str] = []
    for alternative in _expand_braces(pattern):
        plain = re.sub(r"\\(.)", _quote_magic, alternative).replace("[^", "[!")
        if _MAGIC.search(plain):
            found += sorted(files.glob(plain), key=os.fsencode)
        elif files.exists(plain):
            found.append(plain)
    return found


def _quote_magic(escaped: re.Match[str]) -> str:
    return f"[{escaped[1]}]" if escaped[1] in "*?[" else escaped[1]


def _expand_braces(pattern: str) -> list[str]:
    """The pattern once for each alternative; a brace that isn't closed is an ordinary character."""
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
        start = pattern.find("{", start + 1)
    return None
