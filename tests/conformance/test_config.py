"""Every recorded sample of dovecot.conf: does dovebeam read the same settings and refuse with the same message?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conformance.config_vectors import answer, config_folder, expected_answer, inside, samples

from dovebeam.transforms.config import load_config
from dovebeam.transforms.config.loading import read_config
from dovebeam.transforms.config.places import Stage
from dovebeam.transforms.errors import ConfigError
from support.oracle.report import Report, left_out
from support.oracle.vectors import vectors_folder


def samples_folder(scratch: Path) -> Path | None:
    """The folder of samples, absolute, because the samples are read with that folder as working directory."""
    folder = config_folder(scratch)
    return folder.resolve() if folder else None


def answer_as_recorded(path: str) -> dict[str, Any]:
    """The answer as far as Dovecot would get, and with the texts of metrics as they were written.

    Recorded settings have their `%{...}` still in them. doveconf stops at the first error of the syntax, so it never
    sees what it would warn about further down.
    """
    got, reading = answer(path), read_config(path)
    order = list(reading.report.in_dovecot_order())
    if order and order[0].stage is Stage.PARSE:
        seen = [f for f in order if f.stage is Stage.PARSE_WARNING and f.number < order[0].number]
        got["warnings"] = [finding.problem.dovecot for finding in seen]
    if got["ok"]:
        for metric in reading.config.metrics:
            written = {name: metric.settings.written(f"metric_{name}") for name in ("name", "exporter", "description")}
            got["metrics"][metric.block_name].update(written)
    return got


def test_config_agrees_with_dovecot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Settings, warnings and messages of each sample are those of doveconf and of the stats process at its start.

    Only the warnings about names that the metrics page can't have are left out: statistics have a test of their own.
    """
    folder = samples_folder(tmp_path)
    with capsys.disabled():
        if folder is None:
            left_out("config", vectors_folder())
            return
        report = Report(Path("config"))
        with inside(folder):
            for name in samples(folder):
                expected, got = expected_answer(folder, name), answer_as_recorded(f"{name}.conf")
                differing = {key for key in expected.keys() | got.keys() if expected.get(key) != got.get(key)}
                report.check(
                    name,
                    expected={key: expected.get(key) for key in sorted(differing)},
                    got={key: got.get(key) for key in sorted(differing)},
                )
        report.finish()


def test_config_refuses_what_dovecot_refuses(tmp_path: Path) -> None:
    """What doveconf or the stats process refuses is a ConfigError with a place, also where Dovecot crashes.

    Only where another part of Dovecot is what it refuses, dovebeam says so in a warning and goes on.
    """
    folder = samples_folder(tmp_path)
    if folder is None:
        return
    with inside(folder):
        for name in samples(folder):
            recorded = json.loads((folder / f"{name}.expect.json").read_text("utf-8"))
            message = recorded.get("stats_error") if recorded["ok"] else recorded["error"]
            if not message:
                continue
            try:
                found = load_config(f"{name}.conf").warnings
            except ConfigError as error:
                found = error.problems
                assert all(problem.path and problem.message for problem in found), name
            assert message in {problem.dovecot for problem in found}, name
