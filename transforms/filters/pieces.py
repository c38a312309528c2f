"""Pieces of filters as people write them in other languages, and how the same is written here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from dovebeam.transforms.filters.tokens import STRING, Token, is_plain_word

__all__ = [
    "BRACKETS",
    "FOREIGN_STRING",
    "QUOTE_MARKS",
    "STRING_TEXT",
    "closing_bracket",
    "comparison_of",
    "end_of_token",
    "joined",
    "quoted",
    "skip",
    "source_of",
    "styled",
    "value_of",
]

QUOTE_MARKS: Final = "'`\u00b4\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a\u2032\u2033"
"""What people take for quotes; only the straight double one is."""

BRACKETS: Final = {"(": ")", "[": "]", "{": "}"}
STRING_TEXT: Final = r'"(?:[^"\\]|\\.)*"'
FOREIGN_STRING: Final = re.compile(rf'[{QUOTE_MARKS}]([^{QUOTE_MARKS}"]*)[{QUOTE_MARKS}]')
_STRING: Final = re.compile(STRING_TEXT, re.DOTALL)
_COMPARISON: Final = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*([<>]=?|=)\s*([^<>=\"()]*?)\s*", re.ASCII | re.DOTALL)
_BRACKET_PARTS: Final = {
    opening: re.compile(rf"{STRING_TEXT}|\{opening}|\{closing}", re.DOTALL) for opening, closing in BRACKETS.items()
}
_HIDDEN_QUOTE: Final = re.compile(r'(?<!\\)(?:\\\\)*\\(?:"|\Z)')
_SPACE: Final = re.compile(r"\s*")


def joined(key: str, operator: str, values: Sequence[str]) -> str:
    """One comparison for each value, joined by OR; `!=` becomes a NOT before all of them."""
    negation = "NOT " if operator == "!=" else ""
    alternatives = " OR ".join(f"{key}{operator.replace('!', '')}{value}" for value in values)
    return f"{negation}{alternatives}" if len(values) == 1 else f"{negation}({alternatives})"


def styled(item: str, style: str) -> str:
    """The value of an operator of another language, such as `like`, with the wildcards of this one."""
    value = value_of(item)
    inside = value[1:-1] if value.startswith('"') else value
    if style in ("like", "ilike"):
        return quoted(inside.replace("%", "*"))
    return quoted(f"*{inside}*") if style == "contains" else value


def value_of(item: str) -> str:
    """How a value is written here that was written with other quotes, or with none."""
    if item.startswith('"') and item.endswith('"') and len(item) > 1:
        return item
    foreign = FOREIGN_STRING.fullmatch(item)
    return quoted(foreign[1] if foreign else item)


def quoted(value: str) -> str:
    """A value in double quotes, if it needs them. Its backslashes stay, except where they would hide the quote."""
    if is_plain_word(value):
        return value
    if _HIDDEN_QUOTE.search(value):
        value = value.replace("\\", "\\\\")
    return '"' + value.replace('"', '\\"') + '"'


def comparison_of(text: str) -> str | None:
    """The comparison that stands as a whole between quotes, None if there is another thing."""
    match = _COMPARISON.fullmatch(text)
    return f"{match[1]}{match[2]}{value_of(match[3])}" if match and match[3] else None


def closing_bracket(text: str, at: int) -> int:
    """Offset of the bracket that closes the one at `at`, or -1; brackets in strings do not count."""
    depth = 0
    for part in _BRACKET_PARTS[text[at]].finditer(text, at):
        depth += (part[0] == text[at]) - (part[0] == BRACKETS[text[at]])
        if not depth:
            return part.start()
    return -1


def source_of(text: str, token: Token) -> str:
    """A word or string as it is written."""
    return text[token.offset : end_of_token(text, token)]


def end_of_token(text: str, token: Token) -> int:
    """Offset behind a word or string."""
    if token.kind != STRING:
        return token.offset + len(token.text)
    match = _STRING.match(text, token.offset)
    return match.end() if match else len(text)


def skip(text: str, at: int, what: re.Pattern[str] = _SPACE) -> int:
    """Offset behind what stands at `at`: white space, or something else that may be missing."""
    match = what.match(text, at)
    return match.end() if match else at
