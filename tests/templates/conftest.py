"""The environment of the templates, made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.flex_templates import locked_environment


@pytest.fixture(scope="session", name="locked")
def _locked() -> Iterator[Path]:
    """Python with what the lock file says."""
    with locked_environment() as python:
        yield python
