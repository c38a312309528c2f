"""Mistakes that are mended: what a hint says to write is a filter, and means what was meant."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dovebeam.transforms.errors import FilterSyntaxError
from dovebeam.transforms.filters import parse_filter, parser
from dovebeam.transforms.filters.hints import Rewrite


def repair_of(text: str) -> Rewrite | None:
    """The repair of the first mistake; None if there is none, or the filter parses."""
    found: list[Rewrite | None] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parser, "hint_for", lambda _, repair: found.append(repair) or "")
        with contextlib.suppress(FilterSyntaxError):
            parse_filter(text)
    return found[0] if found else None


@pytest.mark.parametrize(
    ("text", "piece", "meant"),
    [
        ("remote_ip=A,B", "(remote_ip=A OR remote_ip=B)", "remote_ip=A OR remote_ip=B"),
        ("NOT ip=1.2.3.4, 5.6.7.8 AND x=1", "(ip=1.2.3.4 OR ip=5.6.7.8)", "NOT (ip=1.2.3.4 OR ip=5.6.7.8) AND x=1"),
        ("(a=1 AND b=x,y,z)", "(b=x OR b=y OR b=z)", "a=1 AND (b=x OR b=y OR b=z)"),
        ('a="x","y z"', '(a="x" OR a="y z")', 'a=x OR a="y z"'),
        ("a=x|y AND c=1", "(a=x OR a=y)", "(a=x OR a=y) AND c=1"),
        ("a={x,y}", "(a=x OR a=y)", "a=x OR a=y"),
        ("a=(1 OR 2)", "(a=1 OR a=2)", "a=1 OR a=2"),
        ("event IN (a, b)", "(event=a OR event=b)", "event=a OR event=b"),
        ("event in ('a', \"b c\")", '(event=a OR event="b c")', 'event=a OR event="b c"'),
        ("NOT event in [a]", "event=a", "NOT event=a"),
        ("event NOT IN (a,b)", "NOT (event=a OR event=b)", "NOT (event=a OR event=b)"),
        ('user LIKE "%bob%"', "user=*bob*", "user=*bob*"),
        ("user NOT LIKE 'bob %'", 'NOT user="bob *"', 'NOT user="bob *"'),
        ("a contains foo", "a=*foo*", "a=*foo*"),
        ("user=\u201cbob smith\u201d", 'user="bob smith"', 'user="bob smith"'),
        ("user=\u201ebob@x\u201c AND a=1", 'user="bob@x"', 'user="bob@x" AND a=1'),
        ("\u201cevent=x AND user=y\u201d", "(event=x AND user=y)", "event=x AND user=y"),
        ("\u2018event\u2019=x", '"event"', "event=x"),
        ("'event=x'", "event=x", "event=x"),
        ("a='b c'", 'a="b c"', 'a="b c"'),
        ("a=o'brien", 'a="o\'brien"', 'a="o\'brien"'),
        ("{event=a OR event=b} AND c=1", "(event=a OR event=b)", "(event=a OR event=b) AND c=1"),
        ("x=1 AND [a=1 OR b=2]", "(a=1 OR b=2)", "x=1 AND (a=1 OR b=2)"),
        ("cat:imap AND event=x", "category=imap", "category=imap AND event=x"),
        ("service:imap", "category=service:imap", "category=service:imap"),
        ("category:service:imap", "category=service:imap", "category=service:imap"),
        ("event: foo", "event=foo", "event=foo"),
        ('user:"bob x"', 'user="bob x"', 'user="bob x"'),
        ("client.c:12", "source_location=client.c:12", "source_location=client.c:12"),
        ("a!=1", "NOT a=1", "NOT a=1"),
        ("x=1 AND cmd_name != IDLE", "NOT cmd_name=IDLE", "x=1 AND NOT cmd_name=IDLE"),
        ("a!=1,2", "NOT (a=1 OR a=2)", "NOT (a=1 OR a=2)"),
        ("a<>1", "NOT a=1", "NOT a=1"),
        ("a\u22601", "NOT a=1", "NOT a=1"),
        ("a=!b", "NOT a=b", "NOT a=b"),
        ("!a=1", "NOT", "NOT a=1"),
        ("! (a=1 OR b=2)", "NOT", "NOT (a=1 OR b=2)"),
        ("a ne 5", "NOT a=5", "NOT a=5"),
        ("a==1", "a=1", "a=1"),
        ("a===x@y", 'a="x@y"', 'a="x@y"'),
        ("a=>1", "a>=1", "a>=1"),
        ("a=<1", "a<=1", "a<=1"),
        ("a \u2265 5", "a>=5", "a>=5"),
        ("a is 5", "a=5", "a=5"),
        ("a=1 && b=2", "AND", "a=1 AND b=2"),
        ("a=1||b=2", "OR", "a=1 OR b=2"),
        ("a=1, b=2", "AND", "a=1 AND b=2"),
        ("a=x@y AND b=1", 'a="x@y"', 'a="x@y" AND b=1'),
        ("a=<user@example.com>", 'a="<user@example.com>"', 'a="<user@example.com>"'),
        ("a=\u00e4", 'a="\u00e4"', 'a="\u00e4"'),
        ("m\u00fcnchen=1", '"m\u00fcnchen"', '"m\u00fcnchen"=1'),
        ("a=b=c", 'a="b=c"', 'a="b=c"'),
        ("a=\\*", 'a="\\*"', 'a="\\*"'),
        ("a=\\", 'a="\\\\"', 'a="\\\\"'),
        ("a=[::1]", "a=::1", "a=::1"),
        ("cmd_name=UID FETCH AND a=1", 'cmd_name="UID FETCH"', 'cmd_name="UID FETCH" AND a=1'),
        ("\"event=x\" AND a=1", "event=x", "event=x AND a=1"),
        ('event=x" AND "user=y z', 'event=x AND user="y z"', 'event=x AND user="y z"'),
        ("a=5\u00a0AND b=1", "a space", "a=5 AND b=1"),
        ("\u200ba=5", "write nothing", "a=5"),
    ],
)  # fmt: skip
def test_repair(text: str, piece: str, meant: str) -> None:
    """The hint names the piece, and the filter with that piece in it means what was meant."""
    with pytest.raises(FilterSyntaxError) as caught:
        parse_filter(text)
    assert piece in caught.value.hint
    repair = repair_of(text)
    assert repair is not None
    assert parse_filter(text[: repair.start] + repair.text + text[repair.end :]) == parse_filter(meant)


WORDS = """a event x@y AND OR NOT IN LIKE = < > != == && | , ( ) { } [ ] " ' \\ : cat:imap % $x ~ # ; // * 5 1.5s a=1 b=c,d"""
OTHERS = ('"x y"', "c IN (x, y)", "\n", "\x01", "\u00a0", "\u200b", "\u00e4", "\u201c", "\u201d")
PIECES = st.sampled_from([*WORDS.split(), *OTHERS])


