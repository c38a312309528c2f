"""An error handler that consumes rejects where they arise, so that they never wait for each other."""

from typing import Any

import apache_beam as beam
from apache_beam.transforms.error_handling import ErrorHandler

__all__ = ["FusedErrorHandler"]


class FusedErrorHandler(ErrorHandler):
    """Applies its consumer to the rejects of each step by themselves; Beam's own merges them first.

    Beam's in-process runner materialises what it merges: with a target that refuses everything, all rejects of a job
    would be in memory before the first is written. Unmerged, the consumer runs in the same stage as the step whose
    rejects it takes, one batch after the other, and whatever was rejected when a job is stopped has been written.

    Args:
        name: the label of the steps that consume.
        consumer: takes a PCollection of rejects; applied several times, so it must not claim a target for itself.
    """

    def __init__(self, name: str, consumer: beam.PTransform) -> None:
        super().__init__(consumer)
        self._name = name
        self._consumer = consumer
        self._error_pcolls: list[Any] = []

    def close(self) -> None:
        """Applies the consumer."""
        for number, rejects in enumerate(self._error_pcolls):
            label = f"{self._name} {number}" if number else self._name
            _ = rejects | label >> self._consumer
        self._output = None
        self._closed = True
