"""What can be said about a filter before an event is seen: does it need a name, and which names can it match at all.

Rules from Dovecot's event filter language, "Unnamed events and the pre-check". The names are for dispatch: a filter
that is skipped for the events of other names must neither match them nor leave a warning on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from dovebeam.transforms.filters.comparisons import exact_name, may_warn
from dovebeam.transforms.filters.nodes import And, Comparison, Node, Not, Or, comparisons, fold_tree
from dovebeam.transforms.filters.text import has_wildcard
from dovebeam.transforms.filters.tokens import AND, OR, scan
from dovebeam.transforms.filters.wildcards import compile_wildcard

__all__ = ["OTHER", "Outlook", "mentioned_names", "mixes_keywords", "name_patterns", "outlook", "requires_name"]

_OPERATORS: Final = ("'='", "'<'", "'>'")
OTHER: Final = False  # any name that no comparison of the filter mentions, or none


class Outlook(NamedTuple):
    """What evaluating a filter may come to for all the events of one name."""

    can_match: bool
    can_fail: bool
    can_warn: bool


def requires_name(root: Node) -> bool:
    """Whether Dovecot counts the filter as one that needs a name: `NOT event=x` does as well."""

    def combine(node: Node, operands: Sequence[bool]) -> bool:
        if isinstance(node, Comparison):
            return node.key == "event"
        return all(operands) if isinstance(node, Or) else any(operands)

    return fold_tree(root, combine)


def mentioned_names(root: Node) -> frozenset[str]:
    """The names that `event=` comparisons without wildcards ask for."""
    return frozenset(name for name in map(exact_name, comparisons(root)) if name is not None)


def name_patterns(root: Node) -> tuple[str, ...]:
    """The wildcard patterns of `event=` comparisons."""
    return tuple(node.value for node in comparisons(root) if node.key == "event" and has_wildcard(node.value))


def mixes_keywords(text: str) -> bool:
    """Whether AND and OR join operands of one pair of parentheses, or of the whole filter. `text` is a valid filter."""
    joined: list[str] = [""]
    before = ""
    for token in scan(text):
        if token.kind == "'('":
            joined.append("")
        elif token.kind == "')'":
            joined.pop()
        elif token.kind in (AND, OR) and before not in _OPERATORS:  # after an operator it is a value
            if joined[-1] not in ("", token.kind):
                return True
            joined[-1] = token.kind
        before = token.kind
    return False


def outlook(root: Node, name: str | Literal[False]) -> Outlook:
    """What may come of the events called `name`, or of all `OTHER` ones, unnamed ones included."""

    def combine(node: Node, operands: Sequence[Outlook]) -> Outlook:
        if isinstance(node, Comparison):
            return _of_comparison(node, name)
        if isinstance(node, Not):
            return Outlook(operands[0].can_fail, operands[0].can_match, operands[0].can_warn)
        return _of_chain(operands, continues_on_match=isinstance(node, And))

    return fold_tree(root, combine)


def _of_comparison(node: Comparison, name: str | Literal[False]) -> Outlook:
    if node.key != "event":
        return Outlook(can_match=True, can_fail=True, can_warn=may_warn(node))
    if not has_wildcard(node.value):
        result = exact_name(node) == name
    elif name is not OTHER:
        result = compile_wildcard(node.value, ignore_case=False)(name)
    else:
        return Outlook(can_match=True, can_fail=True, can_warn=False)
    return Outlook(can_match=result, can_fail=not result, can_warn=False)


def _of_chain(operands: Sequence[Outlook], *, continues_on_match: bool) -> Outlook:
    """AND goes on while operands match and ends with the first that fails; OR is the mirror image."""
    can_stop = can_warn = False
    for operand in operands:
        can_warn |= operand.can_warn
        stops, goes_on = (
            (operand.can_fail, operand.can_match) if continues_on_match else (operand.can_match, operand.can_fail)
        )
        can_stop |= stops
        if not goes_on:
            return Outlook(not continues_on_match, continues_on_match, can_warn)
    return Outlook(
        can_match=continues_on_match or can_stop,
        can_fail=not continues_on_match or can_stop,
        can_warn=can_warn,
    )
