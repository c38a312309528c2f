r"""Text of a written value: quotes, `$ENV:` and `$SET:`, files, heredocs, and the elements of boolean lists.

Rules from Dovecot's configuration language, sections "Values" and "Boolean lists". A `$SET:` is evaluated when
everything has been read. Until then the value holds a reference in its place: a number between two NUL characters,
which no line can contain.
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

# A separator starts at a space and takes all white space after it; a tab alone does not separate words.
_SEPARATOR = re.compile(r" [ \t\v\f\r]*")
_REFERENCE = re.compile("\0([0-9]+)\0")
_ELEMENT_ESCAPE = re.compile(r"\\([es\\_+.])")
_ELEMENT_ESCAPES: Final = {"e": "=", "s": "/", "\\": "\\", "_": " ", "+": ",", ".": ""}


class ListSyntaxError(Exception):
    """A boolean list that Dovecot can't split; `message` is Dovecot's, `offset` the position in the value."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message, offset)
        self.message = message
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Value:
    """Text of a value and the places of its characters.

    Attributes:
        text: the value; with `names`, `$SET:` references are in it.
        marks: places of those of its characters that come from a configuration file.
        names: settings that the references name, in the order of their numbers.
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
        # Variables of the environment often hold passwords, and the configuration file does not show that they do.
        return not self.from_outside and all(place.is_public for _, place in self.marks)

    @property
    def place(self) -> Place:
        """Place where the value starts."""
        return self.marks[0][1]

    def place_at(self, offset: int) -> Place:
        """Place of a character of `text`."""
        # The last mark at or before the offset; the first one also serves texts that were inserted before it.
        start, place = self.marks[max(0, bisect_right(self.marks, offset, key=lambda mark: mark[0]) - 1)]
        return place.moved(offset - start)

    def without_secret(self, message: str) -> str:
        """Message with `***` in place of the text, unless the text is known to hold no secret."""
        # An empty text would be found between all characters.
        return message if self.is_public or not self.text else message.replace(self.text, MASK)

    def with_text(self, text: str) -> Value:
        """Value with another text, whose only place is the start of this value."""
        return Value(text, ((0, self.place),), (), self.kind, self.file, self.from_outside)


def value_of(assignment: Assignment, environ: Mapping[str, str]) -> Value:
    """Value of an assignment that is not a heredoc; a file is not read yet.

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
        # Other parts of Dovecot name files that only root can read, so nothing is opened before it is needed.
        return Value("", marks[:1], (), ValueKind.FILE, beside(line.path, text))
    return Value(text, marks)


def reference(number: int) -> str:
    """Reference that stands for the `$SET:` with this number in the text of a value."""
    return f"\0{number}\0"


def reference_names(text: str, names: tuple[str, ...]) -> Iterator[tuple[int, int, str]]:
    """Start, end and name of every reference in `text`."""
    for found in _REFERENCE.finditer(text):
        yield found.start(), found.end(), names[int(found[1])]


def split_list(text: str) -> list[str]:
    r"""Elements of a boolean list in its assignment form, without duplicates, in the order of first mention.

    Spaces and commas separate, tabs don't. An element may be in double quotes; then a backslash takes the next
    character. Afterwards `\e \s \\ \_ \+ \.` mean `=`, `/`, a backslash, a space, a comma and nothing.

    Raises:
        ListSyntaxError: the quotes are wrong.
    """
    # A dict is a set that keeps the order.
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
    # Each escape moves the offsets after it by one, so a piece of text between two of them has a mark of its own.
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
        # Only at the start of a word: `x$ENV:Y` is plain text in Dovecot.
        if word.startswith("$ENV:"):
            # An unset variable is an empty text, and the spaces around it stay.
            word = environ.get(word[5:], "")
        elif word.startswith("$SET:"):
            names.append(word[5:])
            word = reference(len(names) - 1)
        pieces.append(word)
        length += len(word) + 1
        position = separator.end() if separator else len(text) + 1
    # Broader than what was replaced, to be on the safe side.
    outside = "$ENV:" in text
    return Value(" ".join(pieces), tuple(marks), tuple(names), ValueKind.VARIABLE, from_outside=outside)
