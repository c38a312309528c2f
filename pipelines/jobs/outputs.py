"""What a job writes on this machine, looked at before it starts: nothing precious is written over or into.

One wrong word after `--ledger` would otherwise replace a configuration, and a production `dovecot.conf` that is tried
on the events that Dovecot itself wrote would append them to themselves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Protocol

from dovebeam.pipelines.jobs.files import check_replaceable
from dovebeam.pipelines.options.errors import UsageError
from dovebeam.pipelines.options.pipes import STDOUT
from dovebeam.pipelines.rejects.sink import check_rejects_path
from dovebeam.transforms.drivers import Driver, FileDriver
from dovebeam.transforms.drivers.files.names import compressed_name
from dovebeam.transforms.local_files import is_url
from dovebeam.transforms.reading import match_files

__all__ = ["OutputOptions", "check_outputs"]


class OutputOptions(Protocol):
    """What must be known of a job's options."""

    @property
    def input(self) -> tuple[str, ...]:
        """Patterns of what is read."""
        ...  # pragma: no cover

    @property
    def rejects(self) -> str | None:
        """Where rejects go."""
        ...  # pragma: no cover

    @property
    def ledger(self) -> str | None:
        """File for the ledger."""
        ...  # pragma: no cover


def check_outputs(options: OutputOptions, drivers: Mapping[str, Driver]) -> None:
    """Makes sure that the outputs of a job can be written, and are neither its input nor one another.

    Args:
        options: of the job.
        drivers: of its exporters, by name. Those that run here and append to one file are looked at; two of them may
            share it, as in Dovecot.

    Raises:
        UsageError: two outputs are one file, an output is read, or would replace something else.
        DeliveryError: a local file cannot be written, or the object for rejects exists.
        SourceError: a pattern matches nothing.
    """
    targets = dict(_appended_files(drivers))
    _check_apart(options, targets)
    if options.ledger not in (None, STDOUT):
        check_replaceable(options.ledger)
    if options.rejects is not None:
        check_rejects_path(options.rejects, options.input)
    _check_unread(options, targets)


def _appended_files(drivers: Mapping[str, Driver]) -> Iterator[tuple[str, str]]:
    """Real paths of the files that exporters append to, and the exporter of each."""
    for name, driver in drivers.items():
        if isinstance(driver, FileDriver) and driver.file_writing == "append" and driver.router() is None:
            yield os.path.realpath(compressed_name(driver.file_path, driver.file_compression)), name


def _check_apart(options: OutputOptions, targets: Mapping[str, str]) -> None:
    rejects, ledger = (
        os.path.realpath(path) if path not in (None, STDOUT) and not is_url(path) else None
        for path in (options.rejects, options.ledger)
    )
    if rejects is not None and rejects == ledger:
        raise UsageError(f"--rejects and --ledger are both {options.ledger}; name two files")
    for option, path in (("--rejects", rejects), ("--ledger", ledger)):
        if path is not None and path in targets:
            raise UsageError(f"{option} {path} is the file of event_exporter {targets[path]}; name another file")


def _check_unread(options: OutputOptions, targets: Mapping[str, str]) -> None:
    patterns = [pattern for pattern in options.input if not is_url(pattern)]
    for file in match_files(patterns) if patterns and targets else ():
        name = targets.get(os.path.realpath(file.location))
        if name is not None:
            raise UsageError(
                f"event_exporter {name} appends to {file.uri}, which --input reads, so its events would be in it "
                "twice; move the file first, override file_path in another --config file, or use --preview"
            )
