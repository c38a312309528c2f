r"""From a written value to its text: quotes, `$ENV:` and `$SET:`, files, heredocs, and the elements of boolean lists.

Rules from Dovecot's configuration language, sections "Values" and "Boolean lists". A `$SET:` is evaluated when
everything has been read, so a value holds a reference in its place: a number between two NUL characters, which no
line can contain.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from dovebeam.transforms.config.files import beside
from dovebeam.transforms.config.places import MASK, Place
from dovebeam.transforms.config.reader import LogicalLine, Mark
from dovebeam.transforms.config.statements import Assignment, ValueKind, unescape

__all__ = ["ListSyntaxError", "Value", "reference", "reference_names", "split_list", "value_of"]

# A separator starts at a space and takes all white space after it; a tab alone separates nothing.
_SEPARATOR = re.compile(r" [ \t\v\f\r]*")
_REFERENCE = re.compile("\0([0-9]+)\0")
_ELEMENT_ESCAPE = re.compile(r"\\([es\\_+.])")
_ELEMENT_ESCAPES: Final = {"e": "=", "s": "/", "\\": "\\", "_": " ", "+": ",", ".": ""}


class ListSyntaxError(Exception):
    """A boolean list that Dovecot can't split; `message` is Dovecot's, `offset` where in the value."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message, offset)
        self.message = message
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Value:
    """The text of a value and where its characters come from.

    Attributes:
        text: the value; with `names`, `$SET:` references are in it.
        marks: places of its characters, as far as they come from a configuration file.
        names: what the references name, in the order of their numbers.
        kind: how it was written.
        file: for `ValueKind.FILE` the path, whose content is read only if the value is used.
        from_outside: whether a part of it comes from the environment.
    """

    text: str
    marks: tuple[Mark, ...]
    names: tuple[str, ...] = ()
    kind: ValueKind = ValueKind.LITERAL
    file: str = ""
    from_outside: bool = False

    @property
    def is_public(self) -> bool:
        """Whether the text is known to hold no secret, so that messages may repeat it."""
        return not self.from_outside and all(place.is_public for _, place in self.marks)

    @property
    def place(self) -> Place:
        """Where the value starts."""
        return self.marks[0][1]

    def place_at(self, offset: int) -> Place:
        """Where a character of `text` stands."""
        start, place = self.marks[max(0, bisect_right(self.marks, offset, key=lambda mark: mark[0]) - 1)]
        return place.moved(offset - start)

    def without_secret(self, message: str) -> str:
        """A message that repeats the text, with `***` in its place unless it is known to be no secret."""
        return message if self.is_public or not self.text else message.replace(self.text, MASK)

    def with_text(self, text: str) -> Value:
        """The value with another text, all of which stands where this value starts."""
        return Value(text, ((0, self.place),), (), self.kind, self.file, self.from_outside)


def value_of(assignment: Assignment, environ: Mapping[str, str]) -> Value:
    """The value of an assignment that is not a heredoc; a file is not read yet.

    Raises:
        StatementError: a quoted value has an escape that doesn't exist.
    """
    line, at, text = assignment.line, assignment.value_at, assignment.text
    if assignment.kind is ValueKind.QUOTED:
        return _quoted(line, at, text)
    if assignment.kind is ValueKind.VARIABLE:
        return _with_variables(line, at, text, environ)
    marks = tuple(line.marks_between(at, at + len(text)))
    if assignment.kind is ValueKind.FILE:
        return Value("", marks[:1], (), ValueKind.FILE, beside(line.path, text))
    return Value(text, marks)


def reference(number: int) -> str:
    """What stands in a value's text for its `$SET:` with this number."""
    return f"\0{number}\0"


def reference_names(text: str, names: tuple[str, ...]) -> Iterator[tuple[int, int, str]]:
    """Start, end and name of every reference in `text`."""
    for found in _REFERENCE.finditer(text):
        yield found.start(), found.end(), names[int(found[1])]


def split_list(text: str) -> list[str]:
    r"""The elements of a boolean list in its assignment form, without duplicates, in the order of first mention.

    Spaces and commas separate, tabs don't. An element may be in double quotes; then a backslash takes the next
    character.
    Afterwards `\e \s \\ \_ \+ \.` mean `=`, `/`, a backslash, a space, a comma and nothing.

    Raises:
        ListSyntaxError: the quotes are wrong.
    """
    elements: dict[str, None] = {}
    at = 0
    while at < len(text):
        if text[at] in " ,":
            at += 1
            continue
        element, at = _quoted_element(text, at) if text[at] == '"' else _plain_element(text, at)
        elements[_ELEMENT_ESCAPE.sub(lambda found: _ELEMENT_ESCAPES[found[1]], element)] = None
    return list(elements)


def _plain_element(text: str, start: int) -> tuple[str, int]:
    end = start
    while end < len(text) and text[end] not in " ,":
        if text[end] == '"':
            raise ListSyntaxError("'\"' in the middle of a string", end)
        end += 1
    return text[start:end], end


def _quoted_element(text: str, start: int) -> tuple[str, int]:
    found: list[str] = []
    at = start + 1
    while at < len(text) and text[at] != '"':
        if text[at] == "\\":
            at += 1
            if at == len(text):
                raise ListSyntaxError("Value ends with '\\'", at - 1)
        found.append(text[at])
        at += 1
    if at >= len(text):
        raise ListSyntaxError("Missing ending '\"'", start)
    if at + 1 < len(text) and text[at + 1] not in " ,":
        raise ListSyntaxError("Expected ',' or ' ' after '\"'", at + 1)
    return "".join(found), at + 1


def _quoted(line: LogicalLine, at: int, text: str) -> Value:
    plain = unescape(text, at)
    marks: list[Mark] = []
    start = dropped = 0
    for found in re.finditer(r"\\.", text, re.DOTALL) if plain != text else ():
        marks += line.marks_between(at + start, at + found.start(), start - dropped)
        start = found.start() + 1
        dropped += 1
    marks += line.marks_between(at + start, at + len(text), start - dropped)
    return Value(plain, tuple(marks), (), ValueKind.QUOTED)


def _with_variables(line: LogicalLine, at: int, text: str, environ: Mapping[str, str]) -> Value:
    pieces: list[str] = []
    marks: list[Mark] = []
    names: list[str] = []
    length = position = 0
    while position <= len(text):
        separator = _SEPARATOR.search(text, position)
        end = separator.start() if separator else len(text)
        word = text[position:end]
        marks += line.marks_between(at + position, at + end, length)
        if word.startswith("$ENV:"):
            word = environ.get(word[5:], "")
        elif word.startswith("$SET:"):
            names.append(word[5:])
            word = reference(len(names) - 1)
        pieces.append(word)
        length += len(word) + 1
        position = separator.end() if separator else len(text) + 1
    outside = "$ENV:" in text
    return Value(" ".join(pieces), tuple(marks), tuple(names), ValueKind.VARIABLE, from_outside=outside)
