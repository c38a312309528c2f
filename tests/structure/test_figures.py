"""The house stays as it was built: as many rooms as a reader can know, each with a name of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from structure import figures

PAGE = (figures.ROOT / "docs" / "architecture.md").read_text()


def test_how_many() -> None:
    """At most 250 modules, of which at most 40 are under 60 lines."""
    assert 100 < len(figures.modules()) <= figures.MOST_MODULES
    assert len(figures.short_modules(figures.modules())) <= figures.MOST_SHORT


def test_how_long() -> None:
    """No module is over 400 lines, and no function's body over 60."""
    assert not figures.long_modules(figures.modules())
    assert not figures.long_functions(figures.modules())


def test_no_import_goes_in_a_circle() -> None:
    """No module needs itself by way of others, neither for type checkers nor inside of functions."""
    circles = figures.circles()
    assert not circles, "import circles:\n\n" + "\n\n".join("\n".join(map(str, circle)) for circle in circles)


def test_names() -> None:
    """No two modules or folders side by side have nearly one name, and a file name is used at most twice."""
    assert not figures.similar_names(figures.modules())
    assert not figures.repeated_names(figures.modules())


def made(folder: Path, files: dict[str, str]) -> list[figures.Module]:
    """A project of these modules."""
    for name, text in files.items():
        path = folder / "transforms" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return figures.modules(folder)


def test_nearly_one_name_is_seen(tmp_path: Path) -> None:
    """A verb and its noun, a singular and its plural are one name; two things are two."""
    names = [
        "decode.py",
        "decoding.py",
        "shards/a.py",
        "sharding/a.py",
        "file.py",
        "files/a.py",
        "match_metric.py",
        "format.py",
    ]
    assert figures.similar_names(made(tmp_path, dict.fromkeys(names, ""))) == [
        ("transforms/decode", "transforms/decoding"),
        ("transforms/file", "transforms/files"),
        ("transforms/sharding", "transforms/shards"),
    ]


def test_long_and_short_are_seen(tmp_path: Path) -> None:
    """Lines of a module are counted with everything, those of a body without its docstring."""
    body = "\n    x = 1" * 61
    files = {"a.py": f'def f():\n    """It is long."""{body}', "b.py": "\n" * 401, "__init__.py": ""}
    modules = made(tmp_path, files)
    assert figures.long_functions(modules) == ["transforms/a.py:1 f"]
    assert figures.long_modules(modules) == ["transforms/b.py"]
    assert not figures.short_modules(modules)


def test_every_path_of_the_architecture_page_exists() -> None:
    """What docs/architecture.md names as a place to begin is there."""
    paths = re.findall(r"`((?:transforms|pipelines|templates|tests)/[\w./]*)`", PAGE)
    assert len(paths) > 30
    missing = [path for path in paths if not (figures.ROOT / path).exists()]
    assert not missing


def walk(title: str) -> list[str]:
    """The modules that a walk of docs/architecture.md passes."""
    section = PAGE.split(f"### {title}\n", 1)[1].split("\n#", 1)[0]
    return re.findall(r"(?m)^\d+\. `([\w./]+)`", section)


@pytest.mark.parametrize(("title", "most"), [("One block", 12), ("One setting", 12), ("One reject", 12)])
def test_walks(title: str, most: int) -> None:
    """Each walk passes few rooms, fits on a screen, and each room imports or is imported by an earlier one or names it."""
    rooms = walk(title)
    assert 4 < len(rooms) <= most
    assert len(set(rooms)) == len(rooms)
    section = PAGE.split(f"### {title}\n", 1)[1].split("\n#", 1)[0]
    assert len(section.splitlines()) <= 40
