"""What to write instead of a filter that does not parse: one sentence for each of the frequent mistakes.

Dovecot's message names the token that did not fit; people coming from other languages need to be told what does.
"""

from __future__ import annotations

from typing import Final, Literal

from dovebeam.transforms.filters.tokens import AND, END, INVALID, NOT, OR, STRING, WORD, Token

__all__ = ["Place", "hint_for"]

Place = Literal["start", "operand", "operator", "value", "end of group", "end"]

_KEYWORDS: Final = (AND, OR, NOT)
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


def hint_for(text: str, token: Token, place: Place, opened: int | None) -> str:
    """The hint for `token`, which does not fit at `place`.

    Args:
        text: the whole filter.
        token: the first token that does not fit.
        place: what could have stood there.
        opened: offset of the parenthesis that is still open, or None.
    """
    if token.kind == INVALID:
        return _invalid_character(token.text)
    if token.kind == END:
        return _end_of_filter(token, place, opened)
    if place == "value":
        return _value_missing(text, token)
    if token.kind in _KEYWORDS and place not in ("end", "end of group"):
        return _misplaced_keyword(token, place)
    if place == "operator":
        return "after a key comes =, <, >, <= or >= and a value; text with spaces needs double quotes"
    if token.kind == "')'":
        return "nothing between the parentheses" if place == "operand" else "this parenthesis was never opened"
    if place == "operand":
        return 'a key is missing here; a field called and, or or not needs double quotes: "not"=VALUE'
    if place == "start":
        return "a comparison begins with a key: KEY=VALUE"
    return _after_comparison(token)


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
    if token.kind in (WORD, STRING) or token.text == "(":
        return "comparisons are joined with AND or OR, standing alone; a value with spaces needs double quotes"
    return f"{token.text} cannot follow a complete comparison; join comparisons with AND or OR"
