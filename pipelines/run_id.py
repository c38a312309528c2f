"""What a run is called if nobody said so: the same command has the same name, another one another."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Final

from dovebeam.pipelines.options import ExportOptions
from dovebeam.transforms.config import Config, Exporter

__all__ = ["run_id_of"]

_DIGITS: Final = 12


def run_id_of(options: ExportOptions, config: Config) -> str:
    """The name that was given, or else a hash of all that decides what a run writes.

    That is: the input patterns, the time range, the metrics, and formats and file settings of exporters. Nothing that
    may be a secret is in it.
    """
    if options.run_id:
        return options.run_id
    decisive = {
        "input": [pattern if "://" in pattern else os.path.abspath(pattern) for pattern in options.input],
        "input_format": options.input_format,
        "max_line_bytes": options.max_line_bytes,
        "range": [options.start_time, options.end_time],
        "metrics": [
            [each.block_name, each.exporter, each.filter_text, each.exporter_include, each.fields]
            for each in config.metrics
            if each.exporter
        ],
        "exporters": {name: _shape(exporter) for name, exporter in config.exporters.items()},
    }
    text = json.dumps(decisive, sort_keys=True).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:_DIGITS]


def _shape(exporter: Exporter) -> list[object]:
    settings = exporter.settings
    files = {name: settings[name] for name in settings if name.startswith("event_exporter_file_")}
    return [exporter.driver, exporter.format, exporter.time_format, files]
