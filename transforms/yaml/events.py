"""Beam YAML's transforms of rows of events: `DovecotEvents`, `MatchMetric` and `FormatEvents`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Optional, Union, get_args

import apache_beam as beam
from apache_beam.typehints.row_type import RowTypeConstraint

from dovebeam.transforms import counters
from dovebeam.transforms.codecs import DEFAULT_MAX_LINE_BYTES
from dovebeam.transforms.decode_events import INPUT_FORMATS as LINE_FORMATS
from dovebeam.transforms.errors import DecodeError, UnknownNameError
from dovebeam.transforms.events.reject import Reject
from dovebeam.transforms.filters import Dispatcher, parse_filter
from dovebeam.transforms.formats import INCLUDE_PARTS, Formatter, make_formatter
from dovebeam.transforms.plan.decoding import decode_block
from dovebeam.transforms.read_from_files import ReadFromFiles
from dovebeam.transforms.rows import event_from_row, event_to_row
from dovebeam.transforms.sources import Block, Format
from dovebeam.transforms.yaml.columns import (
    BAD,
    check_columns,
    check_events,
    columns_of,
    error_output,
    error_row,
    error_type,
    one_column,
    only_input,
    promote,
    promoted_type,
    reject_errors,
    with_errors,
)

# ruff: noqa: UP007, UP045  Beam 2.77 takes `X | None` in a schema for Any

__all__ = ["FILE_FORMATS", "DovecotEvents", "FormatEvents", "MatchMetric"]

FILE_FORMATS: Final = ("auto", "json", "tab-text", "avro")
"""Formats of the files that `DovecotEvents` and `ExportEvents` read."""


class DovecotEvents(beam.PTransform):
    """Reads events that Dovecot exported, from files or from a column of its input, as rows.

    The rows have the columns name, hostname, start_time_usec, end_time_usec, categories, fields, log_type, source_file
    and source_line. The column fields is a list of rows, each with key and one of str, int, time_usec, ip and strlist.
    A line that is not an event is an error. The element of the error is the row that contained the line; for files, it
    is a row with the line in payloadBytes and its position in sourceUri and sourceOffset.

    Args:
        path: a file, a glob or a list of them, local or gs://, plain or compressed. Without it, the transform needs an
            input.
        format: json, tab-text, avro (only for files), or auto, which detects the format.
        field: the column of the input that contains one or several lines, as bytes or string; can be omitted if the
            input has only one column.
        columns: fields that become additional columns, by name, with their type: str, int, time_usec (microseconds
            since 1970), ip or strlist. A field that is missing in an event, or has another type, is null; str accepts
            every type except lists, as text.
        max_line_bytes: longer lines are errors (default: 16777216, which is 16 MiB).
        error_handling: output is the name of the output for lines that are not events; without it, the first such line
            fails the job.
    """

    # Beam YAML looks for this attribute: the transform may begin a pipeline.
    _yaml_requires_inputs = False

    def __init__(
        self,
        *,
        path: Optional[Union[str, Sequence[str]]] = None,
        format: Optional[str] = "auto",  # noqa: A002  the name in Beam YAML's own transforms
        field: Optional[str] = None,
        columns: Optional[Mapping[str, str]] = None,
        max_line_bytes: Optional[int] = DEFAULT_MAX_LINE_BYTES,
        error_handling: Optional[Mapping[str, str]] = None,
    ) -> None:
        super().__init__()
        self._path = path
        # A parameter may also come as None, which is null in YAML, so each default stands twice.
        self._format: Any = format or "auto"
        known = FILE_FORMATS if path is not None else LINE_FORMATS
        if self._format not in known:
            raise UnknownNameError("format", self._format, known)
        if path is not None and field is not None:
            raise ValueError("path reads files, field a column of the input; keep one of the two")
        self._field = field
        self._columns = dict(columns or {})
        check_columns(self._columns)
        self._max_line_bytes = max_line_bytes or DEFAULT_MAX_LINE_BYTES
        self._error_output = error_output(error_handling)

    def expand(self, given: Any) -> Any:
        """Files, or PCollection of rows, to PCollection of EventRow, or of rows with further columns."""
        if isinstance(given, beam.PCollection):
            if self._path is not None:
                raise ValueError("path reads files, which takes no input; write field, or remove the input")
            return self._from_rows(given)
        if self._path is None:
            raise ValueError("DovecotEvents needs path, or an input with a column of lines")
        return self._from_files(given)

    def _from_files(self, begin: Any) -> Any:
        path = [self._path] if isinstance(self._path, str) else list(self._path or ())
        read = ReadFromFiles(path, input_format=self._format, max_line_bytes=self._max_line_bytes)
        decode = beam.ParDo(_BlockFn(self._columns, self._max_line_bytes))
        outputs = begin | "Read" >> read | "Decode" >> self._with_types(decode)
        return with_errors(outputs["events"], reject_errors(outputs[BAD]), self._error_output)

    def _from_rows(self, rows: Any) -> Any:
        column = one_column("DovecotEvents", rows, self._field)
        decode = beam.ParDo(_ColumnFn(column, self._format, self._columns, self._max_line_bytes))
        outputs = rows | "Decode" >> self._with_types(decode)
        # Known only here: the element of an error is the row that came in.
        outputs[BAD].element_type = error_type(rows.element_type)
        return with_errors(outputs["events"], outputs[BAD], self._error_output)

    def _with_types(self, decode: Any) -> Any:
        return decode.with_output_types(promoted_type(self._columns)).with_outputs(BAD, main="events")


class _DecodeFn(beam.DoFn):
    """Base of the DoFns that decode blocks to rows with further columns."""

    def __init__(self, columns: Mapping[str, str], max_line_bytes: int) -> None:
        self._columns = columns
        self._max_line_bytes = max_line_bytes

    # Not in __init__: only the names of the columns travel to the workers.
    def setup(self) -> None:
        self._promote = promote(self._columns)

    def rows_and_rejects(self, block: Block) -> Iterable[Any]:
        found = decode_block(block, self._max_line_bytes)
        counters.count_block(block)
        counters.add("read", found.read)
        counters.add("undecodable", len(found.rejects))
        yield from (self._promote(event_to_row(event)) for event in found.decoded.events)
        yield from found.rejects


class _BlockFn(_DecodeFn):
    """Decodes blocks of files."""

    def process(self, block: Any) -> Iterable[Any]:
        for found in self.rows_and_rejects(block):
            yield beam.pvalue.TaggedOutput(BAD, found) if isinstance(found, Reject) else found


class _ColumnFn(_DecodeFn):
    """Decodes a column; a line in it that is not an event is an error of the whole row."""

    def __init__(self, column: str, line_format: str, columns: Mapping[str, str], max_line_bytes: int) -> None:
        super().__init__(columns, max_line_bytes)
        self._column = column
        self._format = line_format

    def process(self, row: Any) -> Iterable[Any]:
        value = getattr(row, self._column, None)
        data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        if not isinstance(data, bytes) or not data.strip():
            what = "is empty" if isinstance(data, bytes) else f"must be bytes or a string, found {type(value).__name__}"
            yield self._error(row, f"{self._column} {what}, so it holds no event")
            return
        # A block without a file: the rejects' place says nothing, and the row itself is the error's element.
        block = Block("", 0, data, self._format_of(data))
        for found in self.rows_and_rejects(block):
            yield self._error(row, found.error_message) if isinstance(found, Reject) else found

    def _error(self, row: Any, message: str) -> Any:
        return beam.pvalue.TaggedOutput(BAD, error_row(row, message))

    def _format_of(self, data: bytes) -> Format:
        if self._format == "auto":
            return "json" if data.lstrip().startswith(b"{") else "tab-text"
        found: Format = next(known for known in get_args(Format) if known == self._format)
        return found


class MatchMetric(beam.PTransform):
    """Keeps the rows of events that a filter matches, unchanged.

    Args:
        filter: a filter as in a metric of dovecot.conf, such as event=imap_command_finished AND duration >= 1s.
        unnamed: whether events without a name are evaluated. By default, they are unless the filter asks for an event
            name, as in Dovecot.
        error_handling: output is the name of the output for rows that do not contain an event; without it, the first
            such row fails the job.
    """

    def __init__(
        self,
        filter: str,  # noqa: A002  the setting's own name
        *,
        unnamed: Optional[bool] = None,
        error_handling: Optional[Mapping[str, str]] = None,
    ) -> None:
        super().__init__()
        self._filter = parse_filter(filter)
        self._unnamed = unnamed
        self._error_output = error_output(error_handling)

    def expand(self, given: Any) -> Any:
        """PCollection of rows to a PCollection of the same rows."""
        rows = only_input("MatchMetric", given)
        check_events("MatchMetric", rows)
        match = beam.ParDo(_MatchFn(self._filter.text, Dispatcher([self._filter], self._unnamed)))
        outputs = rows | "Match" >> match.with_output_types(rows.element_type).with_outputs(BAD, main="matching")
        outputs[BAD].element_type = error_type(rows.element_type)
        return with_errors(outputs["matching"], outputs[BAD], self._error_output)


class _MatchFn(beam.DoFn):
    def __init__(self, name: str, dispatcher: Dispatcher) -> None:
        self._name = name
        self._dispatcher = dispatcher

    def process(self, row: Any) -> Iterable[Any]:
        try:
            event = event_from_row(row)
        except DecodeError as error:
            yield beam.pvalue.TaggedOutput(BAD, error_row(row, error.reason))
            return
        matching = bool(self._dispatcher.matching(event))
        counters.add("matched" if matching else "unmatched", 1, self._name)
        if matching:
            # The row as it came, with columns that are not an event's.
            yield row


_PAYLOAD = "payload"


class FormatEvents(beam.PTransform):
    """Writes each event in one of Dovecot's formats into the column payload, as bytes without a trailing newline.

    Args:
        format: json, tab-text or none.
        time_format: rfc3339 or unix.
        include: the parts to write, as in exporter_include of a metric: name, hostname, timestamps, categories and
            fields. By default, all.
        fields: the fields to write, in this order. By default, all.
        append: whether the rows keep their columns and get payload in addition; otherwise, payload is the only column.
        error_handling: output is the name of the output for rows that do not contain an event; without it, the first
            such row fails the job.
    """

    def __init__(
        self,
        *,
        format: Optional[str] = "json",  # noqa: A002  the setting's own name
        time_format: Optional[str] = "rfc3339",
        include: Optional[Sequence[str]] = None,
        fields: Optional[Sequence[str]] = None,
        append: Optional[bool] = False,
        error_handling: Optional[Mapping[str, str]] = None,
    ) -> None:
        super().__init__()
        self._formatter = make_formatter(
            format or "json",
            time_format=time_format or "rfc3339",
            # An empty list is meant: nothing is included then.
            include=INCLUDE_PARTS if include is None else include,
            fields=fields or (),
        )
        self._append = bool(append)
        self._error_output = error_output(error_handling)

    def expand(self, given: Any) -> Any:
        """PCollection of rows to PCollection of rows with a payload."""
        rows = only_input("FormatEvents", given)
        check_events("FormatEvents", rows)
        kept = self._kept(rows)
        written = RowTypeConstraint.from_fields([*kept.items(), (_PAYLOAD, bytes)])
        write = beam.ParDo(_FormatFn(self._formatter, list(kept))).with_output_types(written)
        outputs = rows | "Format" >> write.with_outputs(BAD, main="written")
        outputs[BAD].element_type = error_type(rows.element_type)
        return with_errors(outputs["written"], outputs[BAD], self._error_output)

    def _kept(self, rows: Any) -> dict[str, Any]:
        if not self._append:
            return {}
        columns = columns_of(rows)
        if columns is None:
            raise ValueError("append: true needs an input with a schema; give the transform before it output types")
        if _PAYLOAD in columns:
            raise ValueError("the input has a column payload already; rename it, or leave append out")
        return columns


class _FormatFn(beam.DoFn):
    def __init__(self, formatter: Formatter, kept: Sequence[str]) -> None:
        self._formatter = formatter
        self._kept = kept

    def process(self, row: Any) -> Iterable[Any]:
        try:
            event = event_from_row(row)
        except DecodeError as error:
            yield beam.pvalue.TaggedOutput(BAD, error_row(row, error.reason))
            return
        kept = {name: getattr(row, name) for name in self._kept}
        yield beam.Row(**kept, payload=self._formatter.format(event))
