"""Error handling of dovebeam's transforms: rejects go to Beam's error handler, or fail the job."""

import copy
from collections.abc import Iterable
from typing import Any, Self

import apache_beam as beam
from apache_beam.transforms.error_handling import ErrorHandler

import dovebeam.transforms.coders  # noqa: F401  registers them
from dovebeam.transforms.errors import DovebeamError
from dovebeam.transforms.events.reject import Reject

__all__ = ["REJECTED", "RejectedError", "RejectingTransform"]

REJECTED = "rejected"
"""The tag of rejects in the outputs of dovebeam's DoFns."""


class RejectedError(DovebeamError):
    """Failure of a job that has no error handler, at its first reject."""

    def __init__(self, reject: Reject) -> None:
        # The only argument, because exceptions are pickled by their arguments on the way to the launcher.
        super().__init__(reject)
        self.reject = reject

    def __str__(self) -> str:
        reject = self.reject
        where = f" of {reject.source_uri} at byte {reject.source_offset}" if reject.source_uri else ""
        whom = f" by {reject.exporter!r}" if reject.exporter else ""
        return f"rejected{whom} ({reject.stage}{where}): {reject.error_message}"


class RejectingTransform(beam.PTransform):
    """A transform whose rejects go to an error handler, as Beam's own transforms have it.

    Without `with_error_handler` the first reject fails the job: nothing is ever dropped silently.
    """

    _error_handler: ErrorHandler | None = None

    def with_error_handler(self, error_handler: ErrorHandler | None) -> Self:
        """The same transform with its rejects (`Reject`) going to `error_handler`; None fails the job on a reject."""
        # A copy, since the caller may use the same transform elsewhere with another handler.
        transform = copy.copy(self)
        transform._error_handler = error_handler
        return transform

    def route_rejects(self, rejects: "beam.PCollection[Reject]") -> None:
        """Connects rejects with the error handler, or with a step that fails; for use in `expand`."""
        if self._error_handler is None:
            # A step of its own, so that the failed step's name says what happened.
            _ = rejects | "Fail on a reject" >> beam.ParDo(_FailFn())
        else:
            self._error_handler.add_error_pcollection(rejects)


@beam.typehints.with_input_types(Reject)
@beam.typehints.with_output_types(Reject)
class _FailFn(beam.DoFn):
    def process(self, reject: Any) -> Iterable[Any]:
        raise RejectedError(reject)
