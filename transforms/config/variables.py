"""Variables `%{...}` in string settings: the syntax check while reading, and the one expansion at start.

Rules from Dovecot's configuration language, section "%{variables}". There are no per-event variables in settings.
dovebeam expands what makes sense away from Dovecot's own hosts: `env:NAME`, `system:hostname` and the filters
`default`, `upper` and `lower`; anything else is an error that names the expression. `%%{` stands for `%{`.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["VariableError", "VariableSyntaxError", "expand", "has_variables", "parse_expressions"]

# `%%{` is matched as a whole, so that it is not taken for an opening.
_OPEN = re.compile(r"%?%\{")
_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:(?P<name>[A-Za-z_][A-Za-z0-9_:.\-]*)|(?P<number>-?[0-9]+)"""
    r"""|(?P<value>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?P<mark>[|(),}+*/%\-]))""",
    re.DOTALL,
)
# The names of the tokens in the messages of Dovecot's parser.
_MARK_NAMES: Final = {
    "|": "PIPE", "(": "OBRACE", ")": "CBRACE", ",": "COMMA", "}": "CCBRACE",
    "+": "PLUS", "-": "MINUS", "*": "STAR", "/": "SLASH", "%": "PERC",
}  # fmt: skip
_OPERATORS: Final = frozenset("+-*/%")
# Dovecot's other sources of variables: they exist, but are of no use away from its own hosts.
_PROVIDERS: Final = frozenset({"process", "dovecot", "system", "time", "date", "generate", "event"})
# Dovecot changes ASCII letters only; str.upper() would change others, and even the length ("ß").
_LETTERS_UP = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LETTERS_DOWN = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


class VariableSyntaxError(Exception):
    """A `%{...}` that doesn't parse; `message` is Dovecot's, `offset` the position in the text."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message, offset)
        self.message = message
        self.offset = offset


class VariableError(Exception):
    """A `%{...}` that dovebeam can't expand.

    Attributes:
        message: the problem, and the variables or filters that are supported.
        dovecot: the message of the stats process, or an empty string where Dovecot expands the expression.
        offset: start of the expression in the text.
    """

    def __init__(self, message: str, dovecot: str, offset: int) -> None:
        super().__init__(message, dovecot, offset)
        self.message = message
        self.dovecot = dovecot
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Expression:
    """One `%{variable | filter(arguments) ...}`; `text[start:end]` is all of it."""

    start: int
    end: int
    variable: str
    filters: tuple[tuple[str, tuple[str, ...]], ...]


def has_variables(text: str) -> bool:
    """Whether a text has a `%{`, which suspends Dovecot's checks of the setting while reading."""
    return "%{" in text


def parse_expressions(text: str) -> list[Expression]:
    """Expressions of a text, in order.

    Raises:
        VariableSyntaxError: one of them doesn't parse.
    """
    found: list[Expression] = []
    position = 0
    while (opening := _OPEN.search(text, position)) is not None:
        if opening[0] == "%%{":
            position = opening.end()
            continue
        found.append(_Scanner(text, opening.end()).expression(opening.start()))
        position = found[-1].end
    return found


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Text with every expression replaced by its value.

    Raises:
        VariableSyntaxError: an expression doesn't parse.
        VariableError: it parses, but is unknown to Dovecot or not supported here.
    """
    if not has_variables(text):
        return text
    pieces: list[str] = []
    position = 0
    for expression in parse_expressions(text):
        pieces.append(text[position : expression.start].replace("%%{", "%{"))
        pieces.append(_evaluate(expression, environ))
        position = expression.end
    pieces.append(text[position:].replace("%%{", "%{"))
    return "".join(pieces)


def _evaluate(expression: Expression, environ: Mapping[str, str]) -> str:
    value = _variable(expression, environ)
    for name, arguments in expression.filters:
        if name == "default":
            # Dovecot's `default` replaces an empty value, too.
            value = value or (arguments[0] if arguments else "")
        elif name == "upper":
            value = value.translate(_LETTERS_UP)
        elif name == "lower":
            value = value.translate(_LETTERS_DOWN)
        else:
            message = (
                f"the filter '{name}' in %{{{expression.variable} ...}} is not supported; use default, upper or lower"
            )
            raise VariableError(message, "", expression.start)
    return value


def _variable(expression: Expression, environ: Mapping[str, str]) -> str:
    provider, colon, name = expression.variable.partition(":")
    if provider == "env" and colon:
        # Unset is empty, as in Dovecot.
        return environ.get(name, "")
    if expression.variable == "system:hostname":
        # Of the launching machine, once: all workers must deliver to the same target.
        return socket.gethostname()
    supported = "supported are env:NAME and system:hostname"
    if provider in _PROVIDERS and colon:
        message = f"the variable %{{{expression.variable}}} is not supported by dovebeam; {supported}"
        raise VariableError(message, "", expression.start)
    message = f"the stats process has no variable '{expression.variable}'; {supported}"
    raise VariableError(message, f"Unknown variable '{expression.variable}'", expression.start)


class _Scanner:
    """Scanner of one expression, from left to right; nothing in the language nests."""

    def __init__(self, text: str, position: int) -> None:
        self.text = text
        self.position = position

    def expression(self, start: int) -> Expression:
        variable = self._take("name", "NAME")
        filters: list[tuple[str, tuple[str, ...]]] = []
        while True:
            kind, word = self._next("CCBRACE or PIPE")
            if (kind, word) == ("mark", "}"):
                return Expression(start, self.position, variable, tuple(filters))
            if kind == "mark" and word in _OPERATORS:
                # Arithmetic parses as in Dovecot, so that `expand` can name it as not supported.
                filters.append((word, (self._take("number", "NUMBER"),)))
            elif (kind, word) == ("mark", "|"):
                filters.append((self._take("name", "NAME"), self._arguments()))
            else:
                raise self._unexpected(word if kind == "mark" else kind, "CCBRACE or PIPE")

    def _arguments(self) -> tuple[str, ...]:
        before = self.position
        if self._peek() != "(":
            self.position = before
            return ()
        found: list[str] = []
        while True:
            kind, word = self._next("CBRACE")
            if (kind, word) == ("mark", ")"):
                return tuple(found)
            if kind == "mark" and not (word == "," and found):
                raise self._unexpected(word, "CBRACE")
            if kind != "mark":
                found.append(re.sub(r"\\(.)", r"\1", word[1:-1]) if kind == "value" else word)

    def _peek(self) -> str:
        found = _TOKEN.match(self.text, self.position)
        if found is None or found["mark"] is None:
            return ""
        self.position = found.end()
        return found["mark"]

    def _next(self, expecting: str) -> tuple[str, str]:
        found = _TOKEN.match(self.text, self.position)
        if found is None:
            rest = self.text[self.position :].strip(" \t\r\n")
            raise self._unexpected("invalid token" if rest else "end of file", expecting)
        self.position = found.end()
        kind = found.lastgroup or ""
        return kind, found[kind]

    def _take(self, wanted: str, expecting: str) -> str:
        kind, word = self._next(expecting)
        if kind != wanted:
            raise self._unexpected(word if kind == "mark" else kind, expecting)
        return word

    def _unexpected(self, what: str, expecting: str) -> VariableSyntaxError:
        # Texts with a space ("end of file") stay as they are; kinds of tokens are in capitals.
        name = _MARK_NAMES.get(what, what if " " in what else what.upper())
        message = f"{self.text}: syntax error, unexpected {name}, expecting {expecting}"
        return VariableSyntaxError(message, min(self.position, len(self.text)))
