"""`FormatEvents`: formats events as the bytes that Dovecot would write."""

from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam

import dovebeam.transforms.coders  # noqa: F401  registers them
from dovebeam.transforms.config import Exporter, Metric
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.formats import INCLUDE_PARTS, Formatter, make_formatter
from dovebeam.transforms.plan.export_plan import metric_formatter

__all__ = ["FormatEvents"]


class FormatEvents(beam.PTransform):
    """Writes each event in one of Dovecot's formats, without a trailing newline.

    Args:
        format: "json", "tab-text" or "none".
        time_format: "rfc3339" or "unix".
        include: the parts to write, as `exporter_include`.
        fields: the fields to write and their order; empty for all.
        max_string_bytes: maximum length of strings; `LOG_MAX_STRING_BYTES` gives the bytes of the log driver.

    Raises:
        UnknownNameError: the format is unknown; raised when the pipeline is built.
    """

    def __init__(
        self,
        format: str = "json",  # noqa: A002  the setting's own name
        *,
        time_format: str = "rfc3339",
        include: Iterable[str] = INCLUDE_PARTS,
        fields: Sequence[str] = (),
        max_string_bytes: int | None = None,
    ) -> None:
        super().__init__()
        self._formatter = make_formatter(
            format, time_format=time_format, include=include, fields=fields, max_string_bytes=max_string_bytes
        )

    @classmethod
    def of(cls, metric: Metric, exporter: Exporter) -> "FormatEvents":
        """The transform that writes a metric's events for its exporter."""
        # The formatter of the export's plan, so that both write the same bytes.
        return cls(**metric_formatter(metric, exporter).settings)

    def display_data(self) -> dict[str, Any]:
        """The format's settings, for a runner's user interface."""
        # Runners show texts and numbers; what is left at its default is left out.
        settings = {key: value for key, value in self._formatter.settings.items() if value not in (None, ())}
        return {key: value if isinstance(value, str | int) else ", ".join(value) for key, value in settings.items()}

    def expand(self, events: beam.PCollection[Event]) -> beam.PCollection[bytes]:
        """Events to payloads."""
        payloads: beam.PCollection[bytes] = events | "Format" >> beam.ParDo(_FormatFn(self._formatter))
        return payloads


@beam.typehints.with_input_types(Event)
@beam.typehints.with_output_types(bytes)
class _FormatFn(beam.DoFn):
    def __init__(self, formatter: Formatter) -> None:
        self._formatter = formatter

    def process(self, event: Any) -> Iterable[Any]:
        yield self._formatter.format(event)
