"""The frequent mistakes and what is said about them."""

from __future__ import annotations

import pytest

from dovebeam.transforms.errors import FilterSyntaxError
from dovebeam.transforms.filters import parse_filter


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a==1", "single ="),
        ("a!=1", "NOT KEY=VALUE"),
        ("a<>1", "NOT KEY=VALUE"),
        ("a=>1", ">= instead of =>"),
        ("a=<1", "<= instead of =<"),
        ("a=1 && b=2", "write AND"),
        ("a=1 || b=2", "write OR"),
        ("!a=1", "NOT KEY=VALUE"),
        ("a='b'", "double quotes"),
        ("a=x@y", "double quotes"),
        ("a=b,c", "double quotes"),
        ("a=ä", "double quotes"),
        ("a=1 b=2", "AND or OR"),
        ("a=b c", "double quotes"),
        ("a=1 ANDb=2", "standing alone"),
        ("a", "KEY=*"),
        ("a=", '""'),
        ('a="x', "never closed"),
        ("(a=1", "parenthesis at character 0"),
        ("a=1 OR (b=2", "parenthesis at character 7"),
        ("a=1)", "never opened"),
        ("()", "nothing between"),
        ("a=1 AND", "missing at the end"),
        ("and=1", '"and"=VALUE'),
        ("not=1", '"not"=VALUE'),
        ("a=1 NOT b=2", "AND NOT"),
        ("a AND b=1", "each side"),
        ("a=(1 OR 2)", "KEY=A OR KEY=B"),
        ("a b=1", "after a key"),
        ("=1", "begins with a key"),
        ("a=b=c", "= in it"),
        ("a=1 > 2", "> cannot follow"),
        ("a=>", "instead"),
        ("a= )", "before )"),
        ("a=1 # x", "comments"),
        ("a=1;", "terminator"),
        ("a=[::1]", "without brackets"),
        ("a=%{x}", "not expanded"),
        ("a=$x", "not expanded"),
        ("a=~x", "wildcards"),
        ("a=\\*", "inside double quotes"),
        ("a=\x01", "U+0001"),
        ("event>x", "event can only"),
        ("(" * 10_000, "nested too deeply"),
    ],
)
def test_hint(text: str, part: str) -> None:
    """Each mistake gets the sentence that repairs it."""
    with pytest.raises(FilterSyntaxError) as caught:
        parse_filter(text)
    assert part in caught.value.hint
