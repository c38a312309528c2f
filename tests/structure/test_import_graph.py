"""The look at imports behind the tests of layers: what counts as an import, and what as a circle."""

from __future__ import annotations

from pathlib import Path

import pytest
from structure.import_graph import import_circles, imports_in


def _circles(tmp_path: Path, files: dict[str, str]) -> list[str]:
    """The circles in a package `p` of these files, each as the names of its modules."""
    for name, text in {"__init__": "", **files}.items():
        path = tmp_path / "p" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    circles = import_circles(imports_in({"p": tmp_path / "p"}))
    return [" ".join(each.importer.removeprefix("p.") for each in circle) for circle in circles]


@pytest.mark.parametrize(
    "text",
    [
        "from p.b import x",
        "from p import b",
        "import p.b",
        "import p.b as other",
        "from . import b",
        "from .b import x",
        "from .b import *",
        "def f():\n    from p.b import x",
        "class C:\n    def f(self):\n        if self:\n            import p.b",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.b import x",
        "import typing as t\nif t.TYPE_CHECKING:\n    from p.b import x",
        "try:\n    import p.b\nexcept ImportError:\n    pass",
    ],
)
def test_every_import_counts(tmp_path: Path, text: str) -> None:
    """However and wherever it is written."""
    assert _circles(tmp_path, {"a": text, "b": "from p.a import x"}) == ["a b"]
    assert _circles(tmp_path, {"a": text, "b": ""}) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a": "import p.b", "b": "import p.c", "c": "import p.a"}, ["a b c"]),
        ({"a": "import p.b, p.c", "b": "import p.c", "c": "import p.a"}, ["a c"]),
        ({"a": "import p.b", "b": "import p.a", "c": "import p.d, p.a", "d": "import p.c"}, ["a b", "c d"]),
        ({"a": "import p.b, p.c", "b": "import p.d", "c": "import p.d", "d": "import os"}, []),
        ({"a": "import p.a"}, []),
        # A package and its own modules: these may be named by it, and it not by these.
        ({"q/__init__": "from p.q.a import x", "q/a": "from p.q.b import x", "q/b": ""}, []),
        ({"q/__init__": "from p.q.a import x", "q/a": "from p.q import y"}, ["q q.a"]),
        ({"q/__init__": "from .a import x", "q/a": "from . import y"}, ["q q.a"]),
        # Who imports a module of another package imports that package as well.
        ({"q/__init__": "from p.q.a import x", "q/a": "import p.c", "q/b": "", "c": "import p.q.b"}, ["c q q.a"]),
        ({"q/__init__": "", "q/a": "import p.c", "q/b": "", "c": "import p.q.b"}, []),
    ],
)
def test_circles(tmp_path: Path, files: dict[str, str], expected: list[str]) -> None:
    """One shortest circle of each group of modules that need each other."""
    assert _circles(tmp_path, files) == expected


def test_an_import_is_told_with_its_place(tmp_path: Path) -> None:
    """Module, file, line, and whether it stands in a function or is for type checkers."""
    (tmp_path / "a.py").write_text("\nif TYPE_CHECKING:\n    import b\n")
    (tmp_path / "b.py").write_text("def f():\n    import a\n")
    told = [str(each) for each in imports_in({"": tmp_path})]
    assert told == [
        f"a imports b ({tmp_path}/a.py:3, for type checkers)",
        f"b imports a ({tmp_path}/b.py:2, in a function)",
    ]
