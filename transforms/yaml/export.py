"""`ExportEvents` for Beam YAML: a dovecot.conf's whole export, from files or from rows of events."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

import apache_beam as beam
from apache_beam.transforms.error_handling import ErrorHandler

from dovebeam.transforms.config import Config, make_driver
from dovebeam.transforms.config_files import load_config
from dovebeam.transforms.error_handling import RejectingTransform
from dovebeam.transforms.errors import DriverSettingError, UnknownNameError
from dovebeam.transforms.export_events import ExportEvents as Export
from dovebeam.transforms.reading import ReadFromFiles
from dovebeam.transforms.rows import RowsToEvents
from dovebeam.transforms.yaml.columns import check_events
from dovebeam.transforms.yaml.error_output import error_output, reject_errors, with_errors
from dovebeam.transforms.yaml.events import FILE_FORMATS

# ruff: noqa: UP007, UP045  Beam 2.77 takes `X | None` in a schema for Any
__all__ = ["ExportEvents"]

_logger = logging.getLogger(__name__)


class ExportEvents(beam.PTransform):
    """Exports events as a dovecot.conf says: its metrics decide, its event_exporters write and deliver.

    What is no event and what a target refuses are errors; their element is a row with the bytes in payloadBytes and
    what is known of them in the other columns.

    Args:
        config: the dovecot.conf, or a list of files of which later ones override, local or gs://; read where the
            pipeline is launched.
        path: file, glob or list of them, as for DovecotEvents. Without it the transform needs an input with rows of
            events.
        format: of the files: json, tab-text, avro, or auto, which tells it by the content.
        run_id: the name of this run in the names of files that are written as shards; a run of the same name replaces
            its own files.
        error_handling: output is the name of the output for errors; without it the first one fails the job.
    """

    _yaml_requires_inputs = False  # Beam YAML's own name for: it may begin a pipeline

    def __init__(
        self,
        config: Union[str, Sequence[str]],
        *,
        path: Optional[Union[str, Sequence[str]]] = None,
        format: Optional[str] = "auto",  # noqa: A002  the name in Beam YAML's own transforms
        run_id: Optional[str] = "",
        error_handling: Optional[Mapping[str, str]] = None,
    ) -> None:
        super().__init__()
        self._path = path
        self._format: Any = format or "auto"
        if self._format not in FILE_FORMATS:
            raise UnknownNameError("format", self._format, FILE_FORMATS)
        self._config = load_config(config)
        for warning in self._config.warnings:
            _logger.warning("%s", warning)
        _check_exporters(self._config)
        self._run_id = run_id or ""
        self._error_output = error_output(error_handling)

    def expand(self, given: Any) -> Any:
        """Files, or PCollection of rows, to nothing."""
        from_rows = isinstance(given, beam.PCollection)
        if from_rows == (self._path is not None):
            raise ValueError("ExportEvents takes either path or an input with rows of events")
        if self._error_output is None:
            self._export(given, None)
            return None
        with ErrorHandler(_ErrorRows()) as handler:
            self._export(given, handler)
        return with_errors(None, handler.output(), self._error_output)

    def _export(self, given: Any, handler: ErrorHandler | None) -> None:
        source: beam.PTransform | RejectingTransform
        if self._path is None:
            check_events("ExportEvents", given)
            source = RowsToEvents().with_error_handler(handler)
        else:
            path = [self._path] if isinstance(self._path, str) else list(self._path)
            source = ReadFromFiles(path, input_format=self._format)
        export = Export(self._config, run_id=self._run_id).with_error_handler(handler)
        _ = given | "Read" >> source | "Export" >> export


class _ErrorRows(beam.PTransform):
    def expand(self, rejects: Any) -> Any:
        return reject_errors(rejects)


def _check_exporters(config: Config) -> None:
    """Tells of every exporter that can never deliver.

    Raises:
        ValueError: there are some.
    """
    problems: list[str] = []
    for name in dict.fromkeys(metric.exporter for metric in config.metrics if metric.exporter):
        exporter = config.exporters[name]
        try:
            make_driver(exporter)
        except DriverSettingError as error:
            for problem in (error, *error.others):
                known = problem.setting in exporter.settings
                problems.append(f"{exporter.settings.place(problem.setting) if known else exporter.place}: {problem}")
    if problems:
        raise ValueError("\n".join(problems))
