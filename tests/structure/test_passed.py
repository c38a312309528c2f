"""Tests of CI that run once: what passed in one run is left out of the next."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.programs import HANG_SECS

SUPPORT = Path(__file__).parents[1]

CONFTEST = """
from hypothesis import settings
from support import passed

settings.register_profile("few", max_examples=10)

def pytest_addoption(parser):
    passed.add_options(parser)

def pytest_configure(config):
    config.addinivalue_line("markers", "alone: as in the project")
    config.pluginmanager.register(passed.PassedTests(config))
"""

TESTS = """
import pytest

@pytest.mark.parametrize("text", ["a", "\\n", "\\u00e9"])
def test_that_passes(text):
    pass

def test_that_is_skipped():
    pytest.skip("no program")

def test_that_fails():
    assert False

@pytest.fixture
def broken():
    yield
    raise OSError

def test_that_cannot_clean_up(broken):
    pass
"""

LAWS = """
from hypothesis import given, strategies

@given(strategies.integers())
def test_a_law(number):
    pass

def test_a_case():
    pass
"""


def run(folder: Path, *options: str) -> str:
    """What pytest says of these tests, in a process of its own."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(TESTS)
    (folder / "test_whole.py").write_text("def test_one():\n    pass\n\ndef test_two():\n    pass\n")
    (folder / "test_parts.py").write_text("import pytest\n\n@pytest.mark.alone\ndef test_one():\n    pass\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *options]
    environ = {**os.environ, "PYTHONPATH": str(SUPPORT)}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=environ, timeout=HANG_SECS, check=False
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["in process", "two workers"])
def test_what_passed_is_left_out(workers: tuple[str, ...], tmp_path: Path) -> None:
    """What was skipped, failed, or failed while it cleaned up, runs again; a file is named whole if all of it passed."""
    passed = tmp_path / "build" / "passed"
    assert "1 failed, 7 passed, 1 skipped, 1 error" in run(tmp_path, f"--write-passed={passed}", *workers)
    names = passed.read_text().splitlines()
    assert [name for name in names if "test_it" not in name] == ["test_whole.py", "test_parts.py::test_one"]
    assert len(names) == 5
    again = run(tmp_path, f"--without={passed}", *workers)
    assert "1 failed, 1 passed, 1 skipped" in again
    assert "1 error" in again


def test_nothing_is_left_out_without_a_file(tmp_path: Path) -> None:
    """A missing file is an error, so that a typing mistake is noticed."""
    assert "No such file" in run(tmp_path, f"--without={tmp_path / 'missing'}")


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["in process", "two workers"])
def test_a_law_with_few_examples_has_not_passed(workers: tuple[str, ...], tmp_path: Path) -> None:
    """It runs again with all its examples; the other tests of its file do not."""
    passed = tmp_path / "passed"
    (tmp_path / "test_laws.py").write_text(LAWS)
    run(tmp_path, f"--write-passed={passed}", "--hypothesis-profile=few", *workers, "test_laws.py")
    assert passed.read_text().splitlines() == ["test_laws.py::test_a_case"]
    assert "1 passed" in run(tmp_path, f"--without={passed}", *workers, "test_laws.py")
    run(tmp_path, f"--write-passed={passed}", *workers, "test_laws.py")
    assert passed.read_text().splitlines() == ["test_laws.py"]
