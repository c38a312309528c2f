"""Static analysis of filters: whether one can match or fail at all, which comparisons never hold, which contradict.

The tree is evaluated without an event, from the leaves up.
For each node it is known which combinations of facts would make it true, and which would make it false, as far as that
is worth keeping: what is not kept counts as possible. So a verdict "never" is certain, while its absence is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from dovebeam.transforms.events.catalogue import CATALOGUE, FIELDS, FieldType
from dovebeam.transforms.events.event import LOG_TYPES
from dovebeam.transforms.events.values import IPAddress, Timestamp
from dovebeam.transforms.filters.comparisons import Predicates, number_bounds
from dovebeam.transforms.filters.nodes import And, Comparison, Node, Not, fold_tree
from dovebeam.transforms.filters.reasons import Mismatch, Mismatches, Predicate, mapped_network, reason_for
from dovebeam.transforms.filters.values import Value, classify, escape_value
from dovebeam.transforms.filters.wildcards import (
    Budget,
    compile_wildcard,
    fold,
    has_wildcard,
    may_share_a_text,
    to_text,
    unescape,
)

__all__ = ["Contradiction", "NeverTrue", "Verdict", "analyse", "read_otherwise", "types_of"]


_MIXED: Final = frozenset({"error_code", "status", "id"})  # integers in some events and strings in others
# Fields that Dovecot's catalogue does not have may come from a plugin or a configuration, with any type.
_ANY: Final[tuple[type, ...]] = (str, int, IPAddress, Timestamp, list)
_TYPES: Final[dict[FieldType, tuple[type, ...]]] = {
    "str": (str,),
    "int": (int,),
    "ip": (IPAddress, str),  # as text in the events of some connections
    "timestamp": (Timestamp,),
    "strlist": (list,),
}
_Shape = Literal["exact", "pattern", "range", "other"]


@dataclass(frozen=True, slots=True, eq=False)
class Fact:
    """A comparison, with what is known of it before any event is seen.

    Attributes:
        comparison: the comparison.
        reason: why it is never true; empty if it can be.
        shape: how its value can be compared with that of another fact about the same key.
        text: of an exact value and of a pattern, in lower case where case does not count.
        low: smallest integer of a range.
        high: largest integer of a range.
    """

    comparison: Comparison
    reason: str = ""
    shape: _Shape = "other"
    text: str = ""
    low: int = 0
    high: int = 0

    def excludes(self, other: Fact, budget: Budget) -> bool:
        """Whether no event makes both true; False if that is not certain."""
        if self.comparison.key != other.comparison.key or "other" in (self.shape, other.shape):
            return False
        # Each shape excludes its own kind; a range and a text are about an integer and never both about one field.
        if self.shape == other.shape == "range":
            return self.high < other.low or other.high < self.low
        if self.shape == other.shape == "exact":
            return self.text != other.text
        if "range" in (self.shape, other.shape):
            return False
        if self.shape == other.shape == "pattern":
            return not may_share_a_text(self.text, other.text, budget)
        exact, pattern = (self, other) if self.shape == "exact" else (other, self)
        if not exact.text and exact.comparison.key != "event":  # a field that is empty or missing matches no pattern
            return True
        return not compile_wildcard(pattern.text, ignore_case=False)(exact.text)

    def implies(self, other: Fact) -> bool:
        """Whether `other` is true for every event for which this one is true; False if that is not certain."""
        one, two = self.comparison, other.comparison
        if (one.key, one.operator, one.value) == (two.key, two.operator, two.value):
            return True
        if one.key != "event" or two.key != "event" or self.shape != "exact":
            return False
        if other.shape == "exact":
            return self.text == other.text
        return other.shape == "pattern" and compile_wildcard(other.text, ignore_case=False)(self.text)


def types_of(key: str) -> tuple[type, ...]:
    """The types that the values of a field can have in exported events."""
    if key == "duration":
        return (int,)
    if key in _MIXED:
        return (int, str)
    return _TYPES[CATALOGUE.field_type(key, None)] if key in FIELDS else _ANY


def fact_of(comparison: Comparison) -> Fact:
    """The fact of a comparison, from its key, operator and value alone."""
    special = _SPECIAL.get(comparison.key)
    if special is not None:
        return special(comparison)
    value, types = classify(comparison.value), types_of(comparison.key)
    # A missing field equals the empty text whatever the operator is, and any field but `duration` can be missing.
    may_be_missing = comparison.key != "duration" and value.is_empty
    if not may_be_missing and (_is_always_refused(comparison, value, types) or _cannot_be_address(value, types)):
        return Fact(comparison, reason_for(comparison, value, types))
    # With several types two comparisons may hold of different values; an address has one text in both its types.
    if len(types) > 1 and types is not _TYPES["ip"]:
        return Fact(comparison)
    return _shaped(comparison, value, types[0])


def read_otherwise(comparison: Comparison) -> str:
    """Note on a value that Dovecot reads as something else than people do, and what to write instead; mostly empty.

    A text that looks like a number, a size or an address is compared in its normal form, so that `1.5` is not equal to
    the text 1.5; and an address with less than four parts is filled up as C's libraries do it.
    """
    if comparison.key in _SPECIAL or comparison.operator != "=":
        return ""
    value, types, raw = classify(comparison.value), types_of(comparison.key), unescape(comparison.value)
    if types == (str,) and value.kind in ("integer", "ip") and value.text != raw.lower():
        kind = "number" if value.kind == "integer" else "address"
        instead = f'{comparison.key}="{escape_value(raw)}"'
        return f"{raw} is read as the {kind} {value.text}; to compare with the text {raw} write {instead}"
    # `10.1` is 10.0.0.1 for the C library, and people mean 10.1.0.0/16 or 10.1.*.
    address = raw.partition("/")[0]
    if types is _TYPES["ip"] and value.kind == "ip" and ":" not in address and address.count(".") != 3:
        return f"{raw} is read as the address {value.text}; write all four numbers of an address"
    return ""


def _is_always_refused(comparison: Comparison, value: Value, types: tuple[type, ...]) -> bool:
    """Whether Dovecot refuses this comparison, with a warning, for each type that the field can have."""
    for type_ in types:
        # Asks the code that matching uses instead of repeating its table of types.
        recorder = _Recorder()
        _ = Predicates(comparison, value, recorder)[type_]
        if not recorder.refused:
            return False
    return True


class _Recorder(Mismatches):
    """Records whether a comparison is refused for a type, whatever the value."""

    __slots__ = ("refused",)

    def __init__(self) -> None:
        super().__init__()
        self.refused = False

    def refuse(self, kind: Mismatch, comparison: Comparison, value: Value) -> Predicate:
        self.refused = True
        return super().refuse(kind, comparison, value)


def _cannot_be_address(value: Value, types: tuple[type, ...]) -> bool:
    """Whether an address is compared with a value that cannot be the text of one."""
    if types is not _TYPES["ip"]:
        return False
    return value.kind in ("integer", "literal", "ambiguous") or mapped_network(value) != ""


def _is_one_address(value: Value) -> bool:
    """Whether a value is a single IPv4 address, which has one form only and so is equal to no other."""
    return value.kind == "ip" and "/" not in value.text and ":" not in value.text


def _shaped(comparison: Comparison, value: Value, type_: type) -> Fact:
    """The fact of a field with a single value, shaped so that two facts about it can exclude each other."""
    is_pattern = value.kind in ("pattern", "numeric pattern")
    if type_ is int and value.kind == "integer":
        low, high = number_bounds(comparison.operator, value.number)
        return Fact(comparison, shape="range", low=low, high=high)
    if comparison.operator != "=" or (type_ is IPAddress and not _is_one_address(value)):
        return Fact(comparison)
    # Two elements of a list may hold two different texts.
    if type_ not in (str, int, IPAddress):
        return Fact(comparison)
    return Fact(comparison, shape="pattern" if is_pattern else "exact", text=to_text(fold(value.text)))


def _name_fact(comparison: Comparison) -> Fact:
    if has_wildcard(comparison.value):
        return Fact(comparison, shape="pattern", text=comparison.value)
    return Fact(comparison, shape="exact", text=unescape(comparison.value))


def _category_fact(comparison: Comparison) -> Fact:
    if comparison.value in LOG_TYPES:
        return Fact(comparison, "exports hold no log levels")
    if not unescape(comparison.value):
        return Fact(comparison, "no category has an empty name")
    # Dovecot compares `category=imap*` literally, with a category of that name, which does not exist.
    if has_wildcard(comparison.value):
        return Fact(comparison, "there are no wildcards in categories: name one category, or several with OR")
    return Fact(comparison)


_SPECIAL: Final[dict[str, Callable[[Comparison], Fact]]] = {
    "event": _name_fact,
    "category": _category_fact,
    "source_location": lambda comparison: Fact(comparison, "exports hold no source locations"),
}


# The verdict: from the facts of the comparisons up to the whole filter.

# Bounds that keep the analysis linear: an AND of ORs has the product of their cases. Beyond them facts are forgotten.
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
    """Two comparisons that are never true together, so an AND of them is never true, or an OR of their NOTs always."""

    first: Comparison
    second: Comparison
    always: bool


class Verdict(NamedTuple):
    """Result of the static analysis of a filter: what is true for every event.

    Attributes:
        can_match: False if no exported event ever matches.
        can_fail: False if every exported event matches.
        never_true: comparisons that are never true.
        contradictions: pairs of comparisons that exclude each other.
    """

    can_match: bool
    can_fail: bool
    never_true: tuple[NeverTrue, ...]
    contradictions: tuple[Contradiction, ...]


class _Outcomes(NamedTuple):
    """The cases that make a node true, and those that make it false."""

    true: _Cases
    false: _Cases


def analyse(root: Node) -> Verdict:
    """Analyses a filter in time linear in its size."""
    analysis = _Analysis()
    outcomes = fold_tree(root, analysis.combine)
    return Verdict(
        can_match=bool(outcomes.true),
        can_fail=bool(outcomes.false),
        never_true=tuple(analysis.never_true),
        contradictions=tuple(analysis.contradictions),
    )


class _Analysis:
    """Collects comparisons that never hold and contradictions while a tree is folded."""

    def __init__(self) -> None:
        self.never_true: Final[list[NeverTrue]] = []
        self.contradictions: Final[list[Contradiction]] = []
        self._budget: Final = Budget()

    def combine(self, node: Node, operands: Sequence[_Outcomes]) -> _Outcomes:
        if isinstance(node, Comparison):
            return self._leaf(node)
        if isinstance(node, Not):
            return _Outcomes(operands[0].false, operands[0].true)
        # An AND is true when all its operands are and false when one is; an OR the other way round.
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
            # Either of the two alone is a weaker truth about both; the shorter one leaves room for what comes.
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
