"""`AssignEventTimes`: gives events their own times as timestamps, for windows of event time."""

from collections.abc import Iterable
from typing import Any, Final

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow, TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp

import dovebeam.transforms.coders  # noqa: F401  registers them
from dovebeam.transforms.events.event import Event

__all__ = ["AssignEventTimes"]

# Dovecot's times are 64-bit microseconds, Beam's range is narrower. The upper bound is the end of the global window,
# since the timestamps behind it are those of Beam's own end of input.
_FIRST_USEC: Final = MIN_TIMESTAMP.micros
_LAST_USEC: Final = GlobalWindow().max_timestamp().micros


class AssignEventTimes(beam.PTransform):
    """Gives each event the timestamp of its `time`: its end time, or else its start time.

    An event without times keeps the timestamp that it has: the publish time of its message, if it comes from Pub/Sub.
    Put a `WindowInto` after this transform. Events behind the watermark are late data, as always in Beam; the
    exporters' own files never drop late events.
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
            # Clamped for Beam only: `event.time` itself, and so its format and its path, stay as they are.
            yield TimestampedValue(event, Timestamp(micros=min(max(usec, _FIRST_USEC), _LAST_USEC)))
