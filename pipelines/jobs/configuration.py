"""The configuration of a job: read, its problems told, and restricted to the exporters that the job is about.

A replay sends to the exporters that were named, or to those that the ledger of an earlier run says were left behind.

Metrics of the other exporters stay in the configuration without one, because Dovecot's rule whether unnamed events are
looked at asks all metrics. The whole configuration is kept beside them, since a run is called after it: what a replay
of one exporter writes takes the place of what a run of all wrote for it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dovebeam.pipelines.jobs.readable_input import tell_terminal
from dovebeam.pipelines.options.errors import UsageError
from dovebeam.pipelines.terminal.logs import say
from dovebeam.transforms.config import Config
from dovebeam.transforms.config_files import load_config
from dovebeam.transforms.errors import ConfigError, UnknownNameError

__all__ = ["PartOfConfig", "failed_exporters", "load_for_job", "restrict", "whole_of"]


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
