"""Fixtures of the tests of commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.commands import write_events
from support.export_command import LINES


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Some events."""
    return write_events(tmp_path, LINES)
