"""Beam YAML's sinks: `ExportEvents`, the whole export of a dovecot.conf, and `WriteToHttp` for rows of any kind."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Optional, Union

import apache_beam as beam
import msgspec
from apache_beam.transforms.error_handling import ErrorHandler

from dovebeam.transforms import counters
from dovebeam.transforms.config import Config, make_driver
from dovebeam.transforms.config_files import load_config
from dovebeam.transforms.drivers import Failure, HttpPostDriver
from dovebeam.transforms.drivers.secrets.secret import HOW_TO_REFER, secrets_in
from dovebeam.transforms.drivers.secrets.secret_url import SecretUrl
from dovebeam.transforms.drivers.setting import PREFIX, Setting, ValueTypeError, convert, declared
from dovebeam.transforms.error_handling import RejectingTransform
from dovebeam.transforms.errors import DriverSettingError, UnknownNameError
from dovebeam.transforms.export_events import ExportEvents as Export
from dovebeam.transforms.formats import FORMAT_NAMES
from dovebeam.transforms.plan.decoding import PayloadBatch
from dovebeam.transforms.read_from_files import ReadFromFiles
from dovebeam.transforms.rows import RowsToEvents
from dovebeam.transforms.write_to_exporter import DeliverFn
from dovebeam.transforms.yaml.columns import (
    check_events,
    columns_of,
    error_output,
    error_row,
    error_type,
    one_column,
    only_input,
    reject_errors,
    row_to_json,
    with_errors,
)
from dovebeam.transforms.yaml.events import FILE_FORMATS

# ruff: noqa: UP007, UP045  Beam 2.77 takes `X | None` in a schema for Any

__all__ = ["DEFAULTS", "ExportEvents", "WriteToHttp", "make_http_driver"]

_logger = logging.getLogger(__name__)


class ExportEvents(beam.PTransform):
    """Exports events as a dovecot.conf describes: metrics select events, event_exporters format and deliver them.

    Lines that are not events, and payloads that a target refuses, are errors. The element of an error is a row with the
    bytes in payloadBytes, and their origin and the reason in the other columns.

    Args:
        config: the dovecot.conf, or a list of files of which later ones override earlier ones, local or gs://. It is
            read where the pipeline is launched.
        path: a file, a glob or a list of them, as for DovecotEvents. Without it, the transform needs an input with rows
            of events.
        format: format of the files: json, tab-text, avro, or auto, which detects it.
        run_id: the name of this run, which becomes part of the names of files that are written as shards; a run with
            the same name replaces its own files.
        error_handling: output is the name of the output for errors; without it, the first error fails the job.
    """

    # Beam YAML looks for this attribute: the transform may begin a pipeline.
    _yaml_requires_inputs = False

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
        # Beam YAML has no place for warnings but the log of the launching process.
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
        # Rejects come from several steps; the handler merges them into one output.
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
    """Refuses a configuration with exporters that can never deliver.

    Raises:
        ValueError: naming all problems, with their places.
    """
    # `ExportEvents` itself stops at the first; whoever edits YAML should see all of them at once.
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


# The driver of `WriteToHttp`. Its settings are those of dovecot.conf, so that there is one vocabulary for both.
#
# Beam YAML puts the whole text of a pipeline into the job, where everyone reads it who may see the job. So a secret can
# only be a reference here.

DEFAULTS: Final[Mapping[str, str]] = {
    "http_client_request_absolute_timeout": "10s",
    "http_client_request_max_attempts": "5",
}
"""Defaults that differ from dovecot.conf's: one attempt of 250 ms is right for a server that cannot wait."""

# Settings that are parameters of the transform, by their names there.
_OWN: Final = {"http_post_url": "url", "http_post_headers": "headers", "format": "format"}
_FIELDS: Final[Mapping[str, tuple[str, Setting]]] = {
    row.short_name: (attribute, row) for attribute, row in declared(HttpPostDriver).items() if attribute not in _OWN
}


