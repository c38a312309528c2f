"""Beam's error handlers for dovebeam's rejects: they are consumed where they arise, and never wait for each other."""

from typing import Any

import apache_beam as beam
from apache_beam.transforms.error_handling import ErrorHandler

from dovebeam.pipelines.rejects.object import MergeRejectParts, WriteRejectParts, parts_folder
from dovebeam.pipelines.rejects.sink import CountRejects, WriteRejects
from dovebeam.transforms.local_files import is_url

__all__ = ["FusedErrorHandler", "reject_handler"]


class FusedErrorHandler(ErrorHandler):
    """Applies its consumer to the rejects of each step by themselves; Beam's own merges them first.

    Beam's in-process runner materialises what it merges: with a target that refuses everything, all rejects of a job
    would be in memory before the first is written. Unmerged, the consumer runs in the same stage as the step whose
    rejects it takes, one batch after the other, and whatever was rejected when a job is stopped has been written.

    Args:
        name: the label of the steps that consume.
        consumer: takes a PCollection of rejects; applied several times, so it must not claim a target for itself.
        finish: takes a tuple of what the consumer made of the rejects of each step; None if there is nothing to do.
    """

    def __init__(self, name: str, consumer: beam.PTransform, finish: beam.PTransform | None = None) -> None:
        super().__init__(consumer)
        self._name = name
        self._consumer = consumer
        self._finish = finish
        self._error_pcolls: list[Any] = []

    def close(self) -> None:
        """Applies the consumer."""
        made = []
        for number, rejects in enumerate(self._error_pcolls):
            label = f"{self._name} {number}" if number else self._name
            made.append(rejects | label >> self._consumer)
        if made and self._finish is not None:
            _ = tuple(made) | f"{self._name} together" >> self._finish
        self._output = None
        self._closed = True


class _CountedParts(beam.PTransform):
    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def expand(self, rejects: Any) -> Any:
        return rejects | CountRejects() | WriteRejectParts(self._folder)


def reject_handler(path: str | None) -> ErrorHandler:
    """What takes the rejects of a job: a context manager for as long as its steps are added.

    Args:
        path: where they go, a file of this machine or the URL of an object; None only counts them.
    """
    if path is None:
        return FusedErrorHandler("Rejects", CountRejects())
    if not is_url(path):
        return FusedErrorHandler("Rejects", WriteRejects(path))
    folder = parts_folder(path)
    return FusedErrorHandler("Rejects", _CountedParts(folder), MergeRejectParts(path, folder))
