"""Files to logical lines: comments, continuation, line ends, and the places that characters come from."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.config.places import Report
from dovebeam.transforms.config.reader import LogicalLine, LogicalReader
from support.config_text import reading


def lines_of(text: str, report: Report | None = None) -> list[LogicalLine]:
    """All logical lines of one file."""
    reader = LogicalReader(report or Report())
    reader.open_text("x", text)
    found = []
    while (line := reader.next_line()) is not None:
        found.append(line)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = x # y", ["a = x"]),
        ("a = x#y", ["a = x"]),
        ('a = "x # y"', ['a = "x # y"']),
        ("a = 'x # y'", ["a = 'x # y'"]),
        ("a = it's # y", ["a = it's # y"]),
        ("a = it's 'x # y'", ["a = it's 'x"]),
        ('a = "x\\" # y" # z', ['a = "x\\" # y"']),
        ("a = #x", ["a ="]),
        ("a = x \\\n   y", ["a = x y"]),
        ("a = x\\\ny", ["a = x y"]),
        ("a = \\\n  y", ["a = y"]),
        ("a = x \\   \ny", ["a = x y"]),
        ("a = x \\ # note\ny", ["a = x y"]),
        ('a = "x \\\n   y"', ['a = "x y"']),
        ("a = x \\\\\ny", ["a = x \\ y"]),
        ('a = "x \\\\"', ['a = "x \\\\"']),
        ('"a # \\\nb"', ['"a # b"']),
        ("a = x \\\n\ny", ["y"]),
        ("a = x \\\n# comment\ny", ["y"]),
        ("a = x \\", []),
        ("\\\na", ["a"]),
        ("a\r\nb\r\n", ["a", "b"]),
        (" \t\v\f a \t\v\f\r\n", ["a"]),
        ("a\0b\nc", ["a", "c"]),
        ("\u00a0a", ["\u00a0a"]),
        ("# a\n\n  # b\n", []),
        ("", []),
        ("a\u2028b\x85c", ["a\u2028b\x85c"]),
    ],
)
def test_logical_lines(text: str, expected: list[str]) -> None:
    """What is left of physical lines."""
    assert [line.text for line in lines_of(text)] == expected


def test_ambiguous_comment_is_a_warning(tmp_path: Path) -> None:
    """A `#` right after text is a comment with Dovecot's warning, one after a space is an ordinary comment."""
    body = "metric a {\n filter = a=x#y\n description = x #y\n exporter = #y\n}\npassdb x {\n password = x#y\n}\n"
    found = reading(tmp_path, body)
    assert [finding.problem.dovecot for finding in found.report.warnings] == [
        f"Configuration file x.conf line {line}: Ambiguous '#' character in line, treating it as comment. "
        "Add a space before it to remove this warning."
        for line in (4, 9)
    ]
    shown = [(problem.source, problem.column) for problem in found.report.problems(fatal=False)]
    assert shown == [(" filter = a=x#***", 14), (" password = ***", 13)]


def test_discarded_continuations_are_kept() -> None:
    """What a blank or comment line, or the end, throws away can be reported."""
    reader = LogicalReader(Report())
    reader.open_text("x", "a = 1 \\\n\nb = 2\nc = 3 \\\n")
    assert (reader.next_line() or LogicalLine("", (), "", 0)).text == "b = 2"
    assert reader.next_line() is None
    assert [(line.text, line.place(0).line) for line in reader.discarded] == [("a = 1 ", 1), ("c = 3 ", 4)]


def test_places_of_a_continued_line() -> None:
    """Every character knows its file, line and column."""
    (line,) = lines_of("  a = x \\\n     yz # c\n")
    assert [line.place(line.text.index(c))[:3] for c in "axyz"] == [
        ("x", 1, 3),
        ("x", 1, 7),
        ("x", 2, 6),
        ("x", 2, 7),
    ]
    assert line.number == 2


def test_included_files_come_before_the_rest(tmp_path: Path) -> None:
    """In their order; a continuation at the end of one goes on in the next."""
    for name, text in (("a", "a1\na2 \\\n"), ("b", "b1\n")):
        (tmp_path / name).write_text(text)
    reader = LogicalReader(Report())
    reader.open_text("x", "first\nlast\n")
    line = reader.next_line()
    assert line is not None
    reader.include([str(tmp_path / "a"), str(tmp_path / "b")], line, optional=False)
    rest = []
    while (found := reader.next_line()) is not None:
        rest.append(found.text)
    assert rest == ["a1", "a2 b1", "last"]


def test_heredoc() -> None:
    """Everything up to the line that is exactly the marker, nothing in it is special."""
    reader = LogicalReader(Report())
    reader.open_text("x", 'a = <<END\r\n  # "x \\\r\n END\r\n\r\nEND\r\nb\n')
    reader.next_line()
    lines = reader.heredoc("END")
    assert lines is not None
    assert [text for text, _ in lines] == ['  # "x \\', " END", ""]
    assert reader.number == 5
    assert reader.heredoc("END") is None


@given(st.text(alphabet=st.sampled_from("ab=#\"'\\ \t\r\n\0"), max_size=60))
def test_places_point_at_their_characters(text: str) -> None:
    """Wherever a character of a logical line comes from, it stands there; only the joining spaces don't."""
    physical = [raw.removesuffix("\r").partition("\0")[0] for raw in text.split("\n")]
    for line in lines_of(text):
        for offset, char in enumerate(line.text):
            place = line.place(offset)
            source = physical[place.line - 1]
            shown, hash_, _ = place.source.partition("#***")
            assert source.startswith(shown + hash_[:1])
            at = place.column - 1
            assert char in {" ", source[at : at + 1]}
