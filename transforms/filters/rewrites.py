"""Repairs of one mistake in a filter that does not parse: which characters to replace, and by what.

A repair is a piece of a valid filter with the meaning that the author probably had in mind. Where more than one meaning
is likely there is no repair, and `hints` explains instead. Everything is found by regular expressions without nested
repetition, so that a repair takes time linear in the length of the filter.
"""

from __future__ import annotations

import re
from typing import Final
from unicodedata import category

from dovebeam.transforms.filters.hints import (
    BRACKETS,
    FOREIGN_STRING,
    QUOTE_MARKS,
    STRING_TEXT,
    Mistake,
    Rewrite,
    closing_bracket,
    comparison_of,
    end_of_token,
    joined,
    quoted,
    skip,
    source_of,
    styled,
    value_of,
)
from dovebeam.transforms.filters.nodes import AND, END, INVALID, NOT, OR, STRING, WORD, Token, scan

__all__ = ["rewrite"]

_ITEM: Final = re.compile(rf'{STRING_TEXT}|{FOREIGN_STRING.pattern}|[^\s,|;()\[\]{{}}"<>={QUOTE_MARKS}]+', re.DOTALL)
_ITEM_BEFORE_EQUALS: Final = re.compile(r"\s*[^\s()\"<>=,|;]*\s*[<>=]")
_SEPARATOR: Final = re.compile(r"\s*(?:,|\|\|?|;|\bOR\b)\s*", re.IGNORECASE)
_COMPARISON_FOLLOWS: Final = re.compile(
    rf"\s*(?:NOT\s+|!\s*)?\(?\s*(?:{STRING_TEXT}|[\w:.*?/%-]+)\s*(?:!\s*=|[<>=])", re.IGNORECASE | re.DOTALL
)
_FILTER_BEGINS: Final = re.compile(r"\s*\(*\s*(?:NOT\s+)?[A-Za-z_][\w.-]*\s*[<>=]", re.ASCII | re.IGNORECASE)
_EQUALS: Final = re.compile("=*")
_OPERATOR_WORD: Final = re.compile(r"\w+|[^\w\s]")
_ANGLE_BRACKETS: Final = re.compile(r"<[^\s<>]+>")
_KEY_RUN: Final = re.compile(r"[^\s()\"<>=!]+(?=\s*[<>=])")
_RUN: Final = re.compile(r'[^\s()"]+')
_WORDS: Final = re.compile(r"[^\s()\"<>=]+")

# Operators of SQL, Elasticsearch and the like, and what they are here.
_OPERATORS: Final = {
    "eq": "=", "is": "=", "equals": "=", "in": "=", "like": "=", "ilike": "=", "contains": "=", "ne": "!=",
    "gt": ">", "ge": ">=", "gte": ">=", "lt": "<", "le": "<=", "lte": "<=",
    "\N{NOT EQUAL TO}": "!=", "\N{LESS-THAN OR EQUAL TO}": "<=", "\N{GREATER-THAN OR EQUAL TO}": ">=",
}  # fmt: skip
# What stands before the colon of `KEY:VALUE`, as in the filters of Dovecot 2.3's `doveadm stats` and of Lucene.
_PREFIXES: Final = {
    "cat": "category", "category": "category", "categories": "category",
    "event": "event", "event_name": "event", "source": "source_location", "source_location": "source_location",
}  # fmt: skip


_NOT_EQUAL: Final = "there is no ! and no !=: write NOT KEY=VALUE"
_ONE_VALUE: Final = "alternatives are written (KEY=A OR KEY=B), and a value with a comma in double quotes"
_ROUND: Final = "comparisons are grouped with round parentheses"
_STRAIGHT: Final = "strings are written in straight double quotes"
_COMPARISON_FORM: Final = "a comparison is written KEY=VALUE"
_OPERATOR_FORMS: Final = "the operators are =, <, >, <= and >="
_JOINED: Final = "comparisons are joined with AND or OR"
_BETWEEN: Final = {AND: AND, OR: OR, NOT: NOT, "'('": "(", "')'": ")", END: ""}
_AROUND_A_VALUE: Final = "quotes belong around a value only"
_BACKSLASH: Final = "a backslash is only possible inside double quotes"


