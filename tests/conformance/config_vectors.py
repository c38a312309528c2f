"""The configuration vectors: samples of dovecot.conf with what a real Dovecot said, and dovebeam's answer in its terms."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dovebeam.transforms.config.loading import Reading, read_config
from dovebeam.transforms.config.model import Exporter, Metric
from dovebeam.transforms.config.places import Stage
from support.oracle.vectors import vectors_folder
from support.programs import unpack

__all__ = ["answer", "config_folder", "dovecot_verdict", "expected_answer", "inside", "samples"]

_PACKED = Path(__file__).parents[1] / "vectors" / "config.tar.gz"
_OPENMETRICS = "stats: openmetrics: "  # about the names that a metrics page can have; the statistics issue's business


def config_folder(scratch: Path) -> Path | None:
    """The folder of samples in the set in use, unpacked into `scratch` if it is packed; `None` if the set has none."""
    folder = vectors_folder() / "config"
    if folder.is_dir():
        return folder
    packed = vectors_folder() / _PACKED.name
    if not packed.is_file():
        return None
    with tarfile.open(packed) as archive:
        unpack(archive, scratch)
    return scratch / "config"


def samples(folder: Path) -> list[str]:
    """The names of all samples."""
    return sorted(path.name.removesuffix(".expect.json") for path in folder.glob("*.expect.json"))


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """The working directory is `folder`: doveconf ran there, its messages have names relative to it."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def dovecot_verdict(reading: Reading) -> str | None:
    """The error with which doveconf would stop, in our reading; `None` if it would accept."""
    order = reading.report.in_dovecot_order()
    return next((f.problem.dovecot for f in order if f.stage <= Stage.EXPAND), None)


def answer(path: str) -> dict[str, Any]:
    """What dovebeam says about a sample, in the form of the recorded expectations."""
    reading = read_config(path)
    found = list(reading.report.in_dovecot_order())
    error = dovecot_verdict(reading)
    warnings = [f.problem.dovecot for f in found if f.stage is Stage.PARSE_WARNING]
    if error is not None:
        return {"ok": False, "error": error, "warnings": warnings}
    stats_error = next((f.problem.dovecot for f in found if f.stage is Stage.STATS_START), None)
    config = reading.config
    return {
        "ok": True,
        "exporters": {name: _exporter(exporter) for name, exporter in config.exporters.items()},
        "exporter order": list(config.exporters),
        "metrics": {metric.block_name: _metric(metric) for metric in config.metrics},
        "metric order": [metric.block_name for metric in config.metrics],
        "warnings": warnings,
        "stats_error": stats_error,
        "stats_warnings": [f.problem.dovecot for f in found if f.stage is Stage.STATS_WARNING],
    }


def expected_answer(folder: Path, name: str) -> dict[str, Any]:
    """The recorded expectation of a sample, without what belongs to the metrics page."""
    recorded: dict[str, Any] = json.loads((folder / f"{name}.expect.json").read_text("utf-8"))
    if not recorded["ok"]:
        return {"ok": False, "error": recorded["error"], "warnings": recorded.get("warnings", [])}
    stats_warnings = recorded.get("stats_warnings", [])
    metrics = {name: _unordered_parts(metric) for name, metric in recorded["metrics"].items()}
    return {
        "ok": True,
        "exporters": recorded["exporters"],
        "exporter order": list(recorded["exporters"]),
        "metrics": metrics,
        "metric order": list(metrics),
        "warnings": recorded["warnings"],
        "stats_error": recorded["stats_error"],
        "stats_warnings": [text for text in stats_warnings if not text.startswith(_OPENMETRICS)],
    }


def _unordered_parts(metric: dict[str, Any]) -> dict[str, Any]:
    """Which parts go out has no order."""
    return {**metric, "exporter_include": sorted(metric["exporter_include"])}


def _exporter(exporter: Exporter) -> dict[str, Any]:
    settings = exporter.settings
    short = (
        "name",
        "driver",
        "format",
        "time_format",
        "file_path",
        "unix_path",
        "unix_connect_timeout",
        "http_post_url",
    )
    http = [name for name in settings if name.startswith("http_client_") and settings.is_explicit(name)]
    return {
        **{name: settings.written(f"event_exporter_{name}") for name in short},
        "http_client": {name: settings.written(name) for name in http},
    }


def _metric(metric: Metric) -> dict[str, Any]:
    return {
        "name": metric.name,
        "filter": metric.filter_text,
        "exporter": metric.exporter,
        "description": metric.description,
        "fields": list(metric.fields),
        "exporter_include": sorted(metric.exporter_include_written),
        "group_by": [
            {
                "field": group.field,
                "methods": [
                    {"method": method.method}
                    | {
                        name.removeprefix("metric_group_by_method_"): method.settings.written(name)
                        for name in method.settings
                    }
                    for method in group.methods
                ],
            }
            for group in metric.group_by
        ],
    }