@given(st.lists(PIECES | st.just(" "), max_size=14).map("".join))
@example("a=x AND b=1,2 AND c!=3")
@example('a="x\\')
def test_every_repair_leads_on(text: str) -> None:
    """A repaired filter parses, or its next mistake stands behind the repair; and a hint steers no terminal."""
    repair = repair_of(text)
    for _ in range(20):
        if repair is None:
            break
        assert 0 <= repair.start <= repair.end <= len(text)
        before, text = text, text[: repair.start] + repair.text + text[repair.end :]
        try:
            parse_filter(text)
        except FilterSyntaxError as error:
            assert error.offset >= repair.start
            assert text != before
        repair = repair_of(text)
    else:
        pytest.fail(f"repaired without an end: {text!r}")
    try:
        parse_filter(text)
    except FilterSyntaxError as error:
        assert error.hint.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        *("a=" + "x," * 10_000, "a=(" + "x " * 10_000, "{" * 8_000, "a='" * 8_000, "a=1 " + "b " * 10_000),
        *("a in (" + '"' * 8_001, "a" * 10_000 + "\u00e4", "a=(" * 8_000, "a=" + "x|" * 10_000 + "="),
        *("a=" + "\\" * 10_001, "\\" * 10_000, "a IN (" + "x,, " * 8_000),
    ],
    ids=range(12),
)  # fmt: skip
def test_time(text: str) -> None:
    """Long nonsense is answered, too; a repetition inside a repetition would never end here."""
    with pytest.raises(FilterSyntaxError):
        parse_filter(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('event"=imap_command_finished AND cmd_name="UID FETCH', '("event"=imap_command_finished AND cmd_name="UID FETCH")'),
        ("a={x", "parentheses"),
        ("duration>1,5", "numbers are whole"),
        ("a=1 // x", "comments"),
        ("a=%{x}", "%{variable}"),
    ],
)  # fmt: skip
def test_explanation(text: str, hint: str) -> None:
    """What has no repair of its own is explained."""
    with pytest.raises(FilterSyntaxError) as caught:
        parse_filter(text)
    assert hint in caught.value.hint
