"""What a run is called if nobody said so: the same command on the same input has the same name, any other another."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from typing import Final

from dovebeam.pipelines.jobs.configuration import whole_of
from dovebeam.transforms.config import Config, Exporter
from dovebeam.transforms.local_files import is_url
from dovebeam.transforms.reading import match_files
from dovebeam.transforms.sources import FoundFile
from dovebeam.transforms.time_range import TimeRange

__all__ = ["run_id_of", "run_id_of_files", "run_id_of_input"]

_DIGITS: Final = 12


def run_id_of(
    config: Config,
    patterns: Sequence[str],
    *,
    input_format: str,
    max_line_bytes: int,
    time_range: TimeRange,
) -> str:
    """A hash of all that decides what a run writes.

    That is: the input patterns, the time range, the metrics, and formats and file settings of exporters. Nothing that
    may be a secret is in it. Nor is which exporters are meant of those that there are: each has a manifest
    of its own, so a run of one exporter finishes or replaces what a run of all has left of it, and nothing else.

    Args:
        config: of the run.
        patterns: of its input.
        input_format: how that is read.
        max_line_bytes: longer lines are rejected.
        time_range: which events are wanted.
    """
    config = whole_of(config)
    decisive = {
        "input": [pattern if is_url(pattern) else os.path.abspath(pattern) for pattern in patterns],
        "input_format": input_format,
        "max_line_bytes": max_line_bytes,
        "range": list(time_range),
        "metrics": [
            [each.block_name, each.exporter, each.filter_text, each.exporter_include, each.fields]
            for each in config.metrics
            if each.exporter
        ],
        "exporters": {name: _shape(exporter) for name, exporter in config.exporters.items()},
    }
    return _hash(decisive)


def run_id_of_input(
    config: Config,
    patterns: Sequence[str],
    *,
    input_format: str,
    max_line_bytes: int,
    time_range: TimeRange,
) -> str:
    """A hash of what decides, see `run_id_of`, and of the files that are there to be read, if that makes a difference.

    A command that runs every day over files of the same names must not replace what it wrote the day before. A file is
    told from a later one by its size and, on this machine, by when it was changed.

    Raises:
        SourceError: a pattern matches nothing.
    """
    decisive = run_id_of(
        config, patterns, input_format=input_format, max_line_bytes=max_line_bytes, time_range=time_range
    )
    return run_id_of_files(decisive, match_files(patterns)) if _writes_shards(config) else decisive


def run_id_of_files(decisive: object, files: Iterable[FoundFile]) -> str:
    """A hash of what decides (as JSON has it, nothing secret) and of the files that are read."""
    return _hash([decisive, [[file.uri, file.size, _changed(file.location)] for file in files]])


def _writes_shards(config: Config) -> bool:
    used = {metric.exporter for metric in config.metrics}
    return any(
        exporter.settings.get("event_exporter_file_writing") == "shards"
        for name, exporter in config.exporters.items()
        if name in used
    )


def _changed(uri: str) -> int:
    return 0 if is_url(uri) else os.stat(uri).st_mtime_ns


def _hash(decisive: object) -> str:
    text = json.dumps(decisive, sort_keys=True).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:_DIGITS]


def _shape(exporter: Exporter) -> list[object]:
    settings = exporter.settings
    files = {name: settings[name] for name in settings if name.startswith("event_exporter_file_")}
    return [exporter.driver, exporter.format, exporter.time_format, files]
