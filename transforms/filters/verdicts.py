"""What a filter can never do, whatever event comes: abstract evaluation of its tree, from the leaves up.

For each node it is known which combinations of facts would make it true, and which would make it false, as far as that
is worth keeping: what is not kept counts as possible. So a verdict "never" is certain, and its absence says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from dovebeam.transforms.filters.facts import Fact, fact_of
from dovebeam.transforms.filters.globs import Budget
from dovebeam.transforms.filters.nodes import And, Comparison, Node, Not, fold_tree

__all__ = ["Contradiction", "NeverTrue", "Verdict", "judge"]

_MAX_CASES: Final = 64
_MAX_FACTS: Final = 8

_Literal = tuple[Fact, bool]  # a fact, and whether it is true
_Case = tuple[_Literal, ...]  # all of these at once
_Cases = tuple[_Case, ...]  # one of these; none if it is impossible

_ANYTHING: Final[_Cases] = ((),)


class NeverTrue(NamedTuple):
    """A comparison that is never true, and why."""

    comparison: Comparison
    reason: str


class Contradiction(NamedTuple):
    """Two comparisons that are never true together; so an AND of them is never true, or an OR of their NOTs always."""

    first: Comparison
    second: Comparison
    always: bool


class Verdict(NamedTuple):
    """What is certain about a filter.

    Attributes:
        can_match: False if no exported event ever matches.
        can_fail: False if every exported event matches.
        never_true: its comparisons that are never true.
        contradictions: where two of them exclude each other.
    """

    can_match: bool
    can_fail: bool
    never_true: tuple[NeverTrue, ...]
    contradictions: tuple[Contradiction, ...]


class _Outcomes(NamedTuple):
    """What makes a node true, and what makes it false."""

    true: _Cases
    false: _Cases


def judge(root: Node) -> Verdict:
    """The verdict on a filter; takes time linear in its size."""
    judgement = _Judgement()
    outcomes = fold_tree(root, judgement.combine)
    return Verdict(
        can_match=bool(outcomes.true),
        can_fail=bool(outcomes.false),
        never_true=tuple(judgement.never_true),
        contradictions=tuple(judgement.contradictions),
    )


class _Judgement:
    """Collects what is worth telling while a tree is folded."""

    def __init__(self) -> None:
        self.never_true: Final[list[NeverTrue]] = []
        self.contradictions: Final[list[Contradiction]] = []
        self._budget: Final = Budget()

    def combine(self, node: Node, operands: Sequence[_Outcomes]) -> _Outcomes:
        if isinstance(node, Comparison):
            return self._leaf(node)
        if isinstance(node, Not):
            return _Outcomes(operands[0].false, operands[0].true)
        trues, falses = [each.true for each in operands], [each.false for each in operands]
        if isinstance(node, And):
            return _Outcomes(self._all_of(trues, always=False), _one_of(falses))
        return _Outcomes(_one_of(trues), self._all_of(falses, always=True))

    def _leaf(self, comparison: Comparison) -> _Outcomes:
        fact = fact_of(comparison)
        if fact.reason:
            self.never_true.append(NeverTrue(comparison, fact.reason))
            return _Outcomes((), _ANYTHING)
        return _Outcomes((((fact, True),),), (((fact, False),),))

    def _all_of(self, parts: Sequence[_Cases], *, always: bool) -> _Cases:
        """The cases in which one case of each part comes true; empty if they exclude each other."""
        joint = _ANYTHING
        for cases in parts:
            if not cases:
                return ()
            if len(joint) * len(cases) > _MAX_CASES:
                joint = min(joint, cases, key=len)
                continue
            clashes: list[tuple[Fact, Fact]] = []
            joint = tuple(self._joined(joint, cases, clashes))
            if not joint:
                first, second = clashes[0]
                self.contradictions.append(Contradiction(first.comparison, second.comparison, always))
                return ()
        return joint

    def _joined(self, ones: _Cases, others: _Cases, clashes: list[tuple[Fact, Fact]]) -> Iterable[_Case]:
        for one in ones:
            for other in others:
                clash = next(((a[0], b[0]) for a in one for b in other if self._exclude(a, b)), None)
                if clash is None:
                    yield (*one, *other)[:_MAX_FACTS]
                else:
                    clashes.append(clash)

    def _exclude(self, one: _Literal, other: _Literal) -> bool:
        if one[0].comparison.key != other[0].comparison.key:
            return False
        match one[1], other[1]:
            case True, True:
                return one[0].excludes(other[0], self._budget)
            case True, False:
                return one[0].implies(other[0])
            case False, True:
                return other[0].implies(one[0])
            case _:
                return False


def _one_of(parts: Sequence[_Cases]) -> _Cases:
    cases = tuple(case for part in parts for case in part)
    return cases if len(cases) <= _MAX_CASES else _ANYTHING
