"""`FormatEvents` for Beam YAML: rows of events to the bytes that Dovecot would write."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional

import apache_beam as beam
from apache_beam.typehints.row_type import RowTypeConstraint

from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.formats import INCLUDE_PARTS, Formatter, make_formatter
from dovebeam.transforms.rows import event_from_row
from dovebeam.transforms.yaml.columns import check_events, columns_of, only_input
from dovebeam.transforms.yaml.error_output import BAD, error_output, error_row, error_type, with_errors

# ruff: noqa: UP045  Beam 2.77 takes `X | None` in a schema for Any
__all__ = ["FormatEvents"]

_PAYLOAD = "payload"


class FormatEvents(beam.PTransform):
    """Writes each row of an event in one of Dovecot's formats, into the column payload (bytes, without a line's end).

    Args:
        format: json, tab-text or none.
        time_format: rfc3339 or unix.
        include: the parts to write, of name, hostname, timestamps, categories and fields, as a metric's
            exporter_include; all if it is not given.
        fields: the fields to write, in this order; all if it is not given.
        append: whether the rows keep their columns beside payload; otherwise it is the only one.
        error_handling: output is the name of the output for rows whose columns are not those of an event; without it
            the first one fails the job.
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
