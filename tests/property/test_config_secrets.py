"""A marked secret in any place of a configuration, spelt wrongly in any way, is in no output.

`DOVEBEAM_SECRET_PLACEMENTS` is how many are tried, `DOVEBEAM_SECRET_SEED` where to begin.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
from pathlib import Path

import pytest
from property.secret_places import Placed, place_secret

from dovebeam.pipelines.check import findings
from dovebeam.pipelines.check.check_job import as_json, show_text
from dovebeam.pipelines.jobs.configuration import load_for_job
from dovebeam.pipelines.jobs.drivers import make_drivers
from dovebeam.transforms.config_files import read_config
from dovebeam.transforms.errors import ConfigError

PLACEMENTS = int(os.environ.get("DOVEBEAM_SECRET_PLACEMENTS", "500"))
SEED = int(os.environ.get("DOVEBEAM_SECRET_SEED", "1"))


def outputs(paths: list[str], patch: pytest.MonkeyPatch, *, launched: bool) -> list[str]:
    """What is said of a configuration apart from the terminal, where `check` and a launch say what they find."""
    reading = read_config(paths)
    patch.setattr(findings, "read_config", lambda _, **__: reading)  # once is enough
    found = findings.examine(paths, local=True)
    far = findings.examine(paths, local=False) if launched else found
    show_text(found, None)
    error = ConfigError(reading.report.problems(fatal=True))
    if launched:
        config = load_for_job(paths)
        if config is not None:
            make_drivers(config, local=True)
    return [as_json(found, None), as_json(far, None), *map(repr, (reading.config, reading.report, error)), str(error)]


def everything_said(number: int, folder: Path, patch: pytest.MonkeyPatch) -> tuple[Placed, str]:
    """A configuration, and all that is said about it."""
    placed = place_secret(random.Random(number))
    patch.setenv("SECRET", placed.environ["SECRET"])
    for name in ("x.conf", "y.conf", "part.conf", "secret"):
        (folder / name).unlink(missing_ok=True)
    for name, text in placed.files.items():
        (folder / name).write_text(text, "utf-8")
    paths = [str(folder / name) for name in ("x.conf", "y.conf") if name in placed.files]
    terminal = io.StringIO()
    with contextlib.redirect_stdout(terminal), contextlib.redirect_stderr(terminal):
        texts = outputs(paths, patch, launched=number % 10 == 0)
    return placed, "\n".join([terminal.getvalue(), *texts])


def test_no_secret_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in errors, warnings and suggestions, nor in tables, JSON, representations and what a launch says."""
    for number in range(SEED, SEED + PLACEMENTS):
        placed, text = everything_said(number, tmp_path, monkeypatch)
        said = text.lower()
        if placed.secret.lower() in said:
            lines = [line for line in said.splitlines() if placed.secret.lower() in line]
            pytest.fail(f"placement {number}: {lines[:4]}\n{placed.files}")