def rewrite(mistake: Mistake) -> Rewrite | None:
    """The repair of a mistake; None if what was meant is not certain."""
    token = mistake.token
    # Non-breaking spaces and zero-width characters come with text that is copied from web pages and mails.
    if token.kind == INVALID and not token.text.isascii() and (token.text.isspace() or category(token.text) == "Cf"):
        name = f"the character U+{ord(token.text):04X}"
        space = token.text.isspace()
        reason = f"{name} only looks like a space" if space else f"{name} is invisible and does not belong here"
        return Rewrite(token.offset, token.offset + 1, " " if space else "", reason)
    if token.kind == STRING and (whole := _quoted_comparisons(mistake.text)):
        return Rewrite(0, len(mistake.text), whole, _AROUND_A_VALUE)
    match mistake.place:
        case "start" | "operand":
            return _of_operand(mistake)
        case "operator":
            return _of_operator(mistake)
        case "value":
            return _of_value(mistake)
        case _:
            return _after_comparison(mistake)


def _quoted_comparisons(text: str) -> str:
    """The repaired filter of `"KEY=VALUE" AND "KEY=VALUE"`, whose outer quotes the configuration took; else empty."""
    pieces: list[str] = []
    for token in scan(f'"{text}"'):
        piece = comparison_of(token.text) if token.kind == STRING else _BETWEEN.get(token.kind)
        if piece is None or (token.kind == END and token.text):
            return ""
        pieces.append(piece)
    return " ".join(pieces).strip()


def _of_operand(mistake: Mistake) -> Rewrite | None:
    """Repair at a place where a comparison should begin."""
    text, token = mistake.text, mistake.token
    if token.text == "!":
        return Rewrite(token.offset, skip(text, token.offset + 1), "NOT ", _NOT_EQUAL)
    if token.text in ("[", "{"):
        close = closing_bracket(text, token.offset)
        inside = text[token.offset + 1 : close].strip()
        return None if close < 0 or not inside else Rewrite(token.offset, close + 1, f"({inside})", _ROUND)
    framed = FOREIGN_STRING.match(text, token.offset)
    if framed is None:
        return _key_with_quotes(text, token.offset, token) if token.kind == INVALID else None
    inside = framed[1].strip()
    if _FILTER_BEGINS.match(inside):
        return Rewrite(token.offset, framed.end(), comparison_of(inside) or f"({inside})", _STRAIGHT)
    return Rewrite(token.offset, framed.end(), f'"{inside}"', _STRAIGHT)


def _of_operator(mistake: Mistake) -> Rewrite | None:
    """Repair at a place where an operator should follow the key."""
    text, token, key = mistake.text, mistake.token, mistake.key
    if key is None:
        return None
    if key.kind == STRING:
        inside = comparison_of(key.text) if token.offset > key.offset else None
        if inside is not None and not text[token.offset - 1 : token.offset + 1].isalnum():
            return Rewrite(key.offset, end_of_token(text, key), inside, _AROUND_A_VALUE)
    elif ":" in key.text.strip(":") or (key.text.endswith(":") and token.kind in (WORD, STRING)):
        return _with_colon(text, key, token)
    elif token.kind == INVALID and not text[token.offset - 1].isspace() and token.text not in "!=~\N{NOT EQUAL TO}":
        repair = _foreign_operator(mistake)
        return repair or _key_with_quotes(text, key.offset, token)
    return _foreign_operator(mistake)


