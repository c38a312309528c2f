"""Statements of a configuration: the kind of a line, its key, and how its value is written.

Rules from Dovecot's configuration language, section "From logical lines to statements". The first rule that fits
decides, so `description = {` is an assignment and `foo bar = x` is a block that lacks its brace.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final

from dovebeam.transforms.config.reader import WHITE_SPACE, LogicalLine

__all__ = [
    "Assignment",
    "BlockEnd",
    "BlockStart",
    "GroupStart",
    "Include",
    "Statement",
    "StatementError",
    "ValueKind",
    "classify",
    "unescape",
]

_KEY_END = re.compile(r"[ \t\v\f\r=]")
# Single quotes, `=`, `,` and `/` are plain characters of a block's name.
_WORD_END = re.compile(r"[ \t\v\f\r]")
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
# In keys a backslash protects a quote; in names of blocks (`_block_name`) it does not. Both as in Dovecot.
_CLOSING_QUOTE = re.compile(r'(?<!\\)"')

_EXPECTING_BRACE: Final = "Expecting '{'"


class ValueKind(enum.Enum):
    """Form of a value, which decides what is special in it."""

    LITERAL = "literal"
    QUOTED = "quoted"
    VARIABLE = "variable"
    FILE = "file"
    HEREDOC = "heredoc"


class StatementError(Exception):
    """A line that is not a statement.

    Attributes:
        message: Dovecot's message.
        offset: position of the error in the logical line.
    """

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message, offset)
        self.message = message
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Include:
    """`!include PATTERN`, or with `optional` `!include_try PATTERN`."""

    line: LogicalLine
    pattern: str
    pattern_at: int
    optional: bool


@dataclass(frozen=True, slots=True)
class Assignment:
    """`key = value`; `text` starts at `value_at` and is without the quotes, `<` or `<<` that `kind` stands for."""

    line: LogicalLine
    key: str
    key_quoted: bool
    kind: ValueKind
    text: str
    value_at: int


@dataclass(frozen=True, slots=True)
class BlockStart:
    """`key {` or `key name {`."""

    line: LogicalLine
    key: str
    name: str | None
    name_at: int


@dataclass(frozen=True, slots=True)
class GroupStart:
    """`group @label name {`; the label is without its `@`."""

    line: LogicalLine
    label: str
    name: str


@dataclass(frozen=True, slots=True)
class BlockEnd:
    """`}`."""

    line: LogicalLine


Statement = Include | Assignment | BlockStart | GroupStart | BlockEnd


def classify(line: LogicalLine) -> Statement:
    """Statement of a logical line.

    Raises:
        StatementError: the line is not a statement.
    """
    # The order of the tests is the language: the first rule that applies decides.
    text = line.text
    key, quoted, at = _split_key(text)
    rest_at = _skip_space(text, at)
    ended_by_space = rest_at > at or at == len(text)
    # `!include=x` is an assignment to an unknown setting, so white space must end the keyword.
    if key in {"!include", "!include_try"} and not quoted and ended_by_space:
        return Include(line, text[rest_at:], rest_at, key == "!include_try")
    # Before blocks, so that a `{` inside a value never opens one.
    if text.startswith("=", rest_at):
        return _assignment(line, key, quoted, _skip_space(text, rest_at + 1))
    if key == "}" and not quoted and rest_at == len(text):
        return BlockEnd(line)
    if text.startswith("{", rest_at):
        _nothing_after_brace(text, rest_at)
        return BlockStart(line, key, None, rest_at)
    if key == "group" and not quoted:
        return _group(line, rest_at)
    name, name_end = _block_name(text, rest_at)
    brace_at = _skip_space(text, name_end)
    if not text.startswith("{", brace_at):
        raise StatementError(_EXPECTING_BRACE, brace_at)
    _nothing_after_brace(text, brace_at)
    return BlockStart(line, key, name, rest_at)


def unescape(text: str, at: int) -> str:
    r"""Inside of a quoted text with the escapes `\\` and `\"` resolved.

    Args:
        text: between the quotes.
        at: where it starts in its line.

    Raises:
        StatementError: any other escape.
    """
    # Most texts have no backslash.
    if "\\" not in text:
        return text
    for found in _ESCAPE.finditer(text):
        if found[1] not in {"\\", '"'}:
            raise StatementError(f"Unknown escape sequence \\{found[1]}", at + found.start())
    return _ESCAPE.sub(r"\1", text)


def _split_key(text: str) -> tuple[str, bool, int]:
    if text[0] == '"':
        closing = _CLOSING_QUOTE.search(text, 1)
        # A quote that is never closed: the rest of the line is the key, and the line fails for want of a `{`.
        end = closing.start() if closing else len(text)
        return unescape(text[1:end], 1), True, min(end + 1, len(text))
    found = _KEY_END.search(text)
    end = found.start() if found else len(text)
    return text[:end], False, end


def _assignment(line: LogicalLine, key: str, quoted: bool, at: int) -> Assignment:
    text = line.text
    value = text[at:]
    # `<<` alone is a file named `<`: heredocs came after Dovecot 2.4.4, with a marker that is not empty.
    if value.startswith("<<") and value[2:].strip(WHITE_SPACE):
        start = _skip_space(text, at + 2)
        return Assignment(line, key, quoted, ValueKind.HEREDOC, text[start:], start)
    if value.startswith("<"):
        start = _skip_space(text, at + 1)
        return Assignment(line, key, quoted, ValueKind.FILE, text[start:], start)
    first = value[:1]
    # A `$` anywhere counts, even in plain text: Dovecot then joins the words by single spaces.
    if first not in {"'", '"'} and "$" in value:
        return Assignment(line, key, quoted, ValueKind.VARIABLE, value, at)
    # Only the ends of the whole value count: `"a" "b"` loses its outer quotes. A lone quote is an empty text.
    if first in {"'", '"'} and value[-1] == first:
        return Assignment(line, key, quoted, ValueKind.QUOTED, value[1:-1], at + 1)
    return Assignment(line, key, quoted, ValueKind.LITERAL, value, at)


def _group(line: LogicalLine, at: int) -> GroupStart:
    text = line.text
    label_end = _word_end(text, at)
    name_at = _skip_space(text, label_end)
    name_end = _word_end(text, name_at)
    # Label and name are plain words: Dovecot allows quotes for neither.
    if not text.startswith("@", at) or name_at in {label_end, name_end}:
        raise StatementError("Expecting group name", at)
    brace_at = _skip_space(text, name_end)
    if brace_at == name_end or not text.startswith("{", brace_at):
        raise StatementError(_EXPECTING_BRACE, brace_at)
    _nothing_after_brace(text, brace_at)
    return GroupStart(line, text[at + 1 : label_end], text[name_at:name_end])


def _block_name(text: str, at: int) -> tuple[str, int]:
    if not text.startswith('"', at):
        end = _word_end(text, at)
        return text[at:end], end
    end = text.find('"', at + 1)
    if end < 0:
        raise StatementError(_EXPECTING_BRACE, len(text))
    # After a quoted name the space before `{` is optional; a plain name would take the `{` as its last character.
    return unescape(text[at + 1 : end], at + 1), end + 1


def _nothing_after_brace(text: str, brace_at: int) -> None:
    after = _skip_space(text, brace_at + 1)
    if after < len(text):
        raise StatementError("Garbage after '{'", after)


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in WHITE_SPACE:
        at += 1
    return at


def _word_end(text: str, at: int) -> int:
    found = _WORD_END.search(text, at)
    return found.start() if found else len(text)
