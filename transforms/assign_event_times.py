"""`AssignEventTimes`: events at their own time, for windows of event time."""

from collections.abc import Iterable
from typing import Any, Final

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow, TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp

import dovebeam.transforms.coders  # noqa: F401  registers them
from dovebeam.transforms.events.event import Event

__all__ = ["AssignEventTimes"]

_FIRST_USEC: Final = MIN_TIMESTAMP.micros
_LAST_USEC: Final = GlobalWindow().max_timestamp().micros


class AssignEventTimes(beam.PTransform):
    """Gives each event the timestamp of its `time`: its end time, or else its start time.

    An event without times keeps the one that it has: its message's publish time, if it comes from Pub/Sub. Put a
    `WindowInto` behind it. What is later than the watermark is late, as in all of Beam; the exporters' own files never
    drop it.
    """

    def expand(self, events: beam.PCollection[Event]) -> beam.PCollection[Event]:
        """Events to the same, with other timestamps."""
        timed: beam.PCollection[Event] = events | "Assign" >> beam.ParDo(_AssignFn())
        return timed


@beam.typehints.with_input_types(Event)
@beam.typehints.with_output_types(Event)
class _AssignFn(beam.DoFn):
    def process(self, event: Any) -> Iterable[Any]:
        usec = event.time
        if usec is None:
            yield event
        else:
            yield TimestampedValue(event, Timestamp(micros=min(max(usec, _FIRST_USEC), _LAST_USEC)))
