"""`DovecotEvents` for Beam YAML: files, or a column of incoming rows, to rows of events."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Optional, Union, get_args

import apache_beam as beam

from dovebeam.transforms import counters
from dovebeam.transforms.codecs import DEFAULT_MAX_LINE_BYTES
from dovebeam.transforms.decode_events import INPUT_FORMATS as LINE_FORMATS
from dovebeam.transforms.errors import UnknownNameError
from dovebeam.transforms.events.reject import Reject
from dovebeam.transforms.plan.decoding import decode_block
from dovebeam.transforms.reading import ReadFromFiles
from dovebeam.transforms.rows import event_to_row
from dovebeam.transforms.sources import Block, Format
from dovebeam.transforms.yaml.columns import one_column
from dovebeam.transforms.yaml.error_output import BAD, error_output, error_row, error_type, reject_errors, with_errors
from dovebeam.transforms.yaml.promoted import check_columns, promote, promoted_type

# ruff: noqa: UP007, UP045  Beam 2.77 takes `X | None` in a schema for Any
__all__ = ["FILE_FORMATS", "DovecotEvents"]

FILE_FORMATS: Final = ("auto", "json", "tab-text", "avro")
"""What `DovecotEvents` and `ExportEvents` read from files."""


class DovecotEvents(beam.PTransform):
    """Reads events that Dovecot exported, from files or from a column of its input, as rows.

    The rows have the columns name, hostname, start_time_usec, end_time_usec, categories, fields, log_type, source_file
    and source_line; fields is a list of rows with key and one of str, int, time_usec, ip and strlist. Lines that are no
    events are errors; their element is a row with the line in payloadBytes and its place in sourceUri and sourceOffset,
    or the row that it came in.

    Args:
        path: file, glob or list of them, local or gs://, plain or compressed. Without it the transform needs an input.
        format: json, tab-text, avro (of files), or auto, which tells it by the content.
        field: the column of the input that holds the line or lines of an event, as bytes or string; may be left out if
            the input has only one.
        columns: fields to be columns of their own beside the others, by name, with what they hold: str, int, time_usec
            (microseconds since 1970), ip or strlist. A field that an event lacks, or that is of another type, is null;
            str takes every type but lists, as text.
        max_line_bytes: longer lines are errors; 1048576 if it is not given.
        error_handling: output is the name of the output for lines that are no events; without it the first one fails
            the job.
    """

    _yaml_requires_inputs = False  # Beam YAML's own name for: it may begin a pipeline

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
        outputs[BAD].element_type = error_type(rows.element_type)
        return with_errors(outputs["events"], outputs[BAD], self._error_output)

    def _with_types(self, decode: Any) -> Any:
        return decode.with_output_types(promoted_type(self._columns)).with_outputs(BAD, main="events")


class _DecodeFn(beam.DoFn):
    """What decodes blocks to rows, with these columns beside the common ones."""

    def __init__(self, columns: Mapping[str, str], max_line_bytes: int) -> None:
        self._columns = columns
        self._max_line_bytes = max_line_bytes

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
    """The rows of a block's events."""

    def process(self, block: Any) -> Iterable[Any]:
        for found in self.rows_and_rejects(block):
            yield beam.pvalue.TaggedOutput(BAD, found) if isinstance(found, Reject) else found


class _ColumnFn(_DecodeFn):
    """The rows of the events in a column; what in it is none is an error of the whole row."""

    def __init__(self, column: str, line_format: str, columns: Mapping[str, str], max_line_bytes: int) -> None:
        super().__init__(columns, max_line_bytes)
        self._column = column
        self._format = line_format

    def process(self, row: Any) -> Iterable[Any]:
        value = getattr(row, self._column, None)
        data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        if not isinstance(data, bytes) or not data.strip():
            what = "is empty" if isinstance(data, bytes) else f"is no line, but {type(value).__name__}"
            yield self._error(row, f"{self._column} {what}, and so holds no event")
            return
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
