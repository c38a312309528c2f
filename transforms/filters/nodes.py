"""Syntax of filters: the nodes of the tree, the canonical text that parses to the same tree, and the tokens.

`AND` and `OR` have the same precedence and associate to the left, so a chain `a AND b AND c` is one flat node, while
`a AND (b AND c)` keeps its inner node. A tree can be as deep as Dovecot's parser allows, and deeper along its left
edge: nothing here recurses. Nodes are compared and hashed by their text. Rules from Dovecot's event filter language,
"Tokens" and "Grammar".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeVar

import msgspec

__all__ = [
    "AND",
    "END",
    "INVALID",
    "KEYWORDS",
    "NOT",
    "OR",
    "SPECIAL_KEYS",
    "STRING",
    "WORD",
    "And",
    "Comparison",
    "Node",
    "Not",
    "Operator",
    "Or",
    "Token",
    "comparisons",
    "fold_tree",
    "is_plain_word",
    "render",
    "scan",
]

# Kinds of tokens, named as Dovecot's messages name them.
WORD: Final = "TOKEN"
STRING: Final = "STRING"
AND: Final = "AND"
OR: Final = "OR"
NOT: Final = "NOT"
INVALID: Final = "invalid token"
END: Final = "end of file"

KEYWORDS: Final = frozenset({AND, OR, NOT})
_PUNCTUATION: Final = frozenset("()=<>")
_SPACE: Final = re.compile(r"[ \t\r\n]*")
# Dovecot's scanner also allows `/` and `%`, which its manual says need quotes.
_WORD: Final = re.compile(r"[A-Za-z0-9:.*?/%_-]+")
_STRING_STOP: Final = re.compile(r'["\\]')

Operator = Literal["=", "<", ">", "<=", ">="]
SPECIAL_KEYS: Final = frozenset({"event", "category", "source_location"})
_Result = TypeVar("_Result")


class _Frozen(msgspec.Struct, frozen=True, eq=False):
    """Base of the nodes. Its methods go through text or flat tuples, since msgspec's and pickle's own would recurse."""

    def __str__(self) -> str:
        return render(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {render(self)!r}>"

    def __eq__(self, other: object) -> bool:
        return render(self) == render(other) if isinstance(other, _Frozen) else NotImplemented

    def __hash__(self) -> int:
        return hash(render(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (tuple(_flat(self)),)


class Comparison(_Frozen, frozen=True, eq=False):
    """`KEY OPERATOR VALUE`.

    Attributes:
        key: the key, with backslashes already removed.
        operator: the operator; only `=` for the special keys `event`, `category` and `source_location`.
        value: the value without quotes, with its backslashes.
        offset: offset of the key in the filter's text; `==` ignores it.
    """

    key: str
    operator: Operator
    value: str
    offset: int = 0


class Not(_Frozen, frozen=True, eq=False):
    """`NOT operand`."""

    operand: Node


class And(_Frozen, frozen=True, eq=False):
    """`a AND b AND c`: two operands or more."""

    operands: tuple[Node, ...]


class Or(_Frozen, frozen=True, eq=False):
    """`a OR b OR c`: two operands or more."""

    operands: tuple[Node, ...]


Node = Comparison | Not | And | Or


def fold_tree(root: Node, combine: Callable[[Node, Sequence[_Result]], _Result]) -> _Result:
    """Computes a result from the leaves up: `combine` gets each node with the results of its operands, in order."""
    results: list[_Result] = []
    for node in _postorder(root):
        arity = len(_operands(node))
        # Not results[-arity:], which would be everything for a leaf without operands.
        operands = results[len(results) - arity :]
        del results[len(results) - arity :]
        results.append(combine(node, operands))
    return results[0]


def comparisons(root: Node) -> tuple[Comparison, ...]:
    """All comparisons in the order in which Dovecot would evaluate them."""
    return tuple(node for node in _postorder(root) if isinstance(node, Comparison))


def render(root: Any, *, explicit: bool = False) -> str:
    """The canonical text: words without quotes where possible, and no redundant parentheses.

    Args:
        root: a node.
        explicit: whether a chain that begins with another one shows that in parentheses, which parse to the same tree.
    """
    pieces: list[str] = []
    pending: list[Node | str] = [root]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            pieces.append(item)
        elif isinstance(item, Comparison):
            pieces.append(_render_comparison(item))
        elif isinstance(item, Not):
            pieces.append("NOT ")
            pending.extend(_in_parentheses(item.operand))
        else:
            pending.extend(_chain(item, explicit=explicit))
    return "".join(pieces)


def _chain(node: And | Or, *, explicit: bool) -> list[Node | str]:
    """Pieces of a chain, last one first. A leading operand needs no parentheses: everything binds left."""
    keyword = " AND " if isinstance(node, And) else " OR "
    pending: list[Node | str] = []
    for operand in reversed(node.operands[1:]):
        pending.extend(_in_parentheses(operand))
        pending.append(keyword)
    first = node.operands[0]
    pending.extend(_in_parentheses(first) if explicit else [first])
    return pending


def _in_parentheses(operand: Node) -> list[Node | str]:
    return [")", operand, "("] if isinstance(operand, And | Or) else [operand]


def _render_comparison(node: Comparison) -> str:
    # The parser removes the backslashes of a key but keeps those of a value, so only a key gets them again.
    key = node.key if is_plain_word(node.key) else '"' + node.key.replace("\\", "\\\\").replace('"', '\\"') + '"'
    value = node.value if is_plain_word(node.value) else f'"{node.value}"'
    return f"{key}{node.operator}{value}"


def _operands(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Comparison):
        return ()
    return (node.operand,) if isinstance(node, Not) else node.operands


def _postorder(root: Node) -> Iterator[Node]:
    """Nodes in the order of evaluation, each after its operands."""
    pending: list[tuple[Node, bool]] = [(root, False)]
    while pending:
        node, expanded = pending.pop()
        operands = () if expanded else _operands(node)
        if operands:
            pending.append((node, True))
            pending.extend((operand, False) for operand in reversed(operands))
        else:
            yield node


def _flat(root: Any) -> Iterator[tuple[Any, ...]]:
    """The tree as postfix notation, for pickling."""
    for node in _postorder(root):
        if isinstance(node, Comparison):
            yield node.key, node.operator, node.value, node.offset
        else:
            yield type(node).__name__, len(_operands(node))


def _rebuild(flat: tuple[tuple[Any, ...], ...]) -> Node:
    nodes: list[Node] = []
    for item in flat:
        if len(item) == 4:
            nodes.append(Comparison(*item))
            continue
        name, arity = item
        operands = tuple(nodes[-arity:])
        del nodes[-arity:]
        nodes.append(Not(operands[0]) if name == "Not" else (And if name == "And" else Or)(operands))
    return nodes[0]


# Tokens.


class Token(NamedTuple):
    """One token of a filter's text.

    Attributes:
        kind: what Dovecot calls it in a message: `TOKEN`, `STRING`, `AND`, `'='`, `invalid token` and so on.
        text: of a word or string its value, backslashes still in it and quotes gone; of a keyword used as a value its
            value, in lower case; of an unterminated string the quote; otherwise the character itself.
        offset: of its first character in the filter.
    """

    kind: str
    text: str
    offset: int


def scan(text: str) -> Iterator[Token]:
    """Yields the tokens of `text`; the last one has the kind `END`.

    A string without its closing quote swallows the rest of the filter, silently in Dovecot: it shows here as an `END`
    with the text `"` at the offset of that quote.
    """
    offset = 0
    while True:
        offset = _end_of(_SPACE, text, offset)
        if offset == len(text):
            yield Token(END, "", offset)
            return
        char = text[offset]
        stop = offset + 1
        if char in _PUNCTUATION:
            yield Token(f"'{char}'", char, offset)
        elif char == '"':
            closing = _closing_quote(text, stop)
            # Dovecot drops the quote and the rest of the filter without an error ("Unterminated string").
            if closing < 0:
                yield Token(END, char, offset)
                return
            yield Token(STRING, _without_escaped_newlines(text[stop:closing]), offset)
            stop = closing + 1
        elif word := _WORD.match(text, offset):
            yield _word_token(word[0], offset)
            stop = word.end()
        else:
            yield Token(INVALID, char, offset)
        offset = stop


def is_plain_word(text: str) -> bool:
    """Whether `text` can be written in a filter without quotes, as a key or as a value."""
    return _WORD.fullmatch(text) is not None and text.upper() not in KEYWORDS


def _word_token(word: str, offset: int) -> Token:
    # Only a whole word is a keyword (`android` is not), and as a value it counts in lower case ("Keywords").
    keyword = word.upper()
    return Token(keyword, word.lower(), offset) if keyword in KEYWORDS else Token(WORD, word, offset)


def _closing_quote(text: str, offset: int) -> int:
    while stop := _STRING_STOP.search(text, offset):
        if stop[0] == '"':
            return stop.start()
        # A backslash takes the next character with it, so `\"` does not end the string.
        offset = stop.end() + 1
    return -1


def _without_escaped_newlines(text: str) -> str:
    """Drops a backslash that stands before a line feed; one that is itself escaped stays."""
    if "\\\n" not in text:
        return text
    return re.sub(r"\\(.)", lambda pair: "\n" if pair[1] == "\n" else pair[0], text, flags=re.DOTALL)


def _end_of(pattern: re.Pattern[str], text: str, offset: int) -> int:
    match = pattern.match(text, offset)
    return match.end() if match else offset
