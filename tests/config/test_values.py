"""Written values to texts: variables, quotes, and the elements of boolean lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.config.places import Place
from dovebeam.transforms.config.reader import LogicalLine
from dovebeam.transforms.config.statements import Assignment, classify
from dovebeam.transforms.config.written_values import ListSyntaxError, Value, reference, split_list, value_of

ENVIRON = {"X": "env x", "E": ""}


def value(text: str) -> Value:
    """The value of `a = TEXT`."""
    source = f"a = {text}"
    statement = classify(LogicalLine(source, ((0, Place("f", 7, 1, source)),), "f", 7))
    assert isinstance(statement, Assignment)
    return value_of(statement, ENVIRON)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x   $y   z", "x $y z"),
        ('b="x  $y  z"', 'b="x $y z"'),
        ("x  y", "x  y"),
        ("$ENV:X", "env x"),
        ("x $ENV:NO y", "x  y"),
        ("x $ENV:X y", "x env x y"),
        ("$ENV:X/y", ""),
        ("a\t$ENV:X", "a\t$ENV:X"),
        ("a \t$ENV:X", "a env x"),
        ("x$ENV:X ${X} $X", "x$ENV:X ${X} $X"),
        ('"$ENV:X"', "$ENV:X"),
        ("'$ENV:X'", "$ENV:X"),
        ("$SET:b", reference(0)),
        ("x $SET:b/c y", f"x {reference(0)} y"),
        ('"x\\\\*y"', "x\\*y"),
        ('"a \\"b\\""', 'a "b"'),
        ("x \\* \\\\", "x \\* \\\\"),
    ],
)
def test_values(text: str, expected: str) -> None:
    """Words with a `$`, and quotes."""
    assert value(text).text == expected


@given(st.text(alphabet=st.sampled_from('ab"\\ '), max_size=20))
def test_places_in_quoted_values(text: str) -> None:
    """A character of a quoted value points at itself, escaped or not."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    found = value(f'"{escaped}"')
    assert found.text == text
    for offset, char in enumerate(text):
        place = found.place_at(offset)
        assert place.source[place.column - 1] == char


@given(st.lists(st.sampled_from(["x", "yy", "$a", "b=c"]), min_size=1, max_size=6), st.integers(1, 4))
def test_places_in_collapsed_values(words: list[str], spaces: int) -> None:
    """Also where runs of spaces have collapsed."""
    found = value((" " * spaces).join(words))
    for offset, char in enumerate(found.text):
        place = found.place_at(offset)
        assert place.source[place.column - 1] == char


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b,c", ["a", "b", "c"]),
        (" ,, a ,", ["a"]),
        ("", []),
        ("x\ty", ["x\ty"]),
        ('a "b c" d', ["a", "b c", "d"]),
        ('"b \\" \\x"', ['b " x']),
        ("a b a", ["a", "b"]),
        ("\\e\\s\\\\\\_\\+\\.\\x", ["=/\\ ,\\x"]),
        ('""', [""]),
        ("a/b c.d-e_f", ["a/b", "c.d-e_f"]),
        ("a'b c'", ["a'b", "c'"]),
    ],
)
def test_split_list(text: str, expected: list[str]) -> None:
    """Elements, quotes, escapes, duplicates."""
    assert split_list(text) == expected


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        ('a"b', "'\"' in the middle of a string", 1),
        ('a" "b', "'\"' in the middle of a string", 1),
        ('"a"b', "Expected ',' or ' ' after '\"'", 3),
        ('a "b', "Missing ending '\"'", 2),
        ('"', "Missing ending '\"'", 0),
        ('"a\\', "Value ends with '\\'", 2),
    ],
)
def test_split_list_errors(text: str, message: str, offset: int) -> None:
    """Dovecot's messages, with the place."""
    with pytest.raises(ListSyntaxError) as caught:
        split_list(text)
    assert (caught.value.message, caught.value.offset) == (message, offset)


@given(st.lists(st.text(alphabet="abc_-.", min_size=1, max_size=5), unique=True, max_size=6))
def test_split_list_undoes_joining(elements: list[str]) -> None:
    """Plain elements survive both separators."""
    assert split_list(" ".join(elements)) == split_list(",".join(elements)) == elements
