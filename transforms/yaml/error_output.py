"""Beam YAML's `error_handling: {output: NAME}` for dovebeam's transforms.

Rows that cannot be processed come out at the output NAME as rows of `element`, `msg` and `stack`, as those of Beam's
own transforms do, so that `StripErrorMetadata` gets them back. Without `error_handling` the first one fails the job.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import apache_beam as beam
from apache_beam.typehints.row_type import RowTypeConstraint

from dovebeam.transforms.errors import DovebeamError
from dovebeam.transforms.events.reject import Reject
from dovebeam.transforms.rows import RejectRow, reject_to_row

__all__ = ["BAD", "RefusedRowError", "error_output", "error_row", "error_type", "reject_errors", "with_errors"]

BAD: Final = "bad"
"""The tag of error rows in the outputs of the DoFns of this package."""

_GOOD: Final = "good"  # Beam's own name for the main output beside errors
_ADVICE: Final = "write error_handling: {output: NAME}, and read what fails from the output NAME"


class RefusedRowError(DovebeamError):
    """A row that cannot be processed, in a transform without `error_handling`."""


def error_output(error_handling: Mapping[str, Any] | None) -> str | None:
    """The name of the output for errors; None without `error_handling`.

    Raises:
        ValueError: it says something else than an output.
    """
    if error_handling is None:
        return None
    output = error_handling.get("output")
    if not isinstance(output, str) or not output or output == _GOOD or len(error_handling) != 1:
        raise ValueError(f"error_handling {dict(error_handling)!r} is not understood; {_ADVICE}")
    return output


def error_row(element: Any, message: str, **more: Any) -> beam.Row:
    """The row of an element that failed; there is no stack, since nothing was raised."""
    return beam.Row(element=element, msg=message, stack="", **more)


def error_type(element_type: Any, *more: tuple[str, Any]) -> RowTypeConstraint:
    """The schema of `error_row`s of such elements."""
    return RowTypeConstraint.from_fields([("element", element_type), ("msg", str), ("stack", str), *more])


def reject_errors(rejects: Any) -> Any:
    """A PCollection of Reject to one of error rows, whose element is the reject as a row."""
    return rejects | "Error rows" >> beam.Map(_of_reject).with_output_types(error_type(RejectRow))


def with_errors(good: Any, errors: Any, output: str | None) -> Any:
    """What `expand` returns: a transform's outputs by name.

    Args:
        good: the main output, None for a sink.
        errors: PCollection of error rows.
        output: from `error_output`.
    """
    if output is None:
        _ = errors | "Fail on an error" >> beam.ParDo(_FailFn())
        return good
    return {output: errors} if good is None else {_GOOD: good, output: errors}


def _of_reject(reject: Reject) -> beam.Row:
    return error_row(reject_to_row(reject), reject.error_message)


class _FailFn(beam.DoFn):
    def process(self, error: Any) -> Iterable[Any]:
        raise RefusedRowError(f"rejected: {error.msg}; to keep such rows and go on, {_ADVICE}")
