"""Files that exporters write, before a job starts: paths that mean nothing where it runs, and names that clash."""

from __future__ import annotations

from collections.abc import Mapping

from dovebeam.transforms.config import Config, Exporter, SourcePlace
from dovebeam.transforms.drivers import Driver, FileDriver
from dovebeam.transforms.drivers.files.clashes import shard_clashes
from dovebeam.transforms.errors import ConfigProblem
from dovebeam.transforms.local_files import is_url

__all__ = ["file_problems", "file_warnings"]

_PATH = "event_exporter_file_path"


def file_problems(config: Config, drivers: Mapping[str, Driver], *, here: bool) -> list[ConfigProblem]:
    """What is wrong with files as targets.

    Args:
        config: where the settings stand.
        drivers: those of the job, by exporter.
        here: whether it runs on this machine. Elsewhere, workers come and go, each with a disk of its own, so appending
            to a file would leave parts of it anywhere.
    """
    found = [_place(config.exporters[name]).problem(str(error)) for name, error in shard_clashes(drivers).items()]
    for name, driver in drivers.items():
        if not here and isinstance(driver, FileDriver) and driver.file_writing == "append":
            message = (
                f"event_exporter {name}: {_PATH}: the job runs elsewhere, where each worker would append to a file of "
                "its own machine; add file_writing = shards, best with a gs:// path"
            )
            found.append(_place(config.exporters[name]).problem(message))
    return found


def file_warnings(config: Config, drivers: Mapping[str, Driver], *, here: bool) -> list[ConfigProblem]:
    """What is only right if the operator has seen to it; arguments as for `file_problems`."""
    if here:
        return []
    return [
        _place(config.exporters[name]).problem(
            f"event_exporter {name}: the job runs elsewhere; all its workers must have {driver.base} mounted, or it "
            "will fail (name a gs:// path if they have not)"
        )
        for name, driver in drivers.items()
        if isinstance(driver, FileDriver) and driver.file_writing == "shards" and not is_url(driver.base)
    ]


def _place(exporter: Exporter) -> SourcePlace:
    return exporter.settings.place(_PATH) if _PATH in exporter.settings else exporter.place
