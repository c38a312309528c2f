"""Tests that passed in an earlier run, and need not run once more.

CI runs `make test` without the programs that tests drive, then `make test-all` with them. Each test runs once, in the
first run that it can pass: what was skipped in the first one, or failed, runs in the second. A file whose tests have all
passed is not even imported again. Property tests run in both, since `make test` tries few examples.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support import spread


def add_options(parser: pytest.Parser) -> None:
    """Adds the two options of pytest."""
    parser.addoption(
        "--write-passed", type=Path, metavar="FILE", help="write the names of tests that pass to this file"
    )
    parser.addoption("--without", type=Path, metavar="FILE", help="leave out the tests that this file names")


class PassedTests:
    """The plugin of pytest behind both options.

    Args:
        config: where they were given.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._write_to: Path | None = config.getoption("--write-passed")
        without: Path | None = config.getoption("--without")
        self._few_examples = config.getoption("--hypothesis-profile", default=None) is not None
        self._without = set(without.read_text("utf-8").splitlines()) if without else set()
        self._passed: dict[str, None] = {}
        self._others: set[str] = set()
        self._root = config.rootpath

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Leaves out the files that are named."""
        return str(collection_path.relative_to(self._root)) in self._without or None

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leaves out the tests that have passed."""
        left_out = [item for item in items if item.nodeid in self._without]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item.nodeid not in self._without]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes a test that passed, and whose fixtures ended well; one with few examples has not passed yet."""
        if self._few_examples and "hypothesis" in report.keywords:
            self._others.add(report.nodeid)
        elif report.when == "call" and report.passed:
            self._passed[report.nodeid] = None
        elif not report.passed:
            self._passed.pop(report.nodeid, None)
            self._others.add(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Writes the names, one a line; with workers, in the process that they report to."""
        if self._write_to is not None and not hasattr(session.config, "workerinput"):
            self._write_to.parent.mkdir(parents=True, exist_ok=True)
            others = {_file(name) for name in self._others}
            files = {_file(name) for name in self._passed} - others
            whole = {file for file in files if spread.runs_at_once(self._root / file)}
            names = [*sorted(whole), *(name for name in self._passed if _file(name) not in whole)]
            self._write_to.write_text("".join(f"{name}\n" for name in names), "utf-8")


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]
