"""`MatchMetric` for Beam YAML: the rows of events that a filter of Dovecot's language matches."""

from collections.abc import Iterable, Mapping
from typing import Any, Optional

import apache_beam as beam

from dovebeam.transforms import counters
from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.filters import Dispatcher, parse_filter
from dovebeam.transforms.rows import event_from_row
from dovebeam.transforms.yaml.columns import check_events, only_input
from dovebeam.transforms.yaml.error_output import BAD, error_output, error_row, error_type, with_errors

# ruff: noqa: UP045  Beam 2.77 takes `X | None` in a schema for Any
__all__ = ["MatchMetric"]


class MatchMetric(beam.PTransform):
    """Keeps the rows of events that a filter matches, as they are.

    Args:
        filter: in the language of a metric's filter in dovecot.conf, such as event=imap_command_finished AND
            duration >= 1s.
        unnamed: whether events without a name are looked at; if it is not given, only if the filter names no event, as
            Dovecot does it.
        error_handling: output is the name of the output for rows whose columns are not those of an event; without it
            the first one fails the job.
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
            yield row
