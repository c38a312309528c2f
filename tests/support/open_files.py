"""The files that the tests' process has open; a process that ran other tests may have many more descriptors."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def open_files(folder: Path) -> list[Path]:
    """Those of a folder and of the folders in it, once for each descriptor."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed by another thread
            found.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
    return [path for path in found if path.is_relative_to(folder)]
