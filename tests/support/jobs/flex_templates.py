"""Flex Templates as Dataflow uses them: their folder, their metadata, and an environment made from their lock file."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import dovebeam.pipelines.cli
from support.programs import HANG_SECS, require_program

ROOT = Path(__file__).parents[3]
TEMPLATES = ROOT / "templates"
LOCK = TEMPLATES / "requirements.txt"
NAMES = ["export", "replay", "stream"]


def committed(template: str) -> dict[str, Any]:
    """The metadata of a template, as it is in the tree."""
    found: dict[str, Any] = json.loads((TEMPLATES / f"{template}.json").read_text())
    return found


def parameters_of(template: str) -> dict[str, dict[str, Any]]:
    """The parameters of a template by name."""
    return {each["name"]: each for each in committed(template)["parameters"]}


def example_of(parameter: dict[str, Any]) -> str:
    """The value that the help of a parameter shows."""
    return str(parameter["helpText"]).partition(" Example: ")[2]


@functools.cache
def generator() -> ModuleType:
    """The module that makes the metadata."""
    sys.path.insert(0, str(TEMPLATES))
    try:
        return importlib.import_module("metadata")
    finally:
        sys.path.remove(str(TEMPLATES))


@contextlib.contextmanager
def locked_environment(folder: Path) -> Iterator[Path]:
    """The Python of a fresh environment with exactly what the lock file names, by its hashes, and the tested dovebeam.

    Processes that name the same folder at the same time share it: the first one makes it, and the last one removes it.
    """
    python = folder / "bin" / "python"
    with folder.with_suffix(".users").open("wb") as users:
        with _alone_with(folder):
            if not folder.exists():
                _install_locked(folder, python)
            fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield python
        finally:
            with _alone_with(folder), contextlib.suppress(BlockingIOError):  # another one uses it
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)


@contextlib.contextmanager
def _alone_with(folder: Path) -> Iterator[None]:
    with folder.with_suffix(".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install_locked(folder: Path, python: Path) -> None:
    try:
        subprocess.run([_python_of_the_image(), "-m", "venv", folder], check=True, timeout=HANG_SECS)
        # uv, which takes a tenth of the time of the image's pip, and refuses a wrong hash just as well.
        install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", f"--python={python}"]
        subprocess.run([*install, "--require-hashes", "--requirement", LOCK], check=True, timeout=HANG_SECS)
        (packages,) = (folder / "lib").glob("python3*/site-packages")
        (packages / "dovebeam").symlink_to(Path(dovebeam.pipelines.cli.__file__).parents[1])
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _python_of_the_image() -> str:
    return sys.executable if sys.version_info[:2] == (3, 11) else require_program("python3.11")
