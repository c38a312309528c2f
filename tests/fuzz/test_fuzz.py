"""A short run of the fuzzer in every test run; `make fuzz` runs the million."""

import subprocess
import sys
from pathlib import Path

from support.programs import HANG_SECS


def test_a_short_run_finds_nothing() -> None:
    """Twenty seconds of mutated inputs raise nothing but dovebeam's own exceptions."""
    command = [sys.executable, str(Path(__file__).with_name("parsers.py")), "--seconds", "20"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HANG_SECS)
    assert result.returncode == 0, result.stdout + result.stderr[-3000:]
    assert "no finding" in result.stdout
