"""Hints for filters that do not parse: one sentence for each of the frequent mistakes, with what to write instead.

Dovecot's message only names the token that does not fit; people who know other filter languages need to be told what
does. `rewrites` finds the repair, this module puts it into words; both share the pieces at the end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from dovebeam.transforms.filters.nodes import AND, END, INVALID, NOT, OR, STRING, WORD, Token, is_plain_word, scan

__all__ = [
    "BRACKETS",
    "FOREIGN_STRING",
    "QUOTE_MARKS",
    "STRING_TEXT",
    "Mistake",
    "Place",
    "Rewrite",
    "closing_bracket",
    "comparison_of",
    "end_of_token",
    "hint_for",
    "joined",
    "quoted",
    "skip",
    "source_of",
    "styled",
    "value_of",
]


Place = Literal["start", "operand", "operator", "value", "end of group", "end"]


class Rewrite(NamedTuple):
    """`text` replaces the characters from `start` up to `end` of the filter; `reason` says what is wrong with them."""

    start: int
    end: int
    text: str
    reason: str


class Mistake(NamedTuple):
    """Place and context of the first token that does not fit.

    Attributes:
        text: the whole filter.
        token: the first token that does not fit.
        place: what could have stood there.
        opened: offset of the parenthesis that is still open, or None.
        key: the key that was read last, or None; of the comparison that is broken, or that stands before `token`.
        operator: the operator after it, empty if there is none yet.
        value: the value after that, None if there is none yet.
    """

    text: str
    token: Token
    place: Place
    opened: int | None = None
    key: Token | None = None
    operator: str = ""
    value: Token | None = None


_KEYWORDS: Final = (AND, OR, NOT)
_MAX_SHOWN: Final = 100
# Characters that no word of a filter may hold, by what people coming from other languages mean by them.
_OF_CHARACTER: Final = {
    "'": 'strings are written in double quotes: "..."',
    "&": "write AND; a & that belongs to a value needs double quotes around the value",
    "|": "write OR; a | that belongs to a value needs double quotes around the value",
    "!": "there is no ! and no !=: write NOT KEY=VALUE",
    "~": "there are no regular expressions: use the wildcards * and ?, as in KEY=abc*",
    "#": "a filter cannot contain comments",
    ";": "a filter has no terminator; leave the ; out or put the value in double quotes",
    "\\": "a backslash is only possible inside double quotes",
    "[": 'write an IPv6 address without brackets, and other values in double quotes: "[...]"',
    "{": 'a %{variable} is not expanded here; to compare with this text put it in double quotes: "..."',
    "$": 'a variable is not expanded here; to compare with this text put it in double quotes: "..."',
}


def hint_for(mistake: Mistake, repair: Rewrite | None) -> str:
    """The hint for a mistake: why it does not parse, and what to write instead as far as that is clear.

    Args:
        mistake: what does not fit.
        repair: the replacement that repairs it, None if none is known.
    """
    token = mistake.token
    # First, since the filter was right: the repair of what is left of it would be wrong.
    if _lost_outer_quotes(mistake.text, token):
        return (
            "a value that begins and ends with a double quote loses both: put the filter in parentheses, "
            f'as in filter = ("{_shortened(mistake.text)}")'
        )
    # A hint goes to terminals and logs, where control characters out of a filter could do harm.
    if repair is None or not (repair.text.isprintable() and repair.reason.isprintable()):
        return _explanation(mistake)
    wrong = " ".join(mistake.text[repair.start : repair.end].split())
    if not wrong:
        return f"{repair.reason}; {'write a space' if repair.text else 'remove it'}"
    return f"{repair.reason}; write {repair.text.strip() or 'nothing'} instead of {_shortened(wrong)}"


def _lost_outer_quotes(text: str, token: Token) -> bool:
    """Whether the configuration took the first and last quote of the filter for quotes around the whole value."""
    if token.kind not in (STRING, END) or text.count('"') < 2:
        return False
    # With its quotes back, the filter begins with a quoted key and scans to its end.
    tokens = list(scan(f'"{text}"'))
    kinds = [each.kind for each in tokens]
    return kinds[1:2] == ["'='"] and INVALID not in kinds and not tokens[-1].text


def _explanation(mistake: Mistake) -> str:
    """Hint without a repair, for a mistake whose meaning is not clear."""
    text, token, place = mistake.text, mistake.token, mistake.place
    if token.kind == INVALID:
        if token.text == "{" and text[token.offset - 1 : token.offset] != "%":
            return 'write parentheses, ( and ); a text with { in it needs double quotes: "..."'
        if token.text == "," and mistake.operator not in ("", "="):
            return f"numbers are whole, and {mistake.operator} compares with one of them"
        return _invalid_character(token.text)
    if token.kind == END:
        return _end_of_filter(token, place, mistake.opened)
    if place == "value":
        return _value_missing(text, token)
    if token.kind in _KEYWORDS and place not in ("end", "end of group"):
        return _misplaced_keyword(token, place)
    if place == "operator":
        return "after a key comes =, <, >, <= or >= and a value; text with spaces needs double quotes"
    if token.kind == "')'":
        if place == "operand":
            return "nothing between the parentheses: write a comparison KEY=VALUE"
        return "this parenthesis was never opened: remove it, or open one before"
    if place == "operand":
        return 'a key is missing here; a field called and, or or not needs double quotes: "not"=VALUE'
    if place == "start":
        return "a comparison begins with a key: KEY=VALUE"
    return _after_comparison(token)


def _shortened(text: str) -> str:
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."


def _invalid_character(char: str) -> str:
    if char in _OF_CHARACTER:
        return _OF_CHARACTER[char]
    if not char.isprintable():
        return f"the character U+{ord(char):04X} can only stand inside double quotes"
    return f'a text with {char} needs double quotes around it: "..."'


def _end_of_filter(token: Token, place: Place, opened: int | None) -> str:
    if token.text:
        return "this double quote is never closed; Dovecot silently ignores everything from here on"
    if place == "value":
        return 'a value is missing; to compare with the empty text write ""'
    if place == "operator":
        return "a key alone is not a comparison: write KEY=VALUE, or KEY=* to test that a field is there"
    if place == "end of group":
        return f"the parenthesis at character {opened} is never closed"
    return "a comparison KEY=VALUE is missing at the end"


def _value_missing(text: str, token: Token) -> str:
    before = text[: token.offset].rstrip()[-1:]
    if token.text == "=" and before == "=":
        return "equality is a single =: write KEY=VALUE"
    if token.text == ">" and before == "<":
        return "there is no <>: write NOT KEY=VALUE"
    if token.text in ("<", ">") and before == "=":
        return f"write {token.text}= instead of ={token.text}"
    if token.text == "(":
        return "a value cannot be in parentheses; for alternatives write (KEY=A OR KEY=B)"
    return f'a value is missing before {token.text}; a text with {token.text} in it needs double quotes: "..."'


def _misplaced_keyword(token: Token, place: Place) -> str:
    if place == "operator":
        return "a key alone is not a comparison: write KEY=VALUE on each side of AND and OR"
    return f'{token.kind} stands between comparisons; a field of that name needs double quotes: "{token.text}"=VALUE'


def _after_comparison(token: Token) -> str:
    if token.kind == NOT:
        return "write AND NOT or OR NOT"
    if token.text == "=":
        return 'a value with a = in it needs double quotes: "..."'
    if token.text.startswith("//"):
        return _OF_CHARACTER["#"]
    if token.kind in (WORD, STRING) or token.text == "(":
        return "comparisons are joined with AND or OR, standing alone; a value with spaces needs double quotes"
    return f"{token.text} cannot follow a complete comparison; join comparisons with AND or OR"


# Pieces of filters as people write them in other languages, and how the same is written here.

# Marks that people use for quotes; only the straight double quote is one here. Word processors make some of them.
QUOTE_MARKS: Final = "'`\u00b4\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a\u2032\u2033"

BRACKETS: Final = {"(": ")", "[": "]", "{": "}"}
STRING_TEXT: Final = r'"(?:[^"\\]|\\.)*"'
FOREIGN_STRING: Final = re.compile(rf'[{QUOTE_MARKS}]([^{QUOTE_MARKS}"]*)[{QUOTE_MARKS}]')
_STRING: Final = re.compile(STRING_TEXT, re.DOTALL)
_COMPARISON: Final = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*([<>]=?|=)\s*([^<>=\"()]*?)\s*", re.ASCII | re.DOTALL)
_BRACKET_PARTS: Final = {
    opening: re.compile(rf"{STRING_TEXT}|\{opening}|\{closing}", re.DOTALL) for opening, closing in BRACKETS.items()
}
# An odd number of backslashes before a quote, or before the end, where the closing quote will come.
_HIDDEN_QUOTE: Final = re.compile(r'(?<!\\)(?:\\\\)*\\(?:"|\Z)')
_SPACE: Final = re.compile(r"\s*")


def joined(key: str, operator: str, values: Sequence[str]) -> str:
    """One comparison for each value, joined by OR; `!=` becomes a NOT before all of them."""
    negation = "NOT " if operator == "!=" else ""
    # NOT binds to the next operand only, so several alternatives need parentheses, and so do those beside an AND.
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
    """The value in this language of a text with other quotes, or with none."""
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
    """The comparison that stands as a whole between quotes; None if the text is not exactly one."""
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
    """The text of a word or string as written, quotes included."""
    return text[token.offset : end_of_token(text, token)]


def end_of_token(text: str, token: Token) -> int:
    """Offset behind a word or string."""
    if token.kind != STRING:
        return token.offset + len(token.text)
    # The token's text is shorter than its source: without quotes and escaped newlines.
    match = _STRING.match(text, token.offset)
    return match.end() if match else len(text)


def skip(text: str, at: int, what: re.Pattern[str] = _SPACE) -> int:
    """Offset behind a match of `what` at `at`, white space by default; `at` itself if there is no match."""
    match = what.match(text, at)
    return match.end() if match else at
