"""Logical lines to statements: the first rule that fits decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.config.places import Place
from dovebeam.transforms.config.reader import WHITE_SPACE, LogicalLine
from dovebeam.transforms.config.statements import (
    Assignment,
    BlockEnd,
    BlockStart,
    GroupStart,
    Include,
    StatementError,
    ValueKind,
    classify,
    unescape,
)

LIT, QUO, VAR, FIL, HER = (
    ValueKind.LITERAL,
    ValueKind.QUOTED,
    ValueKind.VARIABLE,
    ValueKind.FILE,
    ValueKind.HEREDOC,
)


def line(text: str) -> LogicalLine:
    """One physical line as a logical one."""
    return LogicalLine(text, ((0, Place("x", 1, 1, text)),), "x", 1)


@pytest.mark.parametrize(
    ("text", "key", "kind", "value"),
    [
        ("a = x y", "a", LIT, "x y"),
        ("filter=event=x", "filter", LIT, "event=x"),
        ("a =", "a", LIT, ""),
        ("a=", "a", LIT, ""),
        ('a = ""', "a", QUO, ""),
        ('a = "', "a", QUO, ""),
        ("a = '", "a", QUO, ""),
        ('a = "x y"', "a", QUO, "x y"),
        ("a = 'it's'", "a", QUO, "it's"),
        ('a = "x" y', "a", LIT, '"x" y'),
        ('a = x "y"', "a", LIT, 'x "y"'),
        ('a = "x" "y"', "a", QUO, 'x" "y'),
        ("a = \"x'", "a", LIT, "\"x'"),
        ("description = {", "description", LIT, "{"),
        ("a = x \\* \\n", "a", LIT, "x \\* \\n"),
        ('"a b" = x', "a b", LIT, "x"),
        ('"a\\"b"= x', 'a"b', LIT, "x"),
        ("a = $ENV:X", "a", VAR, "$ENV:X"),
        ("a = x $y", "a", VAR, "x $y"),
        ('a = "x $y"', "a", QUO, "x $y"),
        ('a = "x" $y', "a", LIT, '"x" $y'),
        ("a = < /path", "a", FIL, "/path"),
        ("a = <", "a", FIL, ""),
        ("a = <<", "a", FIL, "<"),
        ("a = << END OF", "a", HER, "END OF"),
        ("!include=x", "!include", LIT, "x"),
        ("} = x", "}", LIT, "x"),
        ("= x", "", LIT, "x"),
        ("'a' = x", "'a'", LIT, "x"),
        ("fields/x = yes", "fields/x", LIT, "yes"),
    ],
)
def test_assignments(text: str, key: str, kind: ValueKind, value: str) -> None:
    """Keys, and how values are written."""
    statement = classify(line(text))
    assert isinstance(statement, Assignment)
    assert (statement.key, statement.kind, statement.text) == (key, kind, value)
    assert text[statement.value_at :].startswith(value)


@pytest.mark.parametrize(
    ("text", "key", "name"),
    [
        ("metric a {", "metric", "a"),
        ("metric\ta\t{", "metric", "a"),
        ('metric "a b" {', "metric", "a b"),
        ('metric "a"{', "metric", "a"),
        ('metric "" {', "metric", ""),
        ("metric 'a' {", "metric", "'a'"),
        ("metric a=b {", "metric", "a=b"),
        ("metric a/b,$%c {", "metric", "a/b,$%c"),
        ("ssl_client {", "ssl_client", None),
        ("ssl_client{", "ssl_client{", None),
        ("group {", "group", None),
        ('"metric" a {', "metric", "a"),
    ],
)
def test_block_starts(text: str, key: str, name: str | None) -> None:
    """Blocks with and without a name."""
    if text == "ssl_client{":
        with pytest.raises(StatementError, match="Expecting"):
            classify(line(text))
        return
    statement = classify(line(text))
    assert isinstance(statement, BlockStart)
    assert (statement.key, statement.name) == (key, name)


def test_other_statements() -> None:
    """Includes, groups, ends of blocks."""
    assert isinstance(classify(line("}")), BlockEnd)
    group = classify(line("group @metric common {"))
    assert isinstance(group, GroupStart)
    assert (group.label, group.name) == ("metric", "common")
    for text, pattern, optional in (
        ("!include a b", "a b", False),
        ('!include_try "x"', '"x"', True),
        ("!include = x", "= x", False),
        ("!include", "", False),
    ):
        include = classify(line(text))
        assert isinstance(include, Include)
        assert (include.pattern, include.optional) == (pattern, optional)


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        ("foo", "Expecting '{'", 3),
        ("foo bar = x", "Expecting '{'", 8),
        ("metric a{", "Expecting '{'", 9),
        ("metric a b {", "Expecting '{'", 9),
        ("{", "Expecting '{'", 1),
        ("} }", "Expecting '{'", 3),
        ("}}", "Expecting '{'", 2),
        ("} metric b {", "Expecting '{'", 9),
        ("!INCLUDE x", "Expecting '{'", 10),
        ('metric "a', "Expecting '{'", 9),
        ("metric a { x = y }", "Garbage after '{'", 11),
        ("ssl_client { }", "Garbage after '{'", 13),
        ("group x y {", "Expecting group name", 6),
        ("group @x", "Expecting group name", 6),
        ("group @x y", "Expecting '{'", 10),
        ('metric "a \\"b\\"" {', "Unknown escape sequence \\", 10),
        ('metric "a\\n" {', "Unknown escape sequence \\n", 9),
        ('"a\\n" = x', "Unknown escape sequence \\n", 2),
    ],
)
def test_no_statement(text: str, message: str, offset: int) -> None:
    """Dovecot's message and the place."""
    with pytest.raises(StatementError) as caught:
        classify(line(text))
    assert (caught.value.message, caught.value.offset) == (message, offset)


@given(st.text(alphabet="ab\\\"'", max_size=12))
def test_unescape_undoes_escaping(text: str) -> None:
    """Escaping backslashes and double quotes, and nothing else, can be undone."""
    assert unescape(text.replace("\\", "\\\\").replace('"', '\\"'), 0) == text


@given(st.text(alphabet=st.sampled_from("a\"'\\{}=<$@!/ \t#x"), min_size=1, max_size=20))
def test_every_line_is_a_statement_or_an_error(text: str) -> None:
    """Nothing else comes out, whatever the line."""
    stripped = text.strip(WHITE_SPACE)
    if not stripped:
        return
    try:
        classify(line(stripped))
    except StatementError as error:
        assert 0 <= error.offset <= len(stripped)