def make_http_driver(
    url: str, headers: Mapping[str, str], settings: Mapping[str, Any], payload_format: str
) -> HttpPostDriver:
    """Driver `http-post` of a transform's parameters.

    Args:
        url: the target.
        headers: values are references, or `plain:TEXT`.
        settings: of an event_exporter with this driver, by name, as numbers, booleans or the texts of dovecot.conf.
        payload_format: one of Dovecot's formats; it decides the Content-Type.

    Raises:
        ValueError: naming everything that is wrong.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    for name, value in {**DEFAULTS, **settings}.items():
        try:
            values.update(_setting(name.removeprefix(PREFIX), value))
        except (ValueError, UnknownNameError) as error:
            problems.append(str(error))
    # Only with settings that can be converted: the driver's checks would report what follows from the others.
    if not problems:
        shown = {name: str(value) for name, value in headers.items()}
        try:
            driver = HttpPostDriver(http_post_url=url, http_post_headers=shown, format=payload_format, **values)
        except DriverSettingError as error:
            problems += [_told(each) for each in (error, *error.others)]
        else:
            problems += _written_secrets(driver)
            if not problems:
                return driver
    raise ValueError("\n".join(problems))


def _setting(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Field of the driver that a setting fills, and its value."""
    if name in _OWN:
        raise ValueError(f"{name} is a parameter of its own: write it as {_OWN[name]}, beside settings")
    found = _FIELDS.get(name)
    if found is None:
        raise UnknownNameError("setting", name, _FIELDS)
    attribute, setting = found
    try:
        yield attribute, convert(setting, _text(name, value))
    except ValueTypeError as error:
        raise ValueError(f"{name}: {error.advice}") from None


def _text(name: str, value: Any) -> str:
    """Text that dovecot.conf would have for a value of YAML."""
    # Before int, of which bool is a subclass; YAML reads yes and no as booleans.
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int):
        return str(value)
    raise ValueError(f"{name}: write a number, true, false or a text as in dovecot.conf")


def _told(error: DriverSettingError) -> str:
    # In the names of this transform: there is no event_exporter in a pipeline.
    name = error.setting.removeprefix(PREFIX)
    return f"{_OWN.get(name, name)}: {error.message.replace(PREFIX, '')}"


_SEEN: Final = "everyone who may see the job can read the text of its pipeline"


def _written_secrets(driver: HttpPostDriver) -> Iterator[str]:
    """Problems of values that are written out and may be secrets."""
    target = driver.http_post_url
    if isinstance(target, SecretUrl) and target.user:
        yield f"url: {_SEEN}, with user and password; use http_post_auth: basic with references"
    if isinstance(target, SecretUrl) and target.query:
        yield "url: its query may be a secret; write it as http_post_query, by reference or as plain:TEXT"
    for name, secret in driver.header_secrets:
        if secret.is_literal:
            yield f"headers: {name}: {_refer()}"
    for name, (attribute, _) in _FIELDS.items():
        if any(secret.is_literal for secret in secrets_in(getattr(driver, attribute))):
            yield f"{name}: {_refer()}"


def _refer() -> str:
    return f"{_SEEN}; write {HOW_TO_REFER}, or plain:TEXT if it is not a secret"


# In counters, where an exporter would have its name.
_NAME = "http"
_MORE = (("attempts", int), ("http_status", Optional[int]), ("endpoint_host", str))


