"""`%{...}` in settings."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.config.variables import VariableError, VariableSyntaxError, expand, parse_expressions

ENVIRON = {"A": "Abc", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100% %d %% %", "100% %d %% %"),
        ("%%{x}", "%{x}"),
        ("a %{env:A} b", "a Abc b"),
        ("%{ env:A }", "Abc"),
        ("%{env:NO}", ""),
        ("%{env:NO | default('x y')}", "x y"),
        ('%{env:EMPTY | default("x") | upper}', "X"),
        ("%{env:A | default('x')}", "Abc"),
        ("%{env:A|lower}%{env:A|upper}", "abcABC"),
        ("%{env:NO | default(5)}", "5"),
        ("%{env:NO | default}", ""),
        ("%{env:NO | default('it\\'s')}", "it's"),
        ("%%{a}%{env:A}%%{b", "%{a}Abc%{b"),
    ],
)
def test_expanded(text: str, expected: str) -> None:
    """Sources and filters that dovebeam has."""
    assert expand(text, ENVIRON) == expected


def test_hostname() -> None:
    """The name of this host."""
    assert expand("%{system:hostname}", {}) == socket.gethostname()


@pytest.mark.parametrize(
    ("text", "dovecot"),
    [
        ("%{user}", "Unknown variable 'user'"),
        ("%{nosuch:x}", "Unknown variable 'nosuch:x'"),
        ("%{process:pid}", ""),
        ("%{time:sec}", ""),
        ("%{env:A | domain}", ""),
        ("%{env:A % 10}", ""),
    ],
)
def test_not_supported(text: str, dovecot: str) -> None:
    """What Dovecot doesn't know has its message, what only dovebeam doesn't do has none."""
    with pytest.raises(VariableError) as caught:
        expand(f"x {text}", ENVIRON)
    assert caught.value.dovecot == dovecot
    assert caught.value.offset == 2
    assert "support" in caught.value.message


@pytest.mark.parametrize(
    "text", ["%{", "%{foo", "%{}", "%{a b}", "%{a |}", "%{a | b(", "%{a | b('}", "%{é}", "%{a|b(1"]
)
def test_syntax_errors(text: str) -> None:
    """What isn't complete is an error with a place."""
    with pytest.raises(VariableSyntaxError) as caught:
        parse_expressions(text)
    assert caught.value.message.startswith(f"{text}: syntax error, unexpected ")
    assert 0 <= caught.value.offset <= len(text)


def test_message_for_an_open_expression() -> None:
    """The message that was seen in Dovecot."""
    with pytest.raises(VariableSyntaxError) as caught:
        parse_expressions("%{foo")
    assert caught.value.message == "%{foo: syntax error, unexpected end of file, expecting CCBRACE or PIPE"


@given(st.text(alphabet=st.sampled_from("%{}|()',\"a:1 \\"), max_size=30))
def test_any_text_expands_or_is_refused(text: str) -> None:
    """Nothing else happens."""
    try:
        expand(text, ENVIRON)
    except (VariableError, VariableSyntaxError) as error:
        assert 0 <= error.offset <= len(text)
