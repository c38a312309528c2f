"""How reading goes on after a line that is no statement: the usual mistakes with braces, and what they meant."""

from __future__ import annotations

import re
from typing import Final

from dovebeam.transforms.config.blocks import ContextKind, is_list, resolve_key
from dovebeam.transforms.config.opening import close_block, open_block, open_broken
from dovebeam.transforms.config.reader import LogicalLine
from dovebeam.transforms.config.settings import BLOCKS, PLAIN_BLOCKS
from dovebeam.transforms.config.state import ParserState
from dovebeam.transforms.config.statements import BlockStart, StatementError
from dovebeam.transforms.config.versions import assume_version
from dovebeam.transforms.config.wrong_values import ALONE, COMMENTS, OTHER_COMMENT

__all__ = ["recover"]

_OPENED: Final = "\n"
"""What `recover` returns for a line that opened a block without its brace."""

_ONLY_CLOSING = re.compile(r"[}\s]+\Z")


def recover(state: ParserState, line: LogicalLine, error: StatementError, previous: str) -> str:
    """Report a line that is not a statement, and open or close the blocks that it was probably meant to.

    Args:
        state: the parser's.
        line: the line.
        error: why it is not a statement.
        previous: what this function returned for the line before, an empty string if that was a statement.
    """
    text = line.text
    state.started, first = True, not state.started
    words = text.replace("{", " { ").split()
    if text == "{" and previous == _OPENED:  # the brace that the line before lacked
        return ""
    if text == "{" and previous and not previous.endswith(("{", "}")):
        _open_again(state, line, previous)
        return text
    if state.context.kind is not ContextKind.BROKEN:
        state.error(line, line.place(error.offset), error.message, message=_explain(text, error.message))
    if first:
        assume_version(state)
    if OTHER_COMMENT.match(text):
        return ""
    if _ONLY_CLOSING.match(text):
        for _ in range(min(text.count("}"), len(state.frames))):
            close_block(state, line)
        return text
    if text.startswith("}") and state.frames:
        close_block(state, line)
        words = words[1:]
    if text.endswith("{") and words:
        _open_again(state, line, " ".join(words[:-1]))
    elif "{" not in text and "=" not in text and _is_header(state, words):
        _open_again(state, line, text)
        return _OPENED
    return text


def _is_header(state: ParserState, words: list[str]) -> bool:
    """Whether a line has all that opens a block of ours, but for the brace."""
    name = resolve_key(state.context, words[0]) if words else ""
    return (name in BLOCKS and len(words) == 2) or ((name in PLAIN_BLOCKS or is_list(name)) and len(words) == 1)


def _open_again(state: ParserState, line: LogicalLine, header: str) -> None:
    """Open the block that `header` names although its line was wrong."""
    words = header.split()
    if 1 <= len(words) <= 2 and words[0] not in {"group", "}"} and "=" not in words[0]:
        open_block(state, BlockStart(line, words[0].strip("\"'"), words[1].strip("\"'") if words[1:] else None, 0))
        return
    open_broken(state, line)


def _explain(text: str, message: str) -> str:
    if OTHER_COMMENT.match(text):
        return f"this is not a comment: {COMMENTS}"
    if message == "Garbage after '{'":
        return "nothing may follow '{' in its line; write the contents of the block on lines of their own"
    if message == "Expecting group name":
        return "a group is defined with: group @LABEL NAME {"
    if message.startswith("Unknown escape sequence"):
        return f'{message}; in quotes only \\\\ and \\" exist'
    if "'" in text:
        return "a name with spaces needs double quotes; single quotes mean nothing here"
    if text.startswith("}"):
        return ALONE
    if text.endswith("{"):
        return "'{' must follow the keyword and one name, with a space before it: KEYWORD NAME {"
    return "this is neither 'NAME = VALUE' nor 'KEYWORD NAME {'; a '{' must stand at the end of the same line"
