"""What the fault suites share."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.jobs.fault_server_job import FaultJob


@pytest.fixture
def job(tmp_path: Path) -> FaultJob:
    """An export over http-post in a folder of its own."""
    return FaultJob(tmp_path)