def _with_colon(text: str, key: Token, token: Token) -> Rewrite:
    name, _, value = key.text.partition(":")
    end = key.offset + len(key.text)
    if not value:
        value, end = value_of(text[token.offset : (stop := end_of_token(text, token))]), stop
    # Dovecot calls the category of a process `service:imap`, and a source location is `FILE:LINE`.
    if name == "service":
        name, value = "category", f"service:{value}"
    elif name.endswith((".c", ".h")):
        name, value = "source_location", f"{name}:{value}"
    return Rewrite(key.offset, end, f"{_PREFIXES.get(name.lower(), name)}={value}", _COMPARISON_FORM)


def _foreign_operator(mistake: Mistake) -> Rewrite | None:
    """Repair of an operator of another language: `!=`, IN, LIKE and others."""
    text, token = mistake.text, mistake.token
    at, negated = token.offset, False
    # NOT IN and NOT LIKE; before another operator a NOT has no certain meaning.
    if token.kind == NOT:
        at, negated = skip(text, at + 3), True
    if text.startswith("!", at) and not negated:
        after = skip(text, at + 1)
        return _listed(mistake, skip(text, after, _EQUALS), "!=", _NOT_EQUAL) if text.startswith("=", after) else None
    word = _OPERATOR_WORD.match(text, at)
    operator = _OPERATORS.get(word[0].lower()) if word else None
    if word is None or operator is None or (negated and operator != "="):
        return None
    operator = "!=" if negated else operator
    reason = _NOT_EQUAL if operator == "!=" else _OPERATOR_FORMS
    return _listed(mistake, word.end(), operator, reason, style=word[0].lower())


def _of_value(mistake: Mistake) -> Rewrite | None:
    """Repair at a place where a value should follow the operator."""
    text, token, operator = mistake.text, mistake.token, mistake.operator
    if token.text == "=" and operator == "=":
        return _listed(mistake, skip(text, token.offset, _EQUALS), "=", "equality is a single =")
    if token.text == ">" and operator == "<":
        return _listed(mistake, token.offset + 1, "!=", _NOT_EQUAL)
    if token.text in ("<", ">") and operator == "=":
        return _reversed_operator(mistake)
    if token.text == "!" and operator == "=":
        return _listed(mistake, token.offset + 1, "!=", _NOT_EQUAL)
    if token.text in ("~", "$", "#", ";") or token.text == "=":
        return None
    reason = _STRAIGHT if token.text in QUOTE_MARKS else _needs_quotes(token)
    if token.text == "[" and ":" in text[token.offset : token.offset + 8]:
        reason = "an IPv6 address is written without brackets"
    return _listed(mistake, token.offset, operator, reason)


def _reversed_operator(mistake: Mistake) -> Rewrite | None:
    """Repair of `=>` and `=<`, or of a value in angle brackets such as a Message-ID."""
    text, token, key = mistake.text, mistake.token, mistake.key
    framed = _ANGLE_BRACKETS.match(text, token.offset)
    if framed is not None and key is not None:
        piece = f"{source_of(text, key)}={quoted(framed[0])}"
        return Rewrite(key.offset, framed.end(), piece, _needs_quotes(token))
    reason = f"the = stands last, {token.text}= instead of ={token.text}"
    return _listed(mistake, token.offset + 1, f"{token.text}=", reason)


def _needs_quotes(token: Token) -> str:
    return _BACKSLASH if token.text == "\\" else f"a text with {token.text} in it needs double quotes"


def _key_with_quotes(text: str, at: int, token: Token) -> Rewrite | None:
    """Repair of a key with characters that need quotes, up to its operator."""
    key = _KEY_RUN.match(text, at)
    return None if key is None else Rewrite(at, key.end(), quoted(key[0]), _needs_quotes(token))


