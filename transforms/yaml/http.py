"""`WriteToHttp` for Beam YAML: rows of any kind to an HTTP endpoint."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

import apache_beam as beam
import msgspec

from dovebeam.transforms import counters
from dovebeam.transforms.drivers import Failure, HttpPostDriver
from dovebeam.transforms.errors import UnknownNameError
from dovebeam.transforms.formats import FORMAT_NAMES
from dovebeam.transforms.outcome import PayloadBatch
from dovebeam.transforms.write_to_exporter import DeliverFn
from dovebeam.transforms.yaml.columns import columns_of, one_column, only_input
from dovebeam.transforms.yaml.error_output import error_output, error_row, error_type, with_errors
from dovebeam.transforms.yaml.http_settings import make_http_driver
from dovebeam.transforms.yaml.row_json import row_to_json

# ruff: noqa: UP045  Beam 2.77 takes `X | None` in a schema for Any
__all__ = ["WriteToHttp"]

_NAME = "http"
_MORE = (("attempts", int), ("http_status", Optional[int]), ("endpoint_host", str))


class WriteToHttp(beam.PTransform):
    """Posts each row, of whatever schema, to an HTTP endpoint: as a JSON object, or what is in one of its columns.

    Requests are repeated after time-outs, lost connections and the statuses 408, 425, 429, 500 and 502 to 599, up to 5
    times, 10 s each; Retry-After is obeyed. So a row arrives at least once. What the endpoint refuses are errors, with
    the columns attempts, http_status and endpoint_host beside element, msg and stack.

    Args:
        url: the endpoint; https verifies its certificate. User, password and query do not belong in here.
        field: the column to send, of bytes or string; without it the whole row is sent, as JSON.
        format: what is in that column: json, tab-text or none; it decides the Content-Type.
        headers: further headers. The text of a pipeline is seen by all who may look at the job, so a secret is written
            as a reference, env:NAME, file:/PATH or gsm:projects/P/secrets/S/versions/V; what is none as plain:TEXT.
        settings: any setting of the driver http-post as in dovecot.conf, such as http_post_batch_max_events,
            http_post_batch_format, http_post_compression, http_client_request_max_attempts,
            http_client_max_parallel_connections, or http_post_auth with http_post_auth_token as a reference.
        error_handling: output is the name of the output for rows that were refused; without it the first one fails the
            job.
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
    """Payloads with the rows that they are of."""

    rows: list[Any] = field(default_factory=list)


@beam.typehints.with_input_types(Any)  # rows of any columns, unlike its base
class _PostFn(DeliverFn):
    """Sends the payloads of rows in batches; what comes out are the errors."""

    def __init__(self, driver: HttpPostDriver, column: str | None) -> None:
        super().__init__(driver, _NAME)
        self._column = column
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
        """What is in the column, if a request of several payloads can hold it."""
        data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        if not isinstance(data, bytes):
            raise ValueError(f"{self._column} is neither bytes nor string, but {type(value).__name__}")
        if self._in_lines and b"\n" in data:
            raise ValueError(f"{self._column} has a line feed, which would end it within a batch of lines")
        if self._in_array:
            _check_json(self._column, data)
        return data


def _check_json(column: str | None, data: bytes) -> None:
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{column} is no JSON, and so cannot be in an array: {error}") from None
