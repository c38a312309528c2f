"""Runners that look as if they were elsewhere: their jobs have an id and are running until somebody waits."""

from __future__ import annotations

from typing import Any, ClassVar

from apache_beam.options.pipeline_options import StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult, PipelineRunner, PipelineState


class FarResult(PipelineResult):
    """A job elsewhere."""

    def __init__(self, done: Any, end: str) -> None:
        super().__init__(PipelineState.RUNNING)
        self._done = done
        self._end = end

    def job_id(self) -> str:
        """What the runner calls it."""
        return "job-17"

    def wait_until_finish(self, duration: int | None = None) -> str:
        """The state that it ends in."""
        self._state = self._end
        return self._end

    def metrics(self) -> Any:
        """Its counters, known at its end."""
        assert self.state == PipelineState.DONE
        return self._done.metrics()


class FarRunner(FnApiRunner):
    """Runs at once, and doesn't tell."""

    end = PipelineState.DONE

    def run_pipeline(self, pipeline: Any, options: Any) -> Any:
        """The job, said to be running."""
        return FarResult(super().run_pipeline(pipeline, options), self.end)


class FailingRunner(FarRunner):
    """Its jobs fail."""

    end = PipelineState.FAILED


class TranslatingRunner(PipelineRunner):
    """Translates a pipeline as runners elsewhere do, and sends it nowhere.

    Attributes:
        graphs: each pipeline as a proto, and whether it is a streaming job.
    """

    graphs: ClassVar[list[tuple[Any, bool]]] = []

    def run_pipeline(self, pipeline: Any, options: Any) -> Any:
        """The job, said to be running."""
        self.graphs.append((pipeline.to_runner_api(), options.view_as(StandardOptions).streaming))
        return FarResult(None, PipelineState.RUNNING)
