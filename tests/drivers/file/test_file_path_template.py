"""Templates of paths: what they mean, and what is wrong with the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.drivers import FileDriver
from dovebeam.transforms.drivers.file.path_template import (
    Code,
    Component,
    Field,
    PathTemplate,
    TemplateError,
    parse_template,
)
from dovebeam.transforms.errors import DriverSettingError


@pytest.mark.parametrize(
    ("text", "components"),
    [
        ("a", [(("a",), "")]),
        ("a.json", [(("a",), ".json")]),
        ("{user}.json", [((Field("user"),), ".json")]),
        ("{user}.json.gz", [((Field("user"),), ".json.gz")]),
        ("{user}", [((Field("user"),), "")]),
        ("%Y/{event}-x", [((Code("Y"),), ""), ((Field("event"), "-x"), "")]),
        ("100%%{{x}}", [(("100%{x}",), "")]),
        ("%Y%m%dT%H", [((Code("Y"), Code("m"), Code("d"), "T", Code("H")), "")]),
        ("%G-%V", [((Code("G"), "-", Code("V")), "")]),
        ("{a b}", [((Field("a b"),), "")]),
        ("Größe", [(("Größe",), "")]),
    ],
)
def test_parses(text: str, components: list[tuple[tuple[object, ...], str]]) -> None:
    """Texts, codes and fields, by names; the suffix of a file apart."""
    assert parse_template(text) == PathTemplate(tuple(Component(*each) for each in components))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("", 0, "begin with a name"),
        ("/etc/x", 0, "relative to the directory file_path"),
        ("a//b", 2, "write a name"),
        ("a/", 2, "write a name"),
        ("..", 0, "cannot begin with a dot"),
        ("a/../b", 2, "cannot begin with a dot"),
        ("a/.b", 2, "cannot begin with a dot"),
        ("~/a", 0, "cannot be in a name"),
        ("a*", 1, "wildcard"),
        ("a[b", 1, "wildcard"),
        ("a\\b", 1, "separates names"),
        ("a\0b", 1, "no control character"),
        ("a\nb", 1, "no control character"),
        ("{", 0, "never closed"),
        ("x{user", 1, "never closed"),
        ("x{}", 1, "no name in the braces"),
        ("{ user}", 0, "no space around"),
        ("{a{b}", 0, "no brace"),
        ("x}", 1, "never opened"),
        ("%{user}", 0, "without the %"),
        ("a%", 1, "'%' is not a code"),
        ("%Q", 0, "'%Q' is not a code"),
        ("%/a", 0, "'%/' is not a code"),
        ("%D", 0, "write %Y/%m/%d, or %j"),
        ("%y", 0, "two digits of the year"),
        ("%Y/%b", 3, "depends on a language"),
        ("%Y/%U", 3, "write %G and %V"),
        ("%Y/%e", 3, "spaces"),
        ("%Y/%m/%d/%I", 9, "write %H"),
        ("%Y/%M", 3, "%M is the minute, which needs %H"),
        ("%Y/%d", 3, "%d is the day of the month, which needs %m"),
        ("%Y/%V", 3, "%V is the week, which needs %G"),
        ("%G", 0, "%G is the year of the week, which needs %V"),
        ("%H", 0, "%H is the hour, which needs %d"),
        ("x-YYYY/MM", 2, "the year is %Y"),
    ],
)
def test_mistakes(text: str, offset: int, message: str) -> None:
    """Are found at launch, with their place and with what to write instead."""
    with pytest.raises(TemplateError) as caught:
        parse_template(text)
    assert message in str(caught.value)
    assert caught.value.offset == offset
    assert f"(character {offset})" in str(caught.value)
    if text:
        with pytest.raises(DriverSettingError, match="event_exporter_file_path_template: "):
            FileDriver("/base", file_path_template=text)


@given(st.text("%{}/.~aYmdHMS*\\\0\n", max_size=12) | st.text(max_size=30))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """No text raises anything else, and none that is taken has an empty name or one that begins with a dot."""
    try:
        template = parse_template(text)
    except TemplateError as error:
        assert 0 <= error.offset <= len(text)
        return
    for component in template.components:
        assert component.pieces
        assert not str(component.pieces[0]).startswith(".")
