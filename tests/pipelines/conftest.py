"""Fixtures of the tests of commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.jobs.commands import write_events
from support.jobs.export_command import LINES


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Some events."""
    return write_events(tmp_path, LINES)
