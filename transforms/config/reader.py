"""Logical lines of a configuration: physical lines, comments, continuation, the stack of included files.

Rules from Dovecot's configuration language, section "From bytes to logical lines". The text of a continued line is
kept from one physical line to the next, also across the end of an included file; an empty or comment line discards it.
"""

from __future__ import annotations

import errno
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from dovebeam.transforms.config.files import LOCAL_FILES, ConfigFiles, TooLargeError
from dovebeam.transforms.config.places import MASK, Place, Report, Shows, at_line, looks_like_setting

__all__ = ["WHITE_SPACE", "LogicalLine", "LogicalReader", "Mark", "public_marks"]

# Far above any real configuration: a pattern that is too wide must not read a whole disk.
MAX_FILES: Final = 2000
MAX_INCLUDE_DEPTH: Final = 100
# White space of ASCII, as Dovecot has it: str.strip() would take U+00A0, too, which is part of a value.
WHITE_SPACE: Final = " \t\v\f\r"

Mark = tuple[int, Place]
"""Offset in a text, and the place that the text from there on comes from."""

# The byte order marks of UTF-16, as surrogate escapes: neither byte is UTF-8.
_UTF16: Final = ("\udcff\udcfe", "\udcfe\udcff")

_QUOTE_OR_HASH = re.compile(r"['\"#]")
# A backslash takes the next character with it, also outside of values that are unescaped later.
_CLOSING = {quote: re.compile(rf"\\.|{quote}", re.DOTALL) for quote in "'\""}


@dataclass(frozen=True, slots=True)
class LogicalLine:
    """Line as the language sees it: one physical line, or several joined by backslashes.

    Attributes:
        text: the text without comment, continuation and white space at either end.
        marks: for every physical line in it, where its text begins.
        path: the file of the last physical line.
        number: that line's number; Dovecot's messages name it.
    """

    text: str
    marks: tuple[Mark, ...]
    path: str
    number: int

    def place(self, offset: int) -> Place:
        """File, line and column of a character of `text`."""
        start, place = self.marks[max(0, bisect_right(self.marks, offset, key=lambda mark: mark[0]) - 1)]
        return place.moved(offset - start)

    @property
    def is_public(self) -> bool:
        """Whether the whole line is known to hold no secret."""
        return all(place.is_public for _, place in self.marks)

    def as_public(self, *, free: bool = False) -> LogicalLine:
        """The same line, known to hold no secret; see `public_marks`."""
        return replace(self, marks=public_marks(self.marks, free=free))

    def marks_between(self, start: int, end: int, shift: int = 0) -> Iterator[Mark]:
        """The marks of `text[start:end]`, with offsets counted from `start` and moved by `shift`."""
        yield shift, self.place(start)
        for offset, place in self.marks:
            if start < offset < end:
                yield offset - start + shift, place


def public_marks(marks: Iterable[Mark], *, free: bool = False) -> tuple[Mark, ...]:
    """Marks of a value that is known to hold no secret; physical lines that look like another setting stay hidden.

    Args:
        marks: those of the whole line; the first one is the setting itself.
        free: see `looks_like_setting`.
    """
    return tuple(
        # A stray backslash may have joined another setting, perhaps a password, to a public one.
        (offset, place if number and looks_like_setting(place.source, free=free) else place._replace(shows=Shows.ALL))
        for number, (offset, place) in enumerate(marks)
    )


@dataclass(slots=True)
class _File:
    """File on the stack; `lines` is `None` until it is read, `origin` the `!include` that named it."""

    path: str
    lines: list[str] | None
    origin: LogicalLine | None = None
    optional: bool = False
    number: int = 0


