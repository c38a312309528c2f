"""`MatchMetric`: keeps the events that a filter in Dovecot's language matches."""

from collections.abc import Iterable
from typing import Any

import apache_beam as beam

import dovebeam.transforms.coders  # noqa: F401  registers them
from dovebeam.transforms import counters
from dovebeam.transforms.config import Metric
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.filters import Dispatcher, Filter, parse_filter

__all__ = ["MatchMetric"]


class MatchMetric(beam.PTransform):
    """Keeps the events that match.

    Args:
        metric: a filter in Dovecot's language (text or parsed), or a `Metric` of a configuration.
        unnamed: whether unnamed events are evaluated. None decides as Dovecot does for a single metric: not if the
            filter asks for an event name.

    Raises:
        FilterSyntaxError: the text is not a valid filter; raised when the pipeline is built.
    """

    def __init__(self, metric: str | Filter | Metric, *, unnamed: bool | None = None) -> None:
        super().__init__()
        if isinstance(metric, Metric):
            self._name, self._filter = metric.name, metric.filter
        else:
            self._filter = parse_filter(metric) if isinstance(metric, str) else metric
            self._name = self._filter.text
        self._unnamed = unnamed

    def default_label(self) -> str:
        """The name that a runner's user interface shows."""
        return f"MatchMetric({self._name})"

    def display_data(self) -> dict[str, Any]:
        """The filter, for a runner's user interface."""
        shown: dict[str, Any] = {"metric": self._name, "filter": self._filter.text}
        return shown if self._unnamed is None else {**shown, "unnamed": self._unnamed}

    def expand(self, events: beam.PCollection[Event]) -> beam.PCollection[Event]:
        """Events to those that match."""
        # A dispatcher of this filter alone decides about unnamed events as Dovecot does for a single metric.
        matched: beam.PCollection[Event] = events | "Match" >> beam.ParDo(
            _MatchFn(self._name, Dispatcher([self._filter], self._unnamed))
        )
        return matched


@beam.typehints.with_input_types(Event)
@beam.typehints.with_output_types(Event)
class _MatchFn(beam.DoFn):
    def __init__(self, name: str, dispatcher: Dispatcher) -> None:
        self._name = name
        self._dispatcher = dispatcher

    def process(self, event: Any) -> Iterable[Any]:
        # With the metric's name only: the totals belong to `ExportEvents`, which sees all metrics of an event.
        if self._dispatcher.matching(event):
            counters.add("matched", 1, self._name)
            yield event
        else:
            counters.add("unmatched", 1, self._name)
