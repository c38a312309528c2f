"""The grammar, the messages and the limit of Dovecot's parser."""

from __future__ import annotations

import time

import pytest

from dovebeam.transforms.errors import FilterSyntaxError
from dovebeam.transforms.filters.nodes import And, Comparison, Node, Not, Or
from dovebeam.transforms.filters.parser import parse_tree

A = Comparison("a", "=", "1")
B = Comparison("b", "=", "2")
C = Comparison("c", "=", "3")
D = Comparison("d", "=", "4")


def refused(text: str) -> FilterSyntaxError:
    """The error for a filter that does not parse."""
    with pytest.raises(FilterSyntaxError) as caught:
        parse_tree(text)
    assert caught.value.text == text
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a=1 OR b=2 AND c=3", And((Or((A, B)), C))),
        ("a=1 AND b=2 OR c=3", Or((And((A, B)), C))),
        ("a=1 OR b=2 AND c=3 OR d=4", Or((And((Or((A, B)), C)), D))),
        ("NOT a=1 AND b=2", And((Not(A), B))),
        ("a=1 OR NOT b=2 AND c=3", And((Or((A, Not(B))), C))),
        ("NOT NOT a=1", Not(Not(A))),
        ("NOT (a=1 OR b=2)", Not(Or((A, B)))),
        ("(a=1)AND(b=2)", And((A, B))),
        ("a=1 AND b=2 AND c=3", And((A, B, C))),
        ("(a=1 AND b=2) AND c=3", And((A, B, C))),
        ("a=1 AND (b=2 AND c=3)", And((A, And((B, C))))),
        ("(a=1 OR b=2) AND (c=3 OR d=4)", And((Or((A, B)), Or((C, D))))),
        ("a=1 and b=2 Or c=3", Or((And((A, B)), C))),
        ("(((a=1)))", A),
        ("NOT(NOT(a=1))AND b=2", And((Not(Not(A)), B))),
        ("NOT (a=1 AND b=2) AND c=3", And((Not(And((A, B))), C))),
    ],
)
def test_precedence(text: str, tree: Node) -> None:
    """AND and OR bind equally and to the left, NOT binds tighter than both."""
    assert parse_tree(text).root == tree


@pytest.mark.parametrize(
    ("text", "key", "operator", "value"),
    [
        ("a > = 1", "a", ">=", "1"),
        ("a<=1", "a", "<=", "1"),
        ("a=and", "a", "=", "and"),
        ("a = AND", "a", "=", "and"),
        ('a="AND"', "a", "=", "AND"),
        ('"and"=1', "and", "=", "1"),
        ('"event"=x', "event", "=", "x"),
        ("a*=1", "a*", "=", "1"),
        ('""=1', "", "=", "1"),
        ("-=-", "-", "=", "-"),
        (r'"k\"\e\\y"="v\"\e\\"', 'k"e\\y', "=", r"v\"\e\\"),
        ("Event>x", "Event", ">", "x"),
        ("a>fish", "a", ">", "fish"),
        ('a="\\\n"', "a", "=", "\n"),
    ],
)
def test_comparisons(text: str, key: str, operator: str, value: str) -> None:
    """Keys lose their backslashes, values keep them; keywords are values, in lower case."""
    root = parse_tree(text).root
    assert isinstance(root, Comparison)
    assert (root.key, root.operator, root.value) == (key, operator, value)


@pytest.mark.parametrize(
    ("text", "root", "unterminated"),
    [
        ("", None, None),
        (" \t\r\n", None, None),
        ('"a=1', None, 0),
        ('"', None, 0),
        ('a=1 "rest of line', A, 4),
        ('a=1"', A, 3),
        ('(a=1) "\\"', A, 6),
    ],
)
def test_blank_and_unterminated(text: str, root: Node | None, unterminated: int | None) -> None:
    """A blank filter is valid; a quote that is never closed ends the filter, and its place is known."""
    assert parse_tree(text) == (root, unterminated)


OPERAND = "expecting TOKEN or STRING or NOT or '('"
OPERATOR = "expecting '=' or '>' or '<'"


