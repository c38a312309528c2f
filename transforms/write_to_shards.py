"""`WriteToShards`: writes payloads into files that are complete and get their names when the job ends.

    Clear --> payloads --> Parts --> pieces by path --> Plan --> Compose --> all files together --> Commit

Unbounded input has no such moment; see `write_to_window_shards`.
"""

import uuid
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

import dovebeam.transforms.coders  # noqa: F401  registers them
from dovebeam.transforms.drivers import FileDriver
from dovebeam.transforms.errors import DriverSettingError
from dovebeam.transforms.plan.decoding import PayloadBatch
from dovebeam.transforms.shard_steps import (
    ACCOUNT,
    Account,
    ClearFn,
    CommitFn,
    ComposeFn,
    PartsFn,
    PlanFn,
    ShardSettings,
)
from dovebeam.transforms.shards.committing import Manifest
from dovebeam.transforms.shards.layout import Layout, check_run_id
from dovebeam.transforms.shards.pieces import Framing, Lines
from dovebeam.transforms.write_to_window_shards import WriteToWindowShards

__all__ = ["WriteShardFiles", "WriteToShards", "shard_settings"]

_LINES = Lines()
# For windows: paths made of fields may be many, and without buckets one worker would write all files of a pane.
_BUCKETS = 8


class WriteShardFiles(beam.PTransform):
    """Writes payloads (bytes, or batches of them) into files, each payload into exactly one.

    The files get their names when the job has read everything; a job that fails before leaves none. The
    names and the bytes of files depend on the input alone, not on how a runner made bundles, as long as payloads have
    an origin. Running the same job again under the same name replaces the files that it made the first time and no
    others.

    Args:
        settings: from `shard_settings`.

    Guarantee: exactly once. A final name that belongs to another file fails the job before anything is renamed; a
    rename that fails also fails it. Output: one `Manifest` for the run. For unbounded input see `WriteToWindowShards`.
    """

    def __init__(self, settings: ShardSettings) -> None:
        super().__init__()
        self._settings = settings

    def default_label(self) -> str:
        """The name that a runner's user interface shows."""
        return f"{type(self).__name__}({self._settings.layout.exporter})"

    def expand(self, payloads: beam.PCollection[bytes | PayloadBatch]) -> beam.PCollection[Manifest]:
        """Payloads, one by one or in batches, to one manifest, or to one for each pane of unbounded input.

        Raises:
            ValueError: the input is unbounded and the files have no windows, so the job would never name one.
        """
        settings = self._settings
        if not payloads.is_bounded:
            if not settings.window_secs:
                raise ValueError(
                    "file_writing = shards names its files when all is read, and this input has no end; add "
                    "file_rotate_interval for files that are named when that part of time is over"
                )
            panes: beam.PCollection[Manifest] = payloads | "In windows" >> WriteToWindowShards(settings)
            return panes
        if not payloads.windowing.is_default():
            payloads = payloads | "Whole run" >> beam.WindowInto(GlobalWindows())
        # What a failed run of the same name left is removed before anything is written, so that a job that fails again
        # and again does not fill the disk.
        once = payloads.pipeline | "Once" >> beam.Create([settings.layout.temporary], reshuffle=False)
        cleared = beam.pvalue.AsSingleton(once | "Clear" >> beam.ParDo(ClearFn(settings)))
        parts = payloads | "Parts" >> beam.ParDo(PartsFn(settings), cleared).with_outputs(ACCOUNT, main="pieces")
        plans = (
            parts.pieces
            | "By path" >> beam.GroupByKey()
            | "Plan" >> beam.ParDo(PlanFn(settings)).with_outputs(ACCOUNT, main="plans")
        )
        # A plan is small, a file is not: reshuffled, files are written by all workers, not where the plan was made.
        files = plans.plans | "Spread" >> beam.Reshuffle() | "Compose" >> beam.ParDo(ComposeFn(settings))
        # The commit happens even without payloads, since files of an earlier run may have to be removed.
        nothing = payloads.pipeline | "Nothing" >> beam.Create([Account()], reshuffle=False)
        manifest: beam.PCollection[Manifest] = (
            (files, parts[ACCOUNT], plans[ACCOUNT], nothing)
            | "Files" >> beam.Flatten()
            | "All together" >> _ToOne()
            | "Commit" >> beam.ParDo(CommitFn(settings))
        )
        return manifest


class WriteToShards(WriteShardFiles):
    """Writes payloads (bytes, or batches of them) into files that get their names when they are complete.

    Args:
        driver: where and how files are written; its `file_writing` is "shards".
        name: name of the exporter, for counters and the manifest.
        run_id: name of this run, which becomes part of the names of the files; with the same name, the same job
            replaces its own files. Empty for a random name.

    Guarantee: exactly once. Output: a `Manifest` of the run, or one for each pane of unbounded input.

    Raises:
        DriverSettingError: the driver appends to its files, or `run_id` cannot be a part of their names.
    """

    def __init__(self, driver: FileDriver, *, name: str = "", run_id: str = "") -> None:
        if driver.file_writing != "shards":
            raise DriverSettingError(
                "event_exporter_file_writing", "is append, which makes no shards; set it to shards"
            )
        super().__init__(shard_settings(driver, name or driver.name, run_id or uuid.uuid4().hex[:12]))


class _ToOne(beam.PTransform):
    """Groups everything into a single element, for the one step that must see all."""

    def expand(self, elements: Any) -> Any:
        return elements | "Key" >> beam.Map(lambda element: ("", element)) | "Group" >> beam.GroupByKey()


def shard_settings(driver: FileDriver, exporter: str, run_id: str, framing: Framing = _LINES) -> ShardSettings:
    """Settings of an exporter's shards.

    Args:
        driver: with `file_writing` shards.
        exporter: its name.
        run_id: name of the run; the same name for the same job makes it replace its own files.
        framing: how payloads lie in files.

    Raises:
        DriverSettingError: `run_id` cannot be a part of file names.
    """
    layout = Layout(exporter, check_run_id(run_id), driver.file_compression)
    return ShardSettings(
        driver.base,
        "" if driver.router() else driver.default_path,
        layout,
        framing,
        driver.rotate_size,
        driver.mode,
        driver.directory_mode,
        driver.rotate_interval_secs,
        (driver.file_window_delay_msec or 0) // 1000,
        _BUCKETS if "{" in driver.file_path_template else 1,
    )