class WriteToHttp(beam.PTransform):
    """Posts each row, of any schema, to an HTTP endpoint: the whole row as a JSON object, or one of its columns.

    Requests are retried after time-outs, lost connections and the statuses 408, 425, 429, 500 and 502 to 599. By
    default, a request has up to 5 attempts of 10 s each; Retry-After is respected. Delivery is at least once. A row
    that the endpoint refuses is an error, with the columns attempts, http_status and endpoint_host in addition to
    element, msg and stack.

    Args:
        url: the endpoint; for https, its certificate is verified. The URL must not contain a user, password or query.
        field: the column to send, as bytes or string; without it, the whole row is sent as JSON.
        format: format of that column: json, tab-text or none; it determines the Content-Type.
        headers: additional headers. Everyone who may see the job can read the text of its pipeline, so write a secret
            as a reference: env:NAME, file:/PATH or gsm:projects/P/secrets/S/versions/V. Write any other value as
            plain:TEXT.
        settings: any setting of the driver http-post as in dovecot.conf, such as http_post_batch_max_events,
            http_post_batch_format, http_post_compression, http_client_request_max_attempts,
            http_client_max_parallel_connections, or http_post_auth with http_post_auth_token as a reference.
        error_handling: output is the name of the output for rows that were refused; without it, the first such row
            fails the job.
    """

    def __init__(
        self,
        url: str,
        *,
        field: Optional[str] = None,
        format: Optional[str] = "json",  # noqa: A002  the setting's own name
        headers: Optional[Mapping[str, str]] = None,
        settings: Optional[Mapping[str, Any]] = None,
        error_handling: Optional[Mapping[str, str]] = None,
    ) -> None:
        super().__init__()
        payload_format = format or "json"
        if payload_format not in FORMAT_NAMES:
            raise UnknownNameError("format", payload_format, FORMAT_NAMES)
        if field is None and payload_format != "json":
            raise ValueError(f"whole rows are sent as JSON; for {payload_format} write field: NAME, the column to send")
        self._driver = make_http_driver(url, headers or {}, settings or {}, payload_format)
        self._field = field
        self._error_output = error_output(error_handling)

    def display_data(self) -> dict[str, Any]:
        """The driver's settings that may be shown."""
        return dict(self._driver.display_items())

    def expand(self, given: Any) -> Any:
        """PCollection of rows to nothing."""
        rows = only_input("WriteToHttp", given)
        column = None if self._field is None else one_column("WriteToHttp", rows, self._field)
        if column is None and columns_of(rows) is None:
            raise ValueError("WriteToHttp needs rows with a schema; give the transform before it output types")
        post = beam.ParDo(_PostFn(self._driver, column))
        errors = rows | "Post" >> post.with_output_types(error_type(rows.element_type, *_MORE))
        return with_errors(None, errors, self._error_output)


@dataclass(slots=True)
class _RowBatch(PayloadBatch):
    """Batch of payloads with their rows, which become the elements of errors."""

    rows: list[Any] = field(default_factory=list)


@beam.typehints.with_input_types(Any)  # rows of any columns, unlike its base
class _PostFn(DeliverFn):
    """Sends the payloads of rows in batches; emits the error rows."""

    def __init__(self, driver: HttpPostDriver, column: str | None) -> None:
        super().__init__(driver, _NAME)
        self._column = column
        # What a payload must not hold depends on how a request joins several.
        self._in_lines = driver.http_post_batch_max_events > 1 and driver.http_post_batch_format == "lines"
        self._in_array = driver.http_post_batch_format == "array"
        self._endpoint = driver.endpoint

    def process(
        self, row: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterable[Any]:
        try:
            payload = row_to_json(row) if self._column is None else self._payload(getattr(row, self._column, None))
        except ValueError as error:
            counters.add("rejected", 1, _NAME)
            yield error_row(row, str(error), attempts=0, http_status=None, endpoint_host=self._endpoint)
            return
        yield from super().process(_RowBatch([payload], rows=[row]), timestamp, window)

    def refused(self, batch: PayloadBatch, index: int, failure: Failure) -> Any:
        """The error row of a payload."""
        if not isinstance(batch, _RowBatch):
            raise TypeError(f"a batch of rows is expected, not {type(batch).__name__}")
        told = {"attempts": failure.attempts, "http_status": failure.status, "endpoint_host": failure.endpoint}
        return error_row(batch.rows[index], failure.reason, **told)

    def _payload(self, value: Any) -> bytes:
        """Bytes of the column, if a request of several payloads can hold them."""
        data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        if not isinstance(data, bytes):
            raise ValueError(f"{self._column} must be bytes or a string, found {type(value).__name__}")
        if self._in_lines and b"\n" in data:
            raise ValueError(f"{self._column} has a line feed, which would end it within a batch of lines")
        if self._in_array:
            _check_json(self._column, data)
        return data


def _check_json(column: str | None, data: bytes) -> None:
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{column} is not valid JSON, so it cannot be part of an array: {error}") from None
