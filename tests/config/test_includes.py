"""Patterns of `!include`."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovebeam.transforms.config.files import (
    LOCAL_FILES,
    MAX_PATTERN_ALTERNATIVES,
    MAX_PATTERN_CHARS,
    TooLargeError,
    beside,
    match_files,
)


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.conf", "b.conf", "c.txt", ".h.conf", "A.conf", "x y.conf", "q[1].conf"):
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.conf", ["A.conf", "a.conf", "b.conf", "q[1].conf", "x y.conf"]),
        ("?.conf", ["A.conf", "a.conf", "b.conf"]),
        ("[ab].conf", ["a.conf", "b.conf"]),
        ("[!a].conf", ["A.conf", "b.conf"]),
        ("[^a].conf", ["A.conf", "b.conf"]),
        ("{b,a}.conf", ["b.conf", "a.conf"]),
        ("{c.txt,{b,a}.conf}", ["c.txt", "b.conf", "a.conf"]),
        ("{nosuch,a.conf}", ["a.conf"]),
        (".h*", [".h.conf"]),
        (".*.conf", [".h.conf"]),
        ("x y.conf", ["x y.conf"]),
        ("q\\[1].conf", ["q[1].conf"]),
        ("\\a.conf", ["a.conf"]),
        ("{a.conf", []),
        ("nosuch", []),
        ('"a.conf"', []),
    ],
)
@pytest.mark.usefixtures("folder")
def test_match_files(pattern: str, expected: list[str]) -> None:
    """Patterns, their order, and characters that are not special."""
    assert match_files(pattern, LOCAL_FILES) == expected


def test_patterns_have_limits() -> None:
    """Braces multiply; nobody needs a thousand alternatives."""
    for pattern in ("{a,b}" * 30, "{" * (MAX_PATTERN_CHARS + 1), "{" + "a," * MAX_PATTERN_ALTERNATIVES + "}"):
        with pytest.raises(TooLargeError):
            match_files(pattern, LOCAL_FILES)
    assert match_files("{" * 1000, LOCAL_FILES) == []


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("x.conf", "a", "a"),
        ("d/x.conf", "a", "d/a"),
        ("d/x.conf", "/a", "/a"),
        ("/x.conf", "a", "/a"),
        ("./x.conf", "e/a", "./e/a"),
        ("gs://b/d/x.conf", "e/a", "gs://b/d/e/a"),
        ("gs://b/x.conf", "/a", "/a"),
        ("/x.conf", "gs://b/a", "gs://b/a"),
    ],
)
def test_beside(path: str, name: str, expected: str) -> None:
    """Relative names belong to the directory of the file that names them."""
    assert beside(path, name) == expected
