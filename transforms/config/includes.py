"""The list of files that an `!include` names.

Rules from Dovecot's configuration language, section "Includes": the argument is a pattern with `*`, `?`, `[...]` and
`{a,b}`, relative to the including file; matches are read in the order of their bytes, each alternative of a brace in
its place.
"""

from __future__ import annotations

import os
import re
from itertools import pairwise
from typing import Final

from dovebeam.transforms.config.files import ConfigFiles, TooLargeError
from dovebeam.transforms.local_files import is_url

__all__ = [
    "MAX_PATTERN_ALTERNATIVES",
    "beside",
    "match_files",
]

MAX_PATTERN_ALTERNATIVES: Final = 1000
MAX_PATTERN_CHARS: Final = 4096

_MAGIC = re.compile(r"[*?\[]")


def beside(path: str, name: str) -> str:
    """`name` as the file `path` means it: relative names belong to the directory of `path`, URLs to nobody."""
    folder = path.rpartition("/")[0]
    if name.startswith("/") or is_url(name) or "/" not in path:
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
