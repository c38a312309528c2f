"""Compiles the tree of a filter to one function of an event.

Dovecot evaluates from left to right with short-circuit (event filter language, "Logic"), which matters for warnings.
That is a jump table: each comparison has a next step for true and one for false, and NOT only swaps them. The table is
what `explain` walks, and how deep filters are matched; the shallow ones that people write become nested closures of the
same tests, which is faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from dovebeam.transforms.events.event import Event
from dovebeam.transforms.filters.comparisons import Test, compile_comparison, exact_name
from dovebeam.transforms.filters.nodes import And, Comparison, Node, Not, fold_tree
from dovebeam.transforms.filters.reasons import Mismatches

__all__ = ["ACCEPT", "REJECT", "Step", "compile_matcher", "compile_steps"]

# Ends of the jump table. Negative, so that `index >= 0` is all that its loops have to ask.
ACCEPT: Final = -1
REJECT: Final = -2
# Closures nest as deep as the tree, on Python's stack; what people write has a height of 2 to 5.
_MAX_NESTED_HEIGHT: Final = 16
# Operands that one closure calls. Unrolled `and` and `or` are faster than `all` and `any` over a list.
_GROUP: Final = 4


class Step(NamedTuple):
    """One comparison with the step that follows it: an index, `ACCEPT` or `REJECT`."""

    comparison: Comparison
    test: Test
    on_true: int
    on_false: int


def compile_steps(root: Node, mismatches: Mismatches) -> tuple[Step, ...]:
    """The jump table, in the order of evaluation; evaluation begins at step 0."""
    # Laid out from the last comparison to the first, since a jump needs the place of what follows. Places count from
    # the end until all are known. A stack instead of recursion: trees are as deep as Dovecot's parser allows.
    backwards: list[tuple[Comparison, int, int]] = []
    frames: list[_Frame] = [_Frame(root, ACCEPT, REJECT)]
    while frames:
        frame = frames[-1]
        node = frame.node
        if isinstance(node, Comparison):
            frames.pop()
            backwards.append((node, frame.on_true, frame.on_false))
        elif isinstance(node, Not):
            frames[-1] = _Frame(node.operand, frame.on_false, frame.on_true)
        else:
            operand = node.operands[frame.remaining - 1]
            frame.remaining -= 1
            on_true, on_false = frame.on_true, frame.on_false
            if not frame.remaining:
                frames.pop()
            # All operands but the last continue with the next one: an AND when they are true, an OR when false.
            if frame.remaining < len(node.operands) - 1:
                following = len(backwards) - 1
                on_true, on_false = (following, on_false) if isinstance(node, And) else (on_true, following)
            frames.append(_Frame(operand, on_true, on_false))
    last = len(backwards) - 1
    return tuple(
        Step(
            comparison,
            compile_comparison(comparison, mismatches),
            on_true if on_true < 0 else last - on_true,
            on_false if on_false < 0 else last - on_false,
        )
        for comparison, on_true, on_false in reversed(backwards)
    )


def compile_matcher(root: Node, steps: Sequence[Step]) -> Test:
    """The function that matches events, from the tree and its jump table."""
    if fold_tree(root, lambda _, heights: 1 + max(heights, default=0)) <= _MAX_NESTED_HEIGHT:
        return _Nesting(steps).test(root, negate=False)
    jumps = tuple((step.test, step.on_true, step.on_false) for step in steps)

    def matches(event: Event) -> bool:
        index = 0
        while index >= 0:
            test, on_true, on_false = jumps[index]
            index = on_true if test(event) else on_false
        return index == ACCEPT

    return matches


@dataclass(slots=True)
class _Frame:
    """A node that is being laid out, and where evaluation goes after it."""

    node: Node
    on_true: int
    on_false: int
    remaining: int = 0  # operands still to be laid out

    def __post_init__(self) -> None:
        if not isinstance(self.node, Comparison | Not):
            self.remaining = len(self.node.operands)


class _Nesting:
    """Builds nested closures; takes the tests of the steps in their order."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = iter(steps)

    def test(self, node: Node, *, negate: bool) -> Test:
        """The test of a shallow tree; `negate` is the NOT above it, which is moved to the leaves."""
        if isinstance(node, Not):
            return self.test(node.operand, negate=not negate)
        if isinstance(node, Comparison):
            test = next(self._steps).test
            return (lambda event: not test(event)) if negate else test
        tests = [self.test(operand, negate=negate) for operand in node.operands]
        # De Morgan: an AND below a NOT is an OR of negated operands, and an OR an AND.
        if isinstance(node, And) is negate:
            return _any(tests)
        first = node.operands[0]
        name = exact_name(first) if isinstance(first, Comparison) and not negate else None
        return _all(tests) if name is None else _named(name, tests[1:])


def _named(name: str, tests: Sequence[Test]) -> Test:
    """`event=NAME AND ...`, the most frequent filter, without a call for the events of other names."""
    if len(tests) == 2:
        first, second = tests
        return lambda event: event.raw_name == name and first(event) and second(event)
    rest = _all(tests)
    return lambda event: event.raw_name == name and rest(event)


def _all(tests: Sequence[Test]) -> Test:
    """A test that all of the tests are true, from left to right."""
    while len(tests) > _GROUP:
        tests = [_all(tests[start : start + _GROUP]) for start in range(0, len(tests), _GROUP)]
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        a, b = tests
        return lambda event: a(event) and b(event)
    if len(tests) == 3:
        a, b, c = tests
        return lambda event: a(event) and b(event) and c(event)
    a, b, c, d = tests
    return lambda event: a(event) and b(event) and c(event) and d(event)


def _any(tests: Sequence[Test]) -> Test:
    """A test that one of the tests is true, from left to right."""
    while len(tests) > _GROUP:
        tests = [_any(tests[start : start + _GROUP]) for start in range(0, len(tests), _GROUP)]
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        a, b = tests
        return lambda event: a(event) or b(event)
    if len(tests) == 3:
        a, b, c = tests
        return lambda event: a(event) or b(event) or c(event)
    a, b, c, d = tests
    return lambda event: a(event) or b(event) or c(event) or d(event)
