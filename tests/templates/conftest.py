"""The environment of the templates, made once, for all of the workers that run tests at the same time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.jobs.flex_templates import locked_environment


@pytest.fixture(scope="session", name="locked")
def _locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Python with what the lock file says."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with locked_environment(shared / "locked") as python:
        yield python
