"""Trees: canonical text, identity, depth."""

from __future__ import annotations

import copy
import gc
import pickle

import msgspec
import pytest

from dovebeam.transforms.filters import And, Comparison, Node, Not, Or
from dovebeam.transforms.filters.nodes import comparisons, fold_tree, render
from dovebeam.transforms.filters.parser import parse_tree


def parsed(text: str) -> Node:
    """The tree of a filter that is not blank."""
    root = parse_tree(text).root
    assert root is not None
    return root


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("  a=1   OR\r\n b=2", "a=1 OR b=2"),
        ("(a=1 OR b=2) AND c=3", "a=1 OR b=2 AND c=3"),
        ("a=1 OR (b=2 AND c=3)", "a=1 OR (b=2 AND c=3)"),
        ("a=1 AND (b=2 AND c=3)", "a=1 AND (b=2 AND c=3)"),
        ("not (a=1)", "NOT a=1"),
        ("NOT (NOT (a=1 OR b=2))", "NOT NOT (a=1 OR b=2)"),
        ('"a"="b"', "a=b"),
        ('"a b"="c d"', '"a b"="c d"'),
        (r'"k\"\\"="v\"\\"', r'"k\"\\"="v\"\\"'),
        (r'"k\x"=1', "kx=1"),
        ('a=""', 'a=""'),
        ('""=1', '""=1'),
        ("a=AND", 'a="and"'),
        ('a="AND"', 'a="AND"'),
        ('"or"=1', '"or"=1'),
        ("a > = 1", "a>=1"),
        ('a="ä"', 'a="ä"'),
        ('a="\n"', 'a="\n"'),
    ],
)
def test_canonical_text(text: str, canonical: str) -> None:
    """No redundant parentheses or quotes; it parses to the same tree."""
    assert str(parsed(text)) == canonical
    assert parsed(canonical) == parsed(text)


def test_identity_ignores_where_a_comparison_stood() -> None:
    """Equal trees have equal hashes; offsets do not count, raw values do."""
    assert parsed("a=1") == parsed("  (a=1)")
    assert hash(parsed("a=1 OR b=2")) == hash(parsed('"a"="1" or (b=2)'))
    assert parsed("a=10") != parsed("a=010")
    assert parsed("a=1") != "a=1"


def test_nodes_are_frozen() -> None:
    """A tree cannot be changed."""
    with pytest.raises(AttributeError):
        parsed("a=1").key = "b"  # type: ignore[union-attr,misc]
    assert isinstance(parsed("a=1"), msgspec.Struct)
    assert repr(parsed("NOT a=1")) == "<Not 'NOT a=1'>"


DEEP = {
    "nots": "NOT " * 9_995 + "a=1",
    "nested": "a=1 AND (b=2 OR (" * 1_665 + "a=1 AND c=3" + "))" * 1_665,
    "leaning left": "a=1" + " AND b=2 OR c=3" * 10_000,
    "flat": "a=1" + " AND b=2" * 20_000,
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP.keys())
def test_depth_is_no_problem(text: str) -> None:
    """Rendering, comparing, hashing, copying, pickling, walking and freeing a deep tree need no stack."""
    root = parsed(text)
    assert render(root) == text
    for twin in (parsed(text), pickle.loads(pickle.dumps(root)), copy.deepcopy(root)):
        assert twin == root
        assert hash(twin) == hash(root)
    assert repr(root).endswith("'>")
    assert len(comparisons(root)) == text.count("=")
    assert fold_tree(root, lambda node, results: isinstance(node, Comparison) + sum(results)) == text.count("=")
    del root, twin
    gc.collect()


def test_trees_built_by_hand_mean_what_their_text_means() -> None:
    """A chain inside the front of a chain is the same chain."""
    a, b, c = (Comparison(key, "=", "1") for key in "abc")
    assert And((And((a, b)), c)) == And((a, b, c))
    assert Or((a, Or((b, c)))) != Or((a, b, c))
    assert str(Not(And((a, b)))) == "NOT (a=1 AND b=1)"