@pytest.mark.parametrize(
    ("text", "found", "offset"),
    [
        ("a", f"end of file, {OPERATOR}", 1),
        ("a=", "end of file", 2),
        ("a=1 b=2", "TOKEN, expecting end of file", 4),
        ("a=1 AND", f"end of file, {OPERAND}", 7),
        ("AND a=1", "AND, expecting end of file", 0),
        ("OR", "OR, expecting end of file", 0),
        ("NOT", f"end of file, {OPERAND}", 3),
        ("NOT a", f"end of file, {OPERATOR}", 5),
        ("not=1", f"'=', {OPERAND}", 3),
        ("and=1", "AND, expecting end of file", 0),
        ("a=1 AND AND b=2", f"AND, {OPERAND}", 8),
        ("a=1 NOT b=2", "NOT, expecting end of file", 4),
        ("()", f"')', {OPERAND}", 1),
        ("(a=1", "end of file, expecting AND or OR or ')'", 4),
        ("((a=1)", "end of file, expecting AND or OR or ')'", 6),
        ("a=1)", "')', expecting end of file", 3),
        ("(a=1) (b=2)", "'(', expecting end of file", 6),
        ("a=(1)", "'('", 2),
        ("a(=1)", f"'(', {OPERATOR}", 1),
        ("=1", "'=', expecting end of file", 0),
        ("a==1", "'='", 2),
        ("a!=1", f"invalid token, {OPERATOR}", 1),
        ("a<>1", "'>'", 2),
        ("a=<1", "'<'", 2),
        ("a=>1", "'>'", 2),
        ("a=b=c", "'=', expecting end of file", 3),
        ("a=b c", "TOKEN, expecting end of file", 4),
        ('a=b"c"', "STRING, expecting end of file", 3),
        ('"a"b=1', f"TOKEN, {OPERATOR}", 3),
        ('a="1" "2"', "STRING, expecting end of file", 6),
        ('a="1', "end of file", 2),
        ('"x" y=1', f"TOKEN, {OPERATOR}", 4),
        ("a='b'", "invalid token", 2),
        ("a=b,c", "invalid token, expecting end of file", 3),
        ("a=user@example.com", "invalid token, expecting end of file", 6),
        ("a=[::1]", "invalid token", 2),
        (r"a=\*", "invalid token", 2),
        ("a=ä", "invalid token", 2),
        ("ä=1", "invalid token, expecting end of file", 0),
        ("a=1 && b=2", "invalid token, expecting end of file", 4),
        ("a=1;", "invalid token, expecting end of file", 3),
        ("a=1 # comment", "invalid token, expecting end of file", 4),
        ("a=%{x}", "invalid token, expecting end of file", 3),
        ("a=1 //x", "TOKEN, expecting end of file", 4),
        ("(a=1 b=2)", "TOKEN, expecting AND or OR or ')'", 5),
        ("a=1 ANDb=2", "TOKEN, expecting end of file", 4),
        ("a=1AND b=2", "TOKEN, expecting end of file", 7),
        ("(NOT a=1 b=2)", "TOKEN, expecting AND or OR or ')'", 9),
        ('(a=1 "', "end of file, expecting AND or OR or ')'", 5),
        ("a=1\x00", "invalid token, expecting end of file", 3),
    ],
)
def test_syntax_errors(text: str, found: str, offset: int) -> None:
    """Dovecot's text, and the place of the token that does not fit."""
    error = refused(text)
    assert (error.message, error.offset) == (f"event filter: syntax error, unexpected {found}", offset)


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("event>x", 0),
        ("category<=x", 0),
        ("source_location>=x", 0),
        ("event>x AND", 0),
        ("a=1 AND (NOT event < = x ' (", 13),
        ('"event">x', 0),
    ],
)
def test_special_keys_have_one_operator(text: str, offset: int) -> None:
    """The error comes before any syntax error further to the right."""
    error = refused(text)
    assert (error.message, error.offset) == ("event filter: Only fields support inequality comparisons", offset)


NOTS = ("NOT ", "a=1", "")
PARENTHESES = ("(", "a=1", ")")
NESTED = ("a=1 AND (", "a=1", ")")


@pytest.mark.parametrize(
    ("shape", "limit"),
    [
        (NOTS, 9_995),
        (("NOT ", "a>=1", ""), 9_995),
        (PARENTHESES, 9_995),
        (NESTED, 3_331),
        (("a=1 AND (", "b=2 OR a=1", ")"), 3_331),
        (("NOT (", "a=1", ")"), 4_997),
        (("NOT (", "a=1 OR b=2", ")"), 4_996),
    ],
)
def test_nesting_up_to_dovecots_limit(shape: tuple[str, str, str], limit: int) -> None:
    """The stack holds 9,999 symbols; what is pushed before the innermost operand counts."""
    before, inside, after = shape
    assert parse_tree(before * limit + inside + after * limit).root is not None
    error = refused(before * (limit + 1) + inside + after * (limit + 1))
    assert error.message == "event filter: memory exhausted"


@pytest.mark.parametrize(
    "text", ["(" * 1_000_000, "NOT " * 1_000_000, "a=1 OR (" * 300_000, "(" * 20_000 + "'"], ids=lambda text: text[:9]
)
def test_far_beyond_the_limit_is_refused_in_time(text: str) -> None:
    """Parsing stops where the limit is reached; an error further to the right is not the one reported."""
    start = time.process_time()
    error = refused(text)
    assert error.message == "event filter: memory exhausted"
    assert error.offset < 100_000
    assert time.process_time() - start < 20


def test_an_error_before_the_limit_wins() -> None:
    """What does not fit is noticed when it is read."""
    assert refused("(" * 9_000 + "'" + "(" * 9_000).message.startswith("event filter: syntax error")


@pytest.mark.parametrize("keywords", [("AND",), ("OR",), ("AND", "OR")], ids="/".join)
def test_long_chains(keywords: tuple[str, ...]) -> None:
    """Chains need no stack, however long."""
    terms = 20_000
    text = "a=1" + "".join(f" {keywords[i % len(keywords)]} b=2" for i in range(terms - 1))
    root = parse_tree(text).root
    assert str(root) == text
