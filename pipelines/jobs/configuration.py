"""Configuration of a job: read, restricted to the exporters of the job, and hashed into the default name of a run.

It is read before Beam is loaded, which takes seconds, so that its problems are reported at once.

A replay sends to the exporters that were named, or to those that are incomplete in the ledger of an earlier run.
Metrics of the other exporters stay in the configuration without an exporter, because Dovecot's rule about unnamed
events depends on all metrics. The whole configuration is kept as well, since the name of a run is made of it: what a
replay of one exporter writes replaces what a run of all wrote for it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dovebeam.pipelines.jobs.readable_input import tell_terminal
from dovebeam.pipelines.terminal.exit_codes import UsageError
from dovebeam.pipelines.terminal.logs import say
from dovebeam.transforms.config import Config, Exporter
from dovebeam.transforms.config_files import load_config
from dovebeam.transforms.errors import ConfigError, UnknownNameError
from dovebeam.transforms.events.event import TimeRange
from dovebeam.transforms.local_files import is_url
from dovebeam.transforms.sources import FoundFile

__all__ = [
    "PartOfConfig",
    "failed_exporters",
    "load_for_job",
    "restrict",
    "run_id_of",
    "run_id_of_files",
    "run_id_of_input",
    "whole_of",
]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PartOfConfig(Config):
    """A configuration that is restricted to some of its exporters.

    Attributes:
        whole: the configuration with all of them.
    """

    whole: Config


def load_for_job(paths: Sequence[str], *, strict: bool = False, only_exporter: Collection[str] = ()) -> Config | None:
    """Reads the configuration of a job, restricted to its exporters; None after printing all errors if there are any.

    Args:
        paths: its files; later ones override.
        strict: whether something of a later Dovecot is an error.
        only_exporter: exporters to send to; empty for all.

    Raises:
        UsageError: an exporter that was asked for does not exist.
    """
    tell_terminal(paths)
    try:
        config = load_config(paths, strict=strict)
    except ConfigError as error:
        for problem in error.problems:
            say(f"error: {problem}")
        return None
    for warning in config.warnings:
        say(f"warning: {warning}")
    if not any(metric.exporter for metric in config.metrics):
        say("warning: no metric of the configuration names an exporter, so nothing will be exported")
    return restrict(config, only_exporter) if only_exporter else config


def whole_of(config: Config) -> Config:
    """The configuration with all exporters."""
    return config.whole if isinstance(config, PartOfConfig) else config


def restrict(config: Config, exporters: Collection[str]) -> PartOfConfig:
    """The configuration with no exporters but these.

    Raises:
        UsageError: no metric exports to one of them.
    """
    used = {metric.exporter for metric in config.metrics if metric.exporter}
    for name in exporters:
        if name not in used:
            raise UsageError(f"--only_exporter: {UnknownNameError('exporter', name, used)}")
    return PartOfConfig(
        exporters=config.exporters,
        warnings=config.warnings,
        left_out=config.left_out,
        whole=whole_of(config),
        metrics=tuple(
            metric if metric.exporter in exporters else dataclasses.replace(metric, exporter="")
            for metric in config.metrics
        ),
    )


def failed_exporters(path: str) -> tuple[str, ...]:
    """Exporters that did not deliver all that was formatted for them, by the ledger of an earlier run.

    Raises:
        UsageError: the file is not a ledger, or says that nothing failed.
    """
    try:
        accounts = _accounts(json.loads(Path(path).read_bytes()))
    except OSError as error:
        raise UsageError(f"--only_failed: open({path}) failed: {error.strerror}; name the ledger of a run") from error
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UsageError(f"--only_failed: {path} is not a ledger; name a file that --ledger wrote") from None
    failed = tuple(name for name, formatted, delivered in accounts if delivered < formatted)
    if not failed:
        raise UsageError(f"--only_failed: {path} says that every exporter delivered everything; nothing is left to do")
    return failed


def _accounts(ledger: Mapping[str, Any]) -> Iterable[tuple[str, int, int]]:
    return [(str(each["name"]), int(each["formatted"]), int(each["delivered"])) for each in ledger["exporters"]]


# The default name of a run: a hash, the same for the same command on the same input, and different for any other.

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

    That is: the input patterns, the time range, the metrics, and formats and file settings of exporters; nothing that
    may be a secret.

    Args:
        config: of the run.
        patterns: of its input.
        input_format: of its input.
        max_line_bytes: longer lines are rejected.
        time_range: of wanted events.
    """
    # Not of the exporters that were chosen: each has a manifest of its own, so a run of one exporter finishes or
    # replaces what a run of all has left of it, and nothing else.
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
    find: Callable[[Sequence[str]], Iterable[FoundFile]],
) -> str:
    """A hash as of `run_id_of`, and of the files to be read if the run writes shards.

    A command that runs every day over files of the same names must not replace what it wrote the day before. A file
    differs from a later one by its size and, on this machine, by its modification time.

    Args:
        config: see `run_id_of`, also for the following.
        patterns: see there.
        input_format: see there.
        max_line_bytes: see there.
        time_range: see there.
        find: finds the files of patterns.

    Raises:
        SourceError: a pattern matches nothing.
    """
    decisive = run_id_of(
        config, patterns, input_format=input_format, max_line_bytes=max_line_bytes, time_range=time_range
    )
    return run_id_of_files(decisive, find(patterns)) if _writes_shards(config) else decisive


def run_id_of_files(decisive: object, files: Iterable[FoundFile]) -> str:
    """A hash of `decisive`, any value for JSON without secrets, and of the files that are read."""
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
    # Sorted keys and plain JSON, so that the name is the same on every machine and Python.
    text = json.dumps(decisive, sort_keys=True).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:_DIGITS]


def _shape(exporter: Exporter) -> list[object]:
    settings = exporter.settings
    files = {name: settings[name] for name in settings if name.startswith("event_exporter_file_")}
    return [exporter.driver, exporter.format, exporter.time_format, files]