def _after_comparison(mistake: Mistake) -> Rewrite | None:
    """Repair at a place where AND, OR or the end should follow a comparison."""
    text, token = mistake.text, mistake.token
    at = token.offset
    # `a=1 !b=2`: AND and OR are equally likely.
    if token.text == "!" and _COMPARISON_FOLLOWS.match(text, at + 1):
        return None
    # A comma joins comparisons only where one follows; between values, below, it lists alternatives.
    for keyword, marks in (("AND", "&,;"), ("OR", "|")):
        if token.kind == INVALID and token.text in marks:
            end = at + 2 if text.startswith(token.text * 2, at) else at + 1
            follows = _COMPARISON_FOLLOWS.match(text, end)
            if follows or (end == at + 2 and text[end : end + 1].isspace()):
                return Rewrite(at, end, f" {keyword} ", _JOINED)
    gap = "" if mistake.value is None else text[end_of_token(text, mistake.value) : at]
    if mistake.value is None or gap.strip() or token.text in ("~", "$", "#", ";", "{", "}", "[", "]"):
        return None
    if token.text in (",", "|"):
        return _listed(mistake, mistake.value.offset, mistake.operator, _ONE_VALUE)
    adjacent = not gap
    if token.kind == INVALID or (token.text == "=" and mistake.value.kind == WORD and adjacent):
        return _quoted_run(mistake) if adjacent and mistake.value.kind != STRING else None
    if token.kind == WORD and mistake.value.kind == WORD and not token.text.startswith("//") and not adjacent:
        return _several_words(mistake, mistake.value)
    return None


def _quoted_run(mistake: Mistake) -> Rewrite | None:
    """Repair of a value with characters that need quotes, up to the next blank or parenthesis."""
    text, value, key = mistake.text, mistake.value, mistake.key
    run = None if value is None else _RUN.match(text, value.offset)
    if run is None or key is None or "," in run[0] or "|" in run[0]:
        return _listed(mistake, value.offset, mistake.operator, _ONE_VALUE) if value is not None else None
    return Rewrite(
        key.offset,
        run.end(),
        f"{source_of(text, key)}{mistake.operator}{value_of(run[0])}",
        _needs_quotes(mistake.token),
    )


def _several_words(mistake: Mistake, value: Token) -> Rewrite | None:
    """Repair of a value with spaces; None where a missing AND is as likely."""
    text, token, key = mistake.text, mistake.token, mistake.key
    if key is None or _COMPARISON_FOLLOWS.match(text, token.offset):
        return None
    words, at = [value.text], token.offset
    end = at
    while (word := _WORDS.match(text, at)) and word[0].upper() not in ("AND", "OR", "NOT"):
        if _ITEM_BEFORE_EQUALS.match(text, at):
            break
        words.append(word[0])
        end = word.end()
        at = skip(text, end)
    piece = f"{source_of(text, key)}{mistake.operator}{quoted(' '.join(words))}"
    return Rewrite(key.offset, end, piece, "a value with spaces needs double quotes")


def _listed(mistake: Mistake, at: int, operator: str, reason: str, *, style: str = "") -> Rewrite | None:
    """Repair with one comparison for each value from `at` on, joined by OR."""
    text, key = mistake.text, mistake.key
    if key is None:
        return None
    at = skip(text, at)
    bracket = BRACKETS.get(text[at : at + 1], "")
    at += bool(bracket)
    items: list[str] = []
    end = -1
    while item := _ITEM.match(text, skip(text, at)):
        if items and not bracket and _ITEM_BEFORE_EQUALS.match(text, item.start()):
            break
        items.append(item[0])
        end = item.end()
        separator = _SEPARATOR.match(text, end)
        if separator is None or (not bracket and separator[0].strip().lower() == "or"):
            break
        at = separator.end()
    if bracket:
        end = skip(text, end) if items else -1
        if end < 0 or text[end : end + 1] != bracket:
            return None
        end += 1
    # Variables, regular expressions and a lone % of SQL are not values that a filter can express.
    if not items or any(item == "%" or item.startswith(("$", "~", "=")) for item in items):
        return None
    if len(items) > 1:
        reason = _ONE_VALUE
        # "Less than one of several values" is rarely meant.
        if operator not in ("=", "!="):
            return None
    piece = joined(source_of(text, key), operator, [styled(item, style) for item in items])
    return Rewrite(key.offset, end, piece, reason)
