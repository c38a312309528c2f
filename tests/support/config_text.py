"""Configurations written in tests: the text of a file, and what reading it finds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dovebeam.transforms.config.loading import Reading, read_config
from dovebeam.transforms.config.model import Config, Metric
from dovebeam.transforms.config.places import Stage

__all__ = ["VERSIONS", "accepted", "dovecot_errors", "messages", "metric", "reading", "stats_errors", "warnings"]

VERSIONS = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"


def reading(
    folder: Path,
    body: str,
    *,
    files: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    versions: bool = True,
) -> Reading:
    """Read `body`, after the two version lines, as x.conf in `folder`; messages name it `x.conf`."""
    for name, text in {**(files or {}), "x.conf": (VERSIONS if versions else "") + body}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    before = Path.cwd()
    os.chdir(folder)
    try:
        return read_config("x.conf", environ=environ or {})
    finally:
        os.chdir(before)


def accepted(
    folder: Path, body: str, *, files: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None
) -> Config:
    """The configuration, which must have no errors."""
    found = reading(folder, body, files=files, environ=environ)
    assert not found.report.errors, "\n".join(map(str, found.report.problems(fatal=True)))
    return found.config


def metric(
    folder: Path, body: str, *, files: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None
) -> Metric:
    """The last metric of a configuration without errors."""
    return accepted(folder, body, files=files, environ=environ).metrics[-1]


def dovecot_errors(found: Reading) -> list[str]:
    """What doveconf would print, the first one first, without the beginning that all have."""
    order = [f.problem.dovecot for f in found.report.in_dovecot_order() if f.stage <= Stage.EXPAND]
    return [text.removeprefix("Error in configuration file x.conf").removeprefix(": ").strip() for text in order]


def stats_errors(found: Reading) -> list[str]:
    """What the stats process would refuse to start with."""
    return [f.problem.dovecot for f in found.report.in_dovecot_order() if f.stage is Stage.STATS_START]


def messages(found: Reading) -> list[str]:
    """Our errors, one text each, in the order of the file."""
    return [str(problem) for problem in found.report.problems(fatal=True)]


def warnings(found: Reading) -> list[str]:
    """Our warnings, one text each, in the order of the file."""
    return [str(problem) for problem in found.report.problems(fatal=False)]
