"""The configuration of a job: read, its problems told, and restricted to the exporters that the job is about.

It is read before Beam is loaded, which takes seconds, so that what is wrong with it is told at once.

A replay sends to the exporters that were named, or to those that the ledger of an earlier run says were left behind.

Metrics of the other exporters stay in the configuration without one, because Dovecot's rule whether unnamed events are
looked at asks all metrics. The whole configuration is kept beside them, since a run is called after it: what a replay
of one exporter writes takes the place of what a run of all wrote for it.
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
    """A configuration of which not all exporters are meant.

    Attributes:
        whole: the one with all of them.
    """

    whole: Config


def load_for_job(paths: Sequence[str], *, strict: bool = False, only_exporter: Collection[str] = ()) -> Config | None:
    """The configuration of a job, with only the exporters that it is about; None after telling of every problem.

    Args:
        paths: its files, in their order.
        strict: whether something of a later Dovecot is an error.
        only_exporter: the exporters that get anything; empty for all.

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
    """The exporters that did not deliver all that was formatted for them, by the ledger of an earlier run.

    Raises:
        UsageError: the file is not a ledger, or says that nothing failed.
    """
    try:
        accounts = _accounts(json.loads(Path(path).read_bytes()))
    except OSError as error:
        raise UsageError(f"--only_failed: open({path}) failed: {error.strerror}; name the ledger of a run") from error
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UsageError(f"--only_failed: {path} is no ledger; name a file that --ledger wrote") from None
    failed = tuple(name for name, formatted, delivered in accounts if delivered < formatted)
    if not failed:
        raise UsageError(f"--only_failed: {path} says that every exporter delivered everything; nothing is left to do")
    return failed


def _accounts(ledger: Mapping[str, Any]) -> Iterable[tuple[str, int, int]]:
    return [(str(each["name"]), int(each["formatted"]), int(each["delivered"])) for each in ledger["exporters"]]


# What a run is called if nobody said so: the same command on the same input has the same name, any other another.

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
    find: Callable[[Sequence[str]], Iterable[FoundFile]],
) -> str:
    """A hash of what decides, see `run_id_of`, and of the files that are there to be read, if that makes a difference.

    A command that runs every day over files of the same names must not replace what it wrote the day before. A file is
    told from a later one by its size and, on this machine, by when it was changed.

    The arguments are those of `run_id_of`, and what finds the files of the patterns.

    Raises:
        SourceError: a pattern matches nothing.
    """
    decisive = run_id_of(
        config, patterns, input_format=input_format, max_line_bytes=max_line_bytes, time_range=time_range
    )
    return run_id_of_files(decisive, find(patterns)) if _writes_shards(config) else decisive


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
