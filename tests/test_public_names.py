"""The public list: complete, documented, and the same for people, type checkers and machines."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import dovebeam.transforms as public

ROOT = Path(__file__).parents[1]


def names_for_type_checkers() -> set[str]:
    """The names that transforms/__init__.py imports for type checkers."""
    tree = ast.parse(Path(str(public.__file__)).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {alias.asname or "" for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_the_list_is_one() -> None:
    """What can be imported is what type checkers see, sorted, and dir() shows it."""
    assert set(public.__all__) == names_for_type_checkers()
    assert public.__all__ == sorted(public.__all__)
    assert dir(public) == public.__all__


@pytest.mark.parametrize("name", public.__all__)
def test_every_name_is_documented(name: str) -> None:
    """Each public name exists, once, and says what it is; a function names what it takes or returns."""
    value = getattr(public, name)
    assert inspect.getdoc(value)
    assert value.__module__.startswith("dovebeam.transforms.")


def test_a_miss() -> None:
    """An unknown name is an AttributeError, as for any module."""
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = public.nonsense


def test_the_reference_has_each_name_once() -> None:
    """The page of the reference lists all public names and no others."""
    page = (ROOT / "docs/reference/api.md").read_text()
    comments = re.findall(r"<!-- reference: api (\S+) (.*) -->", page)
    assert {module for module, _ in comments} == {"dovebeam.transforms"}
    assert sorted(name for _, names in comments for name in names.split()) == public.__all__