@dataclass(slots=True)
class LogicalReader:
    """Reader of logical lines: a file line by line, and the files that it includes.

    Attributes:
        report: gets the included files that can't be read.
        hashes: places where a `#` without a space before it started a comment; the caller empties the list.
        discarded: continued lines that were discarded by an empty or comment line, or by the end of the input; the
            caller empties the list. Dovecot discards them silently.
        files: access to the files.
    """

    report: Report
    files: ConfigFiles = LOCAL_FILES
    hashes: list[Place] = field(default_factory=list)
    discarded: list[LogicalLine] = field(default_factory=list)
    _stack: list[_File] = field(default_factory=list)
    _pending: list[str] = field(default_factory=list)
    _length: int = 0
    _marks: list[Mark] = field(default_factory=list)
    _last: tuple[str, int] = ("", 0)
    _opened: int = 0

    @property
    def path(self) -> str:
        """The file being read."""
        return self._stack[-1].path if self._stack else self._last[0]

    @property
    def number(self) -> int:
        """Number of the physical line read last."""
        return self._stack[-1].number if self._stack else self._last[1]

    def open(self, path: str) -> None:
        """Read this file; it may be a pipe.

        Raises:
            OSError: the file cannot be read, or is in UTF-16.
            TooLargeError: the file is too large.
        """
        text = self.files.read(path, pipes=True)
        if text.startswith(_UTF16):
            raise OSError(errno.EILSEQ, "it is in UTF-16; convert it to UTF-8, as with iconv -f UTF-16 -t UTF-8")
        self.open_text(path, text)

    def open_text(self, path: str, text: str) -> None:
        """Read `text` as the content of `path`."""
        self.report.files.setdefault(path, len(self.report.files))
        self._stack.append(_File(path, _split(text)))

    def include(self, paths: list[str], origin: LogicalLine, *, optional: bool) -> None:
        """Read these files, in this order, before the rest of the current one."""
        # The last one pushed is read first. Each is opened when its turn comes, so few files are in memory at a time.
        self._stack.extend(_File(path, None, origin, optional) for path in reversed(paths))

    def next_line(self) -> LogicalLine | None:
        """The next logical line, or `None` at the end of all files."""
        while (raw := self._next_physical()) is not None:
            line = self._feed(raw)
            if line is not None:
                return line
        self._discard()
        return None

    def heredoc(self, marker: str) -> list[tuple[str, Place]] | None:
        """Physical lines before the one that equals `marker`, which is consumed too; `None` if no line does."""
        file = self._stack[-1]
        found: list[tuple[str, Place]] = []
        lines = file.lines or []
        while file.number < len(lines):
            raw = _without_line_end(lines[file.number])
            file.number += 1
            if raw == marker:
                return found
            found.append((raw, Place(file.path, file.number, 1, raw)))
        return None

    def _next_physical(self) -> str | None:
        while self._stack:
            file = self._stack[-1]
            if file.lines is None:
                file.lines = self._read_included(file)
            if file.number < len(file.lines):
                raw = _without_line_end(file.lines[file.number])
                file.number += 1
                return raw
            # Messages about the end of the input still name the last line.
            self._last = (file.path, file.number)
            self._stack.pop()
        return None

    def _read_included(self, file: _File) -> list[str]:
        """The lines of an included file; none if it can't be read, which is reported at the `!include`."""
        problem = self._refuse(file.path)
        if not problem:
            try:
                lines = _split(self.files.read(file.path))
            except TooLargeError as error:
                problem = str(error)
            except OSError as error:
                if file.optional:
                    return []
                problem = f"Couldn't open include file {file.path}: {error.strerror}"
            else:
                self._opened += 1
                self.report.files.setdefault(file.path, len(self.report.files))
                return lines
        if file.origin is not None:
            line = file.origin
            self.report.error(line.place(0), problem, dovecot=at_line(line.path, line.number, problem))
        return []

    def _refuse(self, path: str) -> str:
        # Files that wait for their turn are not included in each other.
        open_paths = [file.path for file in self._stack if file.lines is not None]
        # By the text of the path, as Dovecot compares it; links in a circle end at the limit of depth.
        if path in open_paths:
            return f"Recursive include file: {path}"
        if len(open_paths) >= MAX_INCLUDE_DEPTH:
            return f"more than {MAX_INCLUDE_DEPTH} files include each other"
        return f"more than {MAX_FILES} files are included" if self._opened >= MAX_FILES else ""

    def _feed(self, raw: str) -> LogicalLine | None:
        text = raw.lstrip(WHITE_SPACE)
        if not text or text[0] == "#":
            self._discard()
            return None
        column = len(raw) - len(text) + 1
        # Each physical line for itself: a quote that an earlier line of a continuation has opened is not open here.
        end = self._comment(text)
        # A comment may quote an old password, so it is never shown.
        source = raw if end == len(text) else f"{raw[: column + end]}{MASK if text[end + 1 :].strip() else ''}"
        # A continuation has no name of its own; its first word may be a piece of a secret.
        place = Place(self.path, self.number, column, source, Shows.NOTHING if self._marks else Shows.NAME)
        if end < len(text) and text[end - 1] not in WHITE_SPACE:
            self.hashes.append(place.moved(end))
        text = text[:end].rstrip(WHITE_SPACE)
        if text.endswith("\\"):
            # Exactly one space joins two lines, whatever the indentation.
            part = text[:-1].rstrip(WHITE_SPACE)
            if part:
                self._marks.append((self._length, place))
                self._pending += (part, " ")
                self._length += len(part) + 1
            return None
        self._marks.append((self._length, place))
        self._pending.append(text)
        line = LogicalLine("".join(self._pending), tuple(self._marks), place.path, place.line)
        self._forget()
        return line

    @staticmethod
    def _comment(text: str) -> int:
        """Offset of the comment of a line; the length of the line if it has none."""
        position = 0
        while (special := _QUOTE_OR_HASH.search(text, position)) is not None:
            if special[0] == "#":
                return special.start()
            position = _after_quoted(text, special.end(), special[0])
        return len(text)

    def _discard(self) -> None:
        if self._pending:
            path, number = self._marks[-1][1][:2]
            self.discarded.append(LogicalLine("".join(self._pending), tuple(self._marks), path, number))
        self._forget()

    def _forget(self) -> None:
        self._pending.clear()
        self._marks.clear()
        self._length = 0


def _after_quoted(text: str, start: int, quote: str) -> int:
    """The offset after the closing quote, or the end of the text if there is none."""
    for found in _CLOSING[quote].finditer(text, start):
        if found[0] == quote:
            return found.end()
    return len(text)


def _split(text: str) -> list[str]:
    lines = text.split("\n")
    # The last line need not end with a line feed; one that does is not followed by an empty line.
    if not lines[-1]:
        del lines[-1]
    return lines


def _without_line_end(raw: str) -> str:
    text = raw.removesuffix("\r")
    # Dovecot reads lines as C strings: a NUL ends the text.
    return text[: text.index("\0")] if "\0" in text else text
